"""Why a model says what it says: nearest labelled inputs, prototype, background, calibration. Ours, not the wire's."""

from datetime import UTC, datetime
from typing import Any, NotRequired
from uuid import uuid4

from pydantic import Field
from typing_extensions import TypedDict

from ...index.app import predictors
from ...index.app.prediction import explain_vector
from ...index.records import Explanation, FloatArray, Model
from ..wire.body import MOST_ITEMS
from ..wire.requests import PredictIn
from ..wire.responses import Json, answer
from ..wire.schemas import Answer, AskedOut
from ..wire.status import StatusOut
from .dependencies import Reader, RequestContext
from .outputs import selected
from .prediction_inputs import PredictionInputs, with_pictures
from .route import new_router

_DEFAULT_CONCEPTS = 3

router = new_router("/v2/models", "explanations")


class ExplainIn(PredictIn):
    """As for a prediction; max_concepts and select_concepts say which concepts are explained, else the best three."""

    neighbours: int = Field(5, ge=0, le=100, strict=True)


class ExplainedOut(TypedDict):
    id: str
    status: StatusOut
    created_at: datetime
    input: NotRequired[AskedOut]
    explanations: list[Explanation]


class ExplanationsAnswer(Answer):
    outputs: list[ExplainedOut]


_MIXED: dict[int | str, dict[str, Any]] = {207: {"model": ExplanationsAnswer}}


@router.post("/{id}/explanations", response_model=ExplanationsAnswer, responses=_MIXED)
async def explain(id: str, body: ExplainIn, context: Reader) -> Json:
    """Why up to 128 pictures, stored inputs or vectors get their values, by the labels of this moment.

    score = prototype + neighbours + background + text_prior; `nearest` names labelled inputs with their share of the
    vote; `calibration` says how many labels stand behind the step from score to value. Where none of exclusive concepts
    may be shown, `any_shown` is the probability that one is, of which the values are shares.
    """
    return await _explain_pictures(context, id, None, body)


@router.post("/{id}/versions/{version_id}/explanations", response_model=ExplanationsAnswer, responses=_MIXED)
async def explain_version(id: str, version_id: str, body: ExplainIn, context: Reader) -> Json:
    """The same by a version."""
    return await _explain_pictures(context, id, version_id, body)


async def _explain_pictures(context: RequestContext, id: str, version_id: str | None, body: ExplainIn) -> Json:
    def check() -> bool:
        _model(context, id, version_id)
        return False

    return await with_pictures(context, body.inputs, check, lambda: _explain(context, id, version_id, body))


def _model(context: RequestContext, id: str, version_id: str | None) -> Model:
    """Raises ModelNotFound or VersionNotFound."""
    model = predictors.model(context.state, id)
    if version_id is not None:
        predictors.version(context.state, id, version_id)
    return model


def _explain(context: RequestContext, id: str, version_id: str | None, body: ExplainIn) -> Json:
    # Before any picture is embedded.
    model = _model(context, id, version_id)
    inputs = PredictionInputs(context, body.inputs, MOST_ITEMS)
    config = body.model.output_info.output_config
    concepts = selected(config.select_concepts if config else [], model.concept_ids, context.names())
    most = (config and config.max_concepts) or _DEFAULT_CONCEPTS
    now = datetime.now(UTC)

    def of(vector: FloatArray) -> list[Explanation]:
        return explain_vector(
            context.state,
            vector,
            None if concepts is None else sorted(concepts),
            model,
            version=version_id,
            neighbours=body.neighbours,
            most=most,
        )

    explanations = {position: of(vector) for position, vector in inputs.resolved.vectors().items()}
    outputs: list[ExplainedOut] = [
        {
            "id": uuid4().hex,
            "status": inputs.status_of(position),
            "created_at": now,
            "input": inputs.out(position),
            "explanations": explanations.get(position, []),
        }
        for position in range(len(inputs))
    ]
    return answer(inputs.status, outputs=outputs)
