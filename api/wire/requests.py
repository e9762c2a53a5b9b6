"""Request bodies of the wire, typed. Unknown fields are ignored, null means absent."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from ...embeddings.pictures.images import UndecodableImage
from ...index.bounds import MAX_TEXT
from ...index.records import Geo
from .status import (
    INPUT_BAD,
    INVALID_CONCEPT,
    INVALID_INPUT_REQUEST,
    INVALID_REQUEST,
    INVALID_SEARCH,
    MODEL_BAD,
    WORKFLOW_BAD,
    WireError,
)

MOST_ITEMS = 128
"""Inputs, concepts or models in one request."""
_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
"""A sixth of the time of Python's own module, which holds the interpreter's lock for 4 ms a megabyte."""
MOST_NODES = 5
MOST_IN_WORKFLOW = 32
MOST_NAMES = 10_000
"""Concepts of an input or a model, and ids to delete."""
_MOST_REGIONS = 1_000
_MOST_NUMBERS = 65_536
"""Of the longest vectors that an app can have."""
_MOST_CHARACTERS = 10_000
_MOST_FREE_VALUES = 10_000
_MOST_FREE_CHARACTERS = 1_000_000
_DEEPEST = 32
TOO_MANY = {
    "inputs": INVALID_INPUT_REQUEST,
    "concepts": INVALID_CONCEPT,
    "models": MODEL_BAD,
    "workflows": WORKFLOW_BAD,
    "nodes": WORKFLOW_BAD,
    "ands": INVALID_SEARCH,
    "apps": INVALID_REQUEST,
    "keys": INVALID_REQUEST,
}
"""What the wire says where a list of a request, by its name, is empty or too long."""


def at_most(most: int) -> Any:
    """Of a list: what comes after its first wrong item, or is too much, is not looked at, and costs nothing."""
    return Field(max_length=most, fail_fast=True)


def _listed(most: int = MOST_ITEMS, least: int = 1) -> Any:
    """A list that routes refuse where it has fewer than least, with a code of their own; the OpenAPI page tells it."""
    return Field(default_factory=list, max_length=most, fail_fast=True, json_schema_extra={"minItems": least})


def check_some(items: Sequence[object], name: str, most: int = MOST_ITEMS) -> None:
    """most: as the type of the list has it. Raises WireError where there are none."""
    if not items:
        raise WireError(TOO_MANY[name], f"a request has 1 to {most} {name}, not 0")


Text = Annotated[str, Field(max_length=MAX_TEXT)]
"""An id, a name or words: what is looked up, matched or embedded."""
Url = Annotated[str, Field(max_length=_MOST_CHARACTERS)]


def _bounded(free: dict[str, Any]) -> dict[str, Any]:
    """Raises PydanticCustomError for more than a catalog should keep, or than recursion can follow."""
    values = characters = 0
    level: list[Any] = [free]
    for _ in range(_DEEPEST):
        values += len(level)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                characters += sum(map(len, value))
                inner += value.values()
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, str):
                characters += len(value)
        if values > _MOST_FREE_VALUES or characters > _MOST_FREE_CHARACTERS:
            break
        if not inner:
            return free
        level = inner
    raise PydanticCustomError(
        "too_large",
        "free JSON has at most {values} values, {characters} characters and {levels} levels",
        {"values": _MOST_FREE_VALUES, "characters": _MOST_FREE_CHARACTERS, "levels": _DEEPEST},
    )


FreeJson = Annotated[
    dict[str, Any], Field(json_schema_extra={"maxProperties": _MOST_FREE_VALUES}), AfterValidator(_bounded)
]
"""Whatever a client keeps with an input, a region or a model."""


def _action(*actions: str) -> Any:
    return Field(actions[0], max_length=_MOST_CHARACTERS, json_schema_extra={"enum": list(actions)})


class Body(BaseModel):
    """Keys with null are taken away before anything is checked."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> dict[str, Any]:
        """Whatever may be absent may be null."""
        made = handler(core_schema)
        schema = handler.resolve_ref_schema(made)
        for name, property in schema.get("properties", {}).items():
            kinds = property.get("anyOf", [])
            if name not in schema.get("required", ()) and {"type": "null"} not in kinds:
                outer = {key: property[key] for key in ("title", "default", "description") if key in property}
                inner = {key: value for key, value in property.items() if key not in outer}
                schema["properties"][name] = {"anyOf": [inner, {"type": "null"}], **outer}
        return made


def _truth(value: Any) -> Any:
    """true, 1 and 1.0 say yes; false, 0 and 0.0 no; words say neither."""
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return value


Truth = Annotated[bool, Field(strict=True), BeforeValidator(_truth)]


class ConceptIn(Body):
    id: Text | None = None
    name: Text | None = None
    value: Truth = True

    @property
    def key(self) -> str | None:
        """What names the concept."""
        return self.id or self.name


