"""Comparing base workflows on an app's labelled inputs (`tenshot evaluate --workflows`), and changing to another."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..console import cell, counted, errors, fail, open_app, output, progress, table

if TYPE_CHECKING:
    from ...index.app import App
    from ...index.records import WorkflowChange, WorkflowComparison, WorkflowsCompared

_POLL_S = 0.2


def compare(context: typer.Context, app: str, model: str | None, workflows: str, shots: str) -> None:
    """Prints the accuracy of each workflow by number of labels, its cost per image, and a recommendation."""
    try:
        numbers = [int(number) for number in shots.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"--shots takes whole numbers from 1, separated by commas, not {shots!r}")
    names = [name.strip() for name in workflows.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("--workflows needs at least one base workflow")
    with open_app(context, app) as opened, progress("embedding", None) as bar:
        compared: WorkflowsCompared = opened.compare_workflows(names, model, shots=numbers, progress=bar.set)
    columns = ["workflow", "dim", *(f"{few} label{'s' * (few > 1)}" for few in numbers), "ms per image"]
    rows = [
        [comparison.workflow, comparison.dim, *_accuracies(comparison), f"{comparison.ms_per_image:.0f}"]
        for comparison in compared.workflows
    ]
    first = compared.workflows[0]
    title = f"Accuracy on {first.inputs} inputs of {first.concepts} concepts by labels per concept, with 95 % interval"
    output(context.obj, asdict(compared), table(title, columns, rows))
    if not context.obj.json:
        errors.print(compared.advice)


def change(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The app's name or id.")],
    workflow: Annotated[
        str | None, typer.Argument(help="A base workflow; `tenshot workflows` lists them.", show_default=False)
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Cancel the running change; the app stays as it is.")
    ] = False,
) -> None:
    """Change an app's base workflow: all inputs are embedded again. Example: tenshot apps change birds clip

    An interrupted change continues when the app is next used. Labels and models stay.
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
                "interrupted; the change continues when the app is next used, "
                f"and `tenshot apps change {name} --cancel` cancels it"
            )
    if now.state is not ChangeState.DONE:
        fail(f"the change to {workflow} is {now.state.value}: {now.failure or 'it was cancelled'}")
    note = f"; {now.failure}" if now.failure else ""
    output(context.obj, now, f"{name} uses {workflow} now; {counted(now.total, 'input')} embedded again{note}")


def _cancel(context: typer.Context, app: "App") -> None:
    if not app.cancel_workflow_change():
        fail(f"no change is running: {app.name} uses {app.recipe.workflow}")
    output(context.obj, app.workflow_change(), f"cancelled; {app.name} still uses {app.recipe.workflow}")


def _watched(app: "App", now: "WorkflowChange") -> "WorkflowChange":
    """Shows progress until the change has ended; returns it."""
    from ...index.records import ChangeState

    with progress("embedding again", now.total) as bar:
        while True:
            bar.set(now.done, now.total)
            if now.state is not ChangeState.RUNNING:
                return now
            time.sleep(_POLL_S)
            now = app.workflow_change() or now


def _accuracies(comparison: "WorkflowComparison") -> Sequence[str]:
    return [
        cell(None) if value is None else f"{value:.3f} ±{half or 0:.3f}"
        for value, half in zip(comparison.accuracy, comparison.interval, strict=True)
    ]
