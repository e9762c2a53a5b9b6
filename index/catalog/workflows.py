"""Workflows in SQL: several models in one call."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from ..errors import WorkflowExists, WorkflowNotFound
from ..records import Workflow, WorkflowNode
from . import schema
from .apps import writing
from .database import Database

_workflows = schema.workflows


class Workflows:
    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, app_id: str, workflows: Sequence[tuple[str, Sequence[WorkflowNode]]]) -> list[Workflow]:
        """workflows: (id, nodes) each. Raises WorkflowExists, and then creates none."""
        records = [Workflow(id, tuple(nodes), datetime.now(UTC)) for id, nodes in workflows]
        rows = [
            {
                "app_id": app_id,
                "id": workflow.id,
                "nodes": [asdict(node) for node in workflow.nodes],
                "created_at": workflow.created_at,
            }
            for workflow in records
        ]
        try:
            with writing(self._database, app_id) as connection:
                if rows:
                    connection.execute(insert(_workflows), rows)
        except IntegrityError as error:
            raise WorkflowExists(
                f"one of the workflows {', '.join(workflow.id for workflow in records)} exists already"
            ) from error
        return records

    def get(self, app_id: str, id: str) -> Workflow:
        """Raises WorkflowNotFound."""
        query = select(_workflows).where(_workflows.c.app_id == app_id, _workflows.c.id == id)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise WorkflowNotFound(f"no workflow {id!r}")
        return _record(row)

    def page(self, app_id: str, offset: int, limit: int) -> list[Workflow]:
        """Oldest first."""
        query = select(_workflows).where(_workflows.c.app_id == app_id).order_by(_workflows.c.key)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query.offset(offset).limit(limit))]

    def delete(self, app_id: str, id: str) -> None:
        """Raises WorkflowNotFound."""
        query = delete(_workflows).where(_workflows.c.app_id == app_id, _workflows.c.id == id)
        with writing(self._database, app_id) as connection:
            if not connection.execute(query).rowcount:
                raise WorkflowNotFound(f"no workflow {id!r}")


def _record(row: Row[Any]) -> Workflow:
    return Workflow(row.id, tuple(WorkflowNode(**node) for node in row.nodes), row.created_at)
