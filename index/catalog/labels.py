"""Labels in SQL, and the log of their changes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, Connection, Text, bindparam, delete, func, insert, null, select, update

from ..errors import InputNotFound
from ..records import InputStatus, KeyArray, LabelSource
from . import schema
from .apps import check_app, deleted
from .concepts import concept_keys
from .database import Database, chunks

_labels, _events, _concepts, _apps = schema.labels, schema.label_events, schema.concepts, schema.apps
_inputs = schema.inputs

# Built once, since every prediction after a label waits for them.
_TAKE_SEQ = (
    update(_apps)
    .where(_apps.c.id == bindparam("app"), ~_apps.c.deleted)
    .values(seq=_apps.c.seq + 1)
    .returning(_apps.c.seq)
)
_LOOK_UP = (
    select(_inputs.c.id, _inputs.c.key, _concepts.c.id.label("concept"), _labels.c.value)
    .join(_labels, _labels.c.input_key == _inputs.c.key, isouter=True)
    .join(_concepts, _concepts.c.key == _labels.c.concept_key, isouter=True)
    .where(_inputs.c.app_id == bindparam("app"), _inputs.c.id.in_(bindparam("ids", expanding=True)))
)
_INSERT_LABELS, _INSERT_EVENTS = insert(_labels), insert(_events)
_DELETE_LABEL = delete(_labels).where(
    _labels.c.input_key == bindparam("input"), _labels.c.concept_key == bindparam("concept")
)
_LOG_REMOVED = insert(_events).from_select(
    ["app_id", "seq", "input_key", "concept_key", "value", "source", "created_at"],
    select(
        *(_labels.c.app_id, bindparam("seq", type_=BigInteger), _labels.c.input_key, _labels.c.concept_key, null()),
        *(bindparam("source", type_=Text), bindparam("now", type_=schema.UtcTimestamp)),
    ).where(_labels.c.input_key.in_(bindparam("keys", expanding=True))),
)

Change = tuple[int, str, bool | None]
"""Input key, concept id, and yes, no or None; None removes the label."""

Present = Mapping[tuple[int, str], bool]
"""(input key, concept id) -> yes or no."""


@dataclass(frozen=True)
class LabelTable:
    """All labels of an app."""

    concept_ids: Sequence[str]
    """Oldest concept first."""
    rows: Sequence[tuple[int, str, bool]]
    """Input key, concept id, yes or no; by concept, then by key."""

    def by_concept(self) -> dict[str, dict[int, bool]]:
        """Concept id -> input key -> yes or no."""
        table: dict[str, dict[int, bool]] = {concept: {} for concept in self.concept_ids}
        for key, concept, value in self.rows:
            table[concept][key] = value
        return table


class Labels:
    def __init__(self, database: Database) -> None:
        self._database = database

    def set(self, app_id: str, labels: Mapping[str, Mapping[str, bool | None]], source: LabelSource) -> "list[Change]":
        """labels: input id -> concept id -> yes, no, or None to remove it. Returns the changes. One transaction.

        New concepts are created; labels that are so already are not written. Raises InputNotFound.
        """
        with self._database.write() as connection:
            return set_labels(connection, app_id, labels, source)

    def all(self, app_id: str) -> LabelTable:
        """The labels of all ready inputs."""
        order = select(_concepts.c.id).where(_concepts.c.app_id == app_id).order_by(_concepts.c.key)
        query = (
            select(_labels.c.input_key, _concepts.c.id, _labels.c.value)
            .join(_concepts, _concepts.c.key == _labels.c.concept_key)
            .join(_inputs, _inputs.c.key == _labels.c.input_key)
            .where(_labels.c.app_id == app_id, _inputs.c.status == InputStatus.READY.value)
            .order_by(_concepts.c.key, _labels.c.input_key)
        )
        with self._database.read() as connection:
            return LabelTable(list(connection.scalars(order)), [(k, c, v) for k, c, v in connection.execute(query)])

    def counts(self, app_id: str) -> dict[str, tuple[int, int]]:
        """Concept id -> how many labels say yes, and how many no."""
        counted = func.count().label("counted")
        query = select(_concepts.c.id, _labels.c.value, counted).join(_labels, _labels.c.concept_key == _concepts.c.key)
        query = query.where(_labels.c.app_id == app_id).group_by(_concepts.c.id, _labels.c.value)
        counts: dict[str, tuple[int, int]] = {}
        with self._database.read() as connection:
            for id, value, number in connection.execute(query):
                yes, no = counts.get(id, (0, 0))
                counts[id] = (yes + number, no) if value else (yes, no + number)
        return counts

    def at(self, app_id: str, concept_ids: Sequence[str], seq: int) -> dict[str, dict[int, bool]]:
        """Concept id -> input key -> yes or no, as they were after change `seq`; of the inputs that are ready now."""
        latest: dict[str, dict[int, bool | None]] = {concept: {} for concept in concept_ids}
        with self._database.read() as connection:
            for chunk in chunks(concept_ids):
                query = (
                    select(_events.c.input_key, _concepts.c.id, _events.c.value)
                    .join(_concepts, _concepts.c.key == _events.c.concept_key)
                    .join(_inputs, _inputs.c.key == _events.c.input_key)
                    .where(_events.c.app_id == app_id, _events.c.seq <= seq, _concepts.c.id.in_(chunk))
                    .where(_inputs.c.status == InputStatus.READY.value)
                    .order_by(_events.c.key)
                )
                for key, concept, value in connection.execute(query):
                    latest[concept][key] = value
        return {
            concept: {key: value for key, value in labels.items() if value is not None}
            for concept, labels in latest.items()
        }

    def seq(self, app_id: str) -> int:
        """The number of the app's last change."""
        with self._database.read() as connection:
            return int(connection.execute(select(_apps.c.seq).where(_apps.c.id == app_id)).scalar_one())


