"""How good a model is by the labels of this moment, where it decides, and what changed between versions. Ours.

What the wire itself knows of evaluations, the metrics of a version, is in `versions.py`.
"""

from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from typing_extensions import TypedDict

from ...index.analysis.evaluation import WANTED_PRECISION
from ...index.analysis.learning_curve import DRAWS
from ...index.analysis.reports import Comparison, Evaluation, LearningCurve
from ..wire.body import MOST_NAMES, Body, Text, at_most
from ..wire.responses import Json, ok
from ..wire.schemas import Answer
from ..wire.status import INVALID_REQUEST, WireError
from .dependencies import MOST_PER_PAGE, Reader, RequestContext, Writer
from .route import new_router

router = new_router("/v2/models", "evaluations")


class EvaluationAnswer(Answer):
    evaluation: Evaluation


class LearningCurveAnswer(Answer):
    learning_curve: LearningCurve


class ComparisonAnswer(Answer):
    comparison: Comparison


class ThresholdOut(TypedDict):
    id: str
    name: str
    threshold: float


class ThresholdsAnswer(Answer):
    thresholds: list[ThresholdOut]


class ThresholdIn(Body):
    id: Text
    threshold: float | None = Field(None, ge=0, le=1, strict=True)
    """None goes back to 0.5."""


class ThresholdsIn(Body):
    thresholds: Annotated[list[ThresholdIn], at_most(MOST_NAMES)] = Field(default_factory=list)
    precision: float | None = Field(None, gt=0, le=1, strict=True)
    """In the place of thresholds: chooses for each concept the lowest one that keeps to this precision."""


@router.get("/{id}/evaluation", response_model=EvaluationAnswer)
async def evaluate(
    id: str,
    context: Reader,
    precision: Annotated[float, Query(gt=0, le=1, description="Names the threshold for it.")] = WANTED_PRECISION,
    judged: Annotated[bool, Query(description="With the inputs one by one, the first 1,000.")] = False,
) -> Json:
    """Every labelled input judged by the model without it: accuracy, AUC, average precision, curves, calibration.

    `choice` is, for each concept, the lowest threshold that keeps to the precision.
    """
    evaluation = await context.take_turn(
        context.service.threads.judging, partial(context.app.evaluate, id, precision=precision)
    )
    return ok(evaluation=evaluation if judged else replace(evaluation, judged=()))


@router.get("/{id}/learning_curve", response_model=LearningCurveAnswer)
async def learning_curve(id: str, context: Reader, draws: Annotated[int, Query(ge=1, le=20)] = DRAWS) -> Json:
    """How good the model was with 1, 2, 5, ... labels a concept on inputs held out, and whether ten more help."""
    curve = await context.take_turn(
        context.service.threads.judging, partial(context.app.learning_curve, id, draws=draws)
    )
    return ok(learning_curve=curve)


@router.get("/{id}/comparison", response_model=ComparisonAnswer)
async def compare(
    id: str,
    context: Reader,
    before: Annotated[str, Query(description="The id of a version.")],
    after: Annotated[str | None, Query(description="Another; left out: the labels of this moment.")] = None,
    n: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Changed inputs that are listed.")] = 100,
) -> Json:
    """Two versions on the same inputs: where the best concept or a decision changed, and their quality side by side.

    Both qualities are held against the labels of today, each labelled input judged without its own label.
    """
    compared = await context.take_turn(
        context.service.threads.judging, partial(context.app.compare, id, before, after, n=n)
    )
    return ok(comparison=compared)


@router.get("/{id}/thresholds", response_model=ThresholdsAnswer)
def thresholds(id: str, context: Reader) -> Json:
    """From which value on the model decides that an input shows a concept: `decision` in its predictions."""
    return _thresholds(context, id)


@router.patch("/{id}/thresholds", response_model=ThresholdsAnswer)
async def set_thresholds(id: str, body: ThresholdsIn, context: Writer) -> Json:
    """Sets thresholds by concept, or chooses them for a wanted precision. Frozen versions keep theirs.

    They are chosen by leave-one-out; a concept for which no threshold is precise enough stays as it is.
    """
    if bool(body.thresholds) is (body.precision is not None):
        raise WireError(INVALID_REQUEST, "give thresholds, or a precision to choose them for")
    if body.precision is not None:
        choose = partial(context.app.choose_thresholds, id, precision=body.precision)
        await context.take_turn(context.service.threads.judging, choose)
    else:
        thresholds = {change.id: change.threshold for change in body.thresholds}
        await run_in_threadpool(context.app.set_thresholds, thresholds, id)
    return await run_in_threadpool(_thresholds, context, id)


def _thresholds(context: RequestContext, id: str) -> Json:
    names = context.names()
    rows: list[ThresholdOut] = [
        {"id": concept, "name": names.get(concept, concept), "threshold": value}
        for concept, value in context.app.thresholds(id).items()
    ]
    return ok(thresholds=rows)
