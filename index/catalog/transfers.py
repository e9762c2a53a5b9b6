"""Whole apps out of SQL and back in: rows as plain data, in their order, with their original timestamps.

An import fills a staged app, which is hidden until it is whole, in transactions of a fraction of a second.

Rows refer to inputs, concepts and models by their public ids. They also carry the keys of the source database, for what
refers to deleted inputs and for frozen predictors; an import translates these. The key of a deleted input becomes
negative, so that it can never come to mean another input.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import numpy as np
from sqlalchemy import Connection, Select, Text, cast, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import AppExists, BadArchive
from ..records import BUILT_IN_MODEL, AppRecord, KeyArray
from . import schema
from .apps import OWN, STAGED, check_app, record_of
from .database import Database, chunks
from .deletions import clear_import
from .labels import labels_of

Row = dict[str, Any]

_apps, _inputs, _vectors, _concepts = schema.apps, schema.inputs, schema.vectors, schema.concepts
_labels, _events, _models, _members = schema.labels, schema.label_events, schema.models, schema.model_concepts
_versions, _evaluations, _thresholds = schema.model_versions, schema.evaluations, schema.thresholds
_PATIENCE_S = 120.0
"""Writes of an import wait longer than requests do, since giving up would lose more."""
_SEPARATOR = "\n"
"""Between the future name of a staged app and the digest of its archive; no app's name contains one."""
_INPUT = tuple(column for column in _inputs.c if column.name not in ("app_id", "attempts", "due"))

_JSON_SIZE = sum(
    (func.coalesce(func.length(cast(column, Text)), 0) for column in (_inputs.c.metadata, _inputs.c.regions)),
    literal(0),
)
_KEYS = 10_000
"""Keys that are listed at a time."""
_MOST_JSON = 1 << 24
"""Characters of the inputs that are read at a time."""


@dataclass(frozen=True)
class KeyMap:
    """From the input keys of one database to those of another."""

    old: KeyArray
    """(n,) ascending."""
    new: KeyArray
    """(n,)"""

    @classmethod
    def of(cls, old: Sequence[int], new: Sequence[int]) -> "KeyMap":
        """Pairs in any order."""
        before, after = np.array(old, dtype=np.int64), np.array(new, dtype=np.int64)
        order = np.argsort(before)
        return cls(before[order], after[order])

    def __call__(self, keys: KeyArray) -> KeyArray:
        """(m,) new keys; the key of an input that no longer exists becomes negative."""
        keys = np.asarray(keys, dtype=np.int64)
        if not len(self.old):
            return -np.abs(keys)
        position = np.minimum(np.searchsorted(self.old, keys), len(self.old) - 1)
        return np.where(self.old[position] == keys, self.new[position], -np.abs(keys))


class Transfers:
    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def reading(self, app_id: str) -> Iterator["AppRows"]:
        """One snapshot of all rows of an app, whatever is written meanwhile."""
        with self._database.read() as connection:
            yield AppRows(connection, app_id)

    def begin(
        self, id: str | None, name: str, digest: str, *, recipe: Mapping[str, Any], created_at: datetime
    ) -> "StagedApp":
        """A new staged app, or the one that was begun under the same name and digest (of the archive).

        If the id is taken, or None, the app gets a new one. Raises AppExists.
        """
        staged_name = f"{name}{_SEPARATOR}{digest}"
        with self._database.write() as connection:
            _check_free(connection, name)
            begun = connection.scalar(select(_apps.c.id).where(_apps.c.name == staged_name))
            new = begun is None
            if begun is None:
                # Nor may it be the name of an app: people use either to name an app.
                like = or_(_apps.c.id == id, _apps.c.name == id)
                exists = id is None or connection.scalar(select(_apps.c.id).where(like)) is not None
                begun = uuid4().hex if id is None or exists else id
                record = AppRecord(begun, staged_name, dict(recipe), recipe["dim"], created_at, 0, epoch=uuid4().hex)
                connection.execute(insert(_apps).values(vars(record) | {"imported": digest, "staged": True}))
        return StagedApp(self._database, begun, recipe["workflow"], new=new)

    def staged(self) -> dict[str, str]:
        """Id -> future name of the apps whose import has not finished."""
        with self._database.read() as connection:
            rows = connection.execute(select(_apps.c.id, _apps.c.name).where(STAGED))
            return {id: name.partition(_SEPARATOR)[0] for id, name in rows}


