"""Commands for models and their versions: create, freeze, compare, roll back."""

from collections.abc import Mapping
from typing import Annotated

import typer

from ..console import open_app, output, table, yes_or_no
from .app import AppName

models = typer.Typer(no_args_is_help=True, help="Create, list and delete models: concepts that are scored together.")
versions = typer.Typer(no_args_is_help=True, help="Freeze, list, compare and restore versions of a model.")

ModelId = Annotated[str, typer.Argument(help="The model's id.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(models, name="models")
    app.add_typer(versions, name="versions")


@models.command("create")
def create_model(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="An id for the model.")],
    concepts: Annotated[list[str], typer.Argument(help="Its concepts; new ones are created.")],
    app: AppName,
    exclusive: Annotated[
        bool, typer.Option("--exclusive", help="A picture shows at most one of the concepts.")
    ] = False,
    closed: Annotated[bool, typer.Option("--closed", help="Every picture shows one of the concepts.")] = False,
) -> None:
    """Create a model of some concepts. Example: tenshot models create birds robin wren --exclusive --app birds"""
    with open_app(context, app) as opened:
        created = opened.create_model(id, concepts, mutually_exclusive=exclusive, closed_environment=closed)
    output(context.obj, created, f"created {created.id} of {', '.join(created.concept_ids)}")


@models.command("list")
def list_models(context: typer.Context, app: AppName) -> None:
    """List the models. Example: tenshot models list --app birds"""
    with open_app(context, app) as opened:
        records = opened.models(per_page=1_000_000)
    rows = [
        [
            record.id,
            yes_or_no(record.mutually_exclusive),
            yes_or_no(record.closed_environment),
            ", ".join(record.concept_ids),
        ]
        for record in records
    ]
    output(
        context.obj, records, table(None, ["model", "exclusive", "closed", "concepts"], rows) if rows else "no models"
    )


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
    output(context.obj, {"deleted": id}, f"deleted {id}")


@versions.command("freeze")
def freeze(context: typer.Context, model: ModelId, app: AppName) -> None:
    """Freeze a model as it is now: the predictions of this version never change.

    Example: tenshot versions freeze birds --app birds
    """
    with open_app(context, app) as opened:
        version = opened.create_version(model)
    output(
        context.obj,
        version,
        f"froze {version.id}: {len(version.concept_ids)} concepts, {version.input_count} labelled inputs",
    )


@versions.command("list")
def list_versions(context: typer.Context, model: ModelId, app: AppName) -> None:
    """List the versions of a model, newest first. Example: tenshot versions list birds --app birds"""
    with open_app(context, app) as opened:
        records = opened.versions(model, per_page=1_000_000)
    rows = [
        [
            record.id,
            "frozen" if record.frozen else "follows the labels",
            record.input_count,
            record.created_at.isoformat(" ", "seconds"),
        ]
        for record in records
    ]
    output(context.obj, records, table(None, ["version", "state", "labelled inputs", "made"], rows))


@versions.command("compare")
def compare(
    context: typer.Context,
    model: ModelId,
    before: Annotated[str, typer.Argument(help="A version's id.")],
    app: AppName,
    after: Annotated[str | None, typer.Argument(help="Another version; by default the present labels.")] = None,
    n: Annotated[int, typer.Option("-n", min=1, max=1000, help="The most changed inputs to list.")] = 20,
) -> None:
    """Show what changed between two versions, and which is better.

    Example: tenshot versions compare birds 1f0c... --app birds
    """
    with open_app(context, app) as opened:
        comparison = opened.compare(model, before, after, n=n)
    old, new = comparison.quality_before, comparison.quality_after
    measures = [
        ["accuracy", old.accuracy, new.accuracy],
        ["mean average precision", old.mean_average_precision, new.mean_average_precision],
        ["mean AUC", old.mean_roc_auc, new.mean_roc_auc],
        ["calibration error", old.expected_calibration_error, new.expected_calibration_error],
    ]
    output(
        context.obj,
        comparison,
        table(
            f"On the {comparison.judged} inputs that are labelled now, each left out", ["", "before", "after"], measures
        ),
    )
    if context.obj.json:
        return
    rows = [
        [
            change.input_id,
            change.best_before,
            change.value_before,
            change.best_after,
            change.value_after,
            _decided(change.decided),
        ]
        for change in comparison.changes
    ]
    title = f"\n{comparison.changed} of {comparison.inputs} inputs have another best concept, or another decision"
    columns = ["input", "before", "value", "after", "value ", "decided now"]
    output(context.obj, comparison, table(title, columns, rows) if rows else title)


@versions.command("rollback")
def rollback(
    context: typer.Context,
    model: ModelId,
    version: Annotated[str, typer.Argument(help="The version to go back to.")],
    app: AppName,
) -> None:
    """Create a new version that predicts as an earlier one does. Labels stay as they are.

    Example: tenshot versions rollback birds 1f0c... --app birds
    """
    with open_app(context, app) as opened:
        created = opened.create_version(model, like=version)
    output(context.obj, created, f"{created.id} predicts as {version} does")


def _decided(decisions: Mapping[str, bool]) -> str:
    return ", ".join(f"{concept}: {yes_or_no(now)}" for concept, now in decisions.items())
