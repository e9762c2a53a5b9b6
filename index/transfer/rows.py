"""Whether the rows of an archive are such as this installation could have written: the one door that all of them pass.

What a single value may be is said in `values.py`; here is what values of a row, and rows, have to do with each other.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ...embeddings.images import ImageError
from ..errors import BadArchive, BadRequest
from ..intake import check_geo
from ..records import BUILT_IN_MODEL, Geo, InputStatus
from .evaluations import check_evaluation
from .plain import one_line
from .tables import Row
from .values import CHECKS, moment

_MOMENTS = ("created_at", "modified_at", "evaluated_at", "finished_at")
_MOST_SHOWN = 200


class RowChecks:
    """Of one archive: the inputs first, then table by table in the order of `TABLES`."""

    def __init__(self, dim: int, seq: int) -> None:
        """seq: the number of the app's last change."""
        self._dim, self._seq = dim, seq
        self._ids: dict[str, set[Any]] = {}
        self._counts: dict[str, int] = {}
        self._whole_rows: Mapping[str, Callable[[Row], None]] = {
            "inputs": self._input,
            "concepts": lambda row: self._once("concepts", row["id"]),
            "labels": lambda row: self._there("concepts", row["concept"]),
            "label_events": lambda row: self._there("concepts", row["concept"]),
            "models": self._model,
            "model_concepts": self._member,
            "model_versions": self._version,
            "thresholds": self._threshold,
            "workflows": lambda row: self._once("workflows", row["id"]),
            "workflow_changes": self._change,
            "feedback": lambda row: None,
            "spaces": self._space,
        }

    def check(self, table: str, row: Row) -> None:
        """Its moments become points in time. Raises BadArchive, which names the row and the column."""
        number = self._counts[table] = self._counts.get(table, 0) + 1
        column = ""
        try:
            for column, check in CHECKS[table].items():
                check(row[column])
            column = ""
            for name in row.keys() & _MOMENTS:
                row[name] = None if row[name] is None else moment(row[name])
            for name in row.keys() & {"seq", "label_seq"}:
                if row[name] > self._seq:
                    raise ValueError(f"its {name} {row[name]} is after the app's last change, {self._seq}")
            self._whole_rows[table](row)
        except (BadRequest, ImageError, ValueError) as error:
            raise BadArchive(
                f"{table}, row {number}{_named(row)}: {f'{column} ' if column else ''}{one_line(error)}"
            ) from error

    def finish(self, counts: Mapping[str, int]) -> None:
        """When all rows were there. counts: by table, as the manifest says. Raises BadArchive."""
        for table in CHECKS:
            if (count := self._counts.get(table, 0)) != counts.get(table, 0):
                raise BadArchive(f"the table {table} has {count} rows, not the {counts.get(table, 0)} of its manifest")

    def _input(self, row: Row) -> None:
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

    def _model(self, row: Row) -> None:
        self._once("models", row["id"])
        if row["id"] == BUILT_IN_MODEL:
            raise ValueError("is the model that every app has")

    def _member(self, row: Row) -> None:
        self._there("models", row["model"])
        self._there("concepts", row["concept"])
        self._once("concepts of models", (row["model"], row["concept"]))
        self._once("places in models", (row["model"], row["position"]))

    def _version(self, row: Row) -> None:
        self._there("models", row["model"])
        self._once("versions", row["id"])
        for concept in row["concept_ids"]:
            self._there("concepts", concept)
        if row["predictor_sha256"] is not None and not row["frozen"]:
            raise ValueError("a version that follows the labels has no predictor")
        if (row["state"] is None) != (row["evaluated_at"] is None):
            raise ValueError("an evaluation has a state and a time")
        check_evaluation(row["state"], row["result"])

    def _threshold(self, row: Row) -> None:
        if row["model"] != BUILT_IN_MODEL:
            self._there("models", row["model"])
        self._there("concepts", row["concept"])
        self._once("thresholds", (row["model"], row["concept"]))

    def _change(self, row: Row) -> None:
        if row["finished_at"] is None:
            raise ValueError("a change that has ended has a time when it did")

    def _space(self, row: Row) -> None:
        self._once("spaces", 0)
        if len(row["mean"]) != 4 * self._dim:
            raise ValueError(f"its mean has not {self._dim} numbers")

    def _there(self, what: str, id: str) -> None:
        if id not in self._ids.get(what, ()):
            raise ValueError(f"there is no {id!r} among the {what}")

    def _once(self, what: str, key: Any) -> None:
        seen = self._ids.setdefault(what, set())
        if key in seen:
            raise ValueError(f"{key!r} is among the {what} twice")
        seen.add(key)


def _named(row: Row) -> str:
    """A row as people know it."""
    name = row.get("id") or row.get("input") or row.get("model")
    return f" ({name!r})" if isinstance(name, str) and len(name) <= _MOST_SHOWN else ""
