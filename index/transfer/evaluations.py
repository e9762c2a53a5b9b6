"""Whether the stored evaluation of a version is one that can be shown."""

import math
from collections.abc import Mapping
from typing import Any

from ..intake import check_id
from ..records import EvaluationState

_SHARES = ("precision", "recall", "f1", "roc_auc")
_CURVES = ("roc", "precision_recall")


def check_evaluation(state: str | None, result: Mapping[str, Any] | None) -> None:
    """What else stands in it, of other releases, is left as it is. Raises BadRequest or ValueError."""
    if state is None or state == EvaluationState.QUEUED:
        if result is not None:
            raise ValueError("an evaluation that is not made has no result")
    elif state == EvaluationState.FAILED:
        if result is not None and not isinstance(result.get("reason", ""), str):
            raise ValueError("the reason of an evaluation that failed is a text")
    elif result is not None:
        _check_result(result)


def _check_result(result: Mapping[str, Any]) -> None:
    concepts = _list(result, "concepts")
    for concept in concepts:
        if not isinstance(concept, dict):
            raise ValueError("a concept of an evaluation is an object")
        check_id(concept.get("concept_id"), "concept id")
        for name in ("positives", "negatives"):
            _check_number(concept.get(name))
        for name in _SHARES:
            _check_number_or_none(concept, name)
        for name in _CURVES:
            curve = concept.get(name)
            if not isinstance(curve, dict):
                raise ValueError(f"an evaluation has no curve {name}")
            for axis in ("x", "y", "thresholds"):
                _check_numbers(_list(curve, axis))
    _check_number_or_none(result, "accuracy")
    for matrix in ("confusion", "cooccurrence"):
        rows = _list(result, matrix)
        if len(rows) != len(concepts):
            raise ValueError(f"the {matrix} of an evaluation has not a row for each concept")
        for row in rows:
            _check_numbers(row, len(concepts))
    for judged in _list(result, "judged"):
        if not isinstance(judged, dict):
            raise ValueError("what an evaluation judged is an object")
        check_id(judged.get("input_id"), "input id")
        for name in ("values", "labels"):
            _check_numbers(_list(judged, name), len(concepts))


def _list(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    if not isinstance(value, list):
        raise ValueError(f"an evaluation has no list {name}")
    return value


def _check_numbers(values: Any, length: int | None = None) -> None:
    if not isinstance(values, list) or length not in (None, len(values)):
        raise ValueError(f"an evaluation has a list that is not of {length} numbers")
    for value in values:
        _check_number(value)


def _check_number_or_none(holder: Mapping[str, Any], name: str) -> None:
    """There it must be: what shows an evaluation asks for it by name."""
    if name not in holder:
        raise ValueError(f"an evaluation has no {name}")
    if holder[name] is not None:
        _check_number(holder[name])


def _check_number(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        raise ValueError(f"an evaluation has {str(value)[:100]!r} where a number should be")
