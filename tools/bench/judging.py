"""`tenshot bench suggestions` and `doubts`: the quality of both on real pictures, compared with chance."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..console import errors, fail, output, table

if TYPE_CHECKING:
    from ...index.app import App
    from ...index.store import Store

_WAYS = ("random", "auto", "uncertain", "diverse", "rare")
_ROUNDS = 8
_POOL = 0.6
_SHOTS = (5, 10, 20)
_WRONG = 0.1
_FORMS = {"independent": (False, False), "exclusive": (True, True)}

Folder = Annotated[Path | None, typer.Argument(help="Your own folder of folders; by default pictures from PyPI.")]
Workflow = Annotated[str, typer.Option(help="The base workflow.")]
Draws = Annotated[int, typer.Option(min=1, help="The number of random draws.")]


@dataclass(frozen=True)
class Labelling:
    """A model's accuracy when inputs are chosen in one way, in batches of as many labels as concepts."""

    task: str
    form: str
    way: str
    accuracy: list[float]
    """After each batch, mean of the draws."""


@dataclass(frozen=True)
class Finding:
    """How many planted wrong labels are among the doubtful ones."""

    task: str
    form: str
    shots: int
    planted: int
    listed: float
    """Doubtful labels; mean of the draws, as the others."""
    found: float
    """Planted labels among them."""
    first: float
    """Share of planted labels among the first `planted` ones."""


@dataclass(frozen=True)
class _Pictures:
    """(n, dim) vectors and (n,) label numbers."""

    task: str
    vectors: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def concepts(self) -> list[str]:
        return [f"c{c}" for c in range(int(self.labels.max()) + 1)]


def register(bench: typer.Typer) -> None:
    """Adds these measurements."""
    bench.command()(suggestions)
    bench.command()(doubts)


def suggestions(
    context: typer.Context, folder: Folder = None, workflow: Workflow = "general", draws: Draws = 20
) -> None:
    """Measure labelling by suggestions and at random. Example: tenshot bench suggestions --draws 5"""
    from ...index.store import Store

    results: list[Labelling] = []
    with tempfile.TemporaryDirectory() as data, Store.open(data) as store:
        for pictures in _tasks(store, folder, workflow):
            for form in _FORMS:
                for way in _WAYS:
                    accuracies = [_measure_labelling(store, pictures, form, way, seed) for seed in range(draws)]
                    results.append(Labelling(pictures.task, form, way, np.mean(accuracies, axis=0).tolist()))
    columns = ["task", "form", "labels by", *(f"{n} per concept" for n in range(1, _ROUNDS + 1))]
    output(
        context.obj,
        [asdict(result) for result in results],
        table(
            f"Accuracy on held-out pictures, by the choice of labelled ones; mean of {draws} draws",
            columns,
            [[result.task, result.form, result.way, *result.accuracy] for result in results],
        ),
    )


def doubts(context: typer.Context, folder: Folder = None, workflow: Workflow = "general", draws: Draws = 20) -> None:
    """Measure how many of 10 % planted wrong labels are found. Example: tenshot bench doubts --draws 5"""
    from ...index.store import Store

    results: list[Finding] = []
    with tempfile.TemporaryDirectory() as data, Store.open(data) as store:
        for pictures in _tasks(store, folder, workflow):
            for form in _FORMS:
                for shots in _SHOTS:
                    counts = [_measure_doubts(store, pictures, form, shots, seed) for seed in range(draws)]
                    planted, *means = np.mean(counts, axis=0).tolist()
                    results.append(Finding(pictures.task, form, shots, round(planted), *means))
    columns = ["task", "form", "labels per concept", "planted", "doubtful", "planted among them", "share of first"]
    rows = [[r.task, r.form, r.shots, r.planted, f"{r.listed:.1f}", f"{r.found:.1f}", r.first] for r in results]
    output(
        context.obj,
        [asdict(result) for result in results],
        table(f"Planted wrong labels among the doubtful ones; mean of {draws} draws", columns, rows),
    )


