"""Feedback in SQL, stored as it was sent."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select

from ..records import Feedback
from . import schema
from .apps import writing
from .database import Database

_feedback = schema.feedback


class FeedbackLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, app_id: str, kind: str, about: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        row = {
            "app_id": app_id,
            "kind": kind,
            "about": dict(about),
            "body": dict(body),
            "created_at": datetime.now(UTC),
        }
        with writing(self._database, app_id) as connection:
            connection.execute(insert(_feedback).values(row))

    def page(self, app_id: str, offset: int, limit: int) -> list[Feedback]:
        """Oldest first."""
        query = select(_feedback).where(_feedback.c.app_id == app_id).order_by(_feedback.c.key)
        with self._database.read() as connection:
            rows = connection.execute(query.offset(offset).limit(limit))
            return [Feedback(row.kind, row.about, row.body, row.created_at) for row in rows]
