"""What to label next, and which labels look wrong. Ours, not the wire's."""

from functools import partial
from typing import Annotated, NotRequired

from fastapi import Query
from typing_extensions import TypedDict

from ...index.analysis.active_learning import MOST
from ...index.analysis.label_issues import LIMIT
from ...index.analysis.reports import Strategy
from ..wire.responses import Json, ok
from ..wire.schemas import Answer, ConceptOut, InputOut
from .dependencies import MOST_PER_PAGE, Reader, RequestContext
from .route import new_router

router = new_router("/v2/models", "suggestions")


class SuggestionOut(TypedDict):
    input: InputOut
    strategy: Strategy
    concept: NotRequired[ConceptOut]


class SuggestionsAnswer(Answer):
    strategy: Strategy
    suggestions: list[SuggestionOut]


class ConceptRefOut(TypedDict):
    id: str
    name: str


class DoubtOut(TypedDict):
    input: InputOut
    concept: ConceptOut
    probability: float
    instead: NotRequired[ConceptRefOut]


class DoubtsAnswer(Answer):
    doubts: list[DoubtOut]


@router.get("/{id}/suggestions", response_model=SuggestionsAnswer)
def suggest(
    id: str,
    context: Reader,
    n: Annotated[int, Query(ge=1, le=MOST, description="How many, at most.")] = 10,
    strategy: Annotated[Strategy, Query(description="How they are chosen; each answer names its own.")] = Strategy.AUTO,
    concept_id: Annotated[str | None, Query(description="About this concept alone.")] = None,
) -> Json:
    """Inputs to label next, none of which has a label for one of the model's concepts.

    - `uncertain`: the model can't tell what they show
    - `diverse`: they stand for many inputs that are unlike everything labelled so far
    - `rare`: they probably show a concept that has few yes labels
    - `auto`: a mix, by how much is labelled already; without any labels all are diverse

    The model `all` is the app's own, of all its concepts. `concept.value` is the probability of the concept that a
    suggestion is about.
    """
    suggestions = context.app.suggest(id, n, strategy=strategy, concept=concept_id)
    names = context.names()
    inputs = context.app.inputs_by_id([suggestion.input_id for suggestion in suggestions])
    rows: list[SuggestionOut] = []
    for suggestion in suggestions:
        if suggestion.input_id not in inputs:
            continue
        out: SuggestionOut = {
            "input": context.show(inputs[suggestion.input_id], names),
            "strategy": suggestion.strategy,
        }
        if suggestion.concept_id is not None and suggestion.value is not None:
            name = names.get(suggestion.concept_id, suggestion.concept_id)
            out["concept"] = {
                "id": suggestion.concept_id,
                "name": name,
                "value": suggestion.value,
                "app_id": context.app.id,
            }
        rows.append(out)
    return ok(strategy=strategy, suggestions=rows)


@router.get("/{id}/doubts", response_model=DoubtsAnswer)
async def doubts(
    id: str,
    context: Reader,
    n: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="How many, at most.")] = 100,
    limit: Annotated[float, Query(gt=0, le=1, description="Labels less probable than this are doubted.")] = LIMIT,
) -> Json:
    """Labels that the model contradicts which was taught without them, least probable first.

    `concept.value` is the label, 1 or 0, and `probability` how likely it is right; `instead` is what the input looks
    like more. A concept with fewer than three yes labels is not judged.
    """
    return ok(doubts=await context.take_turn(context.service.threads.judging, partial(_doubts, context, id, n, limit)))


def _doubts(context: RequestContext, id: str, n: int, limit: float) -> list[DoubtOut]:
    doubts = context.app.doubts(id, n, limit=limit)
    names = context.names()
    inputs = context.app.inputs_by_id({doubt.input_id for doubt in doubts})
    rows: list[DoubtOut] = []
    for doubt in doubts:
        if doubt.input_id not in inputs:
            continue
        name = names.get(doubt.concept_id, doubt.concept_id)
        out: DoubtOut = {
            "input": context.show(inputs[doubt.input_id], names),
            "concept": {"id": doubt.concept_id, "name": name, "value": int(doubt.label), "app_id": context.app.id},
            "probability": doubt.probability,
        }
        if doubt.instead is not None:
            out["instead"] = {"id": doubt.instead, "name": names.get(doubt.instead, doubt.instead)}
        rows.append(out)
    return rows