def _measure_labelling(store: "Store", pictures: _Pictures, form: str, way: str, seed: int) -> list[float]:
    """Accuracy after each round."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(pictures.labels))
    pool, test = np.split(order, [int(_POOL * len(order))])
    app = _app(store, pictures, pool, form)
    unseen, accuracies = rng.permutation(pool).tolist(), []
    batch = len(pictures.concepts)
    for _ in range(_ROUNDS):
        if way == "random":
            chosen, unseen = unseen[:batch], unseen[batch:]
        else:
            chosen = [int(suggestion.input_id) for suggestion in app.suggest("m", batch, strategy=way)]
        app.label_many({str(i): {pictures.concepts[pictures.labels[i]]: True} for i in chosen})
        scores = app.predict_vectors(pictures.vectors[test], "m")
        best = np.array([pictures.concepts.index(c) for c in scores.concept_ids])[scores.values.argmax(axis=1)]
        accuracies.append(float(np.mean(best == pictures.labels[test])))
    store.delete_app(app.name)
    return accuracies


def _measure_doubts(
    store: "Store", pictures: _Pictures, form: str, shots: int, seed: int
) -> tuple[float, float, float, float]:
    """Planted labels, doubtful labels, planted among the doubtful, share of planted among the first."""
    rng = np.random.default_rng(seed)
    count = len(pictures.concepts)
    each = [rng.permutation(np.flatnonzero(pictures.labels == c))[:shots] for c in range(count)]
    taught = rng.permutation(np.concatenate(each))
    wrong = taught[: max(1, round(_WRONG * len(taught)))]
    labels = pictures.labels.copy()
    labels[wrong] = (labels[wrong] + rng.integers(1, count, len(wrong))) % count
    app = _app(store, pictures, np.arange(len(pictures.labels)), form)
    app.label_many({str(i): {pictures.concepts[labels[i]]: True} for i in taught})
    planted = np.isin([int(doubt.input_id) for doubt in app.doubts("m", n=1000)], wrong)
    first = np.isin([int(doubt.input_id) for doubt in app.doubts("m", n=len(wrong), limit=1)], wrong)
    store.delete_app(app.name)
    return len(wrong), len(planted), int(planted.sum()), float(first.mean())


def _app(store: "Store", pictures: _Pictures, rows: NDArray[np.int64], form: str) -> "App":
    """A new app with these pictures' vectors, and a model `m` of all concepts."""
    app = store.create_app("draw", "vectors", dim=pictures.vectors.shape[1])
    app.add_vectors(pictures.vectors[rows], [str(i) for i in rows])
    exclusive, closed = _FORMS[form]
    app.create_model("m", pictures.concepts, mutually_exclusive=exclusive, closed_environment=closed)
    return app


def _tasks(store: "Store", folder: Path | None, workflow: str) -> Iterator[_Pictures]:
    """The labelled pictures, embedded."""
    app = store.create_app("pictures", workflow)
    for task, images, names in _images(folder):
        errors.print(f"{task}: {len(images)} pictures ...")
        vectors = [app.embed(images[start : start + 32]) for start in range(0, len(images), 32)]
        _, labels = np.unique(names, return_inverse=True)
        yield _Pictures(task, np.concatenate(vectors), labels.astype(np.int64))


def _images(folder: Path | None) -> Iterator[tuple[str, list[Any], list[str]]]:
    """Name, pictures and their labels."""
    from ..demo.samples import tasks
    from ..picture_folders import find_pictures

    if folder is None:
        for task in tasks():
            samples = list(task.load())
            yield task.id, [sample.image for sample in samples], [sample.label for sample in samples]
        return
    files = [(file.path, label) for file in find_pictures(folder, "folders") for label in file.concepts]
    if len({label for _, label in files}) < 2:
        fail(f"{folder} needs two or more folders of pictures")
    yield folder.resolve().name, [path for path, _ in files], [label for _, label in files]
