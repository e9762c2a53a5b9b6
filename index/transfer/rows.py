"""Whether the rows of an archive are such as this installation could have written: the one door that all of them pass.

What a single value may be is said in `columns.py`; here is what values of a row, and rows, have to do with each other.
Whether what they refer to is there, and most of what may not be there twice, SQL tells.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BadArchive, BadRequest
from ..ingest.validation import check_geo
from ..records import BUILT_IN_MODEL, Geo, InputStatus
from .columns import COLUMNS, EPOCH, MICROSECOND
from .evaluations import check_evaluation
from .plain import one_line
from .tables import Row

_MOST_SHOWN = 200
_UNIQUE = {"model_concepts": ("model", "concept"), "model_versions": ("id",)}
"""Values that no two rows of a table share, where SQL can't tell."""


class RowChecks:
    """Of one archive."""

    def __init__(self, dim: int, seq: int) -> None:
        """seq: the number of the app's last change."""
        self._dim, self._seq = dim, seq
        self._unique: set[tuple[Any, ...]] = set()
        self._counts: Counter[str] = Counter()

    def check(self, table: str, row: Row) -> None:
        """Its moments become points in time. Raises BadArchive, which names the row and the column."""
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
        """When all rows were there. counts: by table, as the manifest says. Raises BadArchive."""
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
    """A row as people know it."""
    name = row.get("id") or row.get("input") or row.get("model")
    return f" ({name!r})" if isinstance(name, str) and len(name) <= _MOST_SHOWN else ""
