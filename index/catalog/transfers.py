"""Whole apps out of SQL and into it again: rows as plain data, in their order, each stamped as it was.

Rows name inputs, concepts and models by their public ids. The numbers (`key`) of the database that they come from stand
beside, for what refers to inputs that are deleted, and for frozen predictors; they are translated on the way in. A
number that no input has any more becomes negative, and so never comes to mean another input.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import numpy as np
from sqlalchemy import Connection, Select, insert, select, update

from ..records import AppRecord, KeyArray
from . import schema
from .database import Database, chunks
from .labels import labels_of

Row = dict[str, Any]

_apps, _inputs, _vectors, _concepts = schema.apps, schema.inputs, schema.vectors, schema.concepts
_labels, _events, _models, _members = schema.labels, schema.label_events, schema.models, schema.model_concepts
_versions, _evaluations, _thresholds = schema.model_versions, schema.evaluations, schema.thresholds
_INPUT = tuple(column for column in _inputs.c if column.name != "app_id")


@dataclass(frozen=True)
class KeyMap:
    """From the input keys of one database to those of another."""

    old: KeyArray
    """(n,) ascending."""
    new: KeyArray
    """(n,)"""

    def __call__(self, keys: KeyArray) -> KeyArray:
        """(m,); of an input that is not there any more the number becomes negative."""
        keys = np.asarray(keys, dtype=np.int64)
        if not len(self.old):
            return -np.abs(keys)
        place = np.minimum(np.searchsorted(self.old, keys), len(self.old) - 1)
        return np.where(self.old[place] == keys, self.new[place], -np.abs(keys))


class Transfers:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def reading(self, app_id: str) -> Iterator["AppRows"]:
        """All rows of an app as they are at one moment, whatever is written meanwhile."""
        with self._database.read() as connection:
            yield AppRows(connection, app_id)

    def begin(self, id: str, name: str, recipe: Mapping[str, Any], created_at: datetime) -> AppRecord:
        """An app on its way in: its number stays 0 until `finish`. A taken id is replaced by a new one."""
        with self._database.write() as connection:
            if connection.execute(select(_apps.c.id).where(_apps.c.id == id)).one_or_none():
                id = uuid4().hex
            record = AppRecord(id, name, dict(recipe), recipe["dim"], created_at, 0, epoch=uuid4().hex)
            connection.execute(insert(_apps).values(vars(record)))
        return record

    def add_inputs(self, app_id: str, workflow: str, rows: Sequence[Row]) -> None:
        """Rows of `AppRows.inputs`, with their vectors, in one transaction."""
        with self._database.write() as connection:
            made = [{name: row[name] for name in row if name not in ("key", "vector")} for row in rows]
            keys = connection.scalars(
                insert(_inputs).returning(_inputs.c.key, sort_by_parameter_order=True),
                [row | {"app_id": app_id} for row in made],
            )
            vectors = [
                {"input_key": key, "workflow": workflow, "vector": row["vector"]}
                for key, row in zip(keys, rows, strict=True)
                if row["vector"] is not None
            ]
            if vectors:
                connection.execute(insert(_vectors), vectors)

    def key_map(self, app_id: str, numbers: Mapping[str, int]) -> KeyMap:
        """numbers: input id -> its key where it comes from."""
        with self._database.read() as connection:
            found = connection.execute(select(_inputs.c.id, _inputs.c.key).where(_inputs.c.app_id == app_id))
            pairs = sorted((numbers[id], key) for id, key in found if id in numbers)
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return KeyMap(table[:, 0].copy(), table[:, 1].copy())

    def finish(
        self,
        app_id: str,
        settings: Mapping[str, Any],
        tables: Mapping[str, Iterable[Row]],
        keys: KeyMap,
    ) -> None:
        """Everything but the inputs, in one transaction, after which the app is what it was.

        settings: columns of `apps`. tables: rows of `AppRows` by table.
        """
        with self._database.write() as connection:
            _Writer(connection, app_id, keys).write(tables)
            connection.execute(update(_apps).where(_apps.c.id == app_id).values(dict(settings)))


class AppRows:
    """One app's rows, within one transaction."""

    def __init__(self, connection: Connection, app_id: str) -> None:
        self._connection = connection
        self._app_id = app_id
        self.app: Row = dict(connection.execute(select(_apps).where(_apps.c.id == app_id)).one()._mapping)

    def inputs(self, many: int, *, vectors: bool = True) -> Iterator[list[Row]]:
        """So many at a time, in the order of their making; `vector` is bytes of float32, or None.

        vectors: whether they are wanted; else there is no `vector`.
        """
        mine = (_inputs.c.app_id == self._app_id,)
        if not vectors:
            return self._rows(select(*_INPUT).where(*mine).order_by(_inputs.c.key), many)
        own = (_vectors.c.input_key == _inputs.c.key) & (_vectors.c.workflow == self.app["recipe"]["workflow"])
        query = select(*_INPUT, _vectors.c.vector).join(_vectors, own, isouter=True)
        return self._rows(query.where(*mine).order_by(_inputs.c.key), many)

    def labels_of(self, keys: Sequence[int]) -> dict[int, dict[str, bool]]:
        """Input key -> concept id -> yes or no."""
        return labels_of(self._connection, keys)

    def table(self, name: str, many: int) -> Iterator[list[Row]]:
        """So many rows of a table at a time."""
        return self._rows(self._queries()[name], many)

    def _queries(self) -> dict[str, Select[Any]]:
        models = _of(_models, self._app_id)
        return {
            "concepts": _of(_concepts, self._app_id),
            "labels": select(
                _inputs.c.id.label("input"),
                _concepts.c.id.label("concept"),
                *(_labels.c.value, _labels.c.source, _labels.c.created_at, _labels.c.seq),
            )
            .join(_inputs, _inputs.c.key == _labels.c.input_key)
            .join(_concepts, _concepts.c.key == _labels.c.concept_key)
            .where(_labels.c.app_id == self._app_id)
            .order_by(_labels.c.concept_key, _labels.c.input_key),
            "label_events": select(
                *(_events.c.seq, _events.c.input_key, _inputs.c.id.label("input"), _concepts.c.id.label("concept")),
                *(_events.c.value, _events.c.source, _events.c.created_at),
            )
            .join(_concepts, _concepts.c.key == _events.c.concept_key)
            .join(_inputs, _inputs.c.key == _events.c.input_key, isouter=True)
            .where(_events.c.app_id == self._app_id)
            .order_by(_events.c.key),
            "models": models,
            "model_concepts": select(_models.c.id.label("model"), _members.c.position, _concepts.c.id.label("concept"))
            .join(_models, _models.c.key == _members.c.model_key)
            .join(_concepts, _concepts.c.key == _members.c.concept_key)
            .where(_models.c.app_id == self._app_id)
            .order_by(_members.c.model_key, _members.c.position),
            "model_versions": select(
                _models.c.id.label("model"),
                *(column for column in _versions.c if column.name not in ("key", "model_key")),
                *(_evaluations.c.state, _evaluations.c.result, _evaluations.c.created_at.label("evaluated_at")),
            )
            .join(_models, _models.c.key == _versions.c.model_key)
            .join(_evaluations, _evaluations.c.version_key == _versions.c.key, isouter=True)
            .where(_models.c.app_id == self._app_id)
            .order_by(_versions.c.key),
            "thresholds": select(
                _thresholds.c.model_id.label("model"), _concepts.c.id.label("concept"), _thresholds.c.value
            )
            .join(_concepts, _concepts.c.key == _thresholds.c.concept_key)
            .where(_thresholds.c.app_id == self._app_id)
            .order_by(_thresholds.c.model_id, _thresholds.c.concept_key),
            "workflows": _of(schema.workflows, self._app_id),
            "workflow_changes": _of(schema.workflow_changes, self._app_id).where(
                schema.workflow_changes.c.state != "running"
            ),
            "feedback": _of(schema.feedback, self._app_id),
            "spaces": select(*(one for one in schema.spaces.c if one.name != "app_id")).where(
                schema.spaces.c.app_id == self._app_id
            ),
        }

    def _rows(self, query: Select[Any], many: int) -> Iterator[list[Row]]:
        result = self._connection.execution_options(yield_per=many).execute(query)
        for rows in result.partitions():
            yield [dict(row._mapping) for row in rows]


