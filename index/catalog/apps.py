"""Apps in SQL."""

import builtins
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Column, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import AppExists, AppNotFound
from ..records import AppRecord
from . import schema
from .database import Database

_apps = schema.apps


class Apps:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, id: str, name: str, recipe: Mapping[str, Any], dim: int) -> AppRecord:
        """Raises AppExists, also for a name that is the id of an app: people name apps by either."""
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
        """By id alone: what holds an id must never reach an app that is named so. Raises AppNotFound."""
        return self._first((_apps.c.id,), id)

    def find(self, name: str) -> AppRecord:
        """By id, else by name: for people. Raises AppNotFound."""
        return self._first((_apps.c.id, _apps.c.name), name)

    def _first(self, columns: Iterable[Column[str]], wanted: str) -> AppRecord:
        with self._database.read() as connection:
            for column in columns:
                row = connection.execute(select(_apps).where(column == wanted)).one_or_none()
                if row:
                    return _record(row)
        raise AppNotFound(f"no app {wanted!r}")

    def update(self, id: str, *, teach_from_feedback: bool) -> AppRecord:
        """Raises AppNotFound."""
        query = update(_apps).where(_apps.c.id == id).values(teach_from_feedback=teach_from_feedback).returning(_apps)
        with self._database.write() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise AppNotFound(f"no app {id!r}")
        return _record(row)

    def list(self) -> "builtins.list[AppRecord]":
        """Oldest first."""
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(select(_apps).order_by(_apps.c.created_at, _apps.c.id))]

    def renew_epochs(self) -> None:
        """To be called when the database was restored: its numbers may come to mean other changes than before."""
        with self._database.write() as connection:
            for id in connection.scalars(select(_apps.c.id)).all():
                connection.execute(update(_apps).where(_apps.c.id == id).values(epoch=uuid4().hex))

    def delete(self, id: str) -> set[str]:
        """Deletes an app with all that it has. Returns the hashes of the blobs that it named. Raises AppNotFound."""
        inputs, models, versions = schema.inputs, schema.models, schema.model_versions
        with self._database.write() as connection:
            pictures = select(inputs.c.sha256).where(inputs.c.app_id == id, inputs.c.sha256.is_not(None))
            frozen = (
                select(versions.c.predictor_sha256)
                .join(models, models.c.key == versions.c.model_key)
                .where(models.c.app_id == id, versions.c.predictor_sha256.is_not(None))
            )
            hashes = {sha256 for query in (pictures, frozen) for sha256 in connection.scalars(query) if sha256}
            if not connection.execute(delete(_apps).where(_apps.c.id == id)).rowcount:
                raise AppNotFound(f"no app {id!r}")
        return hashes


def _record(row: Row[Any]) -> AppRecord:
    return AppRecord(**row._mapping)
