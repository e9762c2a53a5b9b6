"""Evaluations of model versions in SQL: queued, done or failed."""

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from ..errors import VersionNotFound
from ..records import EvaluationRequest, EvaluationState, StoredEvaluation
from . import schema
from .apps import HIDDEN, writing
from .database import Database
from .retries import put_off

_evaluations, _versions, _models = schema.evaluations, schema.model_versions, schema.models
_QUEUED = (
    select(_models.c.app_id, _models.c.id, _versions.c.id, _evaluations.c.created_at)
    .join(_versions, _versions.c.model_key == _models.c.key)
    .join(_evaluations, _evaluations.c.version_key == _versions.c.key)
    .where(_evaluations.c.state == EvaluationState.QUEUED.value, _models.c.app_id.not_in(HIDDEN))
    .order_by(_evaluations.c.created_at)
)


class Evaluations:
    def __init__(self, database: Database) -> None:
        self._database = database

    def set(
        self, app_id: str, model_id: str, version_id: str, state: EvaluationState, result: Mapping[str, Any] | None
    ) -> datetime:
        """Replaces any earlier evaluation; returns the time, which identifies the request. Raises VersionNotFound."""
        with writing(self._database, app_id) as connection:
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
        """Stores the outcome of the request of that time. False if it is no longer queued, or was replaced since.

        Raises VersionNotFound.
        """
        with self._database.write() as connection:
            key = _key(connection, app_id, model_id, version_id)
            values = {"state": state.value, "result": result}
            return connection.execute(update(_evaluations).where(_waits(key, asked_at)).values(values)).rowcount == 1

    def get(self, app_id: str, model_id: str, version_id: str) -> StoredEvaluation | None:
        """None if none was requested. Raises VersionNotFound."""
        with self._database.read() as connection:
            key = _key(connection, app_id, model_id, version_id)
            query = select(_evaluations).where(_evaluations.c.version_key == key)
            row = connection.execute(query).one_or_none()
        return None if row is None else StoredEvaluation(EvaluationState(row.state), row.result, row.created_at)

    def queued(self) -> list[EvaluationRequest]:
        """The requests that still wait, oldest first."""
        with self._database.read() as connection:
            return [EvaluationRequest(*row) for row in connection.execute(_QUEUED)]

    def due(self, besides: Collection[EvaluationRequest], after: str = "") -> list[EvaluationRequest]:
        """The requests that may run now, without `besides`; by app id, starting behind the app `after`."""
        query = _QUEUED.where(_evaluations.c.due <= time.time())
        with self._database.read() as connection:
            requests = [
                request for row in connection.execute(query) if (request := EvaluationRequest(*row)) not in besides
            ]
        return sorted(requests, key=lambda request: (request.app_id <= after, request.app_id))

    def waiting(self) -> int:
        """How many requests still wait."""
        return len(self.queued())

    def put_off(self, request: EvaluationRequest, delays: Sequence[float], reason: str) -> None:
        """After a failed attempt: see `retries.py`. After the last delay the evaluation has failed, for this reason.

        Raises VersionNotFound.
        """
        with self._database.write() as connection:
            key = _key(connection, request.app_id, request.model_id, request.version_id)
            row = _waits(key, request.asked_at)
            if not put_off(connection, _evaluations, row, delays):
                values = {"state": EvaluationState.FAILED.value, "result": {"reason": reason}}
                connection.execute(update(_evaluations).where(row).values(values))


def _waits(key: int, asked_at: datetime) -> ColumnElement[bool]:
    """The condition that the request of that time still waits."""
    is_queued = _evaluations.c.state == EvaluationState.QUEUED.value
    return and_(_evaluations.c.version_key == key, is_queued, _evaluations.c.created_at == asked_at)


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
