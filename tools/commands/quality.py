"""Commands that judge a model: explain, suggest, doubt, thresholds."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import open_app, say, table, yes_or_no
from .app import AppName

ModelName = Annotated[str | None, typer.Option("--model", help="A model's id; else all concepts.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (explain, suggest, doubt, thresholds):
        app.command()(command)


def explain(
    context: typer.Context,
    app: AppName,
    file: Annotated[Path | None, typer.Argument(help="A picture.")] = None,
    id: Annotated[str | None, typer.Option("--input", help="A stored input, in the place of a picture.")] = None,
    concept: Annotated[str | None, typer.Option(help="A concept's id; else the best one.")] = None,
    model: ModelName = None,
    version: Annotated[str | None, typer.Option(help="A version of the model; else the labels as they are.")] = None,
    neighbours: Annotated[int, typer.Option(min=0, max=100, help="How many neighbours are named.")] = 5,
) -> None:
    """Say why a picture gets its value for a concept. Example: tenshot explain new.jpg --concept robin --app birds"""
    if (file is None) is (id is None):
        raise typer.BadParameter("name a picture, or a stored input by --input")
    with open_app(context, app) as opened:
        found = opened.explain(concept, image=file, input_id=id, model=model, version=version, neighbours=neighbours)
    basis = found.calibration
    title = "\n".join(
        [
            f"{found.concept_id}: {found.value:.3f}",
            f"score {found.score:.3f} = prototype {found.prototype:.3f} + neighbours {found.neighbours:.3f} "
            f"+ background {found.background:.3f} + text prior {found.text_prior:.3f}",
            *([f"that it shows any of the model's concepts: {found.any_shown:.3f}"] if found.any_shown < 1 else []),
            f"similarity to the mean of its {found.positives} yes labels: {found.prototype_similarity:.3f}",
            f"confidence of the calibration: {basis.confidence} "
            f"({basis.labels} labels and {basis.background} inputs of the app behind it)",
        ]
    )
    rows = [
        [one.input_id, yes_or_no(one.label), ", ".join(one.concept_ids), one.similarity, one.vote, one.share]
        for one in found.nearest
    ]
    columns = ["nearest labelled", "shows it", "labels", "similarity", "vote", "share"]
    say(context.obj, found, table(title, columns, rows) if rows else title)


def suggest(
    context: typer.Context,
    app: AppName,
    n: Annotated[int, typer.Option("-n", min=1, max=200, help="How many.")] = 10,
    strategy: Annotated[str, typer.Option(help="auto, uncertain, diverse or rare.")] = "auto",
    concept: Annotated[str | None, typer.Option(help="About this concept alone.")] = None,
    model: ModelName = None,
) -> None:
    """Say what to label next, and why. Example: tenshot suggest --app birds -n 20"""
    with open_app(context, app) as opened:
        found = opened.suggest(model, n, strategy=strategy, concept=concept)
        nothing = (
            "everything is labelled" if opened.inputs(per_page=1) else "nothing to label: the app has no inputs yet"
        )
        files = _files(opened, [one.input_id for one in found])
    rows = [asdict(one) | {"file": files[one.input_id]} for one in found]
    columns = ["input_id", "strategy", "concept_id", "value", "file"]
    shown = table(None, ["input", "why", "concept", "value", "file"], [[row[name] for name in columns] for row in rows])
    say(context.obj, rows, shown if rows else nothing)


def doubt(
    context: typer.Context,
    app: AppName,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="How many, at most.")] = 100,
    limit: Annotated[float, typer.Option(help="Labels less probable than this are listed.")] = 0.2,
    model: ModelName = None,
) -> None:
    """List labels that look wrong, by the model taught without them. Example: tenshot doubt --app birds"""
    with open_app(context, app) as opened:
        found = opened.doubts(model, n, limit=limit)
        files = _files(opened, [one.input_id for one in found])
    rows = [asdict(one) | {"file": files[one.input_id]} for one in found]
    names = ["input_id", "concept_id", "label", "probability", "instead", "file"]
    shown = [[row[name] for name in names] for row in [row | {"label": yes_or_no(row["label"])} for row in rows]]
    columns = ["input", "concept", "label", "probability", "rather", "file"]
    say(context.obj, rows, table(None, columns, shown) if rows else "no label looks wrong")


def thresholds(
    context: typer.Context,
    app: AppName,
    given: Annotated[list[str] | None, typer.Argument(help="CONCEPT=0.7, or CONCEPT=remove for 0.5 again.")] = None,
    precision: Annotated[float | None, typer.Option(help="Choose all by leave-one-out for this precision.")] = None,
    model: ModelName = None,
) -> None:
    """Show, set or choose from which value on a concept is said to be shown.

    Example: tenshot thresholds --precision 0.95 --app birds
    """
    if given and precision is not None:
        raise typer.BadParameter("give thresholds, or a precision to choose them for")
    wanted = dict(_threshold(text) for text in given or ())
    with open_app(context, app) as opened:
        if wanted:
            opened.set_thresholds(wanted, model)
        if precision is not None:
            opened.choose_thresholds(model, precision=precision)
        found = opened.thresholds(model)
        nothing = "" if found else f"no thresholds: {opened.advice(model)}"
    shown = table(None, ["concept", "threshold"], [[concept, value] for concept, value in found.items()])
    say(context.obj, found, shown if found else nothing)


def _threshold(text: str) -> tuple[str, float | None]:
    concept, _, value = text.rpartition("=")
    try:
        return concept, None if value == "remove" and concept else float(value if concept else "")
    except ValueError:
        raise typer.BadParameter(f"{text!r}: behind = comes a number in [0, 1], or remove") from None


def _files(app: Any, ids: list[str]) -> dict[str, str]:
    """The name of each input's file, where it was imported from one."""
    inputs = app.inputs_by_id(ids)
    return {id: ((inputs[id].metadata or {}) if id in inputs else {}).get("file", "") for id in ids}
