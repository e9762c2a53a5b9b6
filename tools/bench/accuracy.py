"""`tenshot bench accuracy`: few-shot accuracy, compared with the alternatives."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from ..console import Rate, errors, fail, output, progress, table

if TYPE_CHECKING:
    from ...index.store import Store
    from ..demo.episodes import Episode
    from .labelled_set import LabelledSet

_FORMS = {"tenshot, exclusive": (True, True), "tenshot, independent": (False, False)}
"""Mutually exclusive, closed environment."""
_METRICS = {
    "accuracy": 100,
    "average precision": 100,
    "log loss": 1,
    "calibration error": 100,
    "calibration error of all values": 100,
}
"""Metric -> the factor by which it is displayed."""
_ALL = "mean of all"
_LEAST = 1e-6
"""The lower bound of probabilities in the log loss."""


@dataclass(frozen=True)
class Interval:
    """A mean over episodes; `half` is half of its 95 % interval, None for a single episode."""

    mean: float
    half: float | None


@dataclass(frozen=True)
class Result:
    """The metrics of one method at one task with `shots` labels per concept."""

    task: str
    vectors: str
    shots: int
    method: str
    draws: int
    metrics: dict[str, Interval]
    """In [0, 1] except the log loss; without the last three if a method gives no probabilities."""


def register(bench: typer.Typer) -> None:
    """Adds this measurement."""
    bench.command()(accuracy)


def accuracy(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Folders with folder/<label>/<picture>, or names of public tasks; by default all of these: "
            "tux, glyphs, emoji_vendors.",
        ),
    ] = None,
    shots: Annotated[str, typer.Option(help="Numbers of labels per concept.")] = "1,2,5,10,20",
    draws: Annotated[int, typer.Option(min=1, help="Episodes for each task and number of labels.")] = 20,
    workflow: Annotated[
        list[str] | None, typer.Option(help="Base workflows, separated by commas or repeated; by default general.")
    ] = None,
    signed: Annotated[bool, typer.Option(help="Centre and rotate vectors at random: features of both signs.")] = False,
    seed: Annotated[int, typer.Option(help="The random seed of the episodes.")] = 0,
    plot: Annotated[list[Path] | None, typer.Option(help="Draw the accuracies into this .png or .svg file.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="The folder for fetched pictures and vectors; by default in the user's cache.")
    ] = None,
) -> None:
    """Few-shot accuracy on held-out pictures. Example: tenshot bench accuracy my-pictures --plot accuracy.svg"""
    from ...index.store import Store
    from .labelled_set import embedded
    from .line_chart import SUFFIXES
    from .public_tasks import user_cache

    numbers = _numbers(shots)
    if wrong := [str(file) for file in plot or () if file.suffix.lower() not in SUFFIXES]:
        raise typer.BadParameter(f"--plot takes a .png or .svg file, not {wrong[0]!r}")
    for module in ("sklearn", "matplotlib"):
        if find_spec(module) is None:
            fail("the baselines and the plot need more packages: pip install 'tenshot[demo]'")
    cache_folder = cache or user_cache()
    workflows = [name for names in workflow or ["general"] for name in names.split(",")]
    results: list[Result] = []
    folders = list(_folders(sources or [], cache_folder))
    names = [folder.resolve().name for folder in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        fail(f"two tasks are named {twice[0]}: give folders with different names")
    with tempfile.TemporaryDirectory() as data, Store.open(data) as store:
        for number, name in enumerate(workflows):
            app = store.create_app(f"pictures-{number}", name)
            for folder in folders:
                results += _measure(store, embedded(folder, app, cache_folder), name, numbers, draws, seed, signed)
    if not results:
        fail("nothing was measured: no task has enough pictures of enough labels")
    output(context.obj, [asdict(result) for result in results], table(_title(results), *_rows(results)))
    for file in plot or ():
        _plot(results, file)
        errors.print(f"wrote {file}")


def _numbers(shots: str) -> list[int]:
    try:
        numbers = sorted({int(number) for number in shots.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 1:
        raise typer.BadParameter(f"--shots takes whole numbers from 1, separated by commas, not {shots!r}")
    return numbers


def _folders(sources: Sequence[str], cache: Path) -> Iterator[Path]:
    """The given folders, and those of public tasks that are available here."""
    from .public_tasks import Unavailable, fetch, public_tasks

    public = public_tasks()
    for source in sources or public:
        if source not in public:
            yield Path(source)
            continue
        task = public[source]
        errors.print(f"{task.id}: {task.title} ({task.source})")
        try:
            yield fetch(task, cache)
        except Unavailable as reason:
            errors.print(f"{task.id} is left out: {reason}")


def _measure(
    store: "Store", pictures: "LabelledSet", workflow: str, numbers: Sequence[int], draws: int, seed: int, turned: bool
) -> Iterator[Result]:
    from ..demo.episodes import signed

    vectors = signed(pictures.vectors) if turned else pictures.vectors
    vectors_name = f"{workflow}, signed" if turned else workflow
    with progress(f"{pictures.name}, {vectors_name}", draws * len(numbers)) as bar:
        for shots in numbers:
            measured = _episodes(store, vectors, pictures.labels, shots, draws, seed, bar)
            if not measured:
                errors.print(f"{pictures.name}: too few labels have enough pictures for {shots} shots")
            for method, judged in measured.items():
                means = {metric: _interval([metrics[metric] for metrics in judged]) for metric in judged[0]}
                yield Result(pictures.name, vectors_name, shots, method, len(judged), means)


def _episodes(
    store: "Store",
    vectors: NDArray[np.float32],
    labels: NDArray[np.int64],
    shots: int,
    draws: int,
    seed: int,
    bar: Rate,
) -> Mapping[str, list[dict[str, float]]]:
    """Method -> metrics of each episode; empty if the task has too few pictures."""
    from ..demo.baselines import BASELINES
    from ..demo.episodes import draw

    rng = np.random.default_rng(seed)
    metrics: dict[str, list[dict[str, float]]] = {}
    for _ in range(draws):
        episode = draw(vectors, labels, shots, rng)
        bar.advance()
        if episode is None:
            continue
        for method, values in _tenshot(store, episode).items():
            metrics.setdefault(method, []).append(_metrics(values, episode.truth, True))
        for baseline in BASELINES:
            judged = _metrics(baseline.values(episode), episode.truth, baseline.probabilities)
            metrics.setdefault(baseline.name, []).append(judged)
    return metrics


def _tenshot(store: "Store", episode: "Episode") -> Mapping[str, NDArray[np.float64]]:
    """Predictions of a new app with these vectors and labels: form -> (queries, labels)."""
    concepts = [f"c{c}" for c in range(episode.count)]
    app = store.create_app("episode", "vectors", dim=episode.train.shape[1])
    values_by_form = {}
    try:
        app.add_vectors(
            np.concatenate([episode.train, episode.background]),
            concepts=[{concepts[c]: True} for c in episode.labels] + [{}] * len(episode.background),
        )
        for number, (form, (exclusive, closed)) in enumerate(_FORMS.items()):
            model = app.create_model(f"m{number}", concepts, mutually_exclusive=exclusive, closed_environment=closed)
            scores = app.predict_vectors(episode.queries, model)
            columns = [scores.concept_ids.index(concept) for concept in concepts]
            values_by_form[form] = scores.values[:, columns].astype(np.float64)
    finally:
        store.delete_app("episode")
    return values_by_form


def _metrics(values: NDArray[np.float64], truth: NDArray[np.int64], probabilities: bool) -> dict[str, float]:
    """Metrics of values (queries, labels)."""
    from ...index.analysis.evaluation import average_precision, reliability

    positive = truth[:, None] == np.arange(values.shape[1])
    right = values.argmax(axis=1) == truth
    precisions = [average_precision(values[:, c], positive[:, c]) for c in range(values.shape[1])]
    judged = [float(right.mean()), float(np.mean([precision for precision in precisions if precision is not None]))]
    if probabilities:
        # Values of independent concepts have no fixed sum.
        shares = values[positive] / np.maximum(values.sum(axis=1), _LEAST)
        judged.append(float(-np.log(np.clip(shares, _LEAST, 1)).mean()))
        for predicted, true in ((values.max(axis=1), right), (values.ravel(), positive.ravel())):
            judged.append(reliability(predicted, true).expected_calibration_error or 0.0)
    return dict(zip(_METRICS, judged, strict=False))


def _interval(values: Sequence[float]) -> Interval:
    """By Student's t."""
    from scipy.stats import t

    if len(values) < 2:
        return Interval(float(np.mean(values)), None)
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    return Interval(float(np.mean(values)), float(t.ppf(0.975, len(values) - 1)) * error)