def take_seq(connection: Connection, app_id: str) -> int:
    """The number of this change. The row stays locked until the commit, so numbers become visible in their order.

    Raises AppNotFound, since another process may have deleted the app.
    """
    seq = connection.execute(_TAKE_SEQ, {"app": app_id}).scalar_one_or_none()
    if seq is None:
        raise deleted(app_id)
    return int(seq)


def set_labels(
    connection: Connection, app_id: str, labels: Mapping[str, Mapping[str, bool | None]], source: LabelSource
) -> list[Change]:
    """`Labels.set` inside the caller's transaction."""
    keys, present = _look_up(connection, app_id, list(labels))
    for id in labels:
        if id not in keys:
            raise InputNotFound(f"no input {id!r}")
    changes = [(keys[id], concept, value) for id, concepts in labels.items() for concept, value in concepts.items()]
    write_labels(connection, app_id, changes, source, present)
    return changes


def write_labels(
    connection: Connection, app_id: str, changes: Iterable[Change], source: LabelSource, present: Present
) -> None:
    """Inside the caller's transaction; present: the labels now. Of several changes of one label the last counts.

    Raises AppNotFound, also where nothing changes.
    """
    last = {(key, concept): value for key, concept, value in changes}
    concepts = concept_keys(connection, app_id, (concept for _, concept in last)) if last else {}
    changed = {pair: value for pair, value in last.items() if present.get(pair) is not value}
    if not changed:
        check_app(connection, app_id)
        return
    seq, now = take_seq(connection, app_id), datetime.now(UTC)
    stamp = {"app_id": app_id, "source": source.value, "created_at": now, "seq": seq}
    rows = [
        {"input_key": key, "concept_key": concepts[concept], "value": value} | stamp
        for (key, concept), value in changed.items()
    ]
    if removed := [{"input": key, "concept": concepts[concept]} for key, concept in changed.keys() & present.keys()]:
        connection.execute(_DELETE_LABEL, removed)
    if added := [row for row in rows if row["value"] is not None]:
        connection.execute(_INSERT_LABELS, added)
    connection.execute(_INSERT_EVENTS, rows)


def labels_of(connection: Connection, keys: Sequence[int] | KeyArray) -> dict[int, dict[str, bool]]:
    """Input key -> concept id -> yes or no, for inputs that have labels."""
    labels: dict[int, dict[str, bool]] = {}
    for chunk in chunks([int(key) for key in keys]):
        query = (
            select(_labels.c.input_key, _concepts.c.id, _labels.c.value)
            .join(_concepts, _concepts.c.key == _labels.c.concept_key)
            .where(_labels.c.input_key.in_(chunk))
            .order_by(_labels.c.input_key, _concepts.c.key)
        )
        for key, concept, value in connection.execute(query):
            labels.setdefault(key, {})[concept] = value
    return labels


def log_removed_labels(connection: Connection, keys: Sequence[int], seq: int) -> None:
    """Logs that all labels of these inputs are removed; keys: a few hundred inputs that are about to be deleted."""
    stamp = {"seq": seq, "source": LabelSource.USER.value, "now": datetime.now(UTC)}
    connection.execute(_LOG_REMOVED, stamp | {"keys": keys})


def _look_up(connection: Connection, app_id: str, ids: Sequence[str]) -> tuple[dict[str, int], Present]:
    """Keys and labels of the inputs that exist, in one query."""
    keys: dict[str, int] = {}
    present: dict[tuple[int, str], bool] = {}
    for chunk in chunks(ids):
        for id, key, concept, value in connection.execute(_LOOK_UP, {"app": app_id, "ids": chunk}):
            keys[id] = key
            if concept is not None:
                present[key, concept] = value
    return keys, present