class _Writer:
    """The tables of one app, inside one transaction."""

    def __init__(self, connection: Connection, app_id: str, keys: KeyMap) -> None:
        self._connection = connection
        self._app_id = app_id
        self._keys = keys
        self._inputs = self._known(_inputs)

    def write(self, tables: Mapping[str, Iterable[Row]]) -> None:
        self._insert(_concepts, ({**row, "app_id": self._app_id} for row in tables["concepts"]))
        concepts = self._known(_concepts)
        self._insert(_labels, (self._label(row, concepts) for row in tables["labels"]))
        self._insert(_events, (self._event(row, concepts) for row in tables["label_events"]))
        self._insert(_models, ({**row, "app_id": self._app_id} for row in tables["models"]))
        models = self._known(_models)
        self._insert(
            _members,
            (
                {
                    "model_key": models[row["model"]],
                    "position": row["position"],
                    "concept_key": concepts[row["concept"]],
                }
                for row in tables["model_concepts"]
            ),
        )
        versions = self._versions(tables["model_versions"], models)
        self._insert(
            _thresholds,
            (
                {
                    "app_id": self._app_id,
                    "model_id": row["model"],
                    "concept_key": concepts[row["concept"]],
                    "value": row["value"],
                }
                for row in tables["thresholds"]
            ),
        )
        self._insert(schema.workflows, (self._workflow(row, versions) for row in tables["workflows"]))
        for name in ("workflow_changes", "feedback"):
            self._insert(schema.metadata.tables[name], ({**row, "app_id": self._app_id} for row in tables[name]))
        self._insert(schema.spaces, (self._space(row) for row in tables["spaces"]))

    def _label(self, row: Row, concepts: Mapping[str, int]) -> Row:
        return {
            **{name: row[name] for name in ("value", "source", "created_at", "seq")},
            "app_id": self._app_id,
            "input_key": self._inputs[row["input"]],
            "concept_key": concepts[row["concept"]],
        }

    def _event(self, row: Row, concepts: Mapping[str, int]) -> Row:
        key = -abs(row["input_key"]) if row["input"] is None else self._inputs[row["input"]]
        return {
            **{name: row[name] for name in ("value", "source", "created_at", "seq")},
            "app_id": self._app_id,
            "input_key": key,
            "concept_key": concepts[row["concept"]],
        }

    def _versions(self, rows: Iterable[Row], models: Mapping[str, int]) -> dict[str, str]:
        """Old id -> new id: the same, where no other app has it."""
        named = {}
        for row in rows:
            id = row["id"]
            taken = select(_versions.c.key).where(_versions.c.id == id)
            named[id] = uuid4().hex if self._connection.execute(taken).one_or_none() else id
            evaluation = {"state": row["state"], "result": row["result"], "created_at": row["evaluated_at"]}
            version = {name: row[name] for name in row if name not in ("model", "state", "result", "evaluated_at")}
            query = insert(_versions).values(version | {"id": named[id], "model_key": models[row["model"]]})
            key = self._connection.execute(query.returning(_versions.c.key)).scalar_one()
            if evaluation["state"] is not None:
                self._connection.execute(insert(_evaluations).values(evaluation | {"version_key": key}))
        return named

    def _workflow(self, row: Row, versions: Mapping[str, str]) -> Row:
        nodes = [{**node, "version_id": versions.get(node["version_id"], node["version_id"])} for node in row["nodes"]]
        return {**row, "nodes": nodes, "app_id": self._app_id}

    def _space(self, row: Row) -> Row:
        background = self._keys(np.frombuffer(row["background"], dtype="<i8").astype(np.int64))
        return {**row, "app_id": self._app_id, "background": background.astype("<i8").tobytes()}

    def _known(self, table: Any) -> dict[str, int]:
        query = select(table.c.id, table.c.key).where(table.c.app_id == self._app_id)
        return {row.id: row.key for row in self._connection.execute(query)}

    def _insert(self, table: Any, rows: Iterable[Row]) -> None:
        for chunk in chunks(list(rows)):
            self._connection.execute(insert(table), chunk)


def _of(table: Any, app_id: str) -> Select[Any]:
    """A table's rows in the order of their making, without the numbers of this database."""
    columns = [column for column in table.c if column.name not in ("key", "app_id")]
    query: Select[Any] = select(*columns).where(table.c.app_id == app_id).order_by(table.c.key)
    return query