def _mean(intervals: Sequence[Interval]) -> Interval:
    """Over independent tasks, each counting the same."""
    halves = [interval.half for interval in intervals if interval.half is not None]
    half = float(np.linalg.norm(halves)) / len(intervals) if len(halves) == len(intervals) else None
    return Interval(float(np.mean([interval.mean for interval in intervals])), half)


def _title(results: Sequence[Result]) -> str:
    return (
        f"Means over {max(result.draws for result in results)} draws with 95 % intervals, in % except the log loss, "
        "by labels per concept"
    )


def _rows(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: every metric on the mean of all tasks, and each task's accuracy."""
    numbers = sorted({result.shots for result in results})
    methods = dict.fromkeys(result.method for result in results)
    rows = []
    for vectors in dict.fromkeys(result.vectors for result in results):
        selected = [result for result in results if result.vectors == vectors]
        tasks = list(dict.fromkeys(result.task for result in selected))
        lines = [(tasks[0] if len(tasks) == 1 else _ALL, metric, tasks) for metric in _METRICS]
        lines += [(task, "accuracy", [task]) for task in tasks if len(tasks) > 1]
        for title, metric, of in lines:
            for method in methods:
                cells = [
                    _cell([r for r in selected if (r.method, r.shots) == (method, n) and r.task in of], metric)
                    for n in numbers
                ]
                if any(cell != "-" for cell in cells):
                    rows.append([vectors, title, metric, method, *cells])
    return ["vectors", "task", "metric", "method", *map(str, numbers)], rows


def _cell(results: Sequence[Result], metric: str) -> str:
    intervals = [result.metrics[metric] for result in results if metric in result.metrics]
    if not intervals:
        return "-"
    mean, times = _mean(intervals), _METRICS[metric]
    digits = 1 if times == 100 else 2
    text = f"{mean.mean * times:.{digits}f}"
    return text if mean.half is None else f"{text} ±{mean.half * times:.{digits}f}"


def _plot(results: Sequence[Result], file: Path) -> None:
    from .line_chart import Line, line_chart

    panels: dict[str, dict[str, Line]] = {}
    for vectors, task in dict.fromkeys((result.vectors, result.task) for result in results):
        selected = [result for result in results if (result.vectors, result.task) == (vectors, task)]
        panels[f"{task} ({vectors})"] = {
            method: Line(
                {r.shots: _percent(r.metrics["accuracy"]) for r in selected if r.method == method}, method in _FORMS
            )
            for method in dict.fromkeys(result.method for result in selected)
        }
    line_chart("Accuracy on held-out pictures, with 95 % intervals", panels, file)


def _percent(interval: Interval) -> tuple[float, float | None]:
    return 100 * interval.mean, None if interval.half is None else 100 * interval.half
