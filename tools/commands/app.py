"""Commands for working with an app: import, label, predict, search, evaluate."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import Context, cell, fail, open_app, output, progress, table, yes_or_no
from .transfer import import_export
from .workflow_benchmark import compare

AppName = Annotated[str, typer.Option("--app", help="The app's name or id.")]
_LABELS = {"yes": True, "no": False, "remove": None}


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command("import")(import_folder)
    for command in (label, predict, search, evaluate):
        app.command()(command)


def import_folder(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A folder of pictures, or of folders of pictures; or an export.")],
    app: AppName,
    labels: Annotated[
        str | None,
        typer.Option(
            help="`folders`: each folder's name is a concept; `none`; a CSV of file,concept[,value]; or COCO's JSON. "
            "By default annotations.json or labels.csv beside the pictures, or `folders`."
        ),
    ] = None,
    outside: Annotated[
        bool, typer.Option("--outside", help="Allow files elsewhere that a table or a link in the folder names.")
    ] = False,
) -> None:
    """Add the pictures below a folder, each content once; a second run continues where the first stopped.

    An export of a whole app (a folder or a tar) becomes a new app of that name.

    Example: tenshot import pictures --app birds
    """
    from ...index.transfer.source import is_archive
    from ..picture_folders import deduplicate, find_pictures

    options: Context = context.obj
    if labels is None and is_archive(path):
        import_export(context, path, app)
        return
    files = find_pictures(path, labels, outside=outside)
    if not files:
        fail(f"there are no pictures below {path}")
    with open_app(context, app) as opened:
        existing = opened.existing([file.input_id for file in files])
        missing = [file for file in files if file.input_id not in existing]
        hashes = {file.input_id: file.sha256 for file in missing}
        pictures = deduplicate(missing, opened.with_pictures(list(filter(None, hashes.values()))), hashes)
        failed: list[dict[str, str]] = []
        with progress("importing", len(pictures.new)) as bar:
            requests = (file.request() for file in pictures.new)
            for file, result in zip(pictures.new, opened.add_many(requests), strict=True):
                if result.error:
                    failed.append({"file": file.name, "reason": " ".join(str(result.error).split())})
                bar.advance()
            if len(failed) == len(files):
                bar.hide()
        _add_labels(opened, pictures.again)
    added = len(pictures.new) - len(failed)
    document = {"added": added, "already_there": len(existing), "same_picture": pictures.same, "failed": failed}
    text = f"added {added}, already there {len(existing)}, failed {len(failed)}"
    if pictures.same:
        text += f", the same picture as another {pictures.same}"
    output(options, document, "\n".join([text, *(f"  {failure['file']}: {failure['reason']}" for failure in failed)]))
    if len(failed) == len(files):
        first = failed[0]
        fail(f"none of the {len(failed)} pictures could be added; {first['file']}: {first['reason']}")


def _add_labels(app: Any, labels: Mapping[str, Mapping[str, bool]]) -> None:
    """Adds further labels to existing pictures; their present labels stay."""
    from ...index.records import LabelSource

    inputs = app.inputs_by_id(list(labels))
    new = {
        id: {concept: value for concept, value in labels[id].items() if concept not in input.concepts}
        for id, input in inputs.items()
    }
    app.label_many({id: concepts for id, concepts in new.items() if concepts}, source=LabelSource.IMPORT)


def label(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The input's id.")],
    concepts: Annotated[list[str], typer.Argument(help="CONCEPT, CONCEPT=yes, CONCEPT=no or CONCEPT=remove.")],
    app: AppName,
) -> None:
    """Label an input: what it shows, and what it doesn't. Example: tenshot label r1 robin wren=no --app birds"""
    changes: dict[str, bool | None] = {}
    for text in concepts:
        concept, separator, value = text.rpartition("=")
        if not separator:
            concept, value = text, "yes"
        if value not in _LABELS:
            raise typer.BadParameter(f"{text!r}: after = write yes, no or remove")
        changes[concept] = _LABELS[value]
    with open_app(context, app) as opened:
        opened.label(id, changes)
        now = dict(opened.input(id).concepts)
    separator = ", ".join(f"{concept}={'yes' if value else 'no'}" for concept, value in now.items())
    output(context.obj, {"id": id, "concepts": now}, f"{id}: {separator or 'no labels'}")


