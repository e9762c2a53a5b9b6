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
from ..filters import parse
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
    Where,
)
from . import schema
from .apps import HIDDEN, VISIBLE
from .database import Database, chunks
from .labels import Change, labels_of, log_forgotten, take_seq, write_labels
from .retries import put_off
from .sql_filters import condition

T = TypeVar("T")
_IDS = 5_000
"""Of inputs that are listed at a time."""
_DELETED, _FORGOTTEN = 500, 2_000
"""Inputs and labels that one transaction deletes at most."""
_apps, _inputs, _vectors = schema.apps, schema.inputs, schema.vectors
_STATUSES = {status.value: status for status in InputStatus}
_FAILURES = {failure.value: failure for failure in Failure}
# Built once, for requests wait for them.
_NAMED = select(_inputs).where(_inputs.c.app_id == bindparam("app"), _inputs.c.id.in_(bindparam("ids", expanding=True)))
_LOCKED = _NAMED.with_for_update()
"""Nobody else changes them before the commit."""
_PATCHED = ("metadata", "regions", "longitude", "latitude", "modified_at")
_UPDATE = (
    update(_inputs)
    .where(_inputs.c.key == bindparam("input"))
    .values({name: bindparam(f"new_{name}") for name in _PATCHED})
)
_WEIGHED = _NAMED.with_only_columns(
    *(_inputs.c.key, _inputs.c.id, _inputs.c.sha256),
    select(func.count()).where(schema.labels.c.input_key == _inputs.c.key).scalar_subquery().label("labels"),
)
_candidates = _inputs.alias()


def _is_pending(table: FromClause) -> ColumnElement[bool]:
    # The word stands in the statement, so that SQLite knows which index is of these alone.
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
"""Of the apps behind one in their order, and of the others."""
_STILL = select(_inputs.c.key).where(_inputs.c.key.in_(bindparam("keys", expanding=True)), _is_pending(_inputs))
_WAITING = select(func.count()).where(_is_pending(_inputs), _inputs.c.app_id.not_in(HIDDEN))
_DELETE = delete(_inputs).where(_inputs.c.key.in_(bindparam("keys", expanding=True)))


