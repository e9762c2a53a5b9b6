"""Inputs in SQL, with their vectors and labels."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from ..errors import InputExists, InputNotFound
from ..filters import Filter
from ..records import (
    Deleted,
    Failure,
    Geo,
    Input,
    InputChange,
    InputStatus,
    KeyArray,
    LabelSource,
    NewInput,
    Patch,
    PendingInput,
)
from . import schema
from .apps import HIDDEN, VISIBLE
from .database import Database, chunks
from .labels import Change, labels_of, log_removed_labels, take_seq, write_labels
from .retries import put_off
from .sql_filters import condition

T = TypeVar("T")
_IDS = 5_000
"""Ids that are listed at a time."""
_MOST_DELETED, _MOST_LABELS_DELETED = 500, 2_000
"""Inputs and labels that one transaction deletes at most."""
_apps, _inputs, _vectors = schema.apps, schema.inputs, schema.vectors
_STATUSES = {status.value: status for status in InputStatus}
_FAILURES = {failure.value: failure for failure in Failure}
# Built once, since requests wait for them.
_NAMED = select(_inputs).where(_inputs.c.app_id == bindparam("app"), _inputs.c.id.in_(bindparam("ids", expanding=True)))
_LOCKED = _NAMED.with_for_update()
"""Nobody else changes them before the commit."""
_PATCHED = ("metadata", "regions", "longitude", "latitude", "modified_at")
_UPDATE = (
    update(_inputs)
    .where(_inputs.c.key == bindparam("input"))
    .values({name: bindparam(f"new_{name}") for name in _PATCHED})
)
_WITH_LABEL_COUNTS = _NAMED.with_only_columns(
    *(_inputs.c.key, _inputs.c.id, _inputs.c.sha256),
    select(func.count()).where(schema.labels.c.input_key == _inputs.c.key).scalar_subquery().label("labels"),
)
_candidates = _inputs.alias()


def _is_pending(table: FromClause) -> ColumnElement[bool]:
    # A literal in the statement, so that SQLite can use the partial index of pending inputs.
    return table.c.status == bindparam("pending", InputStatus.PENDING.value, literal_execute=True)


_FIRST = (
    select(_candidates.c.key)
    .where(_candidates.c.app_id == _apps.c.id, _is_pending(_candidates), _candidates.c.due <= bindparam("now"))
    .where(_candidates.c.key.not_in(bindparam("besides", expanding=True)), _candidates.c.url.is_not(None))
    .order_by(_candidates.c.due, _candidates.c.key)
    .limit(1)
)
_DUE = tuple(
    select(_inputs.c.app_id, _inputs.c.id, _inputs.c.key, _inputs.c.url)
    .join_from(_apps, _inputs, _inputs.c.key == _FIRST.scalar_subquery())
    .where(VISIBLE, side)
    .order_by(_apps.c.id)
    .limit(bindparam("room", type_=Integer))
    for side in (_apps.c.id > bindparam("after"), _apps.c.id <= bindparam("after"))
)
"""The apps whose id follows `after`, and then the others."""
_STILL_PENDING = select(_inputs.c.key).where(_inputs.c.key.in_(bindparam("keys", expanding=True)), _is_pending(_inputs))
_WAITING = select(func.count()).where(_is_pending(_inputs), _inputs.c.app_id.not_in(HIDDEN))
_DELETE = delete(_inputs).where(_inputs.c.key.in_(bindparam("keys", expanding=True)))


class Inputs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, app_id: str, new: Sequence[NewInput]) -> list[Input]:
        """Adds rows, vectors, labels and new concepts in one transaction. Raises InputExists, and then adds none.

        Those without a vector are pending until `complete` or `fail`.
        """
        now = datetime.now(UTC)
        try:
            with self._database.write() as connection:
                seq = take_seq(connection, app_id)
                recipe = connection.execute(select(_apps.c.recipe).where(_apps.c.id == app_id)).scalar_one()
                # In the order of the request, since keys give the order of creation.
                rows = [_row(app_id, input, seq, now) for input in new]
                inserted = connection.scalars(
                    insert(_inputs).returning(_inputs.c.key, sort_by_parameter_order=True), rows
                )
                keys = list(inserted)
                vectors = [
                    {"input_key": key, "workflow": recipe["workflow"], "vector": input.vector.astype("<f4").tobytes()}
                    for key, input in zip(keys, new, strict=True)
                    if input.vector is not None
                ]
                if vectors:
                    connection.execute(insert(_vectors), vectors)
                for source in dict.fromkeys(input.source for input in new if input.concepts):
                    write_labels(
                        connection,
                        app_id,
                        [
                            (key, concept, value)
                            for key, input in zip(keys, new, strict=True)
                            for concept, value in input.concepts.items()
                            if input.source == source
                        ],
                        source,
                        present={},
                    )
        except IntegrityError as error:
            raise InputExists("one of the input ids exists already") from error
        return [
            Input(
                key=key,
                id=input.id,
                status=InputStatus.PENDING if input.vector is None else InputStatus.READY,
                status_reason=None,
                failure=None,
                url=input.url,
                sha256=input.sha256,
                media_type=input.media_type,
                crop=input.crop,
                metadata=input.metadata,
                geo=input.geo,
                regions=input.regions,
                concepts={concept: value for concept, value in input.concepts.items() if value is not None},
                created_at=now,
                modified_at=now,
                seq=seq,
            )
            for key, input in zip(keys, new, strict=True)
        ]

    def pending(self, app_id: str | None = None) -> list[tuple[str, str, int]]:
        """(app id, input id, key) of inputs that wait for their pictures, oldest first; of one app or of all."""
        query = select(_inputs.c.app_id, _inputs.c.id, _inputs.c.key).where(
            _inputs.c.status == InputStatus.PENDING.value, _inputs.c.app_id.not_in(HIDDEN)
        )
        if app_id is not None:
            query = query.where(_inputs.c.app_id == app_id)
        with self._database.read() as connection:
            return [(app, id, key) for app, id, key in connection.execute(query.order_by(_inputs.c.key))]

    def due(self, besides: Collection[PendingInput], after: str = "") -> list[PendingInput]:
        """Pending inputs that may be tried now, without `besides`: the first of each app, apps behind `after` first.

        They are of one app more than `besides` has inputs, so that an app with none among these is found if there is.
        """
        values = {"now": time.time(), "besides": [input.key for input in besides], "after": after}
        inputs: list[PendingInput] = []
        with self._database.read() as connection:
            for query in _DUE:
                if (room := len(besides) + 1 - len(inputs)) > 0:
                    inputs += [PendingInput(*row) for row in connection.execute(query, {**values, "room": room})]
        return inputs

    def pending_keys(self, keys: Sequence[int]) -> set[int]:
        """The keys among these whose inputs wait for their pictures."""
        with self._database.read() as connection:
            return {key for chunk in chunks(keys) for key in connection.scalars(_STILL_PENDING, {"keys": chunk})}

    def waiting(self) -> int:
        """How many inputs wait for their pictures."""
        with self._database.read() as connection:
            return connection.scalar(_WAITING) or 0

    def put_off(self, input: PendingInput, delays: Sequence[float], reason: str) -> None:
        """After a failed attempt: see `retries.py`. After the last delay the input has failed, for this reason."""
        with self._database.write() as connection:
            if not put_off(connection, _inputs, and_(_inputs.c.key == input.key, _is_pending(_inputs)), delays):
                connection.execute(_failing(input.app_id, input.key, Failure.FETCH, reason))

    def complete(self, app_id: str, key: int, arrived: NewInput) -> bool:
        """Makes a pending input ready, with its picture. False if it is no longer pending.

        By key, since the id may belong to another input by now.
        """
        assert arrived.vector is not None
        values = {
            "status": InputStatus.READY.value,
            "sha256": arrived.sha256,
            "media_type": arrived.media_type,
            "modified_at": datetime.now(UTC),
        }
        with self._database.write() as connection:
            seq = take_seq(connection, app_id)
            recipe = connection.execute(select(_apps.c.recipe).where(_apps.c.id == app_id)).scalar_one()
            waited = connection.execute(_settle(app_id, key).values(values | {"seq": seq})).rowcount == 1
            if waited:
                vector = arrived.vector.astype("<f4").tobytes()
                connection.execute(insert(_vectors).values(input_key=key, workflow=recipe["workflow"], vector=vector))
        return waited

    def fail(self, app_id: str, key: int, failure: Failure, reason: str) -> bool:
        """Makes a pending input failed: its picture can't be used. False if it is no longer pending."""
        with self._database.write() as connection:
            return connection.execute(_failing(app_id, key, failure, reason)).rowcount == 1

    def existing_ids(self, app_id: str, ids: Sequence[str]) -> set[str]:
        """The ids among these that exist."""
        return self._existing(app_id, _inputs.c.id, ids)

    def existing_urls(self, app_id: str, urls: Sequence[str]) -> set[str]:
        """The URLs among these that an input has; a failed input doesn't count."""
        return self._existing(app_id, _inputs.c.url, urls, _inputs.c.status != InputStatus.FAILED.value)

    def with_pictures(self, app_id: str, hashes: Sequence[str]) -> dict[str, str]:
        """sha256 -> id of the oldest input that has this picture without a crop."""
        ids: dict[str, str] = {}
        with self._database.read() as connection:
            for chunk in chunks(hashes):
                query = select(_inputs.c.sha256, _inputs.c.id).where(
                    _inputs.c.app_id == app_id, _inputs.c.sha256.in_(chunk), _inputs.c.crop.is_(None)
                )
                for sha256, id in connection.execute(query.order_by(_inputs.c.key)):
                    ids.setdefault(sha256, id)
        return ids

    def get(self, app_id: str, ids: Sequence[str]) -> dict[str, Input]:
        """Id -> input, of those that exist."""
        if len(ids) == 1:
            return dict(self._database.cached(("input", app_id, ids[0]), lambda: self._get(app_id, ids)))
        return self._get(app_id, ids)

    def _get(self, app_id: str, ids: Sequence[str]) -> dict[str, Input]:
        with self._database.read() as connection:
            return _inputs_of(connection, app_id, ids)

    def ids(self, keys: KeyArray) -> dict[int, str]:
        """key -> id of those that exist."""
        return self._database.cached_many("input id", keys.tolist(), self._ids)

    def by_key(self, keys: KeyArray) -> dict[int, Input]:
        """key -> input of those that exist."""
        return self._database.cached_many("input by key", keys.tolist(), self._by_key)

    def _ids(self, keys: list[int]) -> dict[int, str]:
        with self._database.read() as connection:
            return {
                key: id
                for chunk in chunks(keys)
                for key, id in connection.execute(select(_inputs.c.key, _inputs.c.id).where(_inputs.c.key.in_(chunk)))
            }

    def _by_key(self, keys: list[int]) -> dict[int, Input]:
        with self._database.read() as connection:
            rows = [
                row
                for chunk in chunks(keys)
                for row in connection.execute(select(_inputs).where(_inputs.c.key.in_(chunk)))
            ]
            return {record.key: record for record in _records(connection, rows)}

    def media_type(self, app_id: str, sha256: str) -> str | None:
        """The type of a picture of this app, None if the app has no picture with this hash."""
        query = select(_inputs.c.media_type).where(_inputs.c.sha256 == sha256, _inputs.c.app_id == app_id).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def page(
        self, app_id: str, offset: int, limit: int, status: InputStatus | None = None, *, newest_first: bool = False
    ) -> list[Input]:
        """Oldest first, or newest first."""
        query = select(_inputs).where(_inputs.c.app_id == app_id)
        if status is not None:
            query = query.where(_inputs.c.status == status.value)
        order = _inputs.c.key.desc() if newest_first else _inputs.c.key
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(order).offset(offset).limit(limit)).all()
            return _records(connection, rows)

    def counts(self, app_id: str) -> Mapping[InputStatus, int]:
        """How many inputs have each status."""
        query = select(_inputs.c.status, func.count()).where(_inputs.c.app_id == app_id).group_by(_inputs.c.status)
        with self._database.read() as connection:
            counts = {row[0]: row[1] for row in connection.execute(query)}
        return {status: counts.get(status.value, 0) for status in InputStatus}

    def where(self, app_id: str, where: Filter) -> KeyArray:
        """The keys of the ready inputs that a filter matches, ascending."""
        filters = condition(where, app_id, self._database.dialect)
        ready = _inputs.c.status == InputStatus.READY.value
        query = select(_inputs.c.key).where(_inputs.c.app_id == app_id, ready, filters).order_by(_inputs.c.key)
        with self._database.read() as connection:
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def matching(self, app_id: str, where: Filter, make: Callable[[KeyArray], T]) -> T:
        """What `make` returns for the keys that a filter matches, cached while nothing is written.

        Asking SQL takes a hundred times as long as searching.
        """
        return self._database.cached(("filter", app_id, make, repr(where)), lambda: make(self.where(app_id, where)))

    def update(
        self, app_id: str, patches: Sequence[tuple[str, Patch]], source: LabelSource
    ) -> tuple[list[Change], dict[str, Input]]:
        """Applies (id, patch) pairs in their order, each to the result of the one before, in one transaction.

        Returns the label changes, and the changed inputs by id. Raises InputNotFound, and whatever a patch raises.
        """
        ids = list(dict.fromkeys(id for id, _ in patches))
        changes: list[Change] = []
        with self._database.write() as connection:
            before = _inputs_of(connection, app_id, ids, _LOCKED)
            after = dict(before)
            for id, patch in patches:
                if id not in after:
                    raise InputNotFound(f"no input {id!r}")
                change = patch(after[id])
                after[id] = _changed(after[id], change)
                changes += [(after[id].key, concept, value) for concept, value in change.concepts.items()]
            present = {
                (input.key, concept): value for input in before.values() for concept, value in input.concepts.items()
            }
            write_labels(connection, app_id, changes, source, present)
            if after:
                connection.execute(_UPDATE, [_updated(input) for input in after.values()])
            return changes, _inputs_of(connection, app_id, ids, _LOCKED)

    def all_ids(self, app_id: str) -> Iterator[list[str]]:
        """Ids of the inputs that exist when it begins, oldest first, some at a time."""
        with self._database.read() as connection:
            last = connection.scalar(select(func.max(_inputs.c.key)).where(_inputs.c.app_id == app_id)) or 0
        after = 0
        while after < last:
            query = select(_inputs.c.key, _inputs.c.id).where(
                _inputs.c.app_id == app_id, _inputs.c.key > after, _inputs.c.key <= last
            )
            with self._database.read() as connection:
                rows = connection.execute(query.order_by(_inputs.c.key).limit(_IDS)).all()
            yield [row.id for row in rows]
            after = rows[-1].key if rows else last

    def delete(self, app_id: str, ids: Sequence[str]) -> Deleted:
        """Deletes the first of these inputs with their vectors and labels, in one transaction; `rest` names the others.

        It deletes few inputs with few labels, so that other writers hardly wait; an input with many labels goes alone.
        """
        first, rest = ids[:_MOST_DELETED], ids[_MOST_DELETED:]
        with self._database.write() as connection:
            rows = connection.execute(_WITH_LABEL_COUNTS, {"app": app_id, "ids": first}).all()
            count = _batch_size([row.labels for row in rows])
            rows, rest = rows[:count], [*(row.id for row in rows[count:]), *rest]
            keys, seq = [row.key for row in rows], 0
            if keys:
                seq = take_seq(connection, app_id)
                log_removed_labels(connection, keys, seq)
                # By these rows, collections in memory and on disk learn of the deletion.
                tombstones = [{"app_id": app_id, "seq": seq, "input_key": key} for key in keys]
                connection.execute(insert(schema.tombstones), tombstones)
                connection.execute(_DELETE, {"keys": keys})
        return Deleted(np.array(keys, dtype=np.int64), {row.sha256 for row in rows if row.sha256}, seq, rest)

    def _existing(
        self, app_id: str, column: ColumnElement[Any], values: Sequence[str], *also: ColumnElement[bool]
    ) -> set[str]:
        with self._database.read() as connection:
            return {
                value
                for chunk in chunks(values)
                for value in connection.scalars(
                    select(column).where(_inputs.c.app_id == app_id, column.in_(chunk), *also)
                )
            }


