"""Base workflows on an app's own labelled inputs: `tenshot evaluate --workflows`, and changing to the better one."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import cell, errors, fail, open_app, progress, say, table

if TYPE_CHECKING:
    from ...index.app import App
    from ...index.records import WorkflowChange, WorkflowComparison, WorkflowsCompared

_LOOK_S = 0.2


def compare(context: typer.Context, app: str, model: str | None, workflows: str, shots: str) -> None:
    """Prints accuracy against labels for each workflow, the cost of an image, and a recommendation."""
    try:
        numbers = [int(one) for one in shots.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"--shots takes whole numbers from 1, separated by commas, not {shots!r}")
    names = [one.strip() for one in workflows.split(",") if one.strip()]
    if not names:
        raise typer.BadParameter("--workflows names one base workflow at least")
    with open_app(context, app) as opened, progress("embedding", None) as bar:
        found: WorkflowsCompared = opened.compare_workflows(names, model, shots=numbers, progress=bar.set)
    columns = ["workflow", "dim", *(f"{few} label{'s' * (few > 1)}" for few in numbers), "ms an image"]
    rows = [[one.workflow, one.dim, *_shown(one), f"{one.ms_per_image:.0f}"] for one in found.workflows]
    first = found.workflows[0]
    title = f"Accuracy on {first.inputs} inputs of {first.concepts} concepts by labels a concept, with 95 % interval"
    say(context.obj, asdict(found), table(title, columns, rows))
    if not context.obj.json:
        errors.print(found.advice)


def change(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The app's name or id.")],
    workflow: Annotated[
        str | None, typer.Argument(help="A base workflow; `tenshot workflows` lists them.", show_default=False)
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the change under way: all stays as it is.")] = False,
) -> None:
    """See with another base workflow: all inputs are embedded again. Example: tenshot apps change birds clip

    Stopped in the middle it goes on when the app is next used; labels and models carry over.
    """
    from ...index.records import ChangeState

    if (workflow is None) is not cancel:
        raise typer.BadParameter("name a base workflow, or say --cancel")
    with open_app(context, name) as opened:
        if workflow is None:
            _cancel(context, opened)
            return
        try:
            now = _watched(opened, opened.change_workflow(workflow))
        except KeyboardInterrupt:
            fail(
                "interrupted; the change goes on when the app is next used, "
                f"and `tenshot apps change {name} --cancel` ends it"
            )
    if now.state is not ChangeState.DONE:
        fail(f"the change to {workflow} is {now.state.value}: {now.failure or 'it was cancelled'}")
    note = f"; {now.failure}" if now.failure else ""
    say(context.obj, now, f"{name} sees with {workflow} now; {now.total} inputs were embedded again{note}")


def _cancel(context: typer.Context, app: "App") -> None:
    if not app.cancel_workflow_change():
        fail(f"no change is under way: {app.name} sees with {app.recipe.workflow}")
    say(context.obj, app.workflow_change(), f"cancelled; {app.name} sees with {app.recipe.workflow} as before")


def _watched(app: "App", now: "WorkflowChange") -> "WorkflowChange":
    """The change when it has ended; a bar moves until then."""
    from ...index.records import ChangeState

    with progress("embedding again", now.total) as bar:
        while True:
            bar.set(now.done, now.total)
            if now.state is not ChangeState.RUNNING:
                return now
            time.sleep(_LOOK_S)
            now = app.workflow_change() or now


def _shown(one: "WorkflowComparison") -> Sequence[str]:
    return [
        cell(None) if value is None else f"{value:.3f} ±{half or 0:.3f}"
        for value, half in zip(one.accuracy, one.interval, strict=True)
    ]
