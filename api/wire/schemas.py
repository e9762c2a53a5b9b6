"""Shapes of answers, as the OpenAPI page promises them.

Nothing is checked twice on the way out: tests hold the answers against the shapes.
"""

from datetime import datetime
from typing import Any, NotRequired

from typing_extensions import TypedDict

from .evaluation_metrics import MetricsOut
from .status import StatusOut


class Answer(TypedDict):
    """What every answer has, errors too."""

    status: StatusOut


class ConceptOut(TypedDict):
    id: str
    name: str
    value: float
    app_id: str
    decision: NotRequired[bool]
    created_at: NotRequired[datetime]
    language: NotRequired[str]


class ImageOut(TypedDict):
    url: str
    crop: NotRequired[list[float]]
    hosted_url: NotRequired[str]
    """Where this server has the picture, also where it came from another."""
    thumbnail_url: NotRequired[str]
    """A small WebP of it, or of its crop."""


class PointOut(TypedDict):
    longitude: float
    latitude: float


class GeoOut(TypedDict):
    geo_point: PointOut


class BoxOut(TypedDict):
    top_row: float
    left_col: float
    bottom_row: float
    right_col: float


class RegionInfoOut(TypedDict):
    bounding_box: BoxOut


class RegionOut(TypedDict):
    id: str
    region_info: RegionInfoOut
    data: NotRequired[dict[str, Any]]


class InputDataOut(TypedDict):
    image: ImageOut
    concepts: NotRequired[list[ConceptOut]]
    metadata: NotRequired[dict[str, Any]]
    geo: NotRequired[GeoOut]
    regions: NotRequired[list[RegionOut]]


class InputOut(TypedDict):
    id: str
    data: InputDataOut
    created_at: NotRequired[datetime]
    modified_at: NotRequired[datetime]
    status: StatusOut


class CountsOut(TypedDict):
    processed: int
    to_process: int
    errors: int
    processing: int


class InputsAnswer(Answer):
    inputs: list[InputOut]


class InputAnswer(Answer):
    input: InputOut


class CountsAnswer(Answer):
    counts: CountsOut


class ConceptsAnswer(Answer):
    concepts: list[ConceptOut]


class ConceptAnswer(Answer):
    concept: ConceptOut


class LabelCountOut(TypedDict):
    positive: int
    negative: int


class ConceptCountOut(TypedDict):
    id: str
    name: str
    concept_type_count: LabelCountOut


class ConceptCountsAnswer(Answer):
    concept_counts: list[ConceptCountOut]


class VersionOut(TypedDict):
    id: str
    created_at: datetime
    status: StatusOut
    active_concept_count: int
    total_input_count: int
    train_stats: dict[str, Any]
    metrics: NotRequired[MetricsOut]


class OutputConfigOut(TypedDict):
    concepts_mutually_exclusive: bool
    closed_environment: bool
    max_concepts: int
    min_value: float
    hyper_params: NotRequired[dict[str, Any]]


class ModelDataOut(TypedDict):
    concepts: list[ConceptOut]


class OutputInfoOut(TypedDict):
    type: str
    type_ext: str
    output_config: NotRequired[OutputConfigOut]
    data: NotRequired[ModelDataOut]


class ModelOut(TypedDict):
    id: str
    name: str
    created_at: datetime
    app_id: str
    display_name: NotRequired[str]
    output_info: OutputInfoOut
    model_version: VersionOut


class ModelsAnswer(Answer):
    models: list[ModelOut]


class ModelAnswer(Answer):
    model: ModelOut


class VersionsAnswer(Answer):
    model_versions: list[VersionOut]


class VersionAnswer(Answer):
    model_version: VersionOut


class EmbeddingOut(TypedDict):
    vector: list[float]
    num_dimensions: int


class NamedColourOut(TypedDict):
    hex: str
    name: str


class ColourOut(TypedDict):
    raw_hex: str
    w3c: NamedColourOut
    value: float


class PredictedOut(TypedDict, total=False):
    concepts: list[ConceptOut]
    embeddings: list[EmbeddingOut]
    colors: list[ColourOut]


class AskedDataOut(TypedDict):
    image: ImageOut


class AskedOut(TypedDict):
    """An input as it was given."""

    id: str
    data: AskedDataOut


class OutputOut(TypedDict):
    id: str
    status: StatusOut
    created_at: datetime
    model: ModelOut
    input: AskedOut
    data: PredictedOut


class OutputsAnswer(Answer):
    outputs: list[OutputOut]


class HitOut(TypedDict):
    score: float
    input: InputOut


class HitsAnswer(Answer):
    id: str
    hits: list[HitOut]


class NodeVersionOut(TypedDict):
    id: str


class NodeModelOut(TypedDict):
    id: str
    model_version: NodeVersionOut


class NodeOut(TypedDict):
    id: str
    model: NodeModelOut


class WorkflowOut(TypedDict):
    id: str
    app_id: str
    created_at: datetime
    nodes: list[NodeOut]


class WorkflowsAnswer(Answer):
    workflows: list[WorkflowOut]


class WorkflowAnswer(Answer):
    workflow: WorkflowOut


class ResultOut(TypedDict):
    status: StatusOut
    input: AskedOut
    outputs: list[OutputOut]


class ResultsAnswer(Answer):
    workflow: WorkflowOut
    results: list[ResultOut]


class AppOut(TypedDict):
    id: str
    name: str
    user_id: str
    default_workflow_id: str
    default_language: str
    created_at: datetime
    teach_from_feedback: bool
    metrics_label: str
    """What `/metrics` calls it."""


class AppsAnswer(Answer):
    apps: list[AppOut]


class AppAnswer(Answer):
    app: AppOut


class TokenAnswer(Answer):
    access_token: str
    expires_in: int
    scope: str


class LoginAnswer(Answer):
    session_token: str
    v2_user_id: str


class KeyAppOut(TypedDict):
    id: str
    user_id: str


class KeyOut(TypedDict):
    id: str
    description: str
    scopes: list[str]
    apps: list[KeyAppOut]
    created_at: datetime
    revoked: bool
    key_id: NotRequired[str]


class KeysAnswer(Answer):
    keys: list[KeyOut]
