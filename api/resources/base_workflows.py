"""What an app sees with: the base workflows that there are, and changing an app's own while it serves."""

from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from ...embeddings.base.embedder import WorkflowError
from ...embeddings.workflows import CATALOGUE, ListedWorkflow, availability, listed, workflow
from ...index.records import BUILT_IN_MODEL, WorkflowChange, WorkflowsCompared
from ..auth.keys import MissingScope
from ..wire.body import Body, Text
from ..wire.responses import Json, ok
from ..wire.schemas import Answer, WorkflowsAnswer
from .dependencies import Key, Reader, RequestContext, Writer
from .route import new_router

router = new_router("/v2/base_workflow", "base workflow")
catalogue = new_router("/v2/base_workflows", "base workflow")


class NamedIn(Body):
    id: Text


class BaseWorkflowIn(Body):
    base_workflow: NamedIn


class AllWorkflowsAnswer(WorkflowsAnswer):
    base_workflows: list[ListedWorkflow]


class CatalogueAnswer(Answer):
    base_workflows: list[ListedWorkflow]


class ChangeOut(TypedDict):
    """A change of an app's base workflow."""

    id: str
    state: str
    """`running`, `done`, `cancelled` or `failed`."""
    done: int
    total: int
    failure: str | None
    created_at: datetime


class CurrentOut(TypedDict):
    id: str
    dim: int
    text: bool
    """Whether words can be searched for."""
    change: ChangeOut | None
    """The latest one."""


class CurrentAnswer(Answer):
    base_workflow: CurrentOut


class ComparedAnswer(Answer):
    comparison: WorkflowsCompared


@catalogue.get("", response_model=CatalogueAnswer)
def all_of_them(_key: Key) -> Json:
    """Those that an app can be made with, whatever the key opens."""
    return ok(base_workflows=listed())


@router.get("", response_model=CurrentAnswer)
def get(context: Reader) -> Json:
    """What the app sees with, and how far the latest change of it is."""
    return ok(base_workflow=_current(context))


@router.post("", response_model=CurrentAnswer)
def change(body: BaseWorkflowIn, context: Writer) -> Json:
    """Begins to embed all inputs with another base workflow. The present one serves until that is done.

    A key of the app may name those of the catalogue; `timm:` and `open_clip:` names need an admin key.
    """
    _check_name(context, body.base_workflow.id)
    context.app.change_workflow(body.base_workflow.id)
    return ok(base_workflow=_current(context))


@router.delete("", response_model=CurrentAnswer)
def cancel(context: Writer) -> Json:
    """Ends a change that is under way: everything stays as it is."""
    context.app.cancel_workflow_change()
    return ok(base_workflow=_current(context))


@router.get("/comparison", response_model=ComparedAnswer)
async def compare(
    context: Reader,
    workflows: Annotated[
        list[str],
        Query(
            alias="workflow",
            min_length=1,
            max_length=len(CATALOGUE),
            description="The id of a base workflow; given again for each that is compared.",
        ),
    ],
    model: Annotated[str, Query(description="Of whose concepts; else of all.")] = BUILT_IN_MODEL,
) -> Json:
    """How accurate the app would be with 1, 2, 5 and 10 labels a concept if it saw with each, at what cost, and which
    is recommended; nothing is changed.

    Embeds the pictures that show exactly one concept, so it takes as long as adding them again. A key of the app may
    name those of the catalogue that are downloaded; others need an admin key.
    """
    for id in workflows:
        await run_in_threadpool(_check_name, context, id, downloaded=True)
    compare = partial(context.app.compare_workflows, workflows, model)
    return ok(comparison=await context.take_turn(context.service.threads.comparing, compare))


def _check_name(context: RequestContext, id: str, *, downloaded: bool = False) -> None:
    """Other names are paths of files here, or downloads of any size, which are not an app's to choose.

    downloaded: nor does the app's key start a download. Raises MissingScope, or WorkflowError for an unknown name.
    """
    if context.is_admin:
        return
    if id.startswith(("timm:", "open_clip:")):
        raise MissingScope(f"{id!r} needs an admin key; a key of the app may name those of GET /v2/base_workflows")
    entry = workflow(id)
    if downloaded and not (here := availability(entry)).ready:
        raise MissingScope(f"{entry.id!r} isn't here ({here.note}): comparing with it needs an admin key")


def _current(context: RequestContext) -> CurrentOut:
    change = context.app.workflow_change()
    return {
        "id": context.app.recipe.workflow,
        "dim": context.app.dim,
        "text": _has_text(context),
        "change": None if change is None else _shown(change),
    }


def _has_text(context: RequestContext) -> bool:
    try:
        return context.app.has_text
    except WorkflowError:  # its weights aren't here
        return False


def _shown(change: WorkflowChange) -> ChangeOut:
    return {
        "id": change.recipe["workflow"],
        "state": change.state.value,
        "done": change.done,
        "total": change.total,
        "failure": change.failure,
        "created_at": change.created_at,
    }


router.routes.extend(catalogue.routes)
