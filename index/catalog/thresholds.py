"""Thresholds of concepts in SQL, per model."""

from collections.abc import Mapping

from sqlalchemy import delete, insert, select

from ..errors import ConceptNotFound
from . import schema
from .apps import writing
from .concepts import existing_keys
from .database import Database

_thresholds, _concepts = schema.thresholds, schema.concepts


class Thresholds:
    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, app_id: str) -> dict[str, dict[str, float]]:
        """Model id -> concept id -> threshold, where one was set."""
        query = (
            select(_thresholds.c.model_id, _concepts.c.id, _thresholds.c.value)
            .join(_concepts, _concepts.c.key == _thresholds.c.concept_key)
            .where(_thresholds.c.app_id == app_id)
        )
        thresholds: dict[str, dict[str, float]] = {}
        with self._database.read() as connection:
            for model, concept, value in connection.execute(query):
                thresholds.setdefault(model, {})[concept] = value
        return thresholds

    def set(self, app_id: str, model_id: str, thresholds: Mapping[str, float | None]) -> None:
        """thresholds: concept id -> threshold, or None to remove it. Raises ConceptNotFound, and then sets none."""
        with writing(self._database, app_id) as connection:
            keys = existing_keys(connection, app_id, list(thresholds))
            for concept, value in thresholds.items():
                if concept not in keys:
                    raise ConceptNotFound(f"no concept {concept!r}")
                row = {"app_id": app_id, "model_id": model_id, "concept_key": keys[concept]}
                connection.execute(delete(_thresholds).filter_by(**row))
                if value is not None:
                    connection.execute(insert(_thresholds).values(row | {"value": value}))