def _inputs_of(
    connection: Connection, app_id: str, ids: Sequence[str], query: Select[Any] = _NAMED
) -> dict[str, Input]:
    """Id -> input, of those that exist."""
    rows: list[Row[Any]] = []
    for chunk in chunks(ids):
        rows += connection.execute(query, {"app": app_id, "ids": chunk}).all()
    return {record.id: record for record in _records(connection, rows)}


def _batch_size(labels: Sequence[int]) -> int:
    """How many inputs one transaction deletes, at least one; labels: how many labels each input has."""
    sums = np.cumsum(labels)
    return max(1, int(np.searchsorted(sums, _MOST_LABELS_DELETED, side="right")))


def _changed(input: Input, change: InputChange) -> Input:
    labels = {**input.concepts, **change.concepts}
    return replace(
        input,
        metadata=input.metadata if change.metadata is None else dict(change.metadata),
        geo=change.geo or (None if change.no_geo else input.geo),
        regions=input.regions if change.regions is None else [dict(region) for region in change.regions],
        concepts={concept: value for concept, value in labels.items() if value is not None},
    )


def _updated(input: Input) -> dict[str, Any]:
    """The parameters of `_UPDATE`."""
    return {
        "input": input.key,
        "new_metadata": input.metadata,
        "new_regions": input.regions,
        # Plain numbers: SQLite takes no others.
        "new_longitude": input.geo and float(input.geo.longitude),
        "new_latitude": input.geo and float(input.geo.latitude),
        "new_modified_at": datetime.now(UTC),
    }