def predict(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A picture.")],
    app: AppName,
    model: Annotated[str | None, typer.Option(help="A model's id; by default all concepts.")] = None,
    version: Annotated[str | None, typer.Option(help="A version of the model; by default the present labels.")] = None,
) -> None:
    """Predict what a picture shows. Example: tenshot predict new.jpg --app birds"""
    with open_app(context, app) as opened:
        predictions = opened.predict(file, model, version=version)
        nothing = "" if predictions else f"nothing is predicted: {opened.advice(model)}"
    rows = [asdict(prediction) for prediction in predictions]
    cells = [[prediction.concept_id, prediction.value, yes_or_no(prediction.decision)] for prediction in predictions]
    output(context.obj, rows, table(None, ["concept", "value", "decision"], cells) if predictions else nothing)


def search(
    context: typer.Context,
    app: AppName,
    image: Annotated[Path | None, typer.Option(help="Find inputs like this picture.")] = None,
    text: Annotated[str | None, typer.Option(help="Find inputs by words, if the base workflow has words.")] = None,
    concept: Annotated[str | None, typer.Option(help="Rank inputs by the predicted value of this concept.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="The most inputs to list.")] = 20,
    where: Annotated[str | None, typer.Option(help='A filter as JSON, such as {"label": "robin"}.')] = None,
) -> None:
    """Find inputs by a picture, words, a concept or a filter. Example: tenshot search --image new.jpg --app birds"""
    if sum(option is not None for option in (image, text, concept)) > 1:
        raise typer.BadParameter("give one of --image, --text and --concept")
    try:
        tree = None if where is None else json.loads(where)
    except ValueError as error:
        raise typer.BadParameter(f"--where is not JSON: {error}") from error
    with open_app(context, app) as opened:
        hits = opened.search(image=image, text=text, concept=concept, k=k, where=tree)
        inputs = opened.inputs_by_id([hit.input_id for hit in hits])
        untaught = concept is not None and not opened.label_counts().get(concept, (0, 0))[0]
        nothing = f"nothing found: {opened.advice(concept=concept)}" if untaught else "nothing found"
    rows = [
        {
            "id": hit.input_id,
            "score": hit.score,
            "concepts": dict(inputs[hit.input_id].concepts),
            "metadata": inputs[hit.input_id].metadata,
        }
        for hit in hits
        if hit.input_id in inputs
    ]
    cells = [
        [row["id"], row["score"], ", ".join(row["concepts"]), (row["metadata"] or {}).get("file", "")] for row in rows
    ]
    output(context.obj, rows, table(None, ["input", "score", "labels", "file"], cells) if rows else nothing)


def evaluate(
    context: typer.Context,
    app: AppName,
    model: Annotated[str | None, typer.Option(help="A model's id; by default all concepts.")] = None,
    precision: Annotated[float, typer.Option(help="Show the threshold of each concept for this precision.")] = 0.9,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Show the accuracy with fewer labels, and whether more would help.")
    ] = False,
    workflows: Annotated[
        str | None, typer.Option(help="Compare these base workflows instead, such as `general,general-fast`.")
    ] = None,
    shots: Annotated[str, typer.Option(help="Labels per concept, for the comparison.")] = "1,2,5,10",
) -> None:
    """Evaluate a model by leave-one-out: each labelled input without its own label.

    --workflows compares base workflows: how many labels each needs on these inputs, and what embedding costs.

    Example: tenshot evaluate --app birds
    """
    if workflows is not None:
        compare(context, app, model, workflows, shots)
        return
    with open_app(context, app) as opened:
        if learning_curve:
            _output_curve(context, opened.learning_curve(model))
            return
        result = opened.evaluate(model, precision=precision)
        if not result.concepts:
            fail(f"there is nothing to evaluate: {opened.advice(model)}")
    columns = ["concept", "positives", "negatives", "threshold", "precision", "recall", "AUC", "average precision"]
    columns += ["calibration error", f"threshold for {precision:g}", "recall there"]
    rows = [
        [q.concept_id, q.positives, q.negatives, q.threshold, q.precision, q.recall, q.roc_auc, q.average_precision]
        + [q.reliability.expected_calibration_error]
        + ([q.choice.threshold, q.choice.recall] if q.choice else [None, None])
        for q in result.concepts
    ]
    title = (
        f"{result.inputs} labelled inputs, accuracy {cell(result.accuracy)}, "
        f"calibration error {cell(result.reliability.expected_calibration_error)}"
    )
    output(context.obj, result, table(title, columns, rows))


def _output_curve(context: typer.Context, curve: Any) -> None:
    rows = [[point.labels, point.accuracy, point.accuracy_spread, point.average_precision] for point in curve.points]
    columns = ["labels per concept", "accuracy", "+/-", "average precision"]
    title = f"{curve.verdict}\nMean of {curve.draws} draws, each evaluated on {curve.held_out} held-out inputs"
    output(context.obj, curve, table(title, columns, rows) if rows else curve.verdict)
