"""The nouns of the core, frozen. `id` is the public string, `key` the int64 that SQL and FAISS know."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL.Image import Image

FloatArray = NDArray[np.float32]
KeyArray = NDArray[np.int64]
Picture = str | PathLike[str] | bytes | Image
"""A path, the bytes of an image file, or an opened PIL image."""
Crop = tuple[float, float, float, float]
"""Top, left, bottom, right, as shares of the picture's height and width."""
PictureKey = tuple[str, Crop | None]
"""A picture's sha256 and the part of it that counts."""
Where = Mapping[str, Any]
"""A filter tree as plain data; see `filters.py` for its grammar."""

BUILT_IN_MODEL = "all"
"""The id that stands for an app's own model of all its concepts (`model=None`)."""
THRESHOLD = 0.5
"""From this value on a concept is said to be shown, where its model has no threshold for it."""


class Failure(StrEnum):
    """Why a picture that was to come later could not be used."""

    FETCH = "fetch"
    URL = "url"
    FORMAT = "format"
    SIZE = "size"
    CONTENT = "content"


class InputStatus(StrEnum):
    READY = "ready"
    PENDING = "pending"
    FAILED = "failed"


class LabelSource(StrEnum):
    USER = "user"
    FEEDBACK = "feedback"
    IMPORT = "import"


@dataclass(frozen=True)
class AppRecord:
    """What SQL holds about an app."""

    id: str
    name: str
    recipe: Mapping[str, Any]
    dim: int
    created_at: datetime
    seq: int
    teach_from_feedback: bool = False
    """Whether feedback on predictions becomes labels, or is only kept."""
    epoch: str = ""
    """Made anew when the database is restored: what was derived from its numbers before is void."""


@dataclass(frozen=True)
class KeyRecord:
    """What SQL holds about an API key: never the key itself."""

    id: str
    hash: str
    app_id: str | None
    """None: an admin key, which manages apps and keys."""
    description: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class SpaceRecord:
    """A snapshot of the space that an app's vectors are judged in; see `space.py`."""

    seq: int
    count: int
    """How many vectors the app had."""
    power: float
    mean: FloatArray
    """(dim,)"""
    background: KeyArray
    """(m,) the inputs that stand for the app."""


@dataclass(frozen=True)
class Geo:
    longitude: float
    latitude: float


@dataclass(frozen=True)
class AddRequest:
    """One picture to add. `image` may be None in a `vectors` app, where `vector` is given instead."""

    image: Picture | None = None
    id: str | None = None
    concepts: Mapping[str, bool] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    geo: Geo | None = None
    url: str | None = None
    allow_duplicate_url: bool = False
    crop: Crop | None = None
    """top, left, bottom, right as fractions 0..1 of the upright picture."""
    regions: Sequence[Mapping[str, Any]] | None = None
    """Parts of the picture as plain JSON: kept for the caller, not used."""
    vector: ArrayLike | None = None
    """(dim,) for `vectors` apps, or where the embedding was made elsewhere."""
    source: LabelSource = LabelSource.USER


class PendingInput(NamedTuple):
    """An input that waits for its picture. Its id may be another input's by the time that the picture is there."""

    app_id: str
    id: str
    key: int
    url: str


@dataclass(frozen=True)
class Input:
    """One picture (or bare vector) of an app."""

    key: int
    id: str
    status: InputStatus
    status_reason: str | None
    failure: Failure | None
    url: str | None
    sha256: str | None
    media_type: str | None
    crop: Crop | None
    metadata: Mapping[str, Any] | None
    geo: Geo | None
    regions: Sequence[Mapping[str, Any]] | None
    concepts: Mapping[str, bool]
    created_at: datetime
    modified_at: datetime
    seq: int = 0
    """The number of the app's change that made it, or that brought its picture."""


@dataclass(frozen=True)
class NewInput:
    """An input on its way into SQL."""

    id: str
    vector: FloatArray | None
    """(dim,) unit length; None where the picture comes later."""
    url: str | None = None
    sha256: str | None = None
    media_type: str | None = None
    crop: Crop | None = None
    metadata: Mapping[str, Any] | None = None
    geo: Geo | None = None
    regions: Sequence[Mapping[str, Any]] | None = None
    concepts: Mapping[str, bool] = field(default_factory=dict)
    source: LabelSource = LabelSource.USER


