"""The columns of an archive's tables: how values are stored, and what they may be.

Exports and imports both use them. What the API checks too is checked by the same functions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np

from ...embeddings.pictures.images import ImageError
from ..errors import BadRequest
from ..ingest.validation import check_crop, check_id, check_metadata, check_regions
from ..records import ChangeState, EvaluationState, Failure, InputStatus, LabelSource
from ..scoring.examples import BACKGROUND_SIZE
from ..storage.files import is_app_id, is_sha256

Check = Callable[[Any], object]
"""Returns False, or raises BadRequest or ValueError, for a wrong value."""
INPUTS = "inputs"
MOST_NODES = 5
"""Models of a workflow."""
_MOST_KEY = (1 << 63) - 1
_MOST_TEXT = 1 << 20
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_LAST = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // MICROSECOND


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    kind: str
    """How a value is stored: `text`, `json`, `bytes`, `int`, `float`, `bool`, `moment` (microseconds since 1970) or
    `vector` (bytes of the app's dim in float32)."""
    rule: str
    """What a value must be, for people."""
    holds: Check
    """Checks a value of this kind."""
    optional: bool = False

    def __or__(self, nothing: None) -> "Column":
        return replace(self, optional=True)

    def check(self, value: Any, name: str) -> None:
        """Raises ValueError; name: the value's name in the message."""
        try:
            right = self.optional if value is None else self.holds(value) is not False
        except (BadRequest, ImageError, ValueError) as error:
            raise ValueError(f"{name}: {error}") from error
        if not right:
            raise ValueError(f"{name} must be {self.rule}")


def whole(low: int, high: int, kind: str = "int") -> Column:
    """A whole number from low to high."""
    return Column(
        kind, f"a whole number from {low} to {high}", lambda value: type(value) is int and low <= value <= high
    )


def number(low: float, high: float) -> Column:
    """A number from low to high; NaN is refused, since it fails every comparison."""
    return Column(
        "float", f"a number from {low} to {high}", lambda value: type(value) in (int, float) and low <= value <= high
    )


class Exactly(dict[str, Any]):
    """The form of an object with exactly these values."""


def check_form(value: Any, form: Any, name: str) -> None:
    """Checks the form of JSON: a `Column`, [form] for a list, or {name: form} for an object. Raises ValueError."""
    if isinstance(form, Column):
        form.check(value, name)
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise ValueError(f"{name} is a list")
        for item in value:
            check_form(item, form[0], name)
    else:
        if not isinstance(value, dict):
            raise ValueError(f"{name} is an object")
        if isinstance(form, Exactly) and value.keys() != form.keys():
            raise ValueError(f"{name} has {', '.join(form)} and nothing else")
        for key, inner in form.items():
            if key not in value:
                raise ValueError(f"{name} has no {key}")
            check_form(value[key], inner, f"{key} of {name}")


def check_recipe(value: Any) -> None:
    """Raises ValueError."""
    check_form(value, _RECIPE, "recipe")


def _one_of(kind: type[StrEnum], *without: StrEnum) -> Column:
    names = [member.value for member in kind if member not in without]

    def check(value: str) -> None:
        if value not in names:
            raise ValueError(f"{value[:100]!r} is none of {', '.join(names)}")

    return Column("text", f"one of {', '.join(names)}", check)


def _check_crop(value: Any) -> None:
    check_form(value, [SHARE], "an edge")
    if len(value) != 4:
        raise ValueError("must be four numbers")
    check_crop((value[0], value[1], value[2], value[3]))


def _check_regions(value: Any) -> None:
    if not isinstance(value, list):
        raise ValueError("must be a list")
    check_regions(value)


def _check_shares(value: Any) -> None:
    check_metadata(value)
    check_form(list(value), [ID], "a concept")
    check_form(list(value.values()), [SHARE], "a threshold")


def _are_ids(value: Any) -> bool:
    check_form(value, [ID], "one of them")
    return len(set(value)) == len(value)


def _check_nodes(value: Any) -> None:
    check_form(value, [_NODE], "a node")
    if not 1 <= len(value) <= MOST_NODES:
        raise ValueError(f"must be 1 to {MOST_NODES} nodes")
    if len({node["id"] for node in value}) < len(value):
        raise ValueError("has two nodes of one id")


def _are_floats(value: bytes) -> bool:
    return len(value) % 4 == 0 and bool(np.all(np.abs(np.frombuffer(value, dtype="<f4")) <= 1.01))


def _any(value: Any) -> None:
    """For a value that is checked together with others of its row, or not used."""


ID = Column("text", "a text", partial(check_id, what="an id"))
TEXT = Column(
    "text",
    f"a text of at most {_MOST_TEXT} characters without NUL",
    lambda value: isinstance(value, str) and len(value) <= _MOST_TEXT and "\0" not in value,
)
HASH = Column("text", "a SHA-256 in hex", is_sha256)
SEQ = whole(0, 1 << 53)
TRUTH = Column("bool", "true or false", lambda value: isinstance(value, bool))
SHARE = number(0, 1)
MOMENT = whole(0, _LAST, "moment")
_URL = Column(
    "text", "a text of characters that can be printed", lambda value: TEXT.holds(value) and value.isprintable()
)
_OWN_ID = Column("text", "an id of 32 hex digits", is_app_id)
_COUNT = whole(0, (1 << 31) - 1)
_OBJECT = Column("json", "an object", check_metadata)
_RECIPE = Exactly(workflow=TEXT, model=TEXT, weights=TEXT, dim=whole(2, 65_536), nonnegative=TRUTH | None)
"""As `Recipe`."""
_VERSION = Column("text", "an id or nothing", lambda value: value == "" or check_id(value, "an id"))
# A node's model may have been deleted since; a workflow says so when it is used.
_NODE = Exactly(id=ID, model_id=ID, version_id=_VERSION | None)

COLUMNS: Mapping[str, Mapping[str, Column]] = {
    INPUTS: {
        "id": ID,
        "key": whole(1, _MOST_KEY),
        "seq": SEQ,
        "status": _one_of(InputStatus),
        "status_reason": TEXT | None,
        "failure": _one_of(Failure) | None,
        "url": _URL | None,
        "sha256": HASH | None,
        # Only used for the picture's path in the archive; its first bytes determine its type.
        "media_type": TEXT | None,
        "crop": Column("json", "four numbers", _check_crop) | None,
        "regions": Column("json", "a list", _check_regions) | None,
        "metadata": _OBJECT | None,
        "longitude": Column("float", "a number", _any) | None,
        "latitude": Column("float", "a number", _any) | None,
        "created_at": MOMENT,
        "modified_at": MOMENT,
        "vector": Column("vector", "a vector", _any) | None,
    },
    "concepts": {"id": ID, "name": ID, "created_at": MOMENT},
    "labels": {
        "input": ID,
        "concept": ID,
        "value": TRUTH,
        "source": _one_of(LabelSource),
        "created_at": MOMENT,
        "seq": SEQ,
    },
    "label_events": {
        "seq": SEQ,
        # Negative: the input was deleted before an earlier import.
        "input_key": whole(-_MOST_KEY, _MOST_KEY),
        "input": ID | None,
        "concept": ID,
        "value": TRUTH | None,
        "source": _one_of(LabelSource),
        "created_at": MOMENT,
    },
    "models": {
        "id": ID,
        "name": TEXT,
        "mutually_exclusive": TRUTH,
        "closed_environment": TRUTH,
        "settings": _OBJECT,
        "created_at": MOMENT,
    },
    "model_concepts": {"model": ID, "position": _COUNT, "concept": ID},
    "model_versions": {
        "model": ID,
        "id": _OWN_ID,
        "frozen": TRUTH,
        "label_seq": SEQ,
        "predictor_sha256": HASH | None,
        "concept_ids": Column("json", "a list that names nothing twice", _are_ids),
        "input_count": _COUNT,
        "created_at": MOMENT,
        "thresholds": Column("json", "an object", _check_shares) | None,
        "state": _one_of(EvaluationState) | None,
        "result": _OBJECT | None,
        "evaluated_at": MOMENT | None,
    },
    "thresholds": {"model": ID, "concept": ID, "value": SHARE},
    "workflows": {"id": ID, "nodes": Column("json", "a list", _check_nodes), "created_at": MOMENT},
    "workflow_changes": {
        "old_recipe": Column("json", "a recipe", check_recipe),
        "recipe": Column("json", "a recipe", check_recipe),
        "state": _one_of(ChangeState, ChangeState.RUNNING),
        "failure": TEXT | None,
        "created_at": MOMENT,
        "finished_at": MOMENT,
    },
    "feedback": {"kind": TEXT, "about": _OBJECT, "body": _OBJECT, "created_at": MOMENT},
    "spaces": {
        "seq": SEQ,
        "count": _COUNT,
        "power": number(0.01, 1),
        "mean": Column("bytes", "float32 numbers from -1 to 1", _are_floats),
        "background": Column(
            "bytes",
            f"at most {BACKGROUND_SIZE} numbers of inputs",
            lambda value: len(value) % 8 == 0 and len(value) <= 8 * BACKGROUND_SIZE,
        ),
    },
}
TABLES = tuple(name for name in COLUMNS if name != INPUTS)
"""All tables except the inputs, which come first and with their pictures."""
