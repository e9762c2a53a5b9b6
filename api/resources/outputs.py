"""Predictions of a model, a frozen version of one, or a public model (contract, section 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ...embeddings.pictures.colours import SHRINK, dominant_colours
from ...index.app import prediction, predictors
from ...index.app.resolved_inputs import ResolvedInputs
from ...index.records import FloatArray, Model
from ..wire.body import MOST_ITEMS
from ..wire.requests import ConceptIn, OutputConfigIn, PredictIn
from ..wire.responses import Json, answer, model_out
from ..wire.schemas import ConceptOut, ModelOut, OutputOut, OutputsAnswer, PredictedOut
from ..wire.status import MODEL_BAD, WireError
from .dependencies import Reader, RequestContext
from .prediction_inputs import PredictionInputs, with_pictures
from .public_models import (
    COLOUR,
    EMBEDDING,
    PublicModel,
    check_version,
    colours_out,
    embedding_out,
    public_model,
    public_out,
)
from .route import new_router

router = new_router("/v2/models", "outputs")
_DEFAULT_CONCEPTS = 20
_FEW = 4
"""Inputs of a short prediction."""
_MIXED: dict[int | str, dict[str, Any]] = {207: {"model": OutputsAnswer}}


def _is_short(id: str, body: PredictIn, context: RequestContext) -> bool:
    """Few vectors in memory, by a taught model that has nothing to work in: over sooner than threads are changed.

    On a thread of the pool such a prediction takes 1.3 times the CPU time.
    """
    if not context.reads_at_once or len(body.inputs) > _FEW or not all(item.is_at_hand for item in body.inputs):
        return False
    return public_model(context.state, id) is None and predictors.is_ready(context.state, id)


@router.post("/{id}/outputs", response_model=OutputsAnswer, responses=_MIXED)
async def predict(id: str, body: PredictIn, context: Reader) -> Json:
    """What up to 128 pictures, stored inputs or vectors show, by the labels of this moment."""
    if _is_short(id, body, context):
        return _predict(context, id, None, body)
    return await _predict_pictures(context, id, None, body)


@router.post("/{id}/versions/{version_id}/outputs", response_model=OutputsAnswer, responses=_MIXED)
async def predict_version(id: str, version_id: str, body: PredictIn, context: Reader) -> Json:
    """The same by a version: frozen, or the head, which follows the labels."""
    return await _predict_pictures(context, id, version_id, body)


async def _predict_pictures(context: RequestContext, id: str, version_id: str | None, body: PredictIn) -> Json:
    return await with_pictures(
        context,
        body.inputs,
        check=lambda: _step(context, id, version_id, body).sees_pictures,
        work=lambda: _predict(context, id, version_id, body),
    )


def _predict(context: RequestContext, id: str, version_id: str | None, body: PredictIn) -> Json:
    inputs = PredictionInputs(context, body.inputs, MOST_ITEMS)
    step = _step(context, id, version_id, body)
    predicted = step.predict(context, inputs.resolved)
    return answer(inputs.status, outputs=step.outputs(inputs, predicted))


def _step(context: RequestContext, id: str, version_id: str | None, body: PredictIn) -> "Step":
    return step_of(context, id, version_id, body.model.output_info.output_config or OutputConfigIn())


def selected(
    concepts: Sequence[ConceptIn], ids: Sequence[str], names: Mapping[str, str], *, must_exist: bool = True
) -> set[str] | None:
    """Those of the ids that these concepts name, by id or name; None for no concepts. names: concept id -> name.

    Raises WireError where one must exist and none does.
    """
    if not concepts:
        return None
    keys = {concept.key for concept in concepts}
    chosen = {id for id in ids if id in keys or names.get(id) in keys}
    if not chosen and must_exist:
        raise WireError(MODEL_BAD, "the model has none of the concepts in select_concepts")
    return chosen


def step_of(
    context: RequestContext, id: str, version_id: str | None, config: OutputConfigIn, *, alone: bool = True
) -> "Step":
    """Raises ModelNotFound, VersionNotFound or WireError."""
    if public := public_model(context.state, id):
        check_version(public, version_id)
        return Step(public, None, public_out(public), config, alone)
    model = predictors.model(context.state, id)
    version = predictors.version_of(context.state, model, version_id)
    return Step(model, version_id, model_out(model, version, None, context.app.id), config, alone)


@dataclass(frozen=True)
class Step:
    """One model as it is asked."""

    model: Model | PublicModel
    version_id: str | None
    shown: ModelOut
    config: OutputConfigIn
    alone: bool = True
    """Whether the concepts that the request selects must be of this model."""

    @property
    def sees_pictures(self) -> bool:
        """Whether it asks for pictures also where there are vectors."""
        return isinstance(self.model, PublicModel) and self.model is not EMBEDDING

    def outputs(self, inputs: PredictionInputs, predicted: Mapping[int, PredictedOut]) -> list[OutputOut]:
        """One for each input, in order."""
        now = datetime.now(UTC)
        return [
            {
                "id": uuid4().hex,
                "status": inputs.status_of(position),
                "created_at": now,
                "model": self.shown,
                "input": inputs.out(position),
                "data": {} if position in inputs.errors else predicted[position],
            }
            for position in range(len(inputs))
        ]

    def predict(self, context: RequestContext, inputs: ResolvedInputs) -> Mapping[int, PredictedOut]:
        """What the model says of each input that it can use, by position; `inputs` has the errors of the others."""
        if isinstance(self.model, Model):
            return self._taught(context, inputs, self.model)
        if self.model is EMBEDDING:
            return {position: embedding_out(vector) for position, vector in inputs.vectors().items()}
        if self.model is COLOUR:
            colours = inputs.pictures(dominant_colours, SHRINK)
            return {position: colours_out(image) for position, image in colours.items()}
        words = [concept.key for concept in self.config.select_concepts or () if concept.key]
        classes, values = prediction.classify_each(inputs, words)
        names = {name: name for name in classes}
        selected_ids = self._selected(classes, names) if values else None
        return {
            position: {"concepts": self._concepts(classes, row, None, selected_ids, names, "main")}
            for position, row in values.items()
        }

    def _taught(self, context: RequestContext, inputs: ResolvedInputs, model: Model) -> Mapping[int, PredictedOut]:
        names = context.names()
        selected_ids = self._selected(model.concept_ids, names)
        return {
            position: {
                "concepts": self._concepts(
                    scores.concept_ids, scores.values[0], scores.decisions[0], selected_ids, names, context.app.id
                )
            }
            for position, scores in prediction.predict_each(inputs, model, self.version_id).items()
        }

    def _selected(self, ids: Sequence[str], names: Mapping[str, str]) -> set[str] | None:
        """Those of the ids that are asked for; None for all."""
        return selected(self.config.select_concepts, ids, names, must_exist=self.alone)

    def _concepts(
        self,
        ids: Sequence[str],
        values: FloatArray,
        decided: NDArray[np.bool_] | None,
        selected_ids: set[str] | None,
        names: Mapping[str, str],
        app_id: str,
    ) -> list[ConceptOut]:
        """Best first; with decisions where the model has any."""
        order = np.argsort(-values, kind="stable")
        decisions = repeat(None) if decided is None else decided[order].tolist()
        least, most = self.config.min_value, self.config.max_concepts or _DEFAULT_CONCEPTS
        best: list[ConceptOut] = []
        for column, value, decision in zip(order.tolist(), values[order].tolist(), decisions, strict=False):
            if value < least or len(best) == most:
                break
            id = ids[column]
            if selected_ids is None or id in selected_ids:
                concept: ConceptOut = {"id": id, "name": names.get(id, id), "value": value, "app_id": app_id}
                if decision is not None:
                    concept["decision"] = decision
                best.append(concept)
        return best
