"""Changes of base workflows in SQL. The new vectors that are stored already are a change's progress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, exists, func, insert, select, update

from ..errors import BadRequest
from ..records import ChangeState, Crop, Failure, FloatArray, InputStatus, WorkflowChange
from . import schema
from .apps import HIDDEN, writing
from .database import Database

_apps, _inputs, _vectors, _changes = schema.apps, schema.inputs, schema.vectors, schema.workflow_changes
_MOST_NAMED = 20
"""Failed inputs that a message names."""
_MOST_DELETED = 500
"""Inputs whose vectors one transaction deletes."""


class WorkflowChanges:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, app_id: str, recipe: Mapping[str, Any]) -> WorkflowChange:
        """Raises BadRequest where a change is running, or where inputs have no picture to embed again; AppNotFound."""
        # Left-over vectors would count as progress of this change.
        self.delete_unused_vectors(app_id)
        with writing(self._database, app_id) as connection:
            if connection.execute(_latest(app_id, ChangeState.RUNNING)).one_or_none():
                raise BadRequest("the base workflow is being changed already; cancel that first")
            without_picture = select(func.count()).where(*_ready(app_id), _inputs.c.sha256.is_(None))
            if count := connection.execute(without_picture).scalar_one():
                raise BadRequest(f"{count} inputs have a vector, but no picture that another base workflow could see")
            old = connection.execute(select(_apps.c.recipe).where(_apps.c.id == app_id)).scalar_one()
            row = {
                "app_id": app_id,
                "old_recipe": old,
                "recipe": dict(recipe),
                "state": ChangeState.RUNNING.value,
                "created_at": datetime.now(UTC),
            }
            stored = connection.execute(insert(_changes).values(row).returning(_changes)).one()
            return _with_progress(connection, app_id, _record(stored))

    def latest(self, app_id: str) -> WorkflowChange | None:
        """The last change with its progress; None where the base workflow was never changed."""
        with self._database.read() as connection:
            row = connection.execute(_latest(app_id)).one_or_none()
            return None if row is None else _with_progress(connection, app_id, _record(row))

    def completed(self, app_id: str) -> list[WorkflowChange]:
        """The changes that were completed, oldest first."""
        query = select(_changes).where(_changes.c.app_id == app_id, _changes.c.state == ChangeState.DONE.value)
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query.order_by(_changes.c.key))]

    def state(self, change: WorkflowChange) -> ChangeState | None:
        """The present state of a change; None where its app is gone."""
        with self._database.read() as connection:
            return _state(connection, change.key)

    def total(self, app_id: str) -> int:
        """How many inputs a change embeds."""
        with self._database.read() as connection:
            return _total(connection, app_id)

    def missing(self, app_id: str, workflow: str, most: int, after: int = 0) -> list[tuple[int, str, Crop | None]]:
        """(key, sha256, crop) of inputs without a vector of that workflow, by key; after: only greater keys."""
        query = select(_inputs.c.key, _inputs.c.sha256, _inputs.c.crop).where(
            *_missing(app_id, workflow), _inputs.c.key > after
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_inputs.c.key).limit(most))
            return [(row.key, row.sha256, tuple(row.crop) if row.crop else None) for row in rows]

    def store(self, change: WorkflowChange, vectors: Mapping[int, FloatArray]) -> bool:
        """Stores vectors (dim,) by input key, except of inputs deleted meanwhile. False: the change has ended."""
        with self._database.write() as connection:
            if _state(connection, change.key) is not ChangeState.RUNNING:
                return False
            existing = connection.scalars(select(_inputs.c.key).where(_inputs.c.key.in_(list(vectors))))
            rows = [
                {
                    "input_key": key,
                    "workflow": change.recipe["workflow"],
                    "vector": vectors[key].astype("<f4").tobytes(),
                }
                for key in existing
            ]
            if rows:
                connection.execute(insert(_vectors), rows)
        return True

    def switch(
        self, app_id: str, change: WorkflowChange, lost: Mapping[int, str]
    ) -> tuple[WorkflowChange, list[int]] | None:
        """Completes a change: the app uses the new workflow, and inputs without a new vector fail.

        lost: input key -> why its picture could not be embedded. Returns the completed change and the keys of the
        failed inputs; None, and changes nothing, where other inputs still lack a new vector. `delete_unused_vectors`
        deletes the old vectors. Raises BadRequest where the change has already ended.
        """
        workflow = change.recipe["workflow"]
        with self._database.write() as connection:
            if _state(connection, change.key) is not ChangeState.RUNNING:
                raise BadRequest("the change of the base workflow has ended")
            unembedded = select(_inputs.c.key, _inputs.c.id).where(*_missing(app_id, workflow)).order_by(_inputs.c.key)
            failed = {row.key: row.id for row in connection.execute(unembedded.limit(len(lost) + 1))}
            if not failed.keys() <= lost.keys():
                return None
            for key in failed:
                values = {
                    "status": InputStatus.FAILED.value,
                    "failure": Failure.CONTENT.value,
                    "status_reason": f"{workflow} could not embed its picture: {lost[key]}",
                    "modified_at": datetime.now(UTC),
                }
                connection.execute(update(_inputs).where(_inputs.c.key == key).values(values))
            recipe, unseen = dict(change.recipe), change.old_recipe["workflow"]
            values = {"recipe": recipe, "dim": recipe["dim"], "unseen": unseen}
            connection.execute(update(_apps).where(_apps.c.id == app_id).values(values))
            connection.execute(delete(schema.spaces).where(schema.spaces.c.app_id == app_id))
            note = _failed_message(list(failed.values())) if failed else None
            _end(connection, change.key, ChangeState.DONE, note)
            ended = connection.execute(select(_changes).where(_changes.c.key == change.key)).one()
        return _record(ended), list(failed)

    def running(self) -> list[str]:
        """The ids of apps whose base workflow is being changed."""
        running = _changes.c.state == ChangeState.RUNNING.value
        query = select(_changes.c.app_id).where(running, _changes.c.app_id.not_in(HIDDEN))
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def give_up(
        self, app_id: str, state: ChangeState, failure: str | None = None, only: WorkflowChange | None = None
    ) -> bool:
        """Ends the running change; its vectors are then unused. False: there is none, or it is not `only`."""
        with self._database.write() as connection:
            row = connection.execute(_latest(app_id, ChangeState.RUNNING)).one_or_none()
            if row is None or (only and only.key != row.key):
                return False
            unseen = row.recipe["workflow"]
            connection.execute(update(_apps).where(_apps.c.id == app_id).values(unseen=unseen))
            _end(connection, row.key, state, failure)
        return True

    def delete_unused_vectors(self, app_id: str, stop: Callable[[], bool] = lambda: False) -> None:
        """Deletes the vectors of a base workflow that the app no longer uses, in steps. May be called again.

        No other change can begin before that is done.
        """
        after = 0
        while not stop():
            with self._database.write() as connection:
                unseen = connection.scalar(select(_apps.c.unseen).where(_apps.c.id == app_id))
                if unseen is None:
                    return
                keys = select(_inputs.c.key).where(_inputs.c.app_id == app_id, _inputs.c.key > after)
                batch = connection.scalars(keys.order_by(_inputs.c.key).limit(_MOST_DELETED)).all()
                connection.execute(
                    delete(_vectors).where(_vectors.c.workflow == unseen, _vectors.c.input_key.in_(batch))
                )
                if len(batch) < _MOST_DELETED:
                    connection.execute(update(_apps).where(_apps.c.id == app_id).values(unseen=None))
                    return
            after = batch[-1]

    def apps_with_unused_vectors(self) -> list[str]:
        """The ids of apps that still have such vectors."""
        with self._database.read() as connection:
            return list(connection.scalars(select(_apps.c.id).where(_apps.c.unseen.is_not(None))))


def _ready(app_id: str) -> Sequence[ColumnElement[bool]]:
    return (_inputs.c.app_id == app_id, _inputs.c.status == InputStatus.READY.value)


def _missing(app_id: str, workflow: str) -> Sequence[ColumnElement[bool]]:
    has = exists().where(_vectors.c.input_key == _inputs.c.key, _vectors.c.workflow == workflow)
    return (*_ready(app_id), ~has)


def _latest(app_id: str, state: ChangeState | None = None) -> Select[Any]:
    query = select(_changes).where(_changes.c.app_id == app_id).order_by(_changes.c.key.desc()).limit(1)
    return query if state is None else query.where(_changes.c.state == state.value)


def _state(connection: Connection, key: int) -> ChangeState | None:
    state = connection.execute(select(_changes.c.state).where(_changes.c.key == key)).scalar_one_or_none()
    return None if state is None else ChangeState(state)


def _failed_message(ids: Sequence[str]) -> str:
    names = ", ".join(ids[:_MOST_NAMED]) + (f" and {len(ids) - _MOST_NAMED} more" if len(ids) > _MOST_NAMED else "")
    return f"{len(ids)} of the inputs could not be embedded, and failed: {names}; add their pictures again"


def _total(connection: Connection, app_id: str) -> int:
    return int(connection.execute(select(func.count()).where(*_ready(app_id))).scalar_one())


def _end(connection: Connection, key: int, state: ChangeState, failure: str | None) -> None:
    values = {"state": state.value, "failure": failure, "finished_at": datetime.now(UTC)}
    connection.execute(update(_changes).where(_changes.c.key == key).values(values))


def _with_progress(connection: Connection, app_id: str, change: WorkflowChange) -> WorkflowChange:
    total = _total(connection, app_id)
    missing = select(func.count()).where(*_missing(app_id, change.recipe["workflow"]))
    return replace(change, total=total, done=total - connection.execute(missing).scalar_one())


def _record(row: Row[Any]) -> WorkflowChange:
    return WorkflowChange(
        key=row.key,
        old_recipe=row.old_recipe,
        recipe=row.recipe,
        state=ChangeState(row.state),
        failure=row.failure,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
