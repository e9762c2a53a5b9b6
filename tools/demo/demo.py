"""`tenshot demo`: few-shot classification of real pictures, compared with scikit-learn on the same vectors."""

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

from ..console import Context, counted, errors, fail, output, progress, table

if TYPE_CHECKING:
    from ...index.app import App
    from ...index.records import AddRequest, Model

SHOTS = 10
DRAWS = 20
_HITS = 7
_TIMED = 30


@dataclass(frozen=True)
class Result:
    """The result of one task."""

    task: str
    labels: int
    concepts: int
    held_out: int
    tenshot: float
    logistic_regression: float
    five_nn: float
    ms: float
    """Median time from a label to a prediction that includes it."""


@dataclass(frozen=True)
class _Words:
    """The quality of searches by the names of labels."""

    words: Sequence[str]
    mean_average_precision: float
    chance: float


@dataclass(frozen=True)
class _LabelledInputs:
    """A task's inputs in the app: ids, label numbers (indexes into names), vectors."""

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
    folder: Annotated[
        Path | None, typer.Argument(help="Your own folder of folders; by default pictures from PyPI.")
    ] = None,
    workflow: Annotated[str, typer.Option(help="The base workflow.")] = "general",
) -> None:
    """Teach concepts with ten labels each, and show the accuracy. Example: tenshot demo my-pictures"""
    from ...index.store import Store

    options: Context = context.obj
    data = Path("tenshot-demo") if str(options.data) == "tenshot-data" else options.data
    with Store.open(data, database_url=options.database_url) as store:
        results, rows = [], []
        words: dict[str, _Words] = {}
        for name, title, requests in _sources(folder):
            _check(name, [str((request.metadata or {})["label"]) for request in requests])
            names = {record.name for record in store.apps()}
            app = store.app(name) if name in names else store.create_app(name, workflow)
            if app.recipe.workflow != workflow:
                fail(
                    f"app {name!r} in {data} has the workflow {app.recipe.workflow!r}: "
                    f"give --workflow {app.recipe.workflow}, or another data folder by --data"
                )
            _add(app, title, requests)
            pictures = _labelled_inputs(app)
            # Again, since some files may not have been pictures.
            _check(name, [pictures.names[label] for label in pictures.labels])
            results.append(_evaluate(app, name, pictures))
            if quality := _word_search(app, pictures):
                words[name] = quality
            rows += _search_rows(app, pictures)
            _show_predictions(options, app, pictures)
    from .chart import accuracy_chart
    from .contact_sheet import contact_sheet

    sheet = data / "demo.png"
    contact_sheet("Visual search: each row shows a picture and the pictures nearest to it", rows, sheet)
    chart = data / "accuracy.svg"
    accuracies = {
        r.task: {"tenshot": r.tenshot, "logistic regression": r.logistic_regression, "5-NN vote": r.five_nn}
        for r in results
    }
    accuracy_chart(f"Accuracy with {SHOTS} labels per concept, mean of {DRAWS} random draws", accuracies, chart)
    columns = ["task", "concepts", "labels", "held out", "tenshot", "logistic regression", "5-NN vote", "ms"]
    output_table = table(
        f"Accuracy on held-out pictures, {SHOTS} labels per concept, mean of {DRAWS} random draws; "
        "ms from a label to the changed prediction",
        columns,
        [
            [r.task, r.concepts, r.labels, r.held_out, r.tenshot, r.logistic_regression, r.five_nn, f"{r.ms:.1f}"]
            for r in results
        ],
    )
    document = {
        "results": [asdict(r) for r in results],
        "words": {task: asdict(quality) for task, quality in words.items()},
        "contact_sheet": str(sheet),
        "chart": str(chart),
    }
    output(options, document, output_table)
    if not options.json:
        for task, quality in words.items():
            errors.print(
                f"\nSearch by words, untaught ({task}): mean average precision {quality.mean_average_precision:.2f} "
                f"over {len(quality.words)} words ({', '.join(quality.words)}); by chance {quality.chance:.2f}"
            )
        errors.print(f"\nVisual searches: {sheet}; accuracies: {chart}")
        errors.print(f"To use this data on the page and over HTTP: tenshot --data {data} serve")


