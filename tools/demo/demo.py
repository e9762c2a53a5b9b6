"""`tenshot demo`: the main job on real pictures, beside what scikit-learn makes of the same vectors."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from ..console import Context, errors, fail, progress, say, table

if TYPE_CHECKING:
    from ...index.app import App
    from ...index.records import AddRequest, Model

SHOTS = 10
DRAWS = 20
_HITS = 7
_TIMED = 30


@dataclass(frozen=True)
class Result:
    """How one task went."""

    task: str
    labels: int
    concepts: int
    held_out: int
    tenshot: float
    logistic_regression: float
    five_nn: float
    ms: float
    """From a label to the prediction that knows it, median."""


@dataclass(frozen=True)
class _Words:
    """How well the labels' names find their pictures."""

    words: Sequence[str]
    mean_average_precision: float
    chance: float


@dataclass(frozen=True)
class _Set:
    """A task's inputs as they are in the app: ids, the number of each one's label, vectors."""

    names: list[str]
    ids: list[str]
    labels: NDArray[np.int64]
    vectors: NDArray[np.float32]
    taught: Mapping[str, Mapping[str, bool]]
    """Labels that an earlier run left: input id -> concept -> yes or no."""


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(demo)


def demo(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(help="Your own folder of folders; else pictures from PyPI.")] = None,
    workflow: Annotated[str, typer.Option(help="The base workflow.")] = "general",
) -> None:
    """Teach concepts with ten labels each, and show what came of it. Example: tenshot demo my-pictures"""
    from ...index.store import Store

    options: Context = context.obj
    data = Path("tenshot-demo") if str(options.data) == "tenshot-data" else options.data
    with Store.open(data, database_url=options.database_url) as store:
        results, rows = [], []
        words: dict[str, _Words] = {}
        for name, title, requests in _sources(folder):
            _check(name, [str((request.metadata or {})["label"]) for request in requests])
            known = {record.name for record in store.apps()}
            app = store.app(name) if name in known else store.create_app(name, workflow)
            if app.recipe.workflow != workflow:
                fail(
                    f"app {name!r} in {data} has the workflow {app.recipe.workflow!r}: "
                    f"give --workflow {app.recipe.workflow}, or another data folder by --data"
                )
            _add(app, title, requests)
            things = _set(app)
            # Once more, for some may not have been pictures.
            _check(name, [things.names[label] for label in things.labels])
            results.append(_judge(app, name, things))
            if found := _by_words(app, things):
                words[name] = found
            rows += _search_rows(app, things)
            _show_predictions(options, app, things)
    from .chart import accuracy_chart
    from .contact_sheet import contact_sheet

    sheet = data / "demo.png"
    contact_sheet("Visual search: each row starts with a picture, then come its nearest", rows, sheet)
    chart = data / "accuracy.svg"
    accuracies = {
        r.task: {"tenshot": r.tenshot, "logistic regression": r.logistic_regression, "5-NN vote": r.five_nn}
        for r in results
    }
    accuracy_chart(f"Accuracy with {SHOTS} labels a concept, mean of {DRAWS} random draws", accuracies, chart)
    columns = ["task", "concepts", "labels", "held out", "tenshot", "logistic regression", "5-NN vote", "ms"]
    shown = table(
        f"Accuracy on held-out pictures, {SHOTS} labels a concept, mean of {DRAWS} random draws; "
        "ms from a label to the changed prediction",
        columns,
        [
            [r.task, r.concepts, r.labels, r.held_out, r.tenshot, r.logistic_regression, r.five_nn, f"{r.ms:.1f}"]
            for r in results
        ],
    )
    document = {
        "results": [asdict(r) for r in results],
        "words": {task: asdict(found) for task, found in words.items()},
        "contact_sheet": str(sheet),
        "chart": str(chart),
    }
    say(options, document, shown)
    if not options.json:
        for task, found in words.items():
            errors.print(
                f"\nFound by words alone, untaught ({task}): mean average precision {found.mean_average_precision:.2f} "
                f"over {len(found.words)} words ({', '.join(found.words)}); by chance {found.chance:.2f}"
            )
        errors.print(f"\nA visual search to look at: {sheet}, and the accuracies: {chart}")
        errors.print(f"To go on with this data on the page and over HTTP: tenshot --data {data} serve")


def _sources(folder: Path | None) -> Iterator[tuple[str, str, Sequence["AddRequest"]]]:
    """App name, title, and what to add."""
    from ...index.records import AddRequest
    from ..picture_folders import find
    from .samples import tasks

    if folder is not None:
        # What a picture shows goes into the metadata: as a label it would be taught before it is asked.
        yield (
            folder.resolve().name,
            str(folder),
            [
                AddRequest(found.path, found.input_id, metadata={"file": found.name, "label": label})
                for found in find(folder, "folders")
                for label in found.concepts
            ],
        )
        return
    for task in tasks():
        yield (
            task.id,
            f"{task.title} ({task.source})",
            [AddRequest(sample.image, sample.name, metadata={"label": sample.label}) for sample in task.load()],
        )


def _check(name: str, labels: Sequence[str]) -> None:
    """Ends the demo unless there is something to teach, and something left to ask."""
    counts = Counter(labels)
    if len(counts) < 2 or min(counts.values()) <= SHOTS:
        fail(f"{name}: two or more folders with more than {SHOTS} pictures each are needed")


def _add(app: "App", title: str, requests: Sequence["AddRequest"]) -> None:
    errors.print(f"\n{title}", style="bold")
    there = app.existing([request.id for request in requests if request.id])
    new = [request for request in requests if request.id not in there]
    if not new:
        errors.print(f"{len(there)} pictures are there already")
        return
    with progress("importing", len(new)) as bar:
        for result in app.add_many(new):
            if result.error:
                errors.print(f"left out {result.request.id}: {result.error}")
            bar.advance()