class Inputs:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, app_id: str, new: Sequence[NewInput]) -> list[Input]:
        """Rows, vectors, labels and unknown concepts in one transaction. Raises InputExists, and then adds none.

        Those without a vector are pending until `complete` or `fail`.
        """
        now = datetime.now(UTC)
        try:
            with self._database.write() as connection:
                seq = take_seq(connection, app_id)
                recipe = connection.execute(select(_apps.c.recipe).where(_apps.c.id == app_id)).scalar_one()
                # In the order of the request: keys are the creation order.
                rows = [_row(app_id, one, seq, now) for one in new]
                inserted = connection.scalars(
                    insert(_inputs).returning(_inputs.c.key, sort_by_parameter_order=True), rows
                )
                keys = list(inserted)
                vectors = [
                    {"input_key": key, "workflow": recipe["workflow"], "vector": one.vector.astype("<f4").tobytes()}
                    for key, one in zip(keys, new, strict=True)
                    if one.vector is not None
                ]
                if vectors:
                    connection.execute(insert(_vectors), vectors)
                for source in dict.fromkeys(one.source for one in new if one.concepts):
                    write_labels(
                        connection,
                        app_id,
                        [
                            (key, concept, value)
                            for key, one in zip(keys, new, strict=True)
                            for concept, value in one.concepts.items()
                            if one.source == source
                        ],
                        source,
                        present={},
                    )
        except IntegrityError as error:
            raise InputExists("one of the input ids exists already") from error
        return [
            Input(
                key=key,
                id=one.id,
                status=InputStatus.PENDING if one.vector is None else InputStatus.READY,
                status_reason=None,
                failure=None,
                url=one.url,
                sha256=one.sha256,
                media_type=one.media_type,
                crop=one.crop,
                metadata=one.metadata,
                geo=one.geo,
                regions=one.regions,
                concepts={concept: value for concept, value in one.concepts.items() if value is not None},
                created_at=now,
                modified_at=now,
                seq=seq,
            )
            for key, one in zip(keys, new, strict=True)
        ]

    def pending(self, app_id: str | None = None) -> list[tuple[str, str, int]]:
        """(app id, input id, key) of what waits for its picture, oldest first; of one app or of all."""
        query = select(_inputs.c.app_id, _inputs.c.id, _inputs.c.key).where(
            _inputs.c.status == InputStatus.PENDING.value, _inputs.c.app_id.not_in(HIDDEN)
        )
        if app_id is not None:
            query = query.where(_inputs.c.app_id == app_id)
        with self._database.read() as connection:
            return [(app, id, key) for app, id, key in connection.execute(query.order_by(_inputs.c.key))]

    def due(self, besides: Collection[PendingInput], after: str = "") -> list[PendingInput]:
        """What waits for its picture and may be tried now, besides these: the first of each app, in turn from `after`.

        Of one app more than these are of, so that there is one with none of them, if any is.
        """
        values = {"now": time.time(), "besides": [one.key for one in besides], "after": after}
        found: list[PendingInput] = []
        with self._database.read() as connection:
            for query in _DUE:
                if (room := len(besides) + 1 - len(found)) > 0:
                    found += [PendingInput(*row) for row in connection.execute(query, {**values, "room": room})]
        return found

    def pending_keys(self, keys: Sequence[int]) -> set[int]:
        """Those of the keys whose inputs wait for their pictures."""
        with self._database.read() as connection:
            return {key for chunk in chunks(keys) for key in connection.scalars(_STILL, {"keys": chunk})}

    def waiting(self) -> int:
        """How many wait for their pictures."""
        with self._database.read() as connection:
            return connection.scalar(_WAITING) or 0

    def put_off(self, one: PendingInput, delays: Sequence[float], reason: str) -> None:
        """After a try that failed: see `tries`. After the last delay it has failed, for this reason."""
        with self._database.write() as connection:
            if not put_off(connection, _inputs, and_(_inputs.c.key == one.key, _is_pending(_inputs)), delays):
                connection.execute(_failing(one.app_id, one.key, Failure.FETCH, reason))

    def complete(self, app_id: str, key: int, arrived: NewInput) -> bool:
        """The picture of a pending input is there: it is ready. False if this row doesn't wait any more.

        By key, for the same id may be another input by now.
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
        """The picture of a pending input can't be used. False if this row doesn't wait any more."""
        with self._database.write() as connection:
            return connection.execute(_failing(app_id, key, failure, reason)).rowcount == 1

    def taken_ids(self, app_id: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that exist."""
        return self._taken(app_id, _inputs.c.id, ids)

    def taken_urls(self, app_id: str, urls: Sequence[str]) -> set[str]:
        """Those of the URLs that an input came from, or will; one whose URL failed doesn't count."""
        return self._taken(app_id, _inputs.c.url, urls, _inputs.c.status != InputStatus.FAILED.value)

    def with_pictures(self, app_id: str, hashes: Sequence[str]) -> dict[str, str]:
        """sha256 -> id of the oldest input that has this picture, whole."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for chunk in chunks(hashes):
                query = select(_inputs.c.sha256, _inputs.c.id).where(
                    _inputs.c.app_id == app_id, _inputs.c.sha256.in_(chunk), _inputs.c.crop.is_(None)
                )
                for sha256, id in connection.execute(query.order_by(_inputs.c.key)):
                    found.setdefault(sha256, id)
        return found

    def get(self, app_id: str, ids: Sequence[str]) -> dict[str, Input]:
        """Those that exist."""
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
        """Of a picture of this app, None if it has none of this hash."""
        query = select(_inputs.c.media_type).where(_inputs.c.sha256 == sha256, _inputs.c.app_id == app_id).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def page(
        self, app_id: str, offset: int, limit: int, status: InputStatus | None = None, *, newest_first: bool = False
    ) -> list[Input]:
        """In the order in which they were added, or the other way round."""
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
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {status: found.get(status.value, 0) for status in InputStatus}

    def where(self, app_id: str, where: Where) -> KeyArray:
        """The keys of the ready inputs that a filter matches, ascending. Raises BadFilter."""
        filters = condition(parse(where), app_id, self._database.dialect)
        ready = _inputs.c.status == InputStatus.READY.value
        query = select(_inputs.c.key).where(_inputs.c.app_id == app_id, ready, filters).order_by(_inputs.c.key)
        with self._database.read() as connection:
            return np.fromiter(connection.scalars(query), dtype=np.int64)

    def matching(self, app_id: str, where: Where, made: Callable[[KeyArray], T]) -> T:
        """What is made of the keys that a filter matches, kept while nothing is written.

        To ask SQL takes a hundred times as long as to search.
        """
        return self._database.cached(("filter", app_id, repr(parse(where))), lambda: made(self.where(app_id, where)))

    def update(
        self, app_id: str, patches: Sequence[tuple[str, Patch]], source: LabelSource
    ) -> tuple[list[Change], dict[str, Input]]:
        """(id, what is made of the input as it is, earlier patches of it included), in one transaction.

        Returns the labels, and the inputs by id as they are now. Raises InputNotFound, and whatever a patch raises.
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
            present = {(one.key, concept): value for one in before.values() for concept, value in one.concepts.items()}
            write_labels(connection, app_id, changes, source, present)
            if after:
                connection.execute(_UPDATE, [_updated(one) for one in after.values()])
            return changes, _inputs_of(connection, app_id, ids, _LOCKED)

    def all_ids(self, app_id: str) -> Iterator[list[str]]:
        """Ids of the inputs that are there when it begins, in the order of their making, some at a time."""
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
        """Deletes the first of these inputs with their vectors and labels, in one transaction; the others are its rest.

        So few, and with so few labels, that whoever waits to write hardly notices; an input with more goes alone.
        """
        first, rest = ids[:_DELETED], ids[_DELETED:]
        with self._database.write() as connection:
            rows = connection.execute(_WEIGHED, {"app": app_id, "ids": first}).all()
            count = _fitting([row.labels for row in rows])
            rows, rest = rows[:count], [*(row.id for row in rows[count:]), *rest]
            keys, seq = [row.key for row in rows], 0
            if keys:
                seq = take_seq(connection, app_id)
                log_forgotten(connection, keys, seq)
                # What collections in memory and on the disk learn of it by.
                stones = [{"app_id": app_id, "seq": seq, "input_key": key} for key in keys]
                connection.execute(insert(schema.tombstones), stones)
                connection.execute(_DELETE, {"keys": keys})
        return Deleted(np.array(keys, dtype=np.int64), {row.sha256 for row in rows if row.sha256}, seq, rest)

    def _taken(
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
    """Those that exist, by id."""
    rows: list[Row[Any]] = []
    for chunk in chunks(ids):
        rows += connection.execute(query, {"app": app_id, "ids": chunk}).all()
    return {record.id: record for record in _records(connection, rows)}


def _fitting(labels: Sequence[int]) -> int:
    """How many of the inputs that have so many labels are deleted at once: one at least."""
    sums = np.cumsum(labels)
    return max(1, int(np.searchsorted(sums, _FORGOTTEN, side="right")))


def _changed(one: Input, change: InputChange) -> Input:
    labels = {**one.concepts, **change.concepts}
    return replace(
        one,
        metadata=one.metadata if change.metadata is None else dict(change.metadata),
        geo=change.geo or (None if change.no_geo else one.geo),
        regions=one.regions if change.regions is None else [dict(region) for region in change.regions],
        concepts={concept: value for concept, value in labels.items() if value is not None},
    )


def _updated(one: Input) -> dict[str, Any]:
    """The parameters of `_UPDATE`."""
    return {
        "input": one.key,
        "new_metadata": one.metadata,
        "new_regions": one.regions,
        # Plain numbers: SQLite takes no others.
        "new_longitude": one.geo and float(one.geo.longitude),
        "new_latitude": one.geo and float(one.geo.latitude),
        "new_modified_at": datetime.now(UTC),
    }


def _settle(app_id: str, key: int) -> Update:
    return update(_inputs).where(
        _inputs.c.app_id == app_id, _inputs.c.key == key, _inputs.c.status == InputStatus.PENDING.value
    )


def _failing(app_id: str, key: int, failure: Failure, reason: str) -> Update:
    values = {"failure": failure.value, "status_reason": reason, "modified_at": datetime.now(UTC)}
    return _settle(app_id, key).values(values | {"status": InputStatus.FAILED.value})


def _row(app_id: str, one: NewInput, seq: int, now: datetime) -> dict[str, Any]:
    return {
        "app_id": app_id,
        "id": one.id,
        "seq": seq,
        "status": (InputStatus.PENDING if one.vector is None else InputStatus.READY).value,
        "url": one.url,
        "sha256": one.sha256,
        "media_type": one.media_type,
        "crop": None if one.crop is None else list(one.crop),
        "regions": None if one.regions is None else [dict(region) for region in one.regions],
        "metadata": None if one.metadata is None else dict(one.metadata),
        "longitude": one.geo and float(one.geo.longitude),
        "latitude": one.geo and float(one.geo.latitude),
        "created_at": now,
        "modified_at": now,
    }


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[Input]:
    labels = labels_of(connection, [row.key for row in rows])
    return [
        Input(
            key=row.key,
            id=row.id,
            # Words that are none of ours, as imports once took them, must not keep the others from being read.
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
