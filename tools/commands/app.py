"""Commands for working with an app: import, label, predict, search, evaluate."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import Context, cell, fail, open_app, progress, say, table, yes_or_no
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
            "Else annotations.json or labels.csv beside the pictures, or `folders`."
        ),
    ] = None,
    outside: Annotated[
        bool, typer.Option("--outside", help="Take also files elsewhere that a table or a link in the folder names.")
    ] = False,
) -> None:
    """Add the pictures below a folder, each content once; a second run goes on where the first stopped.

    An export of a whole app (a folder or a tar) becomes a new app of that name, as it was.

    Example: tenshot import pictures --app birds
    """
    from ...index.transfer.source import is_archive
    from ..picture_folders import by_content, find

    options: Context = context.obj
    if labels is None and is_archive(path):
        import_export(context, path, app)
        return
    found = find(path, labels, outside=outside)
    if not found:
        fail(f"there are no pictures below {path}")
    with open_app(context, app) as opened:
        there = opened.existing([one.input_id for one in found])
        missing = [one for one in found if one.input_id not in there]
        hashes = {one.input_id: one.sha256 for one in missing}
        pictures = by_content(missing, opened.with_pictures(list(filter(None, hashes.values()))), hashes)
        failed: list[dict[str, str]] = []
        with progress("importing", len(pictures.new)) as bar:
            requests = (one.request() for one in pictures.new)
            for one, result in zip(pictures.new, opened.add_many(requests), strict=True):
                if result.error:
                    failed.append({"file": one.name, "reason": " ".join(str(result.error).split())})
                bar.advance()
            if len(failed) == len(found):
                bar.hide()
        _label_again(opened, pictures.again)
    added = len(pictures.new) - len(failed)
    document = {"added": added, "already_there": len(there), "same_picture": pictures.same, "failed": failed}
    text = f"added {added}, already there {len(there)}, failed {len(failed)}"
    if pictures.same:
        text += f", the same picture as another {pictures.same}"
    say(options, document, "\n".join([text, *(f"  {one['file']}: {one['reason']}" for one in failed)]))
    if len(failed) == len(found):
        first = failed[0]
        fail(f"none of the {len(failed)} pictures could be added; {first['file']}: {first['reason']}")


def _label_again(app: Any, labels: Mapping[str, Mapping[str, bool]]) -> None:
    """What else is said of pictures that are there; what they are labelled with already stands."""
    from ...index.records import LabelSource

    inputs = app.inputs_by_id(list(labels))
    new = {
        id: {concept: value for concept, value in labels[id].items() if concept not in one.concepts}
        for id, one in inputs.items()
    }
    app.label_many({id: given for id, given in new.items() if given}, source=LabelSource.IMPORT)


def label(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The input's id.")],
    concepts: Annotated[list[str], typer.Argument(help="CONCEPT, CONCEPT=yes, CONCEPT=no or CONCEPT=remove.")],
    app: AppName,
) -> None:
    """Say what an input shows, or doesn't. Example: tenshot label r1 robin wren=no --app birds"""
    given: dict[str, bool | None] = {}
    for text in concepts:
        concept, said, value = text.rpartition("=")
        if not said:
            concept, value = text, "yes"
        if value not in _LABELS:
            raise typer.BadParameter(f"{text!r}: behind = comes yes, no or remove")
        given[concept] = _LABELS[value]
    with open_app(context, app) as opened:
        opened.label(id, given)
        now = dict(opened.input(id).concepts)
    said = ", ".join(f"{concept}={'yes' if value else 'no'}" for concept, value in now.items())
    say(context.obj, {"id": id, "concepts": now}, f"{id}: {said or 'no labels'}")


def predict(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A picture.")],
    app: AppName,
    model: Annotated[str | None, typer.Option(help="A model's id; else all concepts.")] = None,
    version: Annotated[str | None, typer.Option(help="A version of the model; else the labels as they are.")] = None,
) -> None:
    """Say what a picture shows. Example: tenshot predict new.jpg --app birds"""
    with open_app(context, app) as opened:
        found = opened.predict(file, model, version=version)
        nothing = "" if found else f"nothing is predicted: {opened.advice(model)}"
    rows = [asdict(one) for one in found]
    shown = [[one.concept_id, one.value, yes_or_no(one.decision)] for one in found]
    say(context.obj, rows, table(None, ["concept", "value", "decision"], shown) if found else nothing)


def search(
    context: typer.Context,
    app: AppName,
    image: Annotated[Path | None, typer.Option(help="Nearest to this picture.")] = None,
    text: Annotated[str | None, typer.Option(help="Nearest to these words, where the base workflow has words.")] = None,
    concept: Annotated[str | None, typer.Option(help="Best by the predicted value of this concept.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 20,
    where: Annotated[str | None, typer.Option(help='A filter as JSON, such as {"label": "robin"}.')] = None,
) -> None:
    """Find inputs by a picture, words, a concept or a filter. Example: tenshot search --image new.jpg --app birds"""
    if sum(given is not None for given in (image, text, concept)) > 1:
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
    shown = [
        [row["id"], row["score"], ", ".join(row["concepts"]), (row["metadata"] or {}).get("file", "")] for row in rows
    ]
    say(context.obj, rows, table(None, ["input", "score", "labels", "file"], shown) if rows else nothing)


def evaluate(
    context: typer.Context,
    app: AppName,
    model: Annotated[str | None, typer.Option(help="A model's id; else all concepts.")] = None,
    precision: Annotated[float, typer.Option(help="Name the threshold of each concept that reaches it.")] = 0.9,
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="How good it was with fewer labels, and whether more would help.")
    ] = False,
    workflows: Annotated[
        str | None, typer.Option(help="Compare these base workflows instead, such as `general,general-fast`.")
    ] = None,
    shots: Annotated[str, typer.Option(help="Labels a concept, for the comparison.")] = "1,2,5,10",
) -> None:
    """Judge every labelled input by the model without it (leave-one-out). Example: tenshot evaluate --app birds

    With --workflows: how many labels each base workflow needs on these inputs, and what embedding costs.
    """
    if workflows is not None:
        compare(context, app, model, workflows, shots)
        return
    with open_app(context, app) as opened:
        if learning_curve:
            _say_curve(context, opened.learning_curve(model))
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
    say(context.obj, result, table(title, columns, rows))


def _say_curve(context: typer.Context, found: Any) -> None:
    rows = [[point.labels, point.accuracy, point.accuracy_spread, point.average_precision] for point in found.points]
    columns = ["labels a concept", "accuracy", "+/-", "average precision"]
    title = f"{found.verdict}\nMean of {found.draws} draws, each judged on {found.held_out} inputs held out"
    say(context.obj, found, table(title, columns, rows) if rows else found.verdict)
