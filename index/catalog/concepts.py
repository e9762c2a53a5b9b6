"""Concepts in SQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from unicodedata import normalize

from sqlalchemy import Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import ConceptExists, ConceptNotFound
from ..records import Concept
from . import schema
from .apps import writing
from .database import Database, chunks

_concepts = schema.concepts
_KNOWN = select(_concepts.c.id, _concepts.c.key).where(
    _concepts.c.app_id == bindparam("app"), _concepts.c.id.in_(bindparam("ids", expanding=True))
)


class Concepts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, app_id: str, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
        """concepts: (id, name) each. Raises ConceptExists, and then creates none."""
        now = datetime.now(UTC)
        rows = [{"app_id": app_id, "id": id, "name": name, "created_at": now} for id, name in concepts]
        try:
            with writing(self._database, app_id) as connection:
                if rows:
                    connection.execute(insert(_concepts), rows)
        except IntegrityError as error:
            raise ConceptExists(f"one of the concepts {', '.join(id for id, _ in concepts)} exists already") from error
        return [Concept(id, name, now) for id, name in concepts]

    def get(self, app_id: str, id: str) -> Concept:
        """Raises ConceptNotFound."""
        query = select(_concepts).where(_concepts.c.app_id == app_id, _concepts.c.id == id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise ConceptNotFound(f"no concept {id!r}")
        return _record(row)

    def page(self, app_id: str, offset: int, limit: int, name: str | None = None) -> list[Concept]:
        """Oldest first. name: only concepts of this name, whatever its case; * stands for any run of characters."""
        key = ("concepts", app_id, offset, limit, name)
        return list(self._database.cached(key, lambda: self._page(app_id, offset, limit, name)))

    def by_id(self, app_id: str) -> Mapping[str, Concept]:
        """All of them."""
        return self._database.cached(
            ("concepts by id", app_id), lambda: {concept.id: concept for concept in self._all(app_id)}
        )

    def names(self, app_id: str) -> Mapping[str, str]:
        """Id -> name of all of them."""
        return self._database.cached(
            ("concept names", app_id), lambda: {concept.id: concept.name for concept in self._all(app_id)}
        )

    def _all(self, app_id: str) -> list[Concept]:
        query = select(_concepts).where(_concepts.c.app_id == app_id).order_by(_concepts.c.key)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def _page(self, app_id: str, offset: int, limit: int, name: str | None) -> list[Concept]:
        if name is not None:
            # Not in SQL: SQLite folds the case of ASCII only, and each database folds in its own way.
            parts = _folded(name).split("*")
            matches = (concept for concept in self.by_id(app_id).values() if _matches(_folded(concept.name), parts))
            return list(islice(matches, offset, offset + limit))
        query = select(_concepts).where(_concepts.c.app_id == app_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_concepts.c.key).offset(offset).limit(limit))
            return [_record(row) for row in rows]

    def rename(self, app_id: str, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
        """concepts: (id, name) each. Raises ConceptNotFound, and then renames none."""
        renamed = []
        with writing(self._database, app_id) as connection:
            for id, name in concepts:
                query = (
                    update(_concepts)
                    .where(_concepts.c.app_id == app_id, _concepts.c.id == id)
                    .values(name=name)
                    .returning(*_concepts.c)
                )
                row = connection.execute(query).one_or_none()
                if row is None:
                    raise ConceptNotFound(f"no concept {id!r}")
                renamed.append(_record(row))
        return renamed


def concept_keys(connection: Connection, app_id: str, ids: Iterable[str]) -> dict[str, int]:
    """The key of each concept; a concept that doesn't exist is created with its id as its name."""
    names = list(dict.fromkeys(ids))
    keys = existing_keys(connection, app_id, names)
    now = datetime.now(UTC)
    new = [
        {"app_id": app_id, "id": concept, "name": concept, "created_at": now}
        for concept in names
        if concept not in keys
    ]
    if new:
        connection.execute(insert(_concepts), new)
        keys = existing_keys(connection, app_id, names)
    return keys


def existing_keys(connection: Connection, app_id: str, ids: Sequence[str]) -> dict[str, int]:
    """The key of each concept that exists."""
    keys: dict[str, int] = {}
    for chunk in chunks(ids):
        keys.update((id, key) for id, key in connection.execute(_KNOWN, {"app": app_id, "ids": chunk}))
    return keys


def _folded(text: str) -> str:
    """Equal for texts that differ only in case, or in how accents are encoded (Unicode 3.13, definition D145)."""
    return normalize("NFC", normalize("NFD", text).casefold())


def _matches(text: str, parts: Sequence[str]) -> bool:
    """Whether a text consists of these parts in this order, with anything in between."""
    first, *rest = parts
    if not rest:
        return text == first
    *inner, last = rest
    if not text.startswith(first):
        return False
    position = len(first)
    for part in inner:
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return text.endswith(last) and len(text) - len(last) >= position


def _record(row: Row[Any]) -> Concept:
    return Concept(row.id, row.name, row.created_at)
