"""Model versions in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from ..errors import ModelNotFound, VersionNotFound
from ..records import ModelVersion
from . import schema
from .apps import writing
from .database import Database

_models, _versions, _changes = schema.models, schema.model_versions, schema.workflow_changes


class Versions:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        app_id: str,
        model_id: str,
        *,
        label_seq: int,
        predictor_sha256: str | None,
        concept_ids: Sequence[str],
        input_count: int,
        thresholds: Mapping[str, float],
    ) -> ModelVersion:
        """Adds a frozen version to a model. Raises ModelNotFound."""
        record = ModelVersion(
            id=uuid4().hex,
            model_id=model_id,
            frozen=True,
            label_seq=label_seq,
            predictor_sha256=predictor_sha256,
            concept_ids=tuple(concept_ids),
            input_count=input_count,
            created_at=datetime.now(UTC),
            thresholds=dict(thresholds),
        )
        with writing(self._database, app_id) as connection:
            # Never earlier than the last change of the base workflow, even if the clock was set back.
            changed = connection.scalar(select(func.max(_changes.c.finished_at)).where(_changes.c.app_id == app_id))
            record = replace(record, created_at=max(record.created_at, changed or record.created_at))
            key = connection.execute(
                select(_models.c.key).where(_models.c.app_id == app_id, _models.c.id == model_id)
            ).scalar_one_or_none()
            if key is None:
                raise ModelNotFound(f"no model {model_id!r}")
            row = {name: value for name, value in vars(record).items() if name != "model_id"}
            connection.execute(insert(_versions).values(row | {"model_key": key, "concept_ids": list(concept_ids)}))
        return record

    def page(self, app_id: str, model_id: str, offset: int, limit: int) -> list[ModelVersion]:
        """Newest first."""
        key = ("versions", app_id, model_id, offset, limit)
        return list(self._database.cached(key, lambda: self._page(app_id, model_id, offset, limit)))

    def _page(self, app_id: str, model_id: str, offset: int, limit: int) -> list[ModelVersion]:
        query = _of(app_id, model_id).order_by(_versions.c.key.desc()).offset(offset).limit(limit)
        with self._database.read() as connection:
            return [_record(row, model_id) for row in connection.execute(query)]

    def get(self, app_id: str, model_id: str, id: str) -> ModelVersion:
        """Raises VersionNotFound."""
        with self._database.read() as connection:
            return _record(_row(connection, app_id, model_id, id), model_id)

    def delete(self, app_id: str, model_id: str, id: str) -> set[str]:
        """Deletes a version; a new head replaces a model's last one. Returns the hash of its predictor, if it had one.

        Raises VersionNotFound.
        """
        with writing(self._database, app_id) as connection:
            row = _row(connection, app_id, model_id, id)
            connection.execute(delete(_versions).where(_versions.c.key == row.key))
            remaining = select(func.count()).where(_versions.c.model_key == row.model_key)
            if not connection.execute(remaining).scalar_one():
                add_head(connection, row.model_key)
        return {row.predictor_sha256} - {None}

    def predictors(self) -> list[str]:
        """Hashes of the predictors of all apps' frozen versions."""
        query = select(_versions.c.predictor_sha256).where(_versions.c.predictor_sha256.is_not(None)).distinct()
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def replace_predictor(self, old: str, new: str) -> None:
        """Gives every version that has the old blob a new one, which predicts the same."""
        with self._database.write() as connection:
            connection.execute(
                update(_versions).where(_versions.c.predictor_sha256 == old).values(predictor_sha256=new)
            )


def add_head(connection: Connection, model_key: int) -> None:
    """Adds the version that isn't frozen, inside the caller's transaction."""
    connection.execute(
        insert(_versions).values(
            model_key=model_key,
            id=uuid4().hex,
            frozen=False,
            label_seq=0,
            concept_ids=[],
            input_count=0,
            created_at=datetime.now(UTC),
        )
    )


def _of(app_id: str, model_id: str) -> Select[Any]:
    return (
        select(_versions)
        .join(_models, _models.c.key == _versions.c.model_key)
        .where(_models.c.app_id == app_id, _models.c.id == model_id)
    )


def _row(connection: Connection, app_id: str, model_id: str, id: str) -> Row[Any]:
    row = connection.execute(_of(app_id, model_id).where(_versions.c.id == id)).one_or_none()
    if row is None:
        raise VersionNotFound(f"model {model_id!r} has no version {id!r}")
    return row


def _record(row: Row[Any], model_id: str) -> ModelVersion:
    return ModelVersion(
        id=row.id,
        model_id=model_id,
        frozen=row.frozen,
        label_seq=row.label_seq,
        predictor_sha256=row.predictor_sha256,
        concept_ids=tuple(row.concept_ids),
        input_count=row.input_count,
        created_at=row.created_at,
        thresholds=row.thresholds or {},
    )
