"""Checks that the rows of an archive are such as this installation could have written; all rows pass here.

`columns.py` says what a single value may be; here are the rules between values of a row, and between rows. SQL checks
references, and most of what must be unique.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BadArchive, BadRequest
from ..ingest.validation import check_geo
from ..records import BUILT_IN_MODEL, EvaluationState, Geo, InputStatus
from .columns import COLUMNS, EPOCH, ID, MICROSECOND, check_form, number
from .tables import Row
from .untrusted import one_line

_MOST_ID = 200
_UNIQUE = {"model_concepts": ("model", "concept"), "model_versions": ("id",)}
"""Columns that are unique in their table, where SQL can't check it."""
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
"""The fields that displaying an evaluation needs."""


class RowChecks:
    """The checks of one archive's rows."""

    def __init__(self, dim: int, seq: int) -> None:
        """seq: the number of the app's last change."""
        self._dim, self._seq = dim, seq
        self._unique: set[tuple[Any, ...]] = set()
        self._counts: Counter[str] = Counter()

    def check(self, table: str, row: Row) -> None:
        """Turns timestamps into datetimes. Raises BadArchive, which names the row and the column."""
        self._counts[table] += 1
        try:
            for name, column in COLUMNS[table].items():
                column.check(row[name], name)
                if column.kind == "moment" and row[name] is not None:
                    row[name] = EPOCH + row[name] * MICROSECOND
                elif name in ("seq", "label_seq") and row[name] > self._seq:
                    raise ValueError(f"its {name} {row[name]} is after the app's last change, {self._seq}")
            if table in _CHECKS:
                _CHECKS[table](row)
            if table == "spaces" and len(row["mean"]) != 4 * self._dim:
                raise ValueError(f"its mean has not {self._dim} numbers")
            self._check_unique(table, row)
        except (BadRequest, ValueError) as error:
            raise BadArchive(f"{table}, row {self._counts[table]}{_named(row)}: {one_line(error)}") from error

    def finish(self, counts: Mapping[str, int]) -> None:
        """Call this after the last row. counts: rows by table, from the manifest. Raises BadArchive."""
        for table in COLUMNS:
            if self._counts[table] != counts.get(table, 0):
                raise BadArchive(
                    f"the table {table} has {self._counts[table]} rows, not the {counts.get(table, 0)} of its manifest"
                )

    def _check_unique(self, table: str, row: Row) -> None:
        if table in _UNIQUE:
            key = (table, *(row[column] for column in _UNIQUE[table]))
            if key in self._unique:
                raise ValueError("is there twice")
            self._unique.add(key)


def _check_input(row: Row) -> None:
    ready = row["status"] == InputStatus.READY
    if ready != (row["vector"] is not None):
        raise ValueError("an input has a vector if it is ready, and else none")
    if not ready and row["sha256"] is not None:
        raise ValueError("an input that is not ready has no picture")
    if row["status"] == InputStatus.PENDING and row["url"] is None:
        raise ValueError("an input that waits for its picture has a URL")
    if (row["longitude"] is None) != (row["latitude"] is None):
        raise ValueError("a place has a longitude and a latitude")
    if row["longitude"] is not None:
        check_geo(Geo(row["longitude"], row["latitude"]))


def _check_model(row: Row) -> None:
    if row["id"] == BUILT_IN_MODEL:
        raise ValueError("is the model that every app has")


def check_evaluation(state: str | None, result: Mapping[str, Any] | None) -> None:
    """Checks that an evaluation can be displayed; further fields, of other releases, are allowed. Raises ValueError."""
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


def _check_version(row: Row) -> None:
    if row["predictor_sha256"] is not None and not row["frozen"]:
        raise ValueError("a version that follows the labels has no predictor")
    if (row["state"] is None) != (row["evaluated_at"] is None):
        raise ValueError("an evaluation has a state and a time")
    check_evaluation(row["state"], row["result"])


_CHECKS: Mapping[str, Callable[[Row], None]] = {
    "inputs": _check_input,
    "models": _check_model,
    "model_versions": _check_version,
}


def _named(row: Row) -> str:
    """A row's id, for a message."""
    name = row.get("id") or row.get("input") or row.get("model")
    return f" ({name!r})" if isinstance(name, str) and len(name) <= _MOST_ID else ""
