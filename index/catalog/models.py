"""Models in SQL."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from ..errors import ModelExists, ModelNotFound
from ..records import Model, ModelPatch
from . import schema
from .apps import writing
from .concepts import concept_keys
from .database import Database, chunks
from .versions import add_head

_models, _members, _concepts = schema.models, schema.model_concepts, schema.concepts
_versions, _thresholds = schema.model_versions, schema.thresholds

# Built once, since every prediction of a named model needs them.
_ONE = select(_models).where(_models.c.app_id == bindparam("app"), _models.c.id == bindparam("model"))
_LOCKED = _ONE.with_for_update()
"""Nobody else changes it before the commit."""
_MEMBERS = (
    select(_members.c.model_key, _concepts.c.id)
    .join(_concepts, _concepts.c.key == _members.c.concept_key)
    .where(_members.c.model_key.in_(bindparam("keys", expanding=True)))
    .order_by(_members.c.model_key, _members.c.position)
)


class Models:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        app_id: str,
        id: str,
        *,
        name: str,
        concept_ids: Sequence[str],
        mutually_exclusive: bool,
        closed_environment: bool,
        settings: Mapping[str, Any],
    ) -> Model:
        """Creates a model with a head version that follows the labels, and new concepts. Raises ModelExists."""
        model = Model(
            id=id,
            name=name,
            concept_ids=tuple(concept_ids),
            mutually_exclusive=mutually_exclusive,
            closed_environment=closed_environment,
            settings=dict(settings),
            created_at=datetime.now(UTC),
        )
        row = {name: value for name, value in vars(model).items() if name != "concept_ids"} | {"app_id": app_id}
        try:
            with writing(self._database, app_id) as connection:
                key = connection.execute(insert(_models).values(row).returning(_models.c.key)).scalar_one()
                _set_members(connection, app_id, key, concept_ids)
                add_head(connection, key)
        except IntegrityError as error:
            raise ModelExists(f"a model {id!r} exists already") from error
        return model

    def get(self, app_id: str, id: str) -> Model:
        """Raises ModelNotFound."""
        return self._database.cached(("model", app_id, id), lambda: self._get(app_id, id))

    def _get(self, app_id: str, id: str) -> Model:
        with self._database.read() as connection:
            return _records(connection, [_row(connection, app_id, id)])[0]

    def page(self, app_id: str, offset: int, limit: int) -> list[Model]:
        """Oldest first."""
        query = select(_models).where(_models.c.app_id == app_id).order_by(_models.c.key).offset(offset).limit(limit)
        with self._database.read() as connection:
            return _records(connection, connection.execute(query).all())

    def update(self, app_id: str, patches: Sequence[tuple[str, ModelPatch]]) -> list[Model]:
        """Applies (id, patch) pairs in their order, each to the result of the one before, in one transaction.

        Raises ModelNotFound, and whatever a patch raises.
        """
        with writing(self._database, app_id) as connection:
            for id, patch in patches:
                row = _row(connection, app_id, id, _LOCKED)
                change = dict(vars(patch(_records(connection, [row])[0])))
                members = change.pop("concept_ids")
                if values := {column: value for column, value in change.items() if value is not None}:
                    connection.execute(update(_models).where(_models.c.key == row.key).values(values))
                if members is not None:
                    connection.execute(delete(_members).where(_members.c.model_key == row.key))
                    _set_members(connection, app_id, row.key, members)
            return _records(connection, [_row(connection, app_id, id) for id, _ in patches])

    def delete(self, app_id: str, ids: Sequence[str] | None) -> tuple[list[str], set[str]]:
        """Deletes models (ids None: all) with versions and thresholds; returns ids and the hashes of predictors."""
        deleted: list[str] = []
        hashes: set[str] = set()
        with writing(self._database, app_id) as connection:
            for chunk in [None] if ids is None else chunks(ids):
                condition = _models.c.app_id == app_id
                if chunk is not None:
                    condition &= _models.c.id.in_(chunk)
                versions = select(_versions.c.predictor_sha256).join(_models, _models.c.key == _versions.c.model_key)
                frozen = versions.where(condition, _versions.c.predictor_sha256.is_not(None))
                hashes |= {sha256 for sha256 in connection.scalars(frozen) if sha256}
                deleted += connection.scalars(delete(_models).where(condition).returning(_models.c.id))
            for chunk in chunks(deleted):
                of_deleted = _thresholds.c.model_id.in_(chunk)
                connection.execute(delete(_thresholds).where(_thresholds.c.app_id == app_id, of_deleted))
        return deleted, hashes


def _row(connection: Connection, app_id: str, id: str, query: Select[Any] = _ONE) -> Row[Any]:
    """Raises ModelNotFound."""
    row = connection.execute(query, {"app": app_id, "model": id}).one_or_none()
    if row is None:
        raise ModelNotFound(f"no model {id!r}")
    return row


def _set_members(connection: Connection, app_id: str, key: int, concept_ids: Sequence[str]) -> None:
    concepts = concept_keys(connection, app_id, concept_ids)
    rows = [
        {"model_key": key, "position": position, "concept_key": concepts[concept]}
        for position, concept in enumerate(concept_ids)
    ]
    if rows:
        connection.execute(insert(_members), rows)


def _records(connection: Connection, rows: Sequence[Row[Any]]) -> list[Model]:
    members: dict[int, list[str]] = {}
    for chunk in chunks([row.key for row in rows]):
        for key, concept in connection.execute(_MEMBERS, {"keys": chunk}):
            members.setdefault(key, []).append(concept)
    return [
        Model(
            id=row.id,
            name=row.name,
            concept_ids=tuple(members.get(row.key, ())),
            mutually_exclusive=row.mutually_exclusive,
            closed_environment=row.closed_environment,
            settings=row.settings,
            created_at=row.created_at,
        )
        for row in rows
    ]
