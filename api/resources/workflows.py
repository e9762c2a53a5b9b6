"""Workflows: several models on a picture in one call (contract, section 11)."""

from collections.abc import Sequence

from ...embeddings.workflows import listed
from ...index.app import predictors
from ...index.errors import ModelNotFound
from ...index.records import Workflow, WorkflowNode
from ..wire.body import check_some
from ..wire.requests import MOST_IN_WORKFLOW, MOST_NODES, ResultsIn, WorkflowIn, WorkflowsIn
from ..wire.responses import Json, answer, ok, workflow_out
from ..wire.schemas import Answer, ResultOut, ResultsAnswer, WorkflowAnswer, WorkflowOut, WorkflowsAnswer
from ..wire.status import ID_TAKEN, WORKFLOW_BAD, WireError
from .base_workflows import AllWorkflowsAnswer
from .dependencies import Paged, Reader, RequestContext, Writer
from .outputs import Step, step_of
from .prediction_inputs import PredictionInputs, with_pictures
from .public_models import GENERAL, check_version, public_model
from .route import new_router

router = new_router("/v2", "workflows")

_PUBLIC = ("General", (WorkflowNode("general-concepts", GENERAL.id, GENERAL.version_id),))


@router.post("/workflows", response_model=WorkflowsAnswer)
def create(body: WorkflowsIn, context: Writer) -> Json:
    """Up to 128, of at most five nodes each: all of them or, where an id is taken, none."""
    check_some(body.workflows, "workflows")
    if any(workflow.id == _PUBLIC[0] for workflow in body.workflows):
        raise WireError(ID_TAKEN, f"the workflow {_PUBLIC[0]!r} is a public one")
    workflows = context.app.create_workflows([(workflow.id, _nodes(context, workflow)) for workflow in body.workflows])
    return ok(workflows=[_shown(context, workflow) for workflow in workflows])


@router.get("/workflows", response_model=AllWorkflowsAnswer)
def page(context: Reader, page: Paged) -> Json:
    """In the order in which they were made; beside them the base workflows that an app can see with."""
    workflows = context.app.workflows(page.page, page.per_page)
    return ok(workflows=[_shown(context, workflow) for workflow in workflows], base_workflows=listed())


@router.get("/public_workflows", response_model=WorkflowsAnswer)
def public(context: Reader) -> Json:
    """Those that every app has."""
    return ok(workflows=[_shown(context, _general(context))])


@router.get("/workflows/{id}", response_model=WorkflowAnswer)
def get(id: str, context: Reader) -> Json:
    """Public ones too."""
    return ok(workflow=_shown(context, _workflow(context, id)))


@router.delete("/workflows/{id}", response_model=Answer)
def delete(id: str, context: Writer) -> Json:
    """Its models stay."""
    context.app.delete_workflow(id)
    return ok()


@router.post("/workflows/{id}/results", response_model=ResultsAnswer, responses={207: {"model": ResultsAnswer}})
async def results(id: str, body: ResultsIn, context: Reader) -> Json:
    """What all models of a workflow say of up to 32 inputs: for each input the outputs in the order of the nodes."""

    def check() -> bool:
        return any(step.sees_pictures for step in _steps(context, _workflow(context, id), body))

    return await with_pictures(context, body.inputs, check, lambda: _results(id, body, context))


def _results(id: str, body: ResultsIn, context: RequestContext) -> Json:
    workflow = _workflow(context, id)
    inputs = PredictionInputs(context, body.inputs, MOST_IN_WORKFLOW)
    steps = _steps(context, workflow, body)
    # A picture that one model can't use has that error in all outputs: so all are asked before any is shown.
    predicted = [step.predict(context, inputs.resolved) for step in steps]
    columns = [step.outputs(inputs, column) for step, column in zip(steps, predicted, strict=True)]
    rows: list[ResultOut] = [
        {
            "status": inputs.status_of(position),
            "input": inputs.out(position),
            "outputs": [column[position] for column in columns],
        }
        for position in range(len(inputs))
    ]
    return answer(inputs.status, workflow=_shown(context, workflow), results=rows)


def _steps(context: RequestContext, workflow: Workflow, body: ResultsIn) -> Sequence[Step]:
    """Raises ModelNotFound or VersionNotFound."""
    return [
        step_of(context, node.model_id, node.version_id, body.output_config, alone=False) for node in workflow.nodes
    ]


def _workflow(context: RequestContext, id: str) -> Workflow:
    return _general(context) if id == _PUBLIC[0] else context.app.workflow(id)


def _general(context: RequestContext) -> Workflow:
    return Workflow(*_PUBLIC, created_at=context.app.created_at)


def _nodes(context: RequestContext, workflow_in: WorkflowIn) -> Sequence[WorkflowNode]:
    """Raises WireError, ModelNotFound or VersionNotFound."""
    if not workflow_in.nodes:
        raise WireError(WORKFLOW_BAD, f"workflow {workflow_in.id!r} has 0 nodes, not 1 to {MOST_NODES}")
    nodes = []
    for position, node in enumerate(workflow_in.nodes):
        version = node.model.model_version.id
        if public := public_model(context.state, node.model.id):
            check_version(public, version)
        else:
            predictors.version_of(context.state, predictors.model(context.state, node.model.id), version)
        nodes.append(WorkflowNode(node.id or f"node-{position}", node.model.id, version))
    return nodes


def _shown(context: RequestContext, workflow: Workflow) -> WorkflowOut:
    return workflow_out(workflow, context.app.id, [_version(context, node) for node in workflow.nodes])


def _version(context: RequestContext, node: WorkflowNode) -> str:
    """The version that answers for a node; `deleted` where its model is gone."""
    if node.version_id:
        return node.version_id
    if public := public_model(context.state, node.model_id):
        return public.version_id
    try:
        return predictors.version_of(context.state, predictors.model(context.state, node.model_id), None).id
    except ModelNotFound:
        return "deleted"