def _settle(app_id: str, key: int) -> Update:
    return update(_inputs).where(
        _inputs.c.app_id == app_id, _inputs.c.key == key, _inputs.c.status == InputStatus.PENDING.value
    )


def _failing(app_id: str, key: int, failure: Failure, reason: str) -> Update:
    values = {"failure": failure.value, "status_reason": reason, "modified_at": datetime.now(UTC)}
    return _settle(app_id, key).values(values | {"status": InputStatus.FAILED.value})


def _row(app_id: str, input: NewInput, seq: int, now: datetime) -> dict[str, Any]:
    return {
        "app_id": app_id,
        "id": input.id,
        "seq": seq,
        "status": (InputStatus.PENDING if input.vector is None else InputStatus.READY).value,
        "url": input.url,
        "sha256": input.sha256,
        "media_type": input.media_type,
        "crop": None if input.crop is None else list(input.crop),
        "regions": None if input.regions is None else [dict(region) for region in input.regions],
        "metadata": None if input.metadata is None else dict(input.metadata),
        "longitude": input.geo and float(input.geo.longitude),
        "latitude": input.geo and float(input.geo.latitude),
        "created_at": now,
        "modified_at": now,
    }


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[Input]:
    labels = labels_of(connection, [row.key for row in rows])
    return [
        Input(
            key=row.key,
            id=row.id,
            # Early imports accepted unknown words here; they must not make the other inputs unreadable.
            status=_STATUSES.get(row.status, InputStatus.FAILED),
            status_reason=row.status_reason,
            failure=_FAILURES.get(row.failure),
            url=row.url,
            sha256=row.sha256,
            media_type=row.media_type,
            crop=None if row.crop is None else (row.crop[0], row.crop[1], row.crop[2], row.crop[3]),
            metadata=row.metadata,
            geo=None if row.longitude is None else Geo(row.longitude, row.latitude),
            regions=row.regions,
            concepts=labels.get(row.key, {}),
            created_at=row.created_at,
            modified_at=row.modified_at,
            seq=row.seq,
        )
        for row in rows
    ]
