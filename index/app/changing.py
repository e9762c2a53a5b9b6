"""Changing an app's base workflow while the app serves.

All inputs are embedded again in the background; what SQL holds of new vectors is the progress, so it survives whatever
ends the process. When none is missing, one transaction makes the app see with the new workflow. Labels, concepts and
models belong to inputs and carry over. A few pictures that can't be embedded, lost ones say, don't hold up the others:
their inputs fail. Requests that have begun are answered by the state that they have taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from ...embeddings.base.embedder import Recipe
from ...embeddings.workflows import VECTORS, recipe_of
from ..errors import BadRequest
from ..records import ChangeState, WorkflowChange
from .embedding import embed_stored
from .reembedding import Embedded, Reembedding, StoredKey, forget
from .state import Current


class BaseWorkflowChange:
    """What an app has under way of it."""

    def __init__(self, app: Current) -> None:
        """Goes on with what an earlier run has begun."""
        self._app = app
        self._worker: Reembedding | None = None
        latest = app.catalog.workflow_changes.latest(app.id)
        if latest and latest.state is ChangeState.RUNNING:
            self._work_on(latest)

    def begin(self, workflow: str, *, wait: bool = False) -> WorkflowChange:
        """See `App.change_workflow`."""
        app = self._app
        recipe = recipe_of(workflow) if workflow != VECTORS else None
        if recipe is None or app.recipe.workflow == VECTORS:
            raise BadRequest("vectors that were made elsewhere can't be embedded again: make another app for them")
        if recipe.workflow == app.recipe.workflow:
            raise BadRequest(f"the app sees with {workflow!r} already")
        app.resources.embedders(recipe)  # before anything is noted: weights that can't be had are told at once
        with app.writers:
            latest = app.catalog.workflow_changes.latest(app.id)
            if not (latest and latest.state is ChangeState.RUNNING and latest.recipe == asdict(recipe)):
                self._work_on(app.catalog.workflow_changes.begin(app.id, asdict(recipe)))
            elif not self.is_running:
                self._work_on(latest)
            worker = self._worker
        if wait and worker:
            worker.join()
        change = self.latest()
        assert change
        return change

    def latest(self) -> WorkflowChange | None:
        """With its progress; None if there never was one."""
        with self._app.writers:  # so that one which is done has been switched to in memory too
            return self._app.catalog.workflow_changes.latest(self._app.id)

    def cancel(self) -> bool:
        """Whether there was one."""
        changes = self._app.catalog.workflow_changes
        ended = changes.give_up(self._app.id, ChangeState.CANCELLED)
        forget(changes, self._app.id)
        return ended

    @property
    def is_running(self) -> bool:
        """Whether something is being embedded."""
        return self._worker is not None and self._worker.alive

    def stop(self) -> None:
        """Leaves it where it is; the next one who opens the app goes on with it."""
        if self._worker:
            self._worker.stop()
            self._worker.join()

    def _work_on(self, change: WorkflowChange) -> None:
        if self._worker:
            self._worker.stop()
        self._worker = Reembedding(self._app.id, change, self._app.catalog, self._embed, self._switch)

    def _embed(self, recipe: Recipe, pictures: Sequence[StoredKey]) -> Embedded:
        return embed_stored(self._app.take(), recipe, pictures)

    def _switch(self, change: WorkflowChange, lost: Mapping[int, str]) -> bool:
        app, recipe = self._app, Recipe(**change.recipe)
        with app.writers:
            left = app.catalog.workflow_changes.missing(app.id, recipe.workflow, len(lost) + 1)
            if any(key not in lost for key, _, _ in left):
                return False
            # Made first, for it may fail: from the transaction on, everything has to see with the new workflow.
            state = app.load(replace(app.catalog.apps.get(app.id), recipe=change.recipe, dim=recipe.dim))
            try:
                switched = app.catalog.workflow_changes.switch(app.id, change, lost)
            except BaseException:
                state.collection.close()
                raise
            if switched is None:
                state.collection.close()
                return False
            ended, failed = switched
            state.teacher.forget(failed)
            old = app.publish(replace(state, changes=[*state.changes, ended]))
        if old:
            old.collection.close()
        return True
