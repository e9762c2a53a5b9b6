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
from .dependencies import MOST_PER_PAGE, Caller, Reader
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
    caller: Reader,
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
    found = caller.app.suggest(id, n, strategy=strategy, concept=concept_id)
    names = caller.names()
    inputs = caller.app.inputs_by_id([one.input_id for one in found])
    shown: list[SuggestionOut] = []
    for one in found:
        if one.input_id not in inputs:
            continue
        out: SuggestionOut = {"input": caller.show(inputs[one.input_id], names), "strategy": one.strategy}
        if one.concept_id is not None and one.value is not None:
            name = names.get(one.concept_id, one.concept_id)
            out["concept"] = {"id": one.concept_id, "name": name, "value": one.value, "app_id": caller.app.id}
        shown.append(out)
    return ok(strategy=strategy, suggestions=shown)


@router.get("/{id}/doubts", response_model=DoubtsAnswer)
async def doubts(
    id: str,
    caller: Reader,
    n: Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="How many, at most.")] = 100,
    limit: Annotated[float, Query(gt=0, le=1, description="Labels less probable than this are doubted.")] = LIMIT,
) -> Json:
    """Labels that the model contradicts which was taught without them, least probable first.

    `concept.value` is the label, 1 or 0, and `probability` how likely it is right; `instead` is what the input looks
    like more. A concept with fewer than three yes labels is not judged.
    """
    return ok(doubts=await caller.take_turn(caller.service.threads.judging, partial(_doubts, caller, id, n, limit)))


def _doubts(caller: Caller, id: str, n: int, limit: float) -> list[DoubtOut]:
    found = caller.app.doubts(id, n, limit=limit)
    names = caller.names()
    inputs = caller.app.inputs_by_id({one.input_id for one in found})
    shown: list[DoubtOut] = []
    for one in found:
        if one.input_id not in inputs:
            continue
        name = names.get(one.concept_id, one.concept_id)
        out: DoubtOut = {
            "input": caller.show(inputs[one.input_id], names),
            "concept": {"id": one.concept_id, "name": name, "value": int(one.label), "app_id": caller.app.id},
            "probability": one.probability,
        }
        if one.instead is not None:
            out["instead"] = {"id": one.instead, "name": names.get(one.instead, one.instead)}
        shown.append(out)
    return shown
