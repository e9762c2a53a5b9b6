"""API keys in SQL, hashed."""

import builtins
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from ..errors import NotFound
from ..records import KeyRecord
from . import schema
from .apps import check_app
from .database import Database

_keys = schema.keys
_COLUMNS = tuple(_keys.c[field.name] for field in fields(KeyRecord))


class ApiKeys:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, id: str, hash: str, app_id: str | None, description: str, scopes: Sequence[str]) -> KeyRecord:
        """app_id: None for an admin key. Raises AppNotFound."""
        record = KeyRecord(id, hash, app_id, description, tuple(scopes), datetime.now(UTC))
        with self._database.write() as connection:
            if app_id is not None:
                check_app(connection, app_id)
            connection.execute(insert(_keys).values(vars(record) | {"scopes": list(scopes)}))
        return record

    def find(self, hash: str) -> KeyRecord | None:
        """The key of this hash, even a revoked one."""
        return self._database.cached(("key", hash), lambda: self._find(hash))

    def _find(self, hash: str) -> KeyRecord | None:
        with self._database.read() as connection:
            row = connection.execute(select(*_COLUMNS).where(_keys.c.hash == hash)).one_or_none()
        return None if row is None else _record(row)

    def list(self, app_id: str | None = None, *, admin: bool = False) -> "builtins.list[KeyRecord]":
        """Keys, oldest first: of one app, or (admin) of no app, which manage apps; with neither argument all keys."""
        query = select(*_COLUMNS).order_by(_keys.c.created_at, _keys.c.id)
        if admin:
            query = query.where(_keys.c.app_id.is_(None))
        elif app_id is not None:
            query = query.where(_keys.c.app_id == app_id)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def revoke(self, id: str) -> None:
        """The key opens nothing from now on. Raises NotFound."""
        with self._database.write() as connection:
            if not connection.execute(
                update(_keys).where(_keys.c.id == id).values(revoked_at=datetime.now(UTC))
            ).rowcount:
                raise NotFound(f"no key {id!r}")


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(**{**row._mapping, "scopes": tuple(row.scopes)})
