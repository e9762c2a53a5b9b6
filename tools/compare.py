"""Base workflows on an app's own labelled inputs: `tenshot evaluate --workflows`, and changing to the better one."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .console import cell, errors, fail, open_app, progress, say, table

if TYPE_CHECKING:
    from ..index.records import WorkflowComparison, WorkflowsCompared


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
    workflow: Annotated[str, typer.Argument(help="A base workflow; `tenshot workflows` lists them.")],
) -> None:
    """See with another base workflow: all inputs are embedded again. Example: tenshot apps change birds clip

    Stopped in the middle it goes on when the app is next used; labels and models carry over.
    """
    import time

    from ..index.records import ChangeState

    with open_app(context, name) as opened:
        now = opened.workflow_change()
        if not (now and now.state is ChangeState.RUNNING and now.recipe["workflow"] == workflow):
            now = opened.change_workflow(workflow)
        with progress("embedding again", now.total) as bar:
            shown = 0
            while True:
                bar.advance(now.done - shown)
                shown = now.done
                if now.state is not ChangeState.RUNNING:
                    break
                time.sleep(0.2)
                now = opened.workflow_change()
    if now.state is not ChangeState.DONE:
        fail(f"the change to {workflow} is {now.state.value}: {now.failure or 'it was cancelled'}")
    say(context.obj, now, f"{name} sees with {workflow} now; {now.total} inputs were embedded again")


def _shown(one: "WorkflowComparison") -> Sequence[str]:
    return [
        cell(None) if value is None else f"{value:.3f} ±{half or 0:.3f}"
        for value, half in zip(one.accuracy, one.interval, strict=True)
    ]
