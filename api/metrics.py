"""Stored evaluations as the wire's metrics (contract, section 8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..index.records import EvaluationState, StoredEvaluation
from .status import (
    EVALUATED,
    EVALUATION_FAILED,
    EVALUATION_QUEUED,
    NOT_EVALUATED,
    TOO_FEW_CONCEPTS,
    TOO_FEW_LABELS,
    Status,
)


def metrics_out(stored: StoredEvaluation | None, wanted: int, names: Mapping[str, str], app_id: str) -> dict[str, Any]:
    """What was not asked for or is not made yet has a status alone.

    wanted: how many concepts the version has; names: concept id -> name.
    """
    status = _status(stored, wanted)
    if status is not EVALUATED or stored is None or stored.result is None:
        reason = stored.result.get("reason") if stored and stored.result else None
        return {"status": status.body(reason)}
    concepts: Sequence[Mapping[str, Any]] = stored.result["concepts"]
    ids = [concept["concept_id"] for concept in concepts]
    summary = {
        "macro_avg_roc_auc": _mean(concepts, "roc_auc"),
        "macro_std_roc_auc": _spread(concepts, "roc_auc"),
        "macro_avg_f1_score": _mean(concepts, "f1"),
        "macro_std_f1_score": _spread(concepts, "f1"),
        "macro_avg_precision": _mean(concepts, "precision"),
        "macro_avg_recall": _mean(concepts, "recall"),
    }
    if stored.result["accuracy"] is not None:
        summary["top1_accuracy"] = stored.result["accuracy"]
    return {
        "status": EVALUATED.body(),
        "summary": summary,
        "confusion_matrix": {
            "concept_ids": ids,
            "matrix": [
                {"predicted": ids[column], "actual": ids[row], "value": count}
                for row, counts in enumerate(stored.result["confusion"])
                for column, count in enumerate(counts)
            ],
        },
        "cooccurrence_matrix": {
            "concept_ids": ids,
            "matrix": [
                {"row": ids[row], "col": ids[column], "count": count}
                for row, counts in enumerate(stored.result["cooccurrence"])
                for column, count in enumerate(counts)
            ],
        },
        "label_counts": {
            "positive_label_counts": [
                {"concept_name": names.get(concept["concept_id"], concept["concept_id"]), "count": concept["positives"]}
                for concept in concepts
            ]
        },
        "binary_metrics": [_binary(concept, names, app_id) for concept in concepts],
        "test_set": [
            {
                "id": one["input_id"],
                "predicted_concepts": [
                    _concept(id, names, app_id) | {"value": value} for id, value in zip(ids, one["values"], strict=True)
                ],
                "ground_truth_concepts": [
                    _concept(id, names, app_id) | {"value": 1}
                    for id, label in zip(ids, one["labels"], strict=True)
                    if label == 1
                ],
            }
            for one in stored.result["judged"]
        ],
    }


def _binary(concept: Mapping[str, Any], names: Mapping[str, str], app_id: str) -> dict[str, Any]:
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


def _concept(id: str, names: Mapping[str, str], app_id: str) -> dict[str, Any]:
    return {"id": id, "name": names.get(id, id), "app_id": app_id}


def _status(stored: StoredEvaluation | None, wanted: int) -> Status:
    if stored is None:
        return NOT_EVALUATED
    if stored.state is EvaluationState.DONE and stored.result is not None:
        if wanted < 2:
            return TOO_FEW_CONCEPTS
        return EVALUATED if len(stored.result["concepts"]) >= 2 else TOO_FEW_LABELS
    return EVALUATION_QUEUED if stored.state is EvaluationState.QUEUED else EVALUATION_FAILED


def _mean(concepts: Sequence[Mapping[str, Any]], key: str) -> float:
    """Over the concepts for which it is defined."""
    known = [concept[key] for concept in concepts if concept[key] is not None]
    return float(np.mean(known)) if known else 0.0


def _spread(concepts: Sequence[Mapping[str, Any]], key: str) -> float:
    known = [concept[key] for concept in concepts if concept[key] is not None]
    return float(np.std(known)) if known else 0.0
