"""Public models: what every app can ask without having taught anything (contract, section 9)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ...embeddings.pictures.colours import Colour
from ...index.app.predictors import has_model
from ...index.app.state import AppState
from ...index.errors import ModelNotFound
from ...index.records import FloatArray
from ..wire.schemas import ModelOut, PredictedOut

_SINCE = datetime(2016, 3, 9, 17, 11, 39, 608845, UTC)


@dataclass(frozen=True)
class PublicModel:
    """Its id is the one that the clients carry in their code."""

    id: str
    name: str
    version_id: str
    type: str
    """The wire's word for what it gives."""


GENERAL = PublicModel("aaa03c23b3724a16a56b629203edc62c", "general-v1.3", "aa9ca48295b37401f8af92ad1af0d91d", "concept")
EMBEDDING = PublicModel("bbb5f41425b8468d9b7a554ff10f8581", "general", "bb186755eda04f9cbb6fe32e816be104", "embed")
COLOUR = PublicModel("eeed0b6733a644cea07cf4c60f87ebb7", "color", "dd9458324b4b45c2be1a7ba84d27cd04", "color")
PUBLIC: Sequence[PublicModel] = (GENERAL, EMBEDDING, COLOUR)


PUBLIC_IDS = {model.id for model in PUBLIC}


def public_model(state: AppState, id: str) -> PublicModel | None:
    """By id; or by name, where the app has no model of its own under it."""
    model = next((public for public in PUBLIC if id in (public.id, public.name)), None)
    return None if model and model.name == id and has_model(state, id) else model


def check_version(model: PublicModel, version_id: str | None) -> None:
    """A public model has one version. Raises ModelNotFound."""
    if version_id not in (None, model.version_id):
        raise ModelNotFound(f"the public model {model.name!r} has no version {version_id!r}")


def public_out(model: PublicModel) -> ModelOut:
    return {
        "id": model.id,
        "name": model.name,
        "created_at": _SINCE,
        "app_id": "main",
        "output_info": {"type": model.type, "type_ext": model.type},
        "model_version": {
            "id": model.version_id,
            "created_at": _SINCE,
            "status": {"code": 21100, "description": "Model is trained and ready"},
            "active_concept_count": 0,
            "total_input_count": 0,
            "train_stats": {},
        },
    }


def embedding_out(vector: FloatArray) -> PredictedOut:
    return {"embeddings": [{"vector": np.asarray(vector, dtype=np.float64).tolist(), "num_dimensions": len(vector)}]}


def colours_out(colours: Sequence[Colour]) -> PredictedOut:
    return {
        "colors": [
            {
                "raw_hex": colour.hex,
                "w3c": {"hex": colour.name_hex, "name": colour.name},
                "value": colour.share,
            }
            for colour in colours
        ]
    }
