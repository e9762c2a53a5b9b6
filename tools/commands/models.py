"""Commands for models and their versions: make, freeze, compare, go back."""

from collections.abc import Mapping
from typing import Annotated

import typer

from ..console import open_app, say, table, yes_or_no
from .app import AppName

models = typer.Typer(no_args_is_help=True, help="Make, list and delete models: concepts that are scored together.")
versions = typer.Typer(no_args_is_help=True, help="Freeze, list, compare and bring back versions of a model.")

ModelId = Annotated[str, typer.Argument(help="The model's id.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(models, name="models")
    app.add_typer(versions, name="versions")


@models.command("create")
def create_model(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="An id for it.")],
    concepts: Annotated[list[str], typer.Argument(help="Its concepts; those that don't exist are made.")],
    app: AppName,
    exclusive: Annotated[bool, typer.Option("--exclusive", help="At most one is true of a picture.")] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Every picture shows one of them.")] = False,
) -> None:
    """Make a model of some concepts. Example: tenshot models create birds robin wren --exclusive --app birds"""
    with open_app(context, app) as opened:
        made = opened.create_model(id, concepts, mutually_exclusive=exclusive, closed_environment=closed)
    say(context.obj, made, f"made {made.id} of {', '.join(made.concept_ids)}")


@models.command("list")
def list_models(context: typer.Context, app: AppName) -> None:
    """List the models that were made. Example: tenshot models list --app birds"""
    with open_app(context, app) as opened:
        found = opened.models(per_page=1_000_000)
    rows = [
        [one.id, yes_or_no(one.mutually_exclusive), yes_or_no(one.closed_environment), ", ".join(one.concept_ids)]
        for one in found
    ]
    say(context.obj, found, table(None, ["model", "exclusive", "closed", "concepts"], rows) if rows else "no models")


@models.command("delete")
def delete_model(
    context: typer.Context,
    id: ModelId,
    app: AppName,
) -> None:
    """Delete a model with its versions; labels stay. Example: tenshot models delete birds --app birds"""
    with open_app(context, app) as opened:
        opened.model(id)
        opened.delete_models(id)
    say(context.obj, {"deleted": id}, f"deleted {id}")


@versions.command("freeze")
def freeze(context: typer.Context, model: ModelId, app: AppName) -> None:
    """Freeze what a model knows now: this version's predictions never change.

    Example: tenshot versions freeze birds --app birds
    """
    with open_app(context, app) as opened:
        made = opened.create_version(model)
    say(context.obj, made, f"froze {made.id}: {len(made.concept_ids)} concepts, {made.input_count} labelled inputs")


@versions.command("list")
def list_versions(context: typer.Context, model: ModelId, app: AppName) -> None:
    """List the versions of a model, newest first. Example: tenshot versions list birds --app birds"""
    with open_app(context, app) as opened:
        found = opened.versions(model, per_page=1_000_000)
    rows = [
        [
            one.id,
            "frozen" if one.frozen else "follows the labels",
            one.input_count,
            one.created_at.isoformat(" ", "seconds"),
        ]
        for one in found
    ]
    say(context.obj, found, table(None, ["version", "state", "labelled inputs", "made"], rows))


@versions.command("compare")
def compare(
    context: typer.Context,
    model: ModelId,
    before: Annotated[str, typer.Argument(help="A version's id.")],
    app: AppName,
    after: Annotated[str | None, typer.Argument(help="Another one; else the labels as they are.")] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="Changed inputs that are listed.")] = 20,
) -> None:
    """Say what changed between two versions, and which is better.

    Example: tenshot versions compare birds 1f0c... --app birds
    """
    with open_app(context, app) as opened:
        found = opened.compare(model, before, after, n=n)
    old, new = found.quality_before, found.quality_after
    measures = [
        ["accuracy", old.accuracy, new.accuracy],
        ["mean average precision", old.mean_average_precision, new.mean_average_precision],
        ["mean AUC", old.mean_roc_auc, new.mean_roc_auc],
        ["calibration error", old.expected_calibration_error, new.expected_calibration_error],
    ]
    say(
        context.obj,
        found,
        table(f"On the {found.judged} inputs that are labelled now, each left out", ["", "before", "after"], measures),
    )
    if context.obj.json:
        return
    rows = [
        [one.input_id, one.best_before, one.value_before, one.best_after, one.value_after, _decided(one.decided)]
        for one in found.changes
    ]
    title = f"\n{found.changed} of {found.inputs} inputs have another best concept, or another decision"
    columns = ["input", "before", "value", "after", "value ", "decided now"]
    say(context.obj, found, table(title, columns, rows) if rows else title)


@versions.command("rollback")
def rollback(
    context: typer.Context,
    model: ModelId,
    version: Annotated[str, typer.Argument(help="The version to go back to.")],
    app: AppName,
) -> None:
    """Go back: a new version that predicts as an earlier one does. Labels stay as they are.

    Example: tenshot versions rollback birds 1f0c... --app birds
    """
    with open_app(context, app) as opened:
        made = opened.create_version(model, like=version)
    say(context.obj, made, f"{made.id} predicts as {version} does")


def _decided(decisions: Mapping[str, bool]) -> str:
    return ", ".join(f"{concept}: {yes_or_no(now)}" for concept, now in decisions.items())