class StagedApp:
    """A hidden app that an import fills. Each call is one short transaction, except `clear`, which is several."""

    def __init__(self, database: Database, app_id: str, workflow: str, *, new: bool) -> None:
        """new: nothing was written yet."""
        self._database = database
        self._new = new
        self.app_id = app_id
        self._workflow = workflow
        self._keys: dict[str, dict[str, int]] = {}
        # Version id in the source -> version id here.
        self._versions: dict[str, str] = {}

    def input_keys(self, ids: Sequence[str]) -> dict[str, int]:
        """Id -> key of the inputs that exist."""
        with self._database.read() as connection:
            return self._input_keys(connection, ids)

    def add_inputs(self, rows: Sequence[Row]) -> dict[str, int]:
        """Adds rows of `AppRows.inputs` with their vectors; returns the new keys by id."""
        values = [{name: row[name] for name in row if name not in ("key", "vector")} for row in rows]
        with self._writing("inputs") as connection:
            keys = connection.scalars(
                insert(_inputs).returning(_inputs.c.key, sort_by_parameter_order=True),
                [row | {"app_id": self.app_id} for row in values],
            ).all()
            vectors = [
                {"input_key": key, "workflow": self._workflow, "vector": row["vector"]}
                for key, row in zip(keys, rows, strict=True)
                if row["vector"] is not None
            ]
            if vectors:
                connection.execute(insert(_vectors), vectors)
        return {row["id"]: key for row, key in zip(rows, keys, strict=True)}

    def clear(self) -> None:
        """Deletes all but the inputs: a resumed import writes the rest again."""
        if not self._new:
            clear_import(self._database, self.app_id)

    def add(self, table: str, rows: Sequence[Row], keys: KeyMap) -> None:
        """Adds rows of `AppRows.table`; the tables must come in the order of `_queries`. Raises BadArchive."""
        with self._writing(table) as connection:
            if table == "model_versions":
                for row in rows:
                    self._add_version(connection, row)
                return
            if table in ("labels", "label_events"):
                ids = {row["input"] for row in rows if row["input"] is not None}
                inputs = self._input_keys(connection, sorted(ids))
                if missing := ids - inputs.keys():
                    raise BadArchive(f"there is no input {min(missing)!r}")
                rows = [self._with_keys(connection, row, inputs) for row in rows]
            elif table == "workflows":
                rows = [self._workflow_row(row) for row in rows]
            elif table == "spaces":
                rows = [_space(row, keys) for row in rows]
            else:
                rows = [self._with_keys(connection, row, {}) for row in rows]
            columns = schema.metadata.tables[table].c.keys()
            values = [{name: value for name, value in row.items() if name in columns} for row in rows]
            own = {"app_id": self.app_id} if "app_id" in columns else {}
            connection.execute(insert(schema.metadata.tables[table]), [row | own for row in values])

    def finish(self, name: str, *, seq: int, teach_from_feedback: bool) -> AppRecord:
        """Makes the app visible. Raises AppExists."""
        values = {"name": name, "seq": seq, "teach_from_feedback": teach_from_feedback, "staged": False}
        with self._database.write(_PATIENCE_S) as connection:
            _check_free(connection, name)
            query = update(_apps).where(_apps.c.id == self.app_id, STAGED).values(values).returning(*OWN)
            return record_of(connection.execute(query).one())

    @contextmanager
    def _writing(self, table: str) -> Iterator[Connection]:
        try:
            with self._database.write(_PATIENCE_S) as connection:
                yield connection
        except IntegrityError as error:
            raise BadArchive(f"the table {table} has a row twice") from error
        except BadArchive as error:
            raise BadArchive(f"{table}: {error}") from error

    def _input_keys(self, connection: Connection, ids: Sequence[str]) -> dict[str, int]:
        return {
            id: key
            for chunk in chunks(ids)
            for id, key in connection.execute(
                select(_inputs.c.id, _inputs.c.key).where(_inputs.c.app_id == self.app_id, _inputs.c.id.in_(chunk))
            )
        }

    def _key(self, connection: Connection, table: Any, id: str) -> int:
        """The key of a concept or model; all of them were added before. Raises BadArchive."""
        if (keys := self._keys.get(table.name)) is None:
            query = select(table.c.id, table.c.key).where(table.c.app_id == self.app_id)
            keys = self._keys[table.name] = {row.id: row.key for row in connection.execute(query)}
        if id not in keys:
            raise BadArchive(f"there is no {id!r} among the {table.name}")
        return keys[id]

    def _with_keys(self, connection: Connection, row: Row, inputs: Mapping[str, int]) -> Row:
        """The row with this database's keys for the ids that it refers to."""
        named = dict(row)
        if "concept" in row:
            named["concept_key"] = self._key(connection, _concepts, row["concept"])
        if "model" in row:
            named["model_id"] = row["model"]
            # A threshold may belong to the built-in model, which has no row.
            if "position" in row or row["model"] != BUILT_IN_MODEL:
                named["model_key"] = self._key(connection, _models, row["model"])
        if "input" in row:
            named["input_key"] = -abs(row["input_key"]) if row["input"] is None else inputs[row["input"]]
        return named

    def _add_version(self, connection: Connection, row: Row) -> None:
        """Keeps the version's id, unless another version here has it."""
        id = row["id"]
        for concept in row["concept_ids"]:
            self._key(connection, _concepts, concept)
        exists = connection.scalar(select(_versions.c.key).where(_versions.c.id == id)) is not None
        self._versions[id] = uuid4().hex if exists else id
        evaluation = {"state": row["state"], "result": row["result"], "created_at": row["evaluated_at"]}
        version = {name: row[name] for name in row if name not in ("model", "state", "result", "evaluated_at")}
        own = {"id": self._versions[id], "model_key": self._key(connection, _models, row["model"])}
        key = connection.execute(insert(_versions).values(version | own).returning(_versions.c.key)).scalar_one()
        if evaluation["state"] is not None:
            connection.execute(insert(_evaluations).values(evaluation | {"version_key": key}))

    def _workflow_row(self, row: Row) -> Row:
        nodes = [
            {**node, "version_id": self._versions.get(node["version_id"], node["version_id"])} for node in row["nodes"]
        ]
        return {**row, "nodes": nodes}


