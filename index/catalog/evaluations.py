"""Evaluations of model versions in SQL: asked for, done or failed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from ..errors import VersionNotFound
from ..records import EvaluationState, StoredEvaluation
from . import schema
from .apps import HIDDEN
from .database import Database

_evaluations, _versions, _models = schema.evaluations, schema.model_versions, schema.models


class Evaluations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def set(
        self, app_id: str, model_id: str, version_id: str, state: EvaluationState, result: Mapping[str, Any] | None
    ) -> datetime:
        """In the place of what was there; the moment, by which a request is known. Raises VersionNotFound."""
        with self._database.write() as connection:
            key = _key(connection, app_id, model_id, version_id)
            connection.execute(delete(_evaluations).where(_evaluations.c.version_key == key))
            now = datetime.now(UTC)
            row = {"version_key": key, "state": state.value, "result": result, "created_at": now}
            connection.execute(insert(_evaluations).values(row))
        return now

    def settle(
        self,
        app_id: str,
        model_id: str,
        version_id: str,
        asked_at: datetime,
        state: EvaluationState,
        result: Mapping[str, Any] | None,
    ) -> bool:
        """What became of the request of that moment. False if it waits no more, as where it was asked again since.

        Raises VersionNotFound.
        """
        with self._database.write() as connection:
            key = _key(connection, app_id, model_id, version_id)
            waits = (
                _evaluations.c.version_key == key,
                _evaluations.c.state == EvaluationState.QUEUED.value,
                _evaluations.c.created_at == asked_at,
            )
            values = {"state": state.value, "result": result}
            return connection.execute(update(_evaluations).where(*waits).values(values)).rowcount == 1

    def get(self, app_id: str, model_id: str, version_id: str) -> StoredEvaluation | None:
        """None where nobody asked for one. Raises VersionNotFound."""
        with self._database.read() as connection:
            key = _key(connection, app_id, model_id, version_id)
            query = select(_evaluations).where(_evaluations.c.version_key == key)
            row = connection.execute(query).one_or_none()
        return None if row is None else StoredEvaluation(EvaluationState(row.state), row.result, row.created_at)

    def queued(self) -> list[tuple[str, str, str, datetime]]:
        """(app id, model id, version id, when it was asked for) of those that are still to be made."""
        query = (
            select(_models.c.app_id, _models.c.id, _versions.c.id, _evaluations.c.created_at)
            .join(_versions, _versions.c.model_key == _models.c.key)
            .join(_evaluations, _evaluations.c.version_key == _versions.c.key)
            .where(_evaluations.c.state == EvaluationState.QUEUED.value, _models.c.app_id.not_in(HIDDEN))
            .order_by(_evaluations.c.created_at)
        )
        with self._database.read() as connection:
            return [(app, model, version, asked_at) for app, model, version, asked_at in connection.execute(query)]


def _key(connection: Connection, app_id: str, model_id: str, version_id: str) -> int:
    query = (
        select(_versions.c.key)
        .join(_models, _models.c.key == _versions.c.model_key)
        .where(_models.c.app_id == app_id, _models.c.id == model_id, _versions.c.id == version_id)
    )
    key = connection.execute(query).scalar_one_or_none()
    if key is None:
        raise VersionNotFound(f"model {model_id!r} has no version {version_id!r}")
    return int(key)
