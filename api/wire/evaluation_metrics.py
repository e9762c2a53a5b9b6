"""Stored evaluations as the wire's metrics (contract, section 8)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NotRequired, cast

import numpy as np
from typing_extensions import TypedDict

from ...index.records import EvaluationState, StoredEvaluation
from .status import (
    EVALUATED,
    EVALUATION_FAILED,
    EVALUATION_QUEUED,
    NOT_EVALUATED,
    TOO_FEW_CONCEPTS,
    TOO_FEW_LABELS,
    Status,
    StatusOut,
)

UrlOf = Callable[[Sequence[str]], Mapping[str, str]]
_DENSE = 100
"""Concepts up to which matrices are given with their zeros."""
PARTS = ("summary", "confusion_matrix", "cooccurrence_matrix", "label_counts", "binary_metrics", "test_set")


class SummaryOut(TypedDict):
    """Means and standard deviations over the concepts."""

    macro_avg_roc_auc: float
    macro_std_roc_auc: float
    macro_avg_f1_score: float
    macro_std_f1_score: float
    macro_avg_precision: float
    macro_avg_recall: float
    top1_accuracy: NotRequired[float]


class ConfusedOut(TypedDict):
    predicted: str
    actual: str
    value: float


class ConfusionOut(TypedDict):
    concept_ids: list[str]
    matrix: list[ConfusedOut]


class TogetherOut(TypedDict):
    row: str
    col: str
    count: int


class CooccurrenceOut(TypedDict):
    concept_ids: list[str]
    matrix: list[TogetherOut]


class CountOut(TypedDict):
    concept_name: str
    count: int


class LabelCountsOut(TypedDict):
    positive_label_counts: list[CountOut]


class JudgedConceptOut(TypedDict):
    id: str
    name: str
    app_id: str
    value: NotRequired[float]


class RocOut(TypedDict):
    fpr: list[float]
    tpr: list[float]
    thresholds: list[float]


class PrecisionRecallOut(TypedDict):
    recall: list[float]
    precision: list[float]
    thresholds: list[float]


class BinaryOut(TypedDict):
    """One concept against all others, at a threshold of a half."""

    num_pos: int
    num_neg: int
    num_tot: int
    roc_auc: float
    f1: float
    concept: JudgedConceptOut
    roc_curve: RocOut
    precision_recall_curve: PrecisionRecallOut


class TestedOut(TypedDict):
    id: str
    url: str
    predicted_concepts: list[JudgedConceptOut]
    ground_truth_concepts: list[JudgedConceptOut]


class MetricsOut(TypedDict):
    """How good a version is. Only the status, until it is evaluated; then all parts, or those that were asked for."""

    status: StatusOut
    summary: NotRequired[SummaryOut]
    confusion_matrix: NotRequired[ConfusionOut]
    cooccurrence_matrix: NotRequired[CooccurrenceOut]
    label_counts: NotRequired[LabelCountsOut]
    binary_metrics: NotRequired[list[BinaryOut]]
    test_set: NotRequired[list[TestedOut]]


def metrics_out(
    stored: StoredEvaluation | None,
    concept_count: int,
    names: Mapping[str, str],
    app_id: str,
    url_of: UrlOf,
    parts: Collection[str] = PARTS,
) -> MetricsOut:
    """What was not asked for or is not made yet has a status alone.

    wanted: how many concepts the version has; names: concept id -> name; url_of: input ids -> where their pictures are.
    """
    status = _status(stored, concept_count)
    if status is not EVALUATED or stored is None or stored.result is None:
        reason = stored.result.get("reason") if stored and stored.result else None
        return {"status": status.body(reason)}
    concepts: Sequence[Mapping[str, Any]] = stored.result["concepts"]
    ids = [concept["concept_id"] for concept in concepts]
    made: dict[str, Callable[[], Any]] = {
        "summary": lambda: _summary(concepts, stored.result),
        "confusion_matrix": lambda: {
            "concept_ids": ids,
            "matrix": [
                {"predicted": ids[column], "actual": ids[row], "value": count}
                for row, column, count in _cells(stored.result, "confusion")
            ],
        },
        "cooccurrence_matrix": lambda: {
            "concept_ids": ids,
            "matrix": [
                {"row": ids[row], "col": ids[column], "count": count}
                for row, column, count in _cells(stored.result, "cooccurrence")
            ],
        },
        "label_counts": lambda: {
            "positive_label_counts": [
                {"concept_name": names.get(concept["concept_id"], concept["concept_id"]), "count": concept["positives"]}
                for concept in concepts
            ]
        },
        "binary_metrics": lambda: [_binary(concept, names, app_id) for concept in concepts],
        "test_set": lambda: _tested(stored.result, [_concept(id, names, app_id) for id in ids], url_of),
    }
    out: dict[str, Any] = {"status": EVALUATED.body(), **{part: made[part]() for part in PARTS if part in parts}}
    return cast(MetricsOut, out)


def _summary(concepts: Sequence[Mapping[str, Any]], result: Any) -> SummaryOut:
    summary: SummaryOut = {
        "macro_avg_roc_auc": _mean(concepts, "roc_auc"),
        "macro_std_roc_auc": _spread(concepts, "roc_auc"),
        "macro_avg_f1_score": _mean(concepts, "f1"),
        "macro_std_f1_score": _spread(concepts, "f1"),
        "macro_avg_precision": _mean(concepts, "precision"),
        "macro_avg_recall": _mean(concepts, "recall"),
    }
    if result["accuracy"] is not None:
        summary["top1_accuracy"] = result["accuracy"]
    return summary


def _cells(result: Any, matrix: str) -> Iterator[tuple[int, int, int]]:
    """Row, column and what stands there; of very many concepts without the zeros, which are nearly all."""
    dense = len(result[matrix]) <= _DENSE
    for row, counts in enumerate(result[matrix]):
        for column, count in enumerate(counts):
            if dense or count:
                yield row, column, count


def _tested(result: Any, concepts: Sequence[JudgedConceptOut], url_of: UrlOf) -> list[TestedOut]:
    urls = url_of([judged["input_id"] for judged in result["judged"]])
    return [
        {
            "id": judged["input_id"],
            "url": urls.get(judged["input_id"], "deleted"),
            "predicted_concepts": [
                {**concept, "value": value} for concept, value in zip(concepts, judged["values"], strict=True)
            ],
            "ground_truth_concepts": [
                {**concept, "value": 1.0}
                for concept, label in zip(concepts, judged["labels"], strict=True)
                if label == 1
            ],
        }
        for judged in result["judged"]
    ]


def _binary(concept: Mapping[str, Any], names: Mapping[str, str], app_id: str) -> BinaryOut:
    id, roc, precision_recall = concept["concept_id"], concept["roc"], concept["precision_recall"]
    return {
        "num_pos": concept["positives"],
        "num_neg": concept["negatives"],
        "num_tot": concept["positives"] + concept["negatives"],
        "roc_auc": concept["roc_auc"] or 0,
        "f1": concept["f1"] or 0,
        "concept": _concept(id, names, app_id),
        "roc_curve": {"fpr": roc["x"], "tpr": roc["y"], "thresholds": roc["thresholds"]},
        "precision_recall_curve": {
            "recall": precision_recall["x"],
            "precision": precision_recall["y"],
            "thresholds": precision_recall["thresholds"],
        },
    }


def _concept(id: str, names: Mapping[str, str], app_id: str) -> JudgedConceptOut:
    return {"id": id, "name": names.get(id, id), "app_id": app_id}


def _status(stored: StoredEvaluation | None, concept_count: int) -> Status:
    if stored is None:
        return NOT_EVALUATED
    if stored.state is EvaluationState.DONE and stored.result is not None:
        if concept_count < 2:
            return TOO_FEW_CONCEPTS
        return EVALUATED if len(stored.result["concepts"]) >= 2 else TOO_FEW_LABELS
    return EVALUATION_QUEUED if stored.state is EvaluationState.QUEUED else EVALUATION_FAILED


def _mean(concepts: Sequence[Mapping[str, Any]], key: str) -> float:
    """Over the concepts for which it is defined."""
    values = [concept[key] for concept in concepts if concept[key] is not None]
    return float(np.mean(values)) if values else 0.0


def _spread(concepts: Sequence[Mapping[str, Any]], key: str) -> float:
    values = [concept[key] for concept in concepts if concept[key] is not None]
    return float(np.std(values)) if values else 0.0
