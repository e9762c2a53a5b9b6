"""Typed bodies of requests, as the wire has them."""

from typing import Annotated, Any, Literal
from uuid import uuid4

from pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError

from ...embeddings.pictures.images import UndecodableImage
from ...index.records import Geo
from .body import MOST_ITEMS, MOST_NAMES, Body, FreeJson, Text, Truth, Url, at_most, listed, one_of
from .status import INPUT_BAD, WireError

_BASE64 = TypeAdapter(bytes, config=ConfigDict(val_json_bytes="base64"))
"""A sixth of the time of Python's own module, which holds the interpreter's lock for 4 ms a megabyte."""
MOST_NODES = 5
MOST_IN_WORKFLOW = 32
_MOST_REGIONS = 1_000
_MOST_NUMBERS = 65_536
"""Of the longest vectors that an app can have."""


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
    inputs: list[InputIn] = listed()


class PatchInputsIn(Body):
    inputs: list[InputIn] = listed(least=0)
    action: str = one_of("merge", "overwrite", "remove")


class DeleteIn(Body):
    ids: Annotated[list[Text], at_most(MOST_NAMES)] | None = None
    delete_all: bool = False


class ConceptsIn(Body):
    concepts: list[ConceptIn] = listed()


class PatchConceptsIn(ConceptsIn):
    action: str = one_of("overwrite")


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
    models: list[ModelIn] = listed()
    action: str = one_of("merge", "overwrite", "remove")


class PredictIn(Body):
    inputs: list[InputIn] = listed()
    model: ModelIn = Field(default_factory=ModelIn)


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
    nodes: list[NodeIn] = listed(MOST_NODES)


class WorkflowsIn(Body):
    workflows: list[WorkflowIn] = listed()


class ResultsIn(Body):
    inputs: list[InputIn] = listed(MOST_IN_WORKFLOW)
    output_config: OutputConfigIn = Field(default_factory=OutputConfigIn)


class OutputTermIn(Body):
    input: InputIn | None = None
    data: DataIn | None = None


class TermIn(Body):
    input: InputIn | None = None
    output: OutputTermIn | None = None
    negate: bool = False


class AndsIn(Body):
    ands: list[TermIn] = listed(least=0)


class SearchIn(Body):
    query: AndsIn = Field(default_factory=AndsIn)
    pagination: PageIn = Field(default_factory=PageIn)


class NamedIn(Body):
    name: Text | None = None
    default_workflow_id: Text | None = None
    dim: int | None = None


class AppsIn(Body):
    apps: list[NamedIn] = listed(1)
