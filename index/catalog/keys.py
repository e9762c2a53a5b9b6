"""API keys in SQL, hashed."""

import builtins
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import insert, select, update

from ..errors import NotFound
from ..records import KeyRecord
from . import schema
from .apps import check_app
from .database import Database

_keys = schema.keys


class Keys:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, id: str, hash: str, app_id: str | None, description: str, scopes: Sequence[str]) -> KeyRecord:
        """app_id None makes an admin key. Raises AppNotFound."""
        record = KeyRecord(id, hash, app_id, description, tuple(scopes), datetime.now(UTC))
        with self._database.write() as connection:
            if app_id is not None:
                check_app(connection, app_id)
            connection.execute(insert(_keys).values(vars(record) | {"scopes": list(scopes)}))
        return record

    def find(self, hash: str) -> KeyRecord | None:
        """The key of this hash, revoked ones too."""
        return self._database.cached(("key", hash), lambda: self._find(hash))

    def _find(self, hash: str) -> KeyRecord | None:
        with self._database.read() as connection:
            row = connection.execute(select(_keys).where(_keys.c.hash == hash)).one_or_none()
        return None if row is None else KeyRecord(**{**row._mapping, "scopes": tuple(row.scopes)})

    def list(self, app_id: str | None = None, *, admin: bool = False) -> "builtins.list[KeyRecord]":
        """Of one app; with neither argument of all apps; admin: only those that manage apps. Oldest first."""
        query = select(_keys).order_by(_keys.c.created_at, _keys.c.id)
        if admin:
            query = query.where(_keys.c.app_id.is_(None))
        elif app_id is not None:
            query = query.where(_keys.c.app_id == app_id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [KeyRecord(**{**row._mapping, "scopes": tuple(row.scopes)}) for row in rows]

    def revoke(self, id: str) -> None:
        """From now on. Raises NotFound."""
        with self._database.write() as connection:
            if not connection.execute(
                update(_keys).where(_keys.c.id == id).values(revoked_at=datetime.now(UTC))
            ).rowcount:
                raise NotFound(f"no key {id!r}")
