"""Request bodies of the wire, typed, and records as its answers. Unknown fields are ignored, null means absent."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ..embeddings.images import UndecodableImage
from ..index.records import Concept, Geo, Input, InputStatus, Model, ModelVersion
from .status import INPUT_FAILED, INPUT_PENDING, INPUT_READY, OK, TRAINED, UNTRAINED

MOST_ITEMS = 128
"""Inputs, concepts or models in one request."""


class Body(BaseModel):
    """Keys with null are taken away before anything is checked."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {key: value for key, value in given.items() if value is not None}
        return given


def _truth(value: Any) -> Any:
    """true, 1 and 1.0 say yes; false, 0 and 0.0 no."""
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return value


Truth = Annotated[bool, BeforeValidator(_truth)]


class ConceptIn(Body):
    id: str | None = None
    name: str | None = None
    value: Truth = True

    @property
    def key(self) -> str | None:
        """What names the concept."""
        return self.id or self.name


class ImageIn(Body):
    url: str | None = None
    base64: str | None = None
    crop: tuple[float, float, float, float] | None = None
    allow_duplicate_url: bool = False

    def data(self) -> bytes | None:
        """The uploaded bytes. Raises UndecodableImage."""
        if self.base64 is None:
            return None
        text = self.base64.partition(",")[2] if self.base64.startswith("data:") else self.base64
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise UndecodableImage(f"the base64 of the picture can't be read: {error}") from error


class PointIn(Body):
    # Clients drop zeros: a missing number is 0.
    longitude: float = 0.0
    latitude: float = 0.0


class LimitIn(Body):
    type: str = "withinKilometers"
    value: float = 0.0


class CornerIn(Body):
    geo_point: PointIn = PointIn()


class GeoIn(Body):
    geo_point: PointIn | None = None
    geo_limit: LimitIn | None = None
    geo_box: list[CornerIn] | None = None

    def place(self) -> Geo | None:
        return None if self.geo_point is None else Geo(self.geo_point.longitude, self.geo_point.latitude)


class EmbeddingIn(Body):
    vector: list[float]


class DataIn(Body):
    image: ImageIn | None = None
    concepts: list[ConceptIn] | None = None
    metadata: dict[str, Any] | None = None
    geo: GeoIn | None = None
    embeddings: list[EmbeddingIn] | None = None
    url: str | None = None
    """Some clients send a plain image query so."""


class InputIn(Body):
    id: str | None = None
    data: DataIn = DataIn()


class InputsIn(Body):
    inputs: list[InputIn] = []
    action: str = "merge"


class DeleteIn(Body):
    ids: list[str] | None = None
    delete_all: bool = False


class ConceptsIn(Body):
    concepts: list[ConceptIn] = []
    action: str = "overwrite"


class QueryIn(Body):
    name: str | None = None
    type: str | None = None
    language: str | None = None


class PageIn(Body):
    page: int = Field(1, ge=1)
    per_page: int = Field(20, ge=1)


class ConceptSearchIn(Body):
    concept_query: QueryIn = QueryIn()
    pagination: PageIn = PageIn()


class ModelSearchIn(Body):
    model_query: QueryIn = QueryIn()
    pagination: PageIn = PageIn()


class OutputConfigIn(Body):
    concepts_mutually_exclusive: bool | None = None
    closed_environment: bool | None = None
    hyper_params: dict[str, Any] | None = None
    max_concepts: int = Field(0, ge=0, le=200)
    min_value: float = Field(0, ge=0, le=1)
    select_concepts: list[ConceptIn] = []


class ModelDataIn(Body):
    concepts: list[ConceptIn] | None = None


class OutputInfoIn(Body):
    data: ModelDataIn | None = None
    output_config: OutputConfigIn | None = None


class ModelIn(Body):
    id: str | None = None
    name: str | None = None
    output_info: OutputInfoIn = OutputInfoIn()


class CreateModelIn(Body):
    model: ModelIn


