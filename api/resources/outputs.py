"""Predictions of a model, a frozen version of one, or a public model (contract, section 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ...embeddings.base.batcher import Batcher
from ...embeddings.models.zero_shot import zero_shot
from ...embeddings.pictures.colours import SHRINK
from ...index.app import predictors
from ...index.records import FloatArray, Model
from ..wire import status
from ..wire.requests import MOST_ITEMS, ConceptIn, OutputConfigIn, PredictIn
from ..wire.responses import ConceptOut, Json, ModelOut, OutputOut, OutputsAnswer, PredictedOut, answer, model_out
from ..wire.status import FAILURE, MIXED, MODEL_BAD, Status, WireError
from .dependencies import Caller, Reader
from .inputs import error_status
from .models import shown_version
from .public_models import (
    COLOUR,
    EMBEDDING,
    PublicModel,
    check_version,
    classifier,
    colours_out,
    embedding_out,
    public_model,
    public_out,
)
from .resolved_inputs import Asked, with_pictures
from .route import new_router

router = new_router("/v2/models", "outputs")
_DEFAULT_CONCEPTS = 20
_FEW = 4
"""Inputs of a short prediction."""
_MIXED: dict[int | str, dict[str, Any]] = {207: {"model": OutputsAnswer}}


def _is_short(id: str, body: PredictIn, caller: Caller) -> bool:
    """Few vectors in memory, by a taught model that has nothing to work in: over sooner than threads are changed."""
    if not caller.reads_at_once or len(body.inputs) > _FEW or not all(one.is_at_hand for one in body.inputs):
        return False
    return public_model(caller.state, id) is None and predictors.is_ready(caller.state, id)


@router.post("/{id}/outputs", response_model=OutputsAnswer, responses=_MIXED)
async def predict(id: str, body: PredictIn, caller: Reader) -> Json:
    """What up to 128 pictures, stored inputs or vectors show, by the labels of this moment."""
    if _is_short(id, body, caller):
        return _predict(caller, id, None, body)
    return await _predict_pictures(caller, id, None, body)


@router.post("/{id}/versions/{version_id}/outputs", response_model=OutputsAnswer, responses=_MIXED)
async def predict_version(id: str, version_id: str, body: PredictIn, caller: Reader) -> Json:
    """The same by a version: frozen, or the head, which follows the labels."""
    return await _predict_pictures(caller, id, version_id, body)


async def _predict_pictures(caller: Caller, id: str, version_id: str | None, body: PredictIn) -> Json:
    return await with_pictures(
        caller,
        body.inputs,
        check=lambda: _step(caller, id, version_id, body).sees_pictures,
        work=lambda: _predict(caller, id, version_id, body),
    )


def _predict(caller: Caller, id: str, version_id: str | None, body: PredictIn) -> Json:
    asked = Asked(caller, body.inputs, MOST_ITEMS)
    step = _step(caller, id, version_id, body)
    found = step.found(caller, asked)
    return answer(overall(asked), outputs=step.outputs(asked, found))


def _step(caller: Caller, id: str, version_id: str | None, body: PredictIn) -> "Step":
    return step_of(caller, id, version_id, body.model.output_info.output_config or OutputConfigIn())


def overall(asked: Asked) -> Status:
    """Of a request whose inputs each have a status."""
    if not asked.errors:
        return status.OK
    return FAILURE if len(asked.errors) == len(asked.inputs) else MIXED


def selected(
    asked: Sequence[ConceptIn], ids: Sequence[str], names: Mapping[str, str], *, must_exist: bool = True
) -> set[str] | None:
    """Those of the ids that are asked for, by id or name; None where none is asked for. names: concept id -> name.

    Raises WireError where none of those asked for is known but one must be.
    """
    if not asked:
        return None
    keys = {concept.key for concept in asked}
    found = {id for id in ids if id in keys or names.get(id) in keys}
    if not found and must_exist:
        raise WireError(MODEL_BAD, "the model has none of the concepts in select_concepts")
    return found


def step_of(caller: Caller, id: str, version_id: str | None, config: OutputConfigIn, *, alone: bool = True) -> "Step":
    """Raises ModelNotFound, VersionNotFound or WireError."""
    if public := public_model(caller.state, id):
        check_version(public, version_id)
        return Step(public, None, public_out(public), config, alone)
    model = predictors.model(caller.state, id)
    version = shown_version(caller, model, version_id)
    return Step(model, version_id, model_out(model, version, None, caller.app.id), config, alone)


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

    def outputs(self, asked: Asked, found: Mapping[int, PredictedOut]) -> list[OutputOut]:
        """What was found, one for each input, in order."""
        now = datetime.now(UTC)
        return [
            {
                "id": uuid4().hex,
                "status": error_status(asked.errors[place]) if place in asked.errors else status.OK.body(),
                "created_at": now,
                "model": self.shown,
                "input": asked.shown(place),
                "data": {} if place in asked.errors else found[place],
            }
            for place in range(len(asked.inputs))
        ]

    def found(self, caller: Caller, asked: Asked) -> Mapping[int, PredictedOut]:
        """What the model says of each input that it can use; asked learns why it can't use the others."""
        if isinstance(self.model, Model):
            return self._taught(caller, asked, self.model)
        if self.model is EMBEDDING:
            return {place: embedding_out(vector) for place, vector in asked.vectors().items()}
        if self.model is COLOUR:
            return asked.seen(colours_out, SHRINK)
        words = [concept.key for concept in self.config.select_concepts or () if concept.key]
        embedder = classifier(caller.service.store, caller.state, words)
        classes, values = _classified(embedder, asked, words)
        names = {name: name for name in classes}
        wanted = self._selected(classes, names) if values else None
        return {
            place: {"concepts": self._concepts(classes, row, None, wanted, names, "main")}
            for place, row in values.items()
        }

    def _taught(self, caller: Caller, asked: Asked, model: Model) -> Mapping[int, PredictedOut]:
        names = caller.names()
        wanted = self._selected(model.concept_ids, names)
        vectors = asked.vectors()
        if not vectors:
            return {}
        scores = predictors.scores(caller.state, np.stack(list(vectors.values())), model, self.version_id)
        return {
            place: {"concepts": self._concepts(scores.concept_ids, row, decided, wanted, names, caller.app.id)}
            for place, row, decided in zip(vectors, scores.values, scores.decisions, strict=True)
        }

    def _selected(self, ids: Sequence[str], names: Mapping[str, str]) -> set[str] | None:
        """Those of the ids that are asked for; None for all."""
        return selected(self.config.select_concepts, ids, names, must_exist=self.alone)

    def _concepts(
        self,
        ids: Sequence[str],
        values: FloatArray,
        decided: NDArray[np.bool_] | None,
        wanted: set[str] | None,
        names: Mapping[str, str],
        app_id: str,
    ) -> list[ConceptOut]:
        """Best first; with decisions where the model has any."""
        order = np.argsort(-values, kind="stable")
        decisions = repeat(None) if decided is None else decided[order].tolist()
        least, most = self.config.min_value, self.config.max_concepts or _DEFAULT_CONCEPTS
        best: list[ConceptOut] = []
        for place, value, decision in zip(order.tolist(), values[order].tolist(), decisions, strict=False):
            if value < least or len(best) == most:
                break
            id = ids[place]
            if wanted is None or id in wanted:
                shown: ConceptOut = {"id": id, "name": names.get(id, id), "value": value, "app_id": app_id}
                if decision is not None:
                    shown["decision"] = decision
                best.append(shown)
        return best


def _classified(
    embedder: Batcher, asked: Asked, words: Sequence[str]
) -> tuple[Sequence[str], Mapping[int, FloatArray]]:
    """The classes of a classifier, or the words where it has none, and their probabilities (C,) for each input.

    One without classes is the app's own base workflow, so that what is known of its vectors serves here too.
    """
    if embedder.classes:
        return embedder.classes, asked.classes(embedder.recipe)
    names, vectors = list(dict.fromkeys(words)), asked.vectors()
    rows = zero_shot(embedder, np.stack(list(vectors.values())), names) if vectors else ()
    return names, dict(zip(vectors, rows, strict=True))
