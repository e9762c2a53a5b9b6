"""Commands about the quality of a model: explain, suggest, doubt, thresholds."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import open_app, output, table, yes_or_no
from .app import AppName

ModelName = Annotated[str | None, typer.Option("--model", help="A model's id; by default all concepts.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (explain, suggest, doubt, thresholds):
        app.command()(command)


def explain(
    context: typer.Context,
    app: AppName,
    file: Annotated[Path | None, typer.Argument(help="A picture.")] = None,
    id: Annotated[str | None, typer.Option("--input", help="A stored input, instead of a picture.")] = None,
    concept: Annotated[str | None, typer.Option(help="A concept's id; by default the best one.")] = None,
    model: ModelName = None,
    version: Annotated[str | None, typer.Option(help="A version of the model; by default the present labels.")] = None,
    neighbours: Annotated[int, typer.Option(min=0, max=100, help="The most neighbours to list.")] = 5,
) -> None:
    """Explain a picture's value for a concept. Example: tenshot explain new.jpg --concept robin --app birds"""
    if (file is None) is (id is None):
        raise typer.BadParameter("name a picture, or a stored input by --input")
    with open_app(context, app) as opened:
        explanation = opened.explain(
            concept, image=file, input_id=id, model=model, version=version, neighbours=neighbours
        )
    basis = explanation.calibration
    title = "\n".join(
        [
            f"{explanation.concept_id}: {explanation.value:.3f}",
            f"score {explanation.score:.3f} = prototype {explanation.prototype:.3f} "
            f"+ neighbours {explanation.neighbours:.3f} + background {explanation.background:.3f} "
            f"+ text prior {explanation.text_prior:.3f}",
            *(
                [f"that it shows any of the model's concepts: {explanation.any_shown:.3f}"]
                if explanation.any_shown < 1
                else []
            ),
            f"similarity to the mean of its {explanation.positives} yes labels: {explanation.prototype_similarity:.3f}",
            f"confidence of the calibration: {basis.confidence} "
            f"({basis.labels} labels and {basis.background} inputs of the app behind it)",
        ]
    )
    rows = [
        [
            neighbour.input_id,
            yes_or_no(neighbour.label),
            ", ".join(neighbour.concept_ids),
            neighbour.similarity,
            neighbour.vote,
            neighbour.share,
        ]
        for neighbour in explanation.nearest
    ]
    columns = ["nearest labelled", "shows it", "labels", "similarity", "vote", "share"]
    output(context.obj, explanation, table(title, columns, rows) if rows else title)


def suggest(
    context: typer.Context,
    app: AppName,
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="The most inputs to list.")] = 10,
    strategy: Annotated[str, typer.Option(help="auto, uncertain, diverse or rare.")] = "auto",
    concept: Annotated[str | None, typer.Option(help="Only for this concept.")] = None,
    model: ModelName = None,
) -> None:
    """Suggest what to label next, and why. Example: tenshot suggest --app birds -n 20"""
    with open_app(context, app) as opened:
        suggestions = opened.suggest(model, n, strategy=strategy, concept=concept)
        nothing = (
            "everything is labelled" if opened.inputs(per_page=1) else "nothing to label: the app has no inputs yet"
        )
        files = _files(opened, [suggestion.input_id for suggestion in suggestions])
    rows = [asdict(suggestion) | {"file": files[suggestion.input_id]} for suggestion in suggestions]
    columns = ["input_id", "strategy", "concept_id", "value", "file"]
    output_table = table(
        None, ["input", "why", "concept", "value", "file"], [[row[name] for name in columns] for row in rows]
    )
    output(context.obj, rows, output_table if rows else nothing)


def doubt(
    context: typer.Context,
    app: AppName,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="The most labels to list.")] = 100,
    limit: Annotated[float, typer.Option(help="List labels whose probability of being right is below this.")] = 0.2,
    model: ModelName = None,
) -> None:
    """List labels that look wrong, judged by the model without them. Example: tenshot doubt --app birds"""
    with open_app(context, app) as opened:
        doubts = opened.doubts(model, n, limit=limit)
        files = _files(opened, [doubt.input_id for doubt in doubts])
    rows = [asdict(doubt) | {"file": files[doubt.input_id]} for doubt in doubts]
    names = ["input_id", "concept_id", "label", "probability", "instead", "file"]
    cells = [[row[name] for name in names] for row in [row | {"label": yes_or_no(row["label"])} for row in rows]]
    columns = ["input", "concept", "label", "probability", "rather", "file"]
    output(context.obj, rows, table(None, columns, cells) if rows else "no label looks wrong")


def thresholds(
    context: typer.Context,
    app: AppName,
    settings: Annotated[
        list[str] | None, typer.Argument(help="CONCEPT=0.7, or CONCEPT=remove for the default, 0.5.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(help="Choose all thresholds by leave-one-out for this precision.")
    ] = None,
    model: ModelName = None,
) -> None:
    """Show, set or choose thresholds: a picture shows a concept if its value is at least the threshold.

    Example: tenshot thresholds --precision 0.95 --app birds
    """
    if settings and precision is not None:
        raise typer.BadParameter("give thresholds, or a precision to choose them for")
    changes = dict(_threshold(text) for text in settings or ())
    with open_app(context, app) as opened:
        if changes:
            opened.set_thresholds(changes, model)
        if precision is not None:
            opened.choose_thresholds(model, precision=precision)
        current = opened.thresholds(model)
        nothing = "" if current else f"no thresholds: {opened.advice(model)}"
    output_table = table(None, ["concept", "threshold"], [[concept, value] for concept, value in current.items()])
    output(context.obj, current, output_table if current else nothing)


def _threshold(text: str) -> tuple[str, float | None]:
    concept, _, value = text.rpartition("=")
    try:
        return concept, None if value == "remove" and concept else float(value if concept else "")
    except ValueError:
        raise typer.BadParameter(f"{text!r}: after = write a number in [0, 1], or remove") from None


def _files(app: Any, ids: list[str]) -> dict[str, str]:
    """The name of each input's file, if it was imported from one."""
    inputs = app.inputs_by_id(ids)
    return {id: ((inputs[id].metadata or {}) if id in inputs else {}).get("file", "") for id in ids}
