"""What each value of an archive's tables may be, column by column, by the checks of the API where it has some."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ...embeddings.base import Recipe
from ..files import is_app_id, is_sha256
from ..intake import check_crop, check_id, check_metadata, check_regions
from ..records import (
    ChangeState,
    EvaluationState,
    Failure,
    InputStatus,
    LabelSource,
)
from ..scoring.examples import BACKGROUND_SIZE

Check = Callable[[Any], object]
"""Raises BadRequest or ValueError for a value that is wrong."""
MOST_SEQ = 1 << 53
MOST_NODES = 5
"""Models of a workflow."""
_MOST_KEY = (1 << 63) - 1
_MOST_COUNT = (1 << 31) - 1
_MOST_TEXT = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def check_hash(value: object) -> None:
    if not is_sha256(value):
        raise ValueError("is no SHA-256 in hex")


def whole(low: int, high: int) -> Check:
    """A whole number from low to high."""

    def check(value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")

    return check


def check_recipe(value: object, dim: int | None = None) -> None:
    """Raises ValueError. dim: what its vectors' length must be."""
    names = [field.name for field in fields(Recipe)]
    if not isinstance(value, dict) or value.keys() != set(names):
        raise ValueError(f"a recipe has {', '.join(names)} and nothing else")
    for name in ("workflow", "model", "weights"):
        _text(value[name])
    whole(2, 65_536)(value["dim"])
    if not isinstance(value["nonnegative"], bool | None):
        raise ValueError("nonnegative is true, false or null in a recipe")
    if dim not in (None, value["dim"]):
        raise ValueError(f"the recipe is of {value['dim']} dimensions, and the app of {dim}")


def moment(microseconds: int) -> datetime:
    """The point in time so long after 1970 began. Raises ValueError."""
    whole(0, _LAST)(microseconds)
    return _EPOCH + timedelta(microseconds=microseconds)


def _truth(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")


def _id(value: object) -> None:
    check_id(value, "an id")


def _own_id(value: object) -> None:
    if not is_app_id(value):
        raise ValueError("is no id of 32 hex digits")


def _text(value: object) -> None:
    if not isinstance(value, str) or len(value) > _MOST_TEXT or "\0" in value:
        raise ValueError(f"must be a text of at most {_MOST_TEXT} characters without NUL")


def _url(value: object) -> None:
    _text(value)
    if not str(value).isprintable():
        raise ValueError("has characters that can't be printed")


def _number(value: object, low: float, high: float) -> None:
    # A NaN fails every comparison.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"must be a number from {low} to {high}")


def _share(value: object) -> None:
    _number(value, 0, 1)


def _crop(value: object) -> None:
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("must be four numbers")
    for edge in value:
        _share(edge)
    check_crop((value[0], value[1], value[2], value[3]))


def _regions(value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(region, dict) for region in value):
        raise ValueError("must be a list of objects")
    check_regions(value)


def _object(value: object) -> None:
    if value is None:
        raise ValueError("must be an object")
    check_metadata(value)  # type: ignore[arg-type]  # it checks that too


def _enum(kind: type[Any], *without: str) -> Check:
    def check(value: object) -> None:
        if value not in [one.value for one in kind] or value in without:
            raise ValueError(f"{str(value)[:100]!r} is none of {', '.join(one.value for one in kind)}")

    return check


def _list_of(check: Check) -> Check:
    def checked(value: object) -> None:
        if not isinstance(value, list):
            raise ValueError("must be a list")
        for one in value:
            check(one)
        if len(set(value)) < len(value):
            raise ValueError("has something twice")

    return checked


def _shares(value: object) -> None:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    for concept, share in value.items():
        _id(concept)
        _share(share)


def _nodes(value: object) -> None:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_NODES:
        raise ValueError(f"must be 1 to {MOST_NODES} nodes")
    for node in value:
        if not isinstance(node, dict) or node.keys() != {"id", "model_id", "version_id"}:
            raise ValueError("a node has id, model_id, version_id and nothing else")
        # Its model may have been deleted since; that a workflow tells when it is asked.
        for id in (node["id"], node["model_id"], *filter(None, [node["version_id"]])):
            _id(id)
    if len({node["id"] for node in value}) < len(value):
        raise ValueError("has two nodes of one id")


def _floats(value: object) -> None:
    if not isinstance(value, bytes) or len(value) % 4 or not np.all(np.abs(np.frombuffer(value, dtype="<f4")) <= 1.01):
        raise ValueError("must be float32 numbers from -1 to 1")


def _keys(value: object) -> None:
    if not isinstance(value, bytes) or len(value) % 8 or len(value) > 8 * BACKGROUND_SIZE:
        raise ValueError(f"must be at most {BACKGROUND_SIZE} numbers of inputs")


def _any(value: object) -> None:
    """What is checked with other values of its row, or not used."""


def _optional(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


_seq = whole(0, MOST_SEQ)
_key = whole(1, _MOST_KEY)
_count = whole(0, _MOST_COUNT)

CHECKS: Mapping[str, Mapping[str, Check]] = {
    "inputs": {
        "id": _id,
        "key": _key,
        "seq": _seq,
        "status": _enum(InputStatus),
        "status_reason": _optional(_text),
        "failure": _optional(_enum(Failure)),
        "url": _optional(_url),
        "sha256": _optional(check_hash),
        # Says where the picture lies in the archive, and nothing else: its type is told by its first bytes.
        "media_type": _optional(_text),
        "crop": _optional(_crop),
        "regions": _optional(_regions),
        "metadata": _optional(_object),
        "longitude": _any,
        "latitude": _any,
        "created_at": moment,
        "modified_at": moment,
        "vector": _any,
    },
    "concepts": {"id": _id, "name": _id, "created_at": moment},
    "labels": {
        "input": _id,
        "concept": _id,
        "value": _truth,
        "source": _enum(LabelSource),
        "created_at": moment,
        "seq": _seq,
    },
    "label_events": {
        "seq": _seq,
        # Negative: of an input that was deleted before an earlier import.
        "input_key": whole(-_MOST_KEY, _MOST_KEY),
        "input": _optional(_id),
        "concept": _id,
        "value": _optional(_truth),
        "source": _enum(LabelSource),
        "created_at": moment,
    },
    "models": {
        "id": _id,
        "name": _text,
        "mutually_exclusive": _truth,
        "closed_environment": _truth,
        "settings": _object,
        "created_at": moment,
    },
    "model_concepts": {"model": _id, "position": _count, "concept": _id},
    "model_versions": {
        "model": _id,
        "id": _own_id,
        "frozen": _truth,
        "label_seq": _seq,
        "predictor_sha256": _optional(check_hash),
        "concept_ids": _list_of(_id),
        "input_count": _count,
        "created_at": moment,
        "thresholds": _optional(_shares),
        "state": _optional(_enum(EvaluationState)),
        "result": _optional(_object),
        "evaluated_at": _optional(moment),
    },
    "thresholds": {"model": _id, "concept": _id, "value": _share},
    "workflows": {"id": _id, "nodes": _nodes, "created_at": moment},
    "workflow_changes": {
        "old_recipe": check_recipe,
        "recipe": check_recipe,
        "state": _enum(ChangeState, ChangeState.RUNNING),
        "failure": _optional(_text),
        "created_at": moment,
        "finished_at": _optional(moment),
    },
    "feedback": {"kind": _text, "about": _object, "body": _object, "created_at": moment},
    "spaces": {
        "seq": _seq,
        "count": _count,
        "power": lambda value: _number(value, 0.01, 1),
        "mean": _floats,
        "background": _keys,
    },
}