class ImageIn(Body):
    url: Url | None = None
    base64: str | None = None
    """As long as a body may be."""
    crop: tuple[float, float, float, float] | None = None
    allow_duplicate_url: bool = False
    _fetched: bytes | Exception | None = PrivateAttr(None)

    @property
    def is_behind_url(self) -> bool:
        return self.base64 is None and self.url is not None

    def keep(self, fetched: bytes | Exception) -> None:
        """What the URL gave."""
        self._fetched = fetched

    def file(self) -> bytes:
        """The picture: uploaded, or what the URL gave. Raises UndecodableImage, WireError or why it gave none."""
        uploaded = self.data()
        if uploaded is not None:
            return uploaded
        if self._fetched is None:
            raise WireError(INPUT_BAD, "data.image needs a url or base64")
        if isinstance(self._fetched, Exception):
            raise self._fetched
        return self._fetched

    def data(self) -> bytes | None:
        """The uploaded bytes. Raises UndecodableImage."""
        if self.base64 is None:
            return None
        text = self.base64.partition(",")[2] if self.base64.startswith("data:") else self.base64
        try:
            try:
                return _BASE64.validate_strings(text)
            except ValidationError:  # in lines, as MIME has it?
                return _BASE64.validate_strings("".join(text.split()))
        except ValidationError as error:
            reason = error.errors(include_url=False, include_input=False)[0]["msg"]
            raise UndecodableImage(f"the base64 of the picture can't be read: {reason}") from error


class PointIn(Body):
    # Clients drop zeros: a missing number is 0.
    longitude: float = 0.0
    latitude: float = 0.0


class LimitIn(Body):
    type: Text = "withinKilometers"
    value: float = 0.0


class CornerIn(Body):
    geo_point: PointIn = Field(default_factory=PointIn)


class GeoIn(Body):
    geo_point: PointIn | None = None
    geo_limit: LimitIn | None = None
    geo_box: Annotated[list[CornerIn], at_most(MOST_ITEMS)] | None = None

    def place(self) -> Geo | None:
        return None if self.geo_point is None else Geo(self.geo_point.longitude, self.geo_point.latitude)


class BoxIn(Body):
    # Clients drop zeros: a missing edge is 0.
    top_row: float = Field(0.0, ge=0, le=1)
    left_col: float = Field(0.0, ge=0, le=1)
    bottom_row: float = Field(0.0, ge=0, le=1)
    right_col: float = Field(0.0, ge=0, le=1)


class RegionInfoIn(Body):
    bounding_box: BoxIn = Field(default_factory=BoxIn)


class RegionIn(Body):
    id: Text | None = None
    region_info: RegionInfoIn = Field(default_factory=RegionInfoIn)
    data: FreeJson | None = None

    def plain(self) -> dict[str, Any]:
        """As it is kept and answered."""
        region: dict[str, Any] = {
            "id": self.id or uuid4().hex,
            "region_info": {"bounding_box": self.region_info.bounding_box.model_dump()},
        }
        return region if self.data is None else region | {"data": self.data}


class EmbeddingIn(Body):
    vector: Annotated[list[float], at_most(_MOST_NUMBERS)]


class TextIn(Body):
    raw: Text


class DataIn(Body):
    image: ImageIn | None = None
    text: TextIn | None = None
    """Words to search by, where the base workflow understands them."""
    concepts: Annotated[list[ConceptIn], at_most(MOST_NAMES)] | None = None
    metadata: FreeJson | None = None
    geo: GeoIn | None = None
    regions: Annotated[list[RegionIn], at_most(_MOST_REGIONS)] | None = None
    embeddings: Annotated[list[EmbeddingIn], at_most(MOST_ITEMS)] | None = None
    video: FreeJson | None = None
    url: Url | None = None
    """Some clients send a plain image query so."""


class InputIn(Body):
    id: Text | None = None
    data: DataIn = Field(default_factory=DataIn)

    @property
    def is_stored(self) -> bool:
        """Whether it names an input of the app, rather than bringing a picture."""
        image = self.data.image
        return bool(self.id) and not (image and (image.url or image.base64)) and self.data.video is None

    @property
    def is_whole(self) -> bool:
        """Whether it names an input of the app, and no part of it."""
        return self.is_stored and not self.data.embeddings and not (self.data.image and self.data.image.crop)

    @property
    def is_at_hand(self) -> bool:
        """Whether its vector is in memory, or comes along: nothing has to be fetched, decoded or embedded."""
        return bool(self.data.embeddings) or self.is_whole


class InputsIn(Body):
    inputs: list[InputIn] = _listed()


class PatchInputsIn(Body):
    inputs: list[InputIn] = _listed(least=0)
    action: str = _action("merge", "overwrite", "remove")


class DeleteIn(Body):
    ids: Annotated[list[Text], at_most(MOST_NAMES)] | None = None
    delete_all: bool = False


class ConceptsIn(Body):
    concepts: list[ConceptIn] = _listed()


class PatchConceptsIn(ConceptsIn):
    action: str = _action("overwrite")


class QueryIn(Body):
    name: Text | None = None
    type: Text | None = None
    language: Text | None = None


class PageIn(Body):
    page: int = Field(1, ge=1)
    per_page: int = Field(20, ge=1)


