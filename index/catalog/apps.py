"""Apps in SQL: create, find, change; `deletions.py` deletes them."""

import builtins
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Connection, Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import AppExists, AppNotFound
from ..records import AppRecord
from . import schema
from .database import Database

_apps = schema.apps
VISIBLE = ~(_apps.c.staged | _apps.c.deleted)
STAGED = _apps.c.staged & ~_apps.c.deleted
"""An import is still filling it."""
HIDDEN = select(_apps.c.id).where(~VISIBLE)
"""The ids of apps that an import is still filling, or that are being deleted: nothing of theirs is counted."""
_VISIBLE_ID = select(_apps.c.id).where(_apps.c.id == bindparam("app"), VISIBLE)
OWN = tuple(_apps.c[field.name] for field in fields(AppRecord))
"""The columns of a record."""
_UNKNOWN = {"workflow": "unknown", "model": "vectors", "weights": "none", "nonnegative": None}
"""Defaults for an incomplete recipe: a base workflow without a model, which can't embed pictures."""


class Apps:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, id: str, name: str, recipe: Mapping[str, Any], dim: int) -> AppRecord:
        """Raises AppExists, also for a name that is the id of an app: people use either to name an app."""
        record = AppRecord(
            id=id, name=name, recipe=dict(recipe), dim=dim, created_at=datetime.now(UTC), seq=0, epoch=uuid4().hex
        )
        try:
            with self._database.write() as connection:
                if connection.execute(select(_apps.c.id).where(_apps.c.id == name)).one_or_none():
                    raise AppExists(f"{name!r} is the id of an app: choose another name")
                connection.execute(insert(_apps).values(vars(record)))
        except IntegrityError as error:
            raise AppExists(f"an app {name!r} exists already") from error
        return record

    def get(self, id: str) -> AppRecord:
        """By id alone: a stored id must never find an app that has it as its name. Raises AppNotFound."""
        return self._first((_apps.c.id,), id)

    def find(self, name: str) -> AppRecord:
        """By id, else by name: for what people type. Raises AppNotFound."""
        return self._first((_apps.c.id, _apps.c.name), name)

    def _first(self, columns: Iterable[Column[str]], name: str) -> AppRecord:
        with self._database.read() as connection:
            for column in columns:
                row = connection.execute(select(*OWN).where(column == name, VISIBLE)).one_or_none()
                if row:
                    return record_of(row)
        raise AppNotFound(f"no app {name!r}")

    def update(self, id: str, *, teach_from_feedback: bool) -> AppRecord:
        """Raises AppNotFound."""
        own = (_apps.c.id == id, VISIBLE)
        query = update(_apps).where(*own).values(teach_from_feedback=teach_from_feedback).returning(*OWN)
        with self._database.write() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise AppNotFound(f"no app {id!r}")
        return record_of(row)

    def list(self) -> "builtins.list[AppRecord]":
        """Oldest first."""
        query = select(*OWN).where(VISIBLE).order_by(_apps.c.created_at, _apps.c.id)
        with self._database.read() as connection:
            return [record_of(row) for row in connection.execute(query)]

    def renew_epochs(self) -> None:
        """Call this after a restore: from then on the same sequence numbers may stand for other changes."""
        with self._database.write() as connection:
            for id in connection.scalars(select(_apps.c.id)).all():
                connection.execute(update(_apps).where(_apps.c.id == id).values(epoch=uuid4().hex))


def check_app(connection: Connection, app_id: str) -> None:
    """Inside the caller's transaction. Raises AppNotFound, since another process may have deleted the app."""
    if connection.scalar(_VISIBLE_ID, {"app": app_id}) is None:
        raise deleted(app_id)


@contextmanager
def writing(database: Database, app_id: str) -> Iterator[Connection]:
    """`Database.write` for the records of an app. Raises AppNotFound."""
    with database.write() as connection:
        check_app(connection, app_id)
        yield connection


def deleted(app_id: str) -> AppNotFound:
    return AppNotFound(f"the app {app_id} has been deleted")


def record_of(row: Row[Any]) -> AppRecord:
    """Also of an incomplete recipe, which early imports accepted: so that the app can be listed and deleted."""
    recipe = _UNKNOWN | {"dim": row.dim}
    stored = row.recipe if isinstance(row.recipe, Mapping) else {}
    recipe |= {
        name: stored[name] for name in recipe.keys() & stored.keys() if isinstance(stored[name], str | int | None)
    }
    return AppRecord(**{**row._mapping, "recipe": recipe})