@dataclass(frozen=True)
class InputChange:
    """What changes of one input. None leaves metadata, place and regions as they are; labels as in `App.label`."""

    id: str
    metadata: Mapping[str, Any] | None = None
    geo: Geo | None = None
    regions: Sequence[Mapping[str, Any]] | None = None
    concepts: Mapping[str, bool | None] = field(default_factory=dict)
    no_geo: bool = False
    """Takes the place away."""


Patch = Callable[[Input], InputChange]
"""What changes of an input, by what it is at that moment. It runs inside a transaction: it must not wait."""


@dataclass(frozen=True)
class Deleted:
    """What a deletion took away."""

    keys: KeyArray
    hashes: Set[str]
    """Of their pictures; others may have the same."""
    seq: int
    """The number of this change of the app; 0 where there was none."""
    rest: Sequence[str]
    """Ids that are not deleted yet."""


@dataclass(frozen=True)
class StoredPicture:
    """A picture's file, as it was added."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class AddResult:
    """How one item of `add_many` ended: exactly one of `input` and `error` is set."""

    request: AddRequest
    input: Input | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Concept:
    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class Model:
    """A set of concepts scored together."""

    id: str
    name: str
    concept_ids: tuple[str, ...]
    mutually_exclusive: bool
    closed_environment: bool
    settings: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ModelChange:
    """What changes of one model. None leaves it as it is."""

    name: str | None = None
    concept_ids: Sequence[str] | None = None
    mutually_exclusive: bool | None = None
    closed_environment: bool | None = None
    settings: Mapping[str, Any] | None = None


ModelPatch = Callable[[Model], ModelChange]
"""What changes of a model, by what it is at that moment, as `Patch`."""


@dataclass(frozen=True)
class ModelVersion:
    """The frozen labels of a moment; `head` versions are not frozen and follow the present labels."""

    id: str
    model_id: str
    frozen: bool
    label_seq: int
    predictor_sha256: str | None
    concept_ids: tuple[str, ...]
    input_count: int
    created_at: datetime
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Concept id -> threshold, where one was set when it was frozen."""

    @property
    def follows_labels(self) -> bool:
        """The head, and one that had nothing to learn from."""
        return self.predictor_sha256 is None


@dataclass(frozen=True)
class WorkflowNode:
    """One step of a `Workflow`: a model, or (version_id set) one version of it."""

    id: str
    model_id: str
    version_id: str | None = None


@dataclass(frozen=True)
class Workflow:
    """Several models that run on a picture in one call."""

    id: str
    nodes: tuple[WorkflowNode, ...]
    created_at: datetime


@dataclass(frozen=True)
class Prediction:
    concept_id: str
    value: float
    """Probability in [0, 1]."""
    decision: bool
    """Whether the value reaches the concept's threshold."""


@dataclass(frozen=True)
class Scores:
    """Values of many vectors: row i, column j is the probability of `concept_ids[j]` for vector i."""

    concept_ids: list[str]
    values: FloatArray
    """(n, C) in [0, 1]."""
    thresholds: FloatArray
    """(C,)"""

    @property
    def decisions(self) -> NDArray[np.bool_]:
        """(n, C): whether each value reaches its concept's threshold."""
        return self.values >= self.thresholds


@dataclass(frozen=True)
class Hit:
    input_id: str
    score: float
    """Bigger is better. Of `search` by a picture, words, a vector or an input: the cosine, in [-1, 1], as in `Matches`.

    Of all else, `rank` and a `search` by a concept or a filter alone, it is a match in [0, 1], as everywhere in the
    HTTP API: a concept's probability, `(1 + cosine) / 2` for a vector, the mean of several, 1 where nothing is ranked.
    """


@dataclass(frozen=True)
class Matches:
    """Hits of many queries: `ids[i]` has as many ids as matched, at most k; `scores[i]` their cosines, -inf up to k."""

    ids: list[list[str]]
    scores: FloatArray


@dataclass(frozen=True)
class Neighbour:
    """A labelled input near the query, and what it said."""

    input_id: str
    label: bool
    """Whether it shows the concept: labelled so, or (no) otherwise, or as showing another of exclusive concepts."""
    concept_ids: Sequence[str]
    """Concepts of the model that it is labelled yes for."""
    similarity: float
    """Cosine in the prepared space, [-1, 1]."""
    vote: float
    """Its signed part of the concept's score."""
    share: float
    """|vote| over the sum of all |votes|, [0, 1]."""