class ConceptSearchIn(Body):
    concept_query: QueryIn = Field(default_factory=QueryIn)
    pagination: PageIn = Field(default_factory=PageIn)


class ModelSearchIn(Body):
    model_query: QueryIn = Field(default_factory=QueryIn)
    pagination: PageIn = Field(default_factory=PageIn)


class OutputConfigIn(Body):
    concepts_mutually_exclusive: bool | None = None
    closed_environment: bool | None = None
    hyper_params: FreeJson | None = None
    max_concepts: int = Field(0, ge=0, le=200)
    min_value: float = Field(0, ge=0, le=1)
    select_concepts: Annotated[list[ConceptIn], at_most(MOST_NAMES)] = Field(default_factory=list)


class ModelDataIn(Body):
    concepts: Annotated[list[ConceptIn], at_most(MOST_NAMES)] | None = None


class OutputInfoIn(Body):
    data: ModelDataIn | None = None
    output_config: OutputConfigIn | None = None


class ModelIn(Body):
    id: Text | None = None
    name: Text | None = None
    output_info: OutputInfoIn = Field(default_factory=OutputInfoIn)


class CreateModelIn(Body):
    model: ModelIn


class PatchModelsIn(Body):
    models: list[ModelIn] = _listed()
    action: str = _action("merge", "overwrite", "remove")


class PredictIn(Body):
    inputs: list[InputIn] = _listed()
    model: ModelIn = Field(default_factory=ModelIn)


class VersionIn(Body):
    from_version_id: Text | None = None
    """Goes back: the new version predicts as this earlier one."""


class FieldsIn(Body):
    """Parts of the metrics."""

    summary: bool = Field(False, alias="fields.summary")
    confusion_matrix: bool = Field(False, alias="fields.confusion_matrix")
    cooccurrence_matrix: bool = Field(False, alias="fields.cooccurrence_matrix")
    label_counts: bool = Field(False, alias="fields.label_counts")
    binary_metrics: bool = Field(False, alias="fields.binary_metrics")
    test_set: bool = Field(False, alias="fields.test_set")

    def wanted(self) -> list[str]:
        return [part for part, wanted in self if wanted]


class FeedbackInfoIn(Body):
    end_user_id: Text | None = None
    session_id: Text | None = None
    event_type: Text | None = None
    output_id: Text | None = None
    search_id: Text | None = None


class JudgedRegionInfoIn(RegionInfoIn):
    # Clients drop an enumeration's zero: a missing word is the first.
    feedback: Literal["accurate", "misplaced", "not_detected", "false_positive"] = "accurate"


class JudgedRegionIn(RegionIn):
    region_info: JudgedRegionInfoIn = Field(default_factory=JudgedRegionInfoIn)


class JudgedDataIn(DataIn):
    # Narrower.
    regions: Annotated[list[JudgedRegionIn], at_most(_MOST_REGIONS)] | None = None  # type: ignore[assignment]


class FeedbackInputIn(InputIn):
    data: JudgedDataIn = Field(default_factory=JudgedDataIn)
    feedback_info: FeedbackInfoIn = Field(default_factory=FeedbackInfoIn)


class FeedbackIn(Body):
    input: FeedbackInputIn


class VersionRefIn(Body):
    id: Text | None = None


class NodeModelIn(Body):
    id: Text
    model_version: VersionRefIn = Field(default_factory=VersionRefIn)


class NodeIn(Body):
    id: Text | None = None
    model: NodeModelIn


class WorkflowIn(Body):
    id: Text
    nodes: list[NodeIn] = _listed(MOST_NODES)


class WorkflowsIn(Body):
    workflows: list[WorkflowIn] = _listed()


class ResultsIn(Body):
    inputs: list[InputIn] = _listed(MOST_IN_WORKFLOW)
    output_config: OutputConfigIn = Field(default_factory=OutputConfigIn)


class OutputTermIn(Body):
    input: InputIn | None = None
    data: DataIn | None = None


class TermIn(Body):
    input: InputIn | None = None
    output: OutputTermIn | None = None
    negate: bool = False


class AndsIn(Body):
    ands: list[TermIn] = _listed(least=0)


class SearchIn(Body):
    query: AndsIn = Field(default_factory=AndsIn)
    pagination: PageIn = Field(default_factory=PageIn)


class NamedIn(Body):
    name: Text | None = None
    default_workflow_id: Text | None = None
    dim: int | None = None


class LoginIn(Body):
    email: Text = ""
    password: Text


class AppChangeIn(Body):
    id: Text
    teach_from_feedback: bool


class AppChangesIn(Body):
    apps: Annotated[list[AppChangeIn], at_most(MOST_NAMES)] = Field(default_factory=list)


class AppsIn(Body):
    apps: list[NamedIn] = _listed(1)


class AppRefIn(Body):
    id: Text


class KeyIn(Body):
    description: Text = ""
    scopes: Annotated[list[Text], at_most(MOST_ITEMS)] = ["All"]
    apps: list[AppRefIn] = _listed(1)


class KeysIn(Body):
    keys: list[KeyIn] = _listed(1)
