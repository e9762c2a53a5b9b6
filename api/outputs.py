"""Predictions of models (contract, section 9)."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import numpy as np
from fastapi import APIRouter, Response

from ..embeddings.images import ImageError
from ..index.errors import TenshotError
from ..index.records import FloatArray, Model
from . import status
from .access import Caller, Id, Reader, VersionId
from .fetch import FetchError
from .inputs import error_status
from .models import shown_version
from .status import FAILURE, INVALID_INPUT_REQUEST, MIXED, MODEL_BAD, WireError
from .wire import MOST_ITEMS, InputIn, OutputConfigIn, PredictIn, model_out, moment

router = APIRouter(prefix="/v2/models", tags=["outputs"])
_DEFAULT_CONCEPTS = 20


@router.post("/{id}/outputs")
def predict(id: Id, body: PredictIn, caller: Reader, response: Response) -> dict[str, Any]:
    """What up to 128 pictures, stored inputs or vectors show, by the labels of this moment."""
    return _predict(caller, caller.app.model(id), None, body, response)


@router.post("/{id}/versions/{version_id}/outputs")
def predict_version(
    id: Id, version_id: VersionId, body: PredictIn, caller: Reader, response: Response
) -> dict[str, Any]:
    """The same by a version: frozen, or the head, which follows the labels."""
    return _predict(caller, caller.app.model(id), version_id, body, response)


def _predict(
    caller: Caller, model: Model, version_id: str | None, body: PredictIn, response: Response
) -> dict[str, Any]:
    if not 1 <= len(body.inputs) <= MOST_ITEMS:
        raise WireError(INVALID_INPUT_REQUEST, f"a request has 1 to {MOST_ITEMS} inputs, not {len(body.inputs)}")
    config = body.model.output_info.output_config or OutputConfigIn()
    version = shown_version(caller, model, version_id)
    names = caller.names()
    vectors, errors = _vectors(caller, body.inputs)
    values: dict[int, list[dict[str, Any]]] = {}
    if vectors:
        scores = caller.app.predict_vectors(np.stack(list(vectors.values())), model, version=version_id)
        wanted = _selected(config, model, names)
        for place, row in zip(vectors, scores.values.tolist(), strict=True):
            values[place] = _concepts(scores.concept_ids, row, config, wanted, names, caller.app.id)
    shown = model_out(model, version, caller.concepts(), caller.app.id)
    outputs = []
    for place, one in enumerate(body.inputs):
        failed = place in errors
        image = one.data.image
        outputs.append(
            {
                "id": uuid4().hex,
                "status": error_status(errors[place]) if failed else status.OK.body(),
                "created_at": moment(version.created_at),
                "model": shown,
                "input": {"id": one.id or uuid4().hex, "data": {"image": {"url": (image and image.url) or "unknown"}}},
                "data": {} if failed else {"concepts": values[place]},
            }
        )
    overall = status.OK if not errors else FAILURE if len(errors) == len(outputs) else MIXED
    response.status_code = overall.http
    return {"status": overall.body(), "outputs": outputs}


def _vectors(caller: Caller, inputs: Sequence[InputIn]) -> tuple[dict[int, FloatArray], dict[int, Exception]]:
    """The vector of each input by its place, and why others have none. All pictures go through the model at once."""
    pictures: dict[int, bytes] = {}
    vectors: dict[int, FloatArray] = {}
    errors: dict[int, Exception] = {}
    for place, one in enumerate(inputs):
        try:
            if one.data.embeddings:
                vectors[place] = caller.app.check_vectors([one.data.embeddings[0].vector])[0]
            elif one.id and not (one.data.image and (one.data.image.url or one.data.image.base64)):
                vectors[place] = caller.app.vectors([one.id])[0]
            else:
                pictures[place] = caller.picture(one.data)
        except (WireError, ImageError, FetchError, TenshotError) as error:
            errors[place] = error
    crops = {place: image.crop if (image := inputs[place].data.image) else None for place in pictures}
    made = caller.app.embed_each(list(pictures.values()), list(crops.values()))
    for place, result in zip(pictures, made, strict=True):
        if isinstance(result, Exception):
            errors[place] = result
        else:
            vectors[place] = result
    return {place: vectors[place] for place in sorted(vectors)}, errors


def _selected(config: OutputConfigIn, model: Model, names: dict[str, str] | Any) -> set[str] | None:
    """Ids of the concepts asked for, by id or name; None for all."""
    if not config.select_concepts:
        return None
    asked = {concept.key for concept in config.select_concepts}
    found = {id for id in model.concept_ids if id in asked or names.get(id) in asked}
    if not found:
        raise WireError(MODEL_BAD, "the model has none of the concepts in select_concepts")
    return found


def _concepts(
    ids: Sequence[str],
    values: Sequence[float],
    config: OutputConfigIn,
    wanted: set[str] | None,
    names: Any,
    app_id: str,
) -> list[dict[str, Any]]:
    """Best first."""
    ranked = sorted(zip(ids, values, strict=True), key=lambda pair: (-pair[1], pair[0]))
    chosen = [(id, value) for id, value in ranked if (wanted is None or id in wanted) and value >= config.min_value]
    return [
        {"id": id, "name": names.get(id, id), "value": value, "app_id": app_id}
        for id, value in chosen[: config.max_concepts or _DEFAULT_CONCEPTS]
    ]