def _set(app: "App") -> _Set:
    """What the demo put into the app: what each one shows is in its metadata."""
    named: list[tuple[str, str]] = []
    taught: dict[str, Mapping[str, bool]] = {}
    page = 1
    while inputs := app.inputs(page=page, per_page=1000):
        for one in inputs:
            if label := (one.metadata or {}).get("label"):
                named.append((one.id, str(label)))
                if one.concepts:
                    taught[one.id] = one.concepts
        page += 1
    names = sorted({label for _, label in named})
    ids = [id for id, _ in named]
    labels = np.array([names.index(label) for _, label in named], dtype=np.int64)
    return _Set(names, ids, labels, app.vectors(ids), taught)


def _judge(app: "App", name: str, things: _Set) -> Result:
    """Many draws of ten labels: all methods get the same vectors, and are asked about all the others."""
    from .baselines import NAMES, fitted

    model = _model(app, things)
    scores: dict[str, list[float]] = {"tenshot": [], **{name: [] for name in NAMES}}
    taught = things.taught
    for draw in range(DRAWS):
        train = _draw(things.labels, draw)
        test = np.setdiff1d(np.arange(len(things.labels)), train)
        labels: dict[str, dict[str, bool | None]] = {id: dict.fromkeys(given) for id, given in taught.items()}
        taught = {things.ids[i]: {things.names[things.labels[i]]: True} for i in train}
        for id, given in taught.items():
            labels[id] = {**labels.get(id, {}), **given}
        app.label_many(labels)
        values = app.predict_vectors(things.vectors[test], model)
        best = np.array([things.names.index(concept) for concept in values.concept_ids])[values.values.argmax(axis=1)]
        scores["tenshot"].append(float(np.mean(best == things.labels[test])))
        for baseline in NAMES:
            fit = fitted(baseline, things.vectors[train], things.labels[train])
            scores[baseline].append(float(np.mean(fit.predict(things.vectors[test]) == things.labels[test])))
    waited = _label_to_prediction(app, things, model.id)
    return Result(
        task=name,
        labels=SHOTS * len(things.names),
        concepts=len(things.names),
        held_out=len(things.ids) - SHOTS * len(things.names),
        tenshot=float(np.mean(scores["tenshot"])),
        logistic_regression=float(np.mean(scores[NAMES[0]])),
        five_nn=float(np.mean(scores[NAMES[1]])),
        ms=1000 * float(np.median(waited)),
    )


def _by_words(app: "App", things: _Set) -> _Words | None:
    """Searches each label's name; None where the base workflow has no words, or the labels are no words."""
    from ...index.analysis.evaluation import average_precision

    names = [name for name in things.names if name.isalpha()]
    if not names or not app.has_text:
        return None
    found, chance = [], []
    for name in names:
        shown = things.labels == things.names.index(name)
        scores = {hit.input_id: hit.score for hit in app.search(text=name, k=len(things.ids))}
        values = np.array([scores[id] for id in things.ids])
        found.append(average_precision(values, shown) or 0.0)
        chance.append(float(shown.mean()))
    return _Words(names, float(np.mean(found)), float(np.mean(chance)))


def _model(app: "App", things: _Set) -> "Model":
    """One of all the names, made by the first run."""
    if "demo" in {model.id for model in app.models()}:
        return app.update_model("demo", concepts=things.names)
    return app.create_model("demo", things.names, mutually_exclusive=True, closed_environment=True)


def _draw(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Ten of each label, at random."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:SHOTS] for c in range(labels.max() + 1)])


def _label_to_prediction(app: "App", things: _Set, model: str) -> list[float]:
    """Seconds from giving a label to holding the prediction that knows it."""
    unlabelled = np.setdiff1d(np.arange(len(things.ids)), _draw(things.labels, DRAWS - 1))[:_TIMED]
    waited = []
    for i in unlabelled:
        concept = things.names[things.labels[i]]
        start = time.perf_counter()
        app.label(things.ids[i], {concept: True})
        app.predict_vectors(things.vectors[:1], model)
        waited.append(time.perf_counter() - start)
        app.label(things.ids[i], {concept: None})
    return waited


def _show_predictions(options: Context, app: "App", things: _Set) -> None:
    """What the built-in model says of three pictures that it was not taught."""
    if options.json:
        return
    held_out = np.setdiff1d(np.arange(len(things.ids)), _draw(things.labels, DRAWS - 1))
    for i in np.random.default_rng(0).permutation(held_out)[:3]:
        best = app.predict_input(things.ids[i])[:3]
        said = ", ".join(f"{one.concept_id} {one.value:.2f}" for one in best)
        errors.print(f"  {things.ids[i]} is {things.names[things.labels[i]]}: predicted {said}")


def _search_rows(app: "App", things: _Set) -> list[list["Tile"]]:
    import io

    from .contact_sheet import Tile

    label_of = dict(zip(things.ids, things.labels.tolist(), strict=True))

    def picture(id: str) -> Image.Image:
        return Image.open(io.BytesIO(app.picture(id)))

    rows = []
    for query in np.random.default_rng(1).choice(len(things.ids), 2, replace=False).tolist():
        id = things.ids[query]
        row = [Tile(picture(id), things.names[things.labels[query]])]
        for hit in app.search(input_id=id, k=_HITS + 1)[1:]:
            right = label_of.get(hit.input_id) == things.labels[query]
            row.append(Tile(picture(hit.input_id), f"{hit.score:.2f}", right))
        rows.append(row)
    return rows


if TYPE_CHECKING:
    from .contact_sheet import Tile
