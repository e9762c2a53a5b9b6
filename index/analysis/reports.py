"""Reports about a model, frozen: its quality, what to label next, which labels look wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Curve:
    """Points of a curve, and the threshold at each."""

    x: Sequence[float]
    y: Sequence[float]
    thresholds: Sequence[float]


@dataclass(frozen=True)
class Bin:
    """The predictions whose value lies between two bounds."""

    low: float
    high: float
    count: int
    value: float
    """The mean of their values: the predicted share."""
    share: float
    """The share of them that came true."""


@dataclass(frozen=True)
class Reliability:
    """Whether 0.8 means 8 in 10."""

    expected_calibration_error: float | None
    """Mean distance of value and share over the bins, weighted by their counts; None without any predictions."""
    bins: Sequence[Bin]
    """Ten of equal width; empty ones are left out."""


@dataclass(frozen=True)
class ThresholdChoice:
    """The lowest threshold that reaches a wanted precision, with its precision and recall."""

    threshold: float
    precision: float
    recall: float


@dataclass(frozen=True)
class ConceptQuality:
    """Leave-one-out quality of one concept at its threshold. What is undefined is None, never NaN."""

    concept_id: str
    positives: int
    negatives: int
    threshold: float
    """From this value on the model decides that an input shows the concept."""
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    roc: Curve
    """x: false positive rate, y: true positive rate."""
    precision_recall: Curve
    """x: recall, y: precision."""
    reliability: Reliability
    choice: ThresholdChoice | None
    """For the precision that was wanted; None where no threshold reaches it."""


@dataclass(frozen=True)
class Judged:
    """One labelled input, and the prediction of the model taught without it."""

    input_id: str
    values: Sequence[float]
    """(C,) in [0, 1]."""
    labels: Sequence[int]
    """(C,): 1 yes, -1 no, 0 not labelled."""


@dataclass(frozen=True)
class Evaluation:
    """Leave-one-out evaluation: each labelled input is judged by the model taught without it."""

    model_id: str
    inputs: int
    accuracy: float | None
    """Share of inputs with exactly one positive concept whose highest value is that concept."""
    wanted_precision: float
    reliability: Reliability
    """Of the highest value where concepts are mutually exclusive, else of all values."""
    concepts: Sequence[ConceptQuality]
    confusion: Sequence[Sequence[int]]
    """(C, C) over inputs with exactly one positive concept: row the true one, column the one of the highest value."""
    cooccurrence: Sequence[Sequence[int]]
    """(C, C): inputs that are labelled yes for both."""
    judged: Sequence[Judged]
    """The first inputs: at most 1,000, with about 100,000 values in all."""


@dataclass(frozen=True)
class LearningPoint:
    """Quality on held-out inputs with this many yes labels per concept, mean over the draws."""

    labels: int
    accuracy: float | None
    accuracy_spread: float | None
    """Standard deviation over the draws."""
    average_precision: float | None
    """Mean over the concepts."""


@dataclass(frozen=True)
class LearningCurve:
    """A model's quality by number of labels, and whether more labels would help."""

    model_id: str
    labels: int
    """Present yes labels per concept, median."""
    draws: int
    held_out: int
    """Inputs that each draw is judged on."""
    points: Sequence[LearningPoint]
    gain: float | None
    """How much ten more labels per concept would add to the accuracy (or average precision), by the curve's trend."""
    more_helps: bool | None
    """Whether the gain is a percentage point or more; None where there are too few labels to tell."""
    verdict: str
    """The same as a sentence."""


class Strategy(StrEnum):
    """How an input is chosen to be labelled next."""

    AUTO = "auto"
    """A mix of the others, by how much is labelled already."""
    UNCERTAIN = "uncertain"
    """The model is uncertain about it."""
    DIVERSE = "diverse"
    """It represents many inputs that are unlike all labelled ones."""
    RARE = "rare"
    """It probably shows a concept that has few yes labels."""


@dataclass(frozen=True)
class Suggestion:
    """An input to label next."""

    input_id: str
    strategy: Strategy
    """Why it was chosen: never `auto`."""
    concept_id: str | None
    """The concept that it is about; None for a diverse one."""
    value: float | None
    """Probability of that concept."""


@dataclass(frozen=True)
class Doubt:
    """A label that the model contradicts when it is taught without it."""

    input_id: str
    concept_id: str
    label: bool
    probability: float
    """Of the label being right, [0, 1]."""
    instead: str | None
    """A more probable concept, where there is one."""


@dataclass(frozen=True)
class Change:
    """An input that two versions predict differently."""

    input_id: str
    best_before: str | None
    value_before: float | None
    best_after: str | None
    value_after: float | None
    decided: Mapping[str, bool]
    """Concepts whose decision changed, and what it is now."""


@dataclass(frozen=True)
class VersionQuality:
    """Leave-one-out quality of one version on the present labels; a concept that it lacks counts as a no."""

    accuracy: float | None
    mean_average_precision: float | None
    mean_roc_auc: float | None
    expected_calibration_error: float | None


@dataclass(frozen=True)
class ConceptChange:
    """One concept under two versions."""

    concept_id: str
    average_precision_before: float | None
    """None where no input is labelled with it now."""
    average_precision_after: float | None
    mean_value_change: float | None
    """Mean of |value after - value before| over the inputs; None where one of the two lacks the concept."""


@dataclass(frozen=True)
class Comparison:
    """Two versions of a model on the same inputs."""

    model_id: str
    before: str
    after: str
    """Version ids; `labels` stands for the present labels."""
    inputs: int
    """How many were compared."""
    changed: int
    """How many inputs have another best concept, or another decision."""
    changes: Sequence[Change]
    """Some of these inputs, those whose values changed most first."""
    judged: int
    """Labelled inputs that both qualities were measured on."""
    quality_before: VersionQuality
    quality_after: VersionQuality
    concepts: Sequence[ConceptChange]
