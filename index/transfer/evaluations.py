"""Whether the stored evaluation of a version is one that can be shown."""

from collections.abc import Mapping
from typing import Any

from ..records import EvaluationState
from .columns import ID, check_form, number

_NUMBER = number(-1e15, 1e15)
_NUMBERS = [_NUMBER]
_CURVE = {"x": _NUMBERS, "y": _NUMBERS, "thresholds": _NUMBERS}
_RESULT = {
    "concepts": [
        {
            "concept_id": ID,
            **dict.fromkeys(("positives", "negatives"), _NUMBER),
            **dict.fromkeys(("precision", "recall", "f1", "roc_auc"), _NUMBER | None),
            **dict.fromkeys(("roc", "precision_recall"), _CURVE),
        }
    ],
    "confusion": [_NUMBERS],
    "cooccurrence": [_NUMBERS],
    "judged": [{"input_id": ID, "values": _NUMBERS, "labels": _NUMBERS}],
    "accuracy": _NUMBER | None,
}
"""What whatever shows an evaluation asks for by name: objects, lists of one thing, values."""


def check_evaluation(state: str | None, result: Mapping[str, Any] | None) -> None:
    """What else stands in it, of other releases, is left as it is. Raises ValueError."""
    if state in (None, EvaluationState.QUEUED):
        if result is not None:
            raise ValueError("an evaluation that is not made has no result")
    elif result is not None and state == EvaluationState.FAILED:
        if not isinstance(result.get("reason", ""), str):
            raise ValueError("the reason of an evaluation that failed is a text")
    elif result is not None:
        check_form(result, _RESULT, "an evaluation")
        rows = [result["confusion"], result["cooccurrence"], *result["confusion"], *result["cooccurrence"]]
        rows += [judged[name] for judged in result["judged"] for name in ("values", "labels")]
        if any(len(row) != len(result["concepts"]) for row in rows):
            raise ValueError("an evaluation has not a number for each of its concepts")