class PatchModelsIn(Body):
    models: list[ModelIn] = []
    action: str = "merge"


class PredictIn(Body):
    inputs: list[InputIn] = []
    model: ModelIn = ModelIn()


class TermPartIn(Body):
    id: str | None = None
    data: DataIn = DataIn()


class OutputTermIn(Body):
    input: TermPartIn | None = None
    data: DataIn | None = None


class TermIn(Body):
    input: TermPartIn | None = None
    output: OutputTermIn | None = None
    negate: bool = False


class AndsIn(Body):
    ands: list[TermIn] = []


class SearchIn(Body):
    query: AndsIn = AndsIn()
    pagination: PageIn = PageIn()


class NamedIn(Body):
    name: str | None = None
    default_workflow_id: str | None = None
    dim: int | None = None


class AppsIn(Body):
    apps: list[NamedIn] = []


class AppRefIn(Body):
    id: str


class KeyIn(Body):
    description: str = ""
    scopes: list[str] = ["All"]
    apps: list[AppRefIn] = []


class KeysIn(Body):
    keys: list[KeyIn] = []


def moment(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def concept_out(concept: Concept, app_id: str) -> dict[str, Any]:
    return {
        "id": concept.id,
        "name": concept.name,
        "value": 1,
        "created_at": moment(concept.created_at),
        "language": "en",
        "app_id": app_id,
    }


def input_out(one: Input, names: Mapping[str, str], app_id: str, image_url: str) -> dict[str, Any]:
    """names: concept id -> name; image_url: where the picture is served from if it was uploaded."""
    image: dict[str, Any] = {"url": one.url or image_url}
    if one.crop:
        image["crop"] = list(one.crop)
    data: dict[str, Any] = {"image": image}
    if one.concepts:
        data["concepts"] = [
            {"id": concept, "name": names.get(concept, concept), "value": 1 if yes else 0, "app_id": app_id}
            for concept, yes in one.concepts.items()
        ]
    if one.metadata is not None:
        data["metadata"] = one.metadata
    if one.geo:
        data["geo"] = {"geo_point": {"longitude": one.geo.longitude, "latitude": one.geo.latitude}}
    status = {
        InputStatus.READY: INPUT_READY,
        InputStatus.PENDING: INPUT_PENDING,
        InputStatus.FAILED: INPUT_FAILED,
    }[one.status]
    return {
        "id": one.id,
        "data": data,
        "created_at": moment(one.created_at),
        "modified_at": moment(one.modified_at),
        "status": status.body(one.status_reason),
    }


def version_out(version: ModelVersion, concepts: int) -> dict[str, Any]:
    return {
        "id": version.id,
        "created_at": moment(version.created_at),
        "status": (TRAINED if version.frozen else UNTRAINED).body(),
        "active_concept_count": len(version.concept_ids) if version.frozen else concepts,
        "total_input_count": version.input_count,
        "train_stats": {},
    }


def model_out(model: Model, version: ModelVersion, concepts: Mapping[str, Concept], app_id: str) -> dict[str, Any]:
    """concepts: those of the model, by id."""
    config: dict[str, Any] = {
        "concepts_mutually_exclusive": model.mutually_exclusive,
        "closed_environment": model.closed_environment,
        "max_concepts": 0,
        "min_value": 0,
    }
    if model.settings:
        config["hyper_params"] = model.settings
    info: dict[str, Any] = {"type": "concept", "type_ext": "concept", "output_config": config}
    # Absent, not empty, where the model has none.
    if model.concept_ids:
        info["data"] = {"concepts": [concept_out(concepts[id], app_id) for id in model.concept_ids]}
    return {
        "id": model.id,
        "name": model.name,
        "created_at": moment(model.created_at),
        "app_id": app_id,
        "output_info": info,
        "model_version": version_out(version, len(model.concept_ids)),
    }


def ok(**payload: Any) -> dict[str, Any]:
    """An answer that went well."""
    return {"status": OK.body(), **payload}
