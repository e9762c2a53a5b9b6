"""Labels in SQL, and the log of how they came to be."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, insert, select, update

from ..errors import InputNotFound
from ..records import KeyArray, LabelSource
from . import schema
from .concepts import concept_keys
from .database import Database, chunks

_labels, _events, _concepts, _apps = schema.labels, schema.label_events, schema.concepts, schema.apps

Change = tuple[int, str, bool | None]
"""Input key, concept id, yes, no, or None to take the label back."""

Present = Mapping[tuple[int, int], bool]
"""(input key, concept key) -> yes or no."""


@dataclass(frozen=True)
class LabelTable:
    """All labels of an app."""

    concept_ids: Sequence[str]
    """In the order in which the concepts were made."""
    rows: Sequence[tuple[int, str, bool]]
    """Input key, concept id, yes or no; in the order of keys within a concept."""

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
        """Input id -> concept id -> yes, no, or None to take it back; returned by input key. One transaction.

        Concepts that don't exist are made. What changes nothing writes nothing. Raises InputNotFound.
        """
        with self._database.write() as connection:
            return set_labels(connection, app_id, labels, source)

    def all(self, app_id: str) -> LabelTable:
        order = select(_concepts.c.id).where(_concepts.c.app_id == app_id).order_by(_concepts.c.key)
        query = (
            select(_labels.c.input_key, _concepts.c.id, _labels.c.value)
            .join(_concepts, _concepts.c.key == _labels.c.concept_key)
            .where(_labels.c.app_id == app_id)
            .order_by(_concepts.c.key, _labels.c.input_key)
        )
        with self._database.read() as connection:
            return LabelTable(list(connection.scalars(order)), [(k, c, v) for k, c, v in connection.execute(query)])

    def seq(self, app_id: str) -> int:
        """The number of the app's last change."""
        with self._database.read() as connection:
            return int(connection.execute(select(_apps.c.seq).where(_apps.c.id == app_id)).scalar_one())


def take_seq(connection: Connection, app_id: str) -> int:
    """The number of this change. The row stays locked until the commit, so numbers become visible in their order."""
    query = update(_apps).where(_apps.c.id == app_id).values(seq=_apps.c.seq + 1).returning(_apps.c.seq)
    return int(connection.execute(query).scalar_one())


def set_labels(
    connection: Connection, app_id: str, labels: Mapping[str, Mapping[str, bool | None]], source: LabelSource
) -> list[Change]:
    """`Labels.set` inside the caller's transaction."""
    keys, present = _look_up(connection, app_id, list(labels))
    for id in labels:
        if id not in keys:
            raise InputNotFound(f"no input {id!r}")
    changes = [(keys[id], concept, value) for id, given in labels.items() for concept, value in given.items()]
    write_labels(connection, app_id, changes, source, present)
    return changes


def write_labels(
    connection: Connection, app_id: str, changes: Iterable[Change], source: LabelSource, present: Present
) -> None:
    """Inside the caller's transaction; present: what the inputs have. Of several changes of a label the last counts."""
    last = {(key, concept): value for key, concept, value in changes}
    if not last:
        return
    concepts = concept_keys(connection, app_id, (concept for _, concept in last))
    wanted = {(key, concepts[concept]): value for (key, concept), value in last.items()}
    changed = {pair: value for pair, value in wanted.items() if present.get(pair) is not value}
    if not changed:
        return
    seq, now = take_seq(connection, app_id), datetime.now(UTC)
    stamp = {"app_id": app_id, "source": source.value, "created_at": now, "seq": seq}
    rows = [
        {"input_key": key, "concept_key": concept, "value": value} | stamp for (key, concept), value in changed.items()
    ]
    for pair in changed.keys() & present.keys():
        connection.execute(delete(_labels).where(_labels.c.input_key == pair[0], _labels.c.concept_key == pair[1]))
    if kept := [row for row in rows if row["value"] is not None]:
        connection.execute(insert(_labels), kept)
    connection.execute(insert(_events), rows)


def labels_of(connection: Connection, keys: Sequence[int] | KeyArray) -> dict[int, dict[str, bool]]:
    """Input key -> concept id -> yes or no, for inputs that have labels."""
    found: dict[int, dict[str, bool]] = {}
    for chunk in chunks([int(key) for key in keys]):
        query = (
            select(_labels.c.input_key, _concepts.c.id, _labels.c.value)
            .join(_concepts, _concepts.c.key == _labels.c.concept_key)
            .where(_labels.c.input_key.in_(chunk))
            .order_by(_labels.c.input_key, _concepts.c.key)
        )
        for key, concept, value in connection.execute(query):
            found.setdefault(key, {})[concept] = value
    return found


def forget_labels(connection: Connection, app_id: str, ids: Sequence[str]) -> None:
    """Takes back all labels of inputs that are about to be deleted."""
    keys, present = _look_up(connection, app_id, ids)
    labels = labels_of(connection, list(keys.values()))
    changes = [(key, concept, None) for key, given in labels.items() for concept in given]
    write_labels(connection, app_id, changes, LabelSource.USER, present)


def _look_up(connection: Connection, app_id: str, ids: Sequence[str]) -> tuple[dict[str, int], Present]:
    """Keys and labels of the inputs that exist, at once."""
    inputs = schema.inputs
    keys: dict[str, int] = {}
    present: dict[tuple[int, int], bool] = {}
    for chunk in chunks(ids):
        query = (
            select(inputs.c.id, inputs.c.key, _labels.c.concept_key, _labels.c.value)
            .join(_labels, _labels.c.input_key == inputs.c.key, isouter=True)
            .where(inputs.c.app_id == app_id, inputs.c.id.in_(chunk))
        )
        for id, key, concept, value in connection.execute(query):
            keys[id] = key
            if concept is not None:
                present[key, concept] = value
    return keys, present
