"""Whole apps out of SQL and into it again: rows as plain data, in their order, each stamped as it was.

What comes in fills an app that nobody sees until it is whole, in transactions of a fraction of a second.

Rows name inputs, concepts and models by their public ids. The numbers (`key`) of the database that they come from stand
beside, for what refers to inputs that are deleted, and for frozen predictors; they are translated on the way in. A
number that no input has any more becomes negative, and so never comes to mean another input.
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
"""For an app that is filled to be written on: what is there of it is worth more waiting than a request is."""
_APART = "\n"
"""Between the name that an app will have and what it is filled from, while it is: no app's name has one."""
_INPUT = tuple(column for column in _inputs.c if column.name not in ("app_id", "attempts", "due"))

_JSON_SIZE = sum(
    (func.coalesce(func.length(cast(column, Text)), 0) for column in (_inputs.c.metadata, _inputs.c.regions)),
    literal(0),
)
_KEYS = 10_000
"""Of inputs that are listed at a time."""
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

    def begin(
        self, id: str | None, name: str, digest: str, *, recipe: Mapping[str, Any], created_at: datetime
    ) -> "Filling":
        """An app on its way in, unseen; the same again for the same name and digest (of what is imported).

        An id that is taken is replaced by a new one, and so is None. Raises AppExists.
        """
        staged_name = f"{name}{_APART}{digest}"
        with self._database.write() as connection:
            _check_free(connection, name)
            begun = connection.scalar(select(_apps.c.id).where(_apps.c.name == staged_name))
            new = begun is None
            if begun is None:
                # Neither may be another's name: people name apps by either.
                like = or_(_apps.c.id == id, _apps.c.name == id)
                taken = id is None or connection.scalar(select(_apps.c.id).where(like)) is not None
                begun = uuid4().hex if id is None or taken else id
                record = AppRecord(begun, staged_name, dict(recipe), recipe["dim"], created_at, 0, epoch=uuid4().hex)
                connection.execute(insert(_apps).values(vars(record) | {"imported": digest, "staged": True}))
        return Filling(self._database, begun, recipe["workflow"], new=new)

    def staged(self) -> dict[str, str]:
        """Id -> name of the apps that were not filled to the end."""
        with self._database.read() as connection:
            rows = connection.execute(select(_apps.c.id, _apps.c.name).where(STAGED))
            return {id: name.partition(_APART)[0] for id, name in rows}


class Filling:
    """An app that is filled unseen. Each call is one short transaction, but for `clear`, which is several."""

    def __init__(self, database: Database, app_id: str, workflow: str, *, new: bool) -> None:
        """new: nothing was written yet."""
        self._database = database
        self._new = new
        self.app_id = app_id
        self._workflow = workflow
        self._keys: dict[str, dict[str, int]] = {}
        # Version id where it comes from -> here.
        self._versions: dict[str, str] = {}

    def input_keys(self, ids: Sequence[str]) -> dict[str, int]:
        """Id -> key of those that are there."""
        with self._database.read() as connection:
            return self._input_keys(connection, ids)

    def add_inputs(self, rows: Sequence[Row]) -> dict[str, int]:
        """Rows of `AppRows.inputs`, with their vectors; the new keys by id."""
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
        """Deletes all but the inputs: an import that was broken off writes it again."""
        if not self._new:
            clear_import(self._database, self.app_id)

    def add(self, table: str, rows: Sequence[Row], keys: KeyMap) -> None:
        """Rows of `AppRows.table`, table by table in the order of `_queries`. Raises BadArchive."""
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
        """From now on it is there. Raises AppExists."""
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
        """Of a concept or a model, all of which are there by now. Raises BadArchive."""
        if (known := self._keys.get(table.name)) is None:
            query = select(table.c.id, table.c.key).where(table.c.app_id == self.app_id)
            known = self._keys[table.name] = {row.id: row.key for row in connection.execute(query)}
        if id not in known:
            raise BadArchive(f"there is no {id!r} among the {table.name}")
        return known[id]

    def _with_keys(self, connection: Connection, row: Row, inputs: Mapping[str, int]) -> Row:
        """The row with the numbers of this database for the ids that it names."""
        named = dict(row)
        if "concept" in row:
            named["concept_key"] = self._key(connection, _concepts, row["concept"])
        if "model" in row:
            named["model_id"] = row["model"]
            # A threshold's may be the one that has no row.
            if "position" in row or row["model"] != BUILT_IN_MODEL:
                named["model_key"] = self._key(connection, _models, row["model"])
        if "input" in row:
            named["input_key"] = -abs(row["input_key"]) if row["input"] is None else inputs[row["input"]]
        return named

    def _add_version(self, connection: Connection, row: Row) -> None:
        """Under the same id, where no other app has it."""
        id = row["id"]
        for concept in row["concept_ids"]:
            self._key(connection, _concepts, concept)
        taken = connection.scalar(select(_versions.c.key).where(_versions.c.id == id)) is not None
        self._versions[id] = uuid4().hex if taken else id
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

    def inputs(self, many: int, *, vectors: bool = True) -> Iterator[list[Row]]:
        """So many at a time, fewer of large ones, in the order of their making; `vector` is bytes of float32, or None.

        vectors: whether they are wanted; else there is no `vector`.
        """
        query = select(*_INPUT)
        if vectors:
            own = (_vectors.c.input_key == _inputs.c.key) & (_vectors.c.workflow == self.app["recipe"]["workflow"])
            query = query.add_columns(_vectors.c.vector).join(_vectors, own, isouter=True)
        query = query.where(_inputs.c.app_id == self._app_id).order_by(_inputs.c.key)
        for first, last in self._stretches(many):
            yield from self._rows(query.where(_inputs.c.key.between(first, last)), many)

    def _stretches(self, many: int) -> Iterator[tuple[int, int]]:
        """First and last keys of so many inputs, or of fewer with much JSON: each takes memory when it is read."""
        query = select(_inputs.c.key, _JSON_SIZE).where(_inputs.c.app_id == self._app_id).order_by(_inputs.c.key)
        first = last = count = total = 0
        for key, size in self._connection.execution_options(yield_per=_KEYS).execute(query):
            if count and (count == many or total + size > _MOST_JSON):
                yield first, last
                count = total = 0
            first, last = key if not count else first, key
            count, total = count + 1, total + size
        if count:
            yield first, last

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


def _space(row: Row, keys: KeyMap) -> Row:
    background = keys(np.frombuffer(row["background"], dtype="<i8").astype(np.int64))
    return {**row, "background": background.astype("<i8").tobytes()}


def _check_free(connection: Connection, name: str) -> None:
    """Raises AppExists, also for a name that is the id of an app."""
    if connection.scalar(select(_apps.c.id).where(or_(_apps.c.name == name, _apps.c.id == name))) is not None:
        raise AppExists(f"an app {name!r} exists already: an export of a whole app becomes a new app")


def _of(table: Any, app_id: str) -> Select[Any]:
    """A table's rows in the order of their making, without the numbers of this database."""
    columns = [column for column in table.c if column.name not in ("key", "app_id")]
    query: Select[Any] = select(*columns).where(table.c.app_id == app_id).order_by(table.c.key)
    return query