class Confidence(StrEnum):
    """How much a probability can be trusted, by the labels behind it."""

    NONE = "none"
    """There is nothing to compare the yes labels with."""
    LOW = "low"
    """Fewer than five yes labels."""
    MEDIUM = "medium"
    """Fewer than twenty."""
    HIGH = "high"


@dataclass(frozen=True)
class CalibrationBasis:
    """What the step from a score to a probability was fitted on."""

    confidence: Confidence
    labels: int
    """Leave-one-out scores of labelled inputs: of this concept, or of all concepts where they share one curve."""
    background: int
    """Scores of the app's own inputs that stand for what is not labelled."""


@dataclass(frozen=True)
class Explanation:
    """Why a concept got its value: score = prototype + neighbours + background + text prior."""

    concept_id: str
    value: float
    any_shown: float
    """How probable it is that the image shows any of the model's concepts, which the value is a share of; 1 but in
    models that are exclusive and open."""
    score: float
    prototype: float
    """The part that the labelled images give together, through one weighted mean vector (prototype scoring)."""
    neighbours: float
    """The part that near labelled images add one by one (kNN)."""
    background: float
    """The part of the app's unlabelled images; never above zero by much, zero without any."""
    text_prior: float
    """The part of the concept's name, zero where the base workflow has no words."""
    prototype_similarity: float
    """Cosine of the query to the plain mean of the concept's positive images, [-1, 1]."""
    nearest: Sequence[Neighbour]
    positives: int
    negatives: int
    low_confidence: bool
    """True when only positives exist and no background: nothing to compare with."""
    calibration: CalibrationBasis


class ChangeState(StrEnum):
    """How far the change of an app's base workflow is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True)
class WorkflowChange:
    """An app's inputs on their way into another base workflow; the old one serves until all are there."""

    key: int
    old_recipe: Mapping[str, Any]
    recipe: Mapping[str, Any]
    state: ChangeState
    failure: str | None
    """Why it failed; of one that is done, which inputs could not be embedded, and count as failed now."""
    created_at: datetime
    finished_at: datetime | None
    done: int = 0
    """Inputs that have a vector of the new workflow."""
    total: int = 0


@dataclass(frozen=True)
class WorkflowComparison:
    """How well an app's labelled inputs are told apart under one base workflow."""

    workflow: str
    dim: int
    inputs: int
    """That show one of the concepts, and have a picture."""
    concepts: int
    shots: Sequence[int]
    """Labels per concept."""
    accuracy: Sequence[float | None]
    """For each of the shots; None where inputs are too few."""
    interval: Sequence[float | None]
    """Half the 95 % interval of each."""
    mean_accuracy: float | None
    """Over the shots that could be judged."""
    ms_per_image: float
    """Decoding and embedding, measured here on some of the inputs."""


@dataclass(frozen=True)
class WorkflowsCompared:
    """Base workflows side by side on the same labelled inputs of an app."""

    workflows: Sequence[WorkflowComparison]
    recommended: str | None
    """The id of one of them; None where inputs are too few to judge."""
    advice: str
    """Why, for people: how much more accurate, with how many labels, at what cost."""


class EvaluationState(StrEnum):
    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"


class EvaluationRequest(NamedTuple):
    """That a version of a model is to be evaluated. Asked for again, it is another one."""

    app_id: str
    model_id: str
    version_id: str
    asked_at: datetime


@dataclass(frozen=True)
class StoredEvaluation:
    """What is kept of a version's evaluation: the result as plain data when it is done, the reason when it failed."""

    state: EvaluationState
    result: Mapping[str, Any] | None
    created_at: datetime | None = None
    """When it was asked for, or made without being asked for."""


@dataclass(frozen=True)
class Feedback:
    """What a user said of a prediction or a search hit, as it came."""

    kind: str
    """`model` or `search`."""
    about: Mapping[str, Any]
    """Which model and version, or which search."""
    body: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class Progress:
    """How far a long call is; total is None when the source can't say."""

    done: int
    failed: int
    total: int | None