class AppRows:
    """One app's rows, within one transaction."""

    def __init__(self, connection: Connection, app_id: str) -> None:
        """Raises AppNotFound."""
        check_app(connection, app_id)
        self._connection = connection
        self._app_id = app_id
        self.app: Row = dict(connection.execute(select(_apps).where(_apps.c.id == app_id)).one()._mapping)

    def inputs(self, batch_size: int, *, vectors: bool = True) -> Iterator[list[Row]]:
        """At most batch_size rows at a time, fewer of large ones, oldest first; `vector` is bytes of float32, or None.

        vectors: False leaves `vector` out.
        """
        query = select(*_INPUT)
        if vectors:
            own = (_vectors.c.input_key == _inputs.c.key) & (_vectors.c.workflow == self.app["recipe"]["workflow"])
            query = query.add_columns(_vectors.c.vector).join(_vectors, own, isouter=True)
        query = query.where(_inputs.c.app_id == self._app_id).order_by(_inputs.c.key)
        for first, last in self._stretches(batch_size):
            yield from self._rows(query.where(_inputs.c.key.between(first, last)), batch_size)

    def _stretches(self, batch_size: int) -> Iterator[tuple[int, int]]:
        """(first, last) keys of at most batch_size inputs, or of fewer with much JSON, which takes memory when read."""
        query = select(_inputs.c.key, _JSON_SIZE).where(_inputs.c.app_id == self._app_id).order_by(_inputs.c.key)
        first = last = count = total = 0
        for key, size in self._connection.execution_options(yield_per=_KEYS).execute(query):
            if count and (count == batch_size or total + size > _MOST_JSON):
                yield first, last
                count = total = 0
            first, last = key if not count else first, key
            count, total = count + 1, total + size
        if count:
            yield first, last

    def labels_of(self, keys: Sequence[int]) -> dict[int, dict[str, bool]]:
        """Input key -> concept id -> yes or no."""
        return labels_of(self._connection, keys)

    def table(self, name: str, batch_size: int) -> Iterator[list[Row]]:
        """At most batch_size rows of a table at a time."""
        return self._rows(self._queries()[name], batch_size)

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
            "spaces": select(*(column for column in schema.spaces.c if column.name != "app_id")).where(
                schema.spaces.c.app_id == self._app_id
            ),
        }

    def _rows(self, query: Select[Any], batch_size: int) -> Iterator[list[Row]]:
        result = self._connection.execution_options(yield_per=batch_size).execute(query)
        for rows in result.partitions():
            yield [dict(row._mapping) for row in rows]


def _space(row: Row, keys: KeyMap) -> Row:
    background = keys(np.frombuffer(row["background"], dtype="<i8").astype(np.int64))
    return {**row, "background": background.astype("<i8").tobytes()}


def _check_free(connection: Connection, name: str) -> None:
    """Raises AppExists, also for a name that is the id of an app."""
    if connection.scalar(select(_apps.c.id).where(or_(_apps.c.name == name, _apps.c.id == name))) is not None:
        raise AppExists(f"an app {name!r} exists already: an export of a whole app becomes a new app")


def _of(table: Any, app_id: str) -> Select[Any]:
    """A table's rows, oldest first, without this database's keys."""
    columns = [column for column in table.c if column.name not in ("key", "app_id")]
    query: Select[Any] = select(*columns).where(table.c.app_id == app_id).order_by(table.c.key)
    return query
