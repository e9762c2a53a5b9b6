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
from .dependencies import Caller, Paged, Reader, Writer
from .outputs import Step, step_of
from .prediction_inputs import PredictionInputs, with_pictures
from .public_models import GENERAL, check_version, public_model
from .route import new_router

router = new_router("/v2", "workflows")

_PUBLIC = ("General", (WorkflowNode("general-concepts", GENERAL.id, GENERAL.version_id),))


@router.post("/workflows", response_model=WorkflowsAnswer)
def create(body: WorkflowsIn, caller: Writer) -> Json:
    """Up to 128, of at most five nodes each: all of them or, where an id is taken, none."""
    check_some(body.workflows, "workflows")
    if any(one.id == _PUBLIC[0] for one in body.workflows):
        raise WireError(ID_TAKEN, f"the workflow {_PUBLIC[0]!r} is a public one")
    made = caller.app.create_workflows([(one.id, _nodes(caller, one)) for one in body.workflows])
    return ok(workflows=[_shown(caller, one) for one in made])


@router.get("/workflows", response_model=AllWorkflowsAnswer)
def page(caller: Reader, page: Paged) -> Json:
    """In the order in which they were made; beside them the base workflows that an app can see with."""
    made = caller.app.workflows(page.page, page.per_page)
    return ok(workflows=[_shown(caller, one) for one in made], base_workflows=listed())


@router.get("/public_workflows", response_model=WorkflowsAnswer)
def public(caller: Reader) -> Json:
    """Those that every app has."""
    return ok(workflows=[_shown(caller, _general(caller))])


@router.get("/workflows/{id}", response_model=WorkflowAnswer)
def get(id: str, caller: Reader) -> Json:
    """Public ones too."""
    return ok(workflow=_shown(caller, _workflow(caller, id)))


@router.delete("/workflows/{id}", response_model=Answer)
def delete(id: str, caller: Writer) -> Json:
    """Its models stay."""
    caller.app.delete_workflow(id)
    return ok()


@router.post("/workflows/{id}/results", response_model=ResultsAnswer, responses={207: {"model": ResultsAnswer}})
async def results(id: str, body: ResultsIn, caller: Reader) -> Json:
    """What all models of a workflow say of up to 32 inputs: for each input the outputs in the order of the nodes."""

    def check() -> bool:
        return any(step.sees_pictures for step in _steps(caller, _workflow(caller, id), body))

    return await with_pictures(caller, body.inputs, check, lambda: _results(id, body, caller))


def _results(id: str, body: ResultsIn, caller: Caller) -> Json:
    workflow = _workflow(caller, id)
    inputs = PredictionInputs(caller, body.inputs, MOST_IN_WORKFLOW)
    steps = _steps(caller, workflow, body)
    # A picture that one model can't use has that error in all outputs: so all are asked before any is shown.
    predicted = [step.predict(caller, inputs.resolved) for step in steps]
    columns = [step.outputs(inputs, column) for step, column in zip(steps, predicted, strict=True)]
    rows: list[ResultOut] = [
        {
            "status": inputs.status_of(position),
            "input": inputs.out(position),
            "outputs": [column[position] for column in columns],
        }
        for position in range(len(inputs))
    ]
    return answer(inputs.status, workflow=_shown(caller, workflow), results=rows)


def _steps(caller: Caller, workflow: Workflow, body: ResultsIn) -> Sequence[Step]:
    """Raises ModelNotFound or VersionNotFound."""
    return [step_of(caller, node.model_id, node.version_id, body.output_config, alone=False) for node in workflow.nodes]


def _workflow(caller: Caller, id: str) -> Workflow:
    return _general(caller) if id == _PUBLIC[0] else caller.app.workflow(id)


def _general(caller: Caller) -> Workflow:
    return Workflow(*_PUBLIC, created_at=caller.app.created_at)


def _nodes(caller: Caller, given: WorkflowIn) -> Sequence[WorkflowNode]:
    """Raises WireError, ModelNotFound or VersionNotFound."""
    if not given.nodes:
        raise WireError(WORKFLOW_BAD, f"workflow {given.id!r} has 0 nodes, not 1 to {MOST_NODES}")
    nodes = []
    for place, node in enumerate(given.nodes):
        version = node.model.model_version.id
        if public := public_model(caller.state, node.model.id):
            check_version(public, version)
        else:
            predictors.version_of(caller.state, predictors.model(caller.state, node.model.id), version)
        nodes.append(WorkflowNode(node.id or f"node-{place}", node.model.id, version))
    return nodes


def _shown(caller: Caller, workflow: Workflow) -> WorkflowOut:
    return workflow_out(workflow, caller.app.id, [_version(caller, node) for node in workflow.nodes])


def _version(caller: Caller, node: WorkflowNode) -> str:
    """The version that answers for a node; `deleted` where its model is gone."""
    if node.version_id:
        return node.version_id
    if public := public_model(caller.state, node.model_id):
        return public.version_id
    try:
        return predictors.version_of(caller.state, predictors.model(caller.state, node.model_id), None).id
    except ModelNotFound:
        return "deleted"