def _sources(folder: Path | None) -> Iterator[tuple[str, str, Sequence["AddRequest"]]]:
    """(app name, title, pictures to add) of each task."""
    from ...index.records import AddRequest
    from ..picture_folders import find_pictures
    from .samples import tasks

    if folder is not None:
        # Labels go into the metadata: a labelled input would be taught before it is tested.
        yield (
            folder.resolve().name,
            str(folder),
            [
                AddRequest(picture.path, picture.input_id, metadata={"file": picture.name, "label": label})
                for picture in find_pictures(folder, "folders")
                for label in picture.concepts
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
    """Ends the demo unless there are enough pictures to teach and to test."""
    counts = Counter(labels)
    if len(counts) < 2 or min(counts.values()) <= SHOTS:
        fail(f"{name}: two or more folders with more than {SHOTS} pictures each are needed")


def _add(app: "App", title: str, requests: Sequence["AddRequest"]) -> None:
    errors.print(f"\n{title}", style="bold")
    existing = app.existing([request.id for request in requests if request.id])
    new = [request for request in requests if request.id not in existing]
    if not new:
        errors.print(f"{counted(len(existing), 'picture')} already imported")
        return
    with progress("importing", len(new)) as bar:
        for result in app.add_many(new):
            if result.error:
                errors.print(f"left out {result.request.id}: {result.error}")
            bar.advance()


def _labelled_inputs(app: "App") -> _LabelledInputs:
    """The inputs that the demo added; their labels are in their metadata."""
    named: list[tuple[str, str]] = []
    taught: dict[str, Mapping[str, bool]] = {}
    page = 1
    while inputs := app.inputs(page=page, per_page=1000):
        for input in inputs:
            if label := (input.metadata or {}).get("label"):
                named.append((input.id, str(label)))
                if input.concepts:
                    taught[input.id] = input.concepts
        page += 1
    names = sorted({label for _, label in named})
    ids = [id for id, _ in named]
    labels = np.array([names.index(label) for _, label in named], dtype=np.int64)
    return _LabelledInputs(names, ids, labels, app.vectors(ids), taught)


def _evaluate(app: "App", name: str, pictures: _LabelledInputs) -> Result:
    """Many draws of ten labels: all methods get the same vectors, and are tested on all the others."""
    from .baselines import NAMES, fitted

    model = _model(app, pictures)
    scores: dict[str, list[float]] = {"tenshot": [], **{name: [] for name in NAMES}}
    taught = pictures.taught
    for draw in range(DRAWS):
        train = _draw(pictures.labels, draw)
        test = np.setdiff1d(np.arange(len(pictures.labels)), train)
        labels: dict[str, dict[str, bool | None]] = {id: dict.fromkeys(concepts) for id, concepts in taught.items()}
        taught = {pictures.ids[i]: {pictures.names[pictures.labels[i]]: True} for i in train}
        for id, concepts in taught.items():
            labels[id] = {**labels.get(id, {}), **concepts}
        app.label_many(labels)
        values = app.predict_vectors(pictures.vectors[test], model)
        best = np.array([pictures.names.index(concept) for concept in values.concept_ids])[values.values.argmax(axis=1)]
        scores["tenshot"].append(float(np.mean(best == pictures.labels[test])))
        for baseline in NAMES:
            fit = fitted(baseline, pictures.vectors[train], pictures.labels[train])
            scores[baseline].append(float(np.mean(fit.predict(pictures.vectors[test]) == pictures.labels[test])))
    seconds = _label_to_prediction(app, pictures, model.id)
    return Result(
        task=name,
        labels=SHOTS * len(pictures.names),
        concepts=len(pictures.names),
        held_out=len(pictures.ids) - SHOTS * len(pictures.names),
        tenshot=float(np.mean(scores["tenshot"])),
        logistic_regression=float(np.mean(scores[NAMES[0]])),
        five_nn=float(np.mean(scores[NAMES[1]])),
        ms=1000 * float(np.median(seconds)),
    )


def _word_search(app: "App", pictures: _LabelledInputs) -> _Words | None:
    """Searches for each label's name; None if the base workflow has no words, or the labels are no words."""
    from ...index.analysis.evaluation import average_precision

    names = [name for name in pictures.names if name.isalpha()]
    if not names or not app.has_text:
        return None
    precisions, chance = [], []
    for name in names:
        positive = pictures.labels == pictures.names.index(name)
        scores = {hit.input_id: hit.score for hit in app.search(text=name, k=len(pictures.ids))}
        values = np.array([scores[id] for id in pictures.ids])
        precisions.append(average_precision(values, positive) or 0.0)
        chance.append(float(positive.mean()))
    return _Words(names, float(np.mean(precisions)), float(np.mean(chance)))


def _model(app: "App", pictures: _LabelledInputs) -> "Model":
    """The model of all labels; the first run creates it."""
    if "demo" in {model.id for model in app.models()}:
        return app.update_model("demo", concepts=pictures.names)
    return app.create_model("demo", pictures.names, mutually_exclusive=True, closed_environment=True)


def _draw(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Ten random pictures of each label."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:SHOTS] for c in range(labels.max() + 1)])


def _label_to_prediction(app: "App", pictures: _LabelledInputs, model: str) -> list[float]:
    """Seconds from a label to a prediction that includes it."""
    unlabelled = np.setdiff1d(np.arange(len(pictures.ids)), _draw(pictures.labels, DRAWS - 1))[:_TIMED]
    seconds = []
    for i in unlabelled:
        concept = pictures.names[pictures.labels[i]]
        start = time.perf_counter()
        app.label(pictures.ids[i], {concept: True})
        app.predict_vectors(pictures.vectors[:1], model)
        seconds.append(time.perf_counter() - start)
        app.label(pictures.ids[i], {concept: None})
    return seconds


def _show_predictions(options: Context, app: "App", pictures: _LabelledInputs) -> None:
    """Prints the built-in model's predictions for three pictures that it was not taught."""
    if options.json:
        return
    held_out = np.setdiff1d(np.arange(len(pictures.ids)), _draw(pictures.labels, DRAWS - 1))
    for i in np.random.default_rng(0).permutation(held_out)[:3]:
        best = app.predict_input(pictures.ids[i])[:3]
        predicted = ", ".join(f"{prediction.concept_id} {prediction.value:.2f}" for prediction in best)
        errors.print(f"  {pictures.ids[i]} is {pictures.names[pictures.labels[i]]}: predicted {predicted}")


def _search_rows(app: "App", pictures: _LabelledInputs) -> list[list["Tile"]]:
    import io

    from .contact_sheet import Tile

    label_of = dict(zip(pictures.ids, pictures.labels.tolist(), strict=True))

    def picture(id: str) -> Image.Image:
        return Image.open(io.BytesIO(app.picture(id)))

    rows = []
    for query in np.random.default_rng(1).choice(len(pictures.ids), 2, replace=False).tolist():
        id = pictures.ids[query]
        row = [Tile(picture(id), pictures.names[pictures.labels[query]])]
        for hit in app.search(input_id=id, k=_HITS + 1)[1:]:
            right = label_of.get(hit.input_id) == pictures.labels[query]
            row.append(Tile(picture(hit.input_id), f"{hit.score:.2f}", right))
        rows.append(row)
    return rows


if TYPE_CHECKING:
    from .contact_sheet import Tile
