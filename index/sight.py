"""Sight: an app's base workflow, and changing it while the app serves.

All inputs are embedded again in the background; what SQL holds of new vectors is the progress, so it survives whatever
ends the process. When none is missing, one transaction makes the app see with the new workflow. Labels, concepts and
models belong to inputs and carry over. Readers who were caught by the switch are asked again.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from ..embeddings.base import Recipe, WorkflowError
from ..embeddings.batcher import Batcher, BatcherClosed, Busy
from ..embeddings.images import ImageError, crop, open_image
from ..embeddings.parallel import side_by_side
from ..embeddings.workflows import VECTORS, recipe_of
from .blobs import Blobs
from .catalog import Catalog
from .errors import BadRequest, TenshotError
from .models import Models
from .records import AppRecord, ChangeState, Crop, FloatArray, WorkflowChange

_log = logging.getLogger("tenshot.index")
_BATCH = 32
_RETRY_S = 1.0

T = TypeVar("T")


class Sight(Models):
    """The part of an `App` that knows what it sees with."""

    def __init__(
        self, record: AppRecord, recipe: Recipe, catalog: Catalog, blobs: Blobs, embedders: Callable[[Recipe], Batcher]
    ) -> None:
        super().__init__(record, recipe, catalog, blobs, embedders)
        self._turn = 0
        self._switching = threading.Lock()
        self._stopping = threading.Event()
        self._worker: threading.Thread | None = None
        latest = catalog.changes.latest(self.id)
        if latest and latest.state is ChangeState.RUNNING:
            self._work_on(latest)

    def change_workflow(self, workflow: str, *, wait: bool = False) -> WorkflowChange:
        """Begins to embed all inputs with another base workflow; the present one serves until that is done.

        wait: returns when it is done, cancelled or failed. Else the app works on it in the background, also after a
        restart, whenever it is open. Raises WorkflowError, or BadRequest where that can't be.
        """
        recipe = recipe_of(workflow) if workflow != VECTORS else None
        if recipe is None or self.recipe.workflow == VECTORS:
            raise BadRequest("vectors that were made elsewhere can't be embedded again: make another app for them")
        if recipe.workflow == self.recipe.workflow:
            raise BadRequest(f"the app sees with {workflow!r} already")
        self._embedders(recipe)  # before anything is noted: weights that can't be had are told at once
        with self._lock:
            change = self._catalog.changes.begin(self.id, asdict(recipe))
            worker = self._work_on(change)
        if wait:
            worker.join()
        found = self.workflow_change()
        assert found
        return found

    def workflow_change(self) -> WorkflowChange | None:
        """The latest change of the base workflow, with its progress; None if there never was one."""
        with self._lock:  # so that one which is done has been switched to in memory too
            return self._catalog.changes.latest(self.id)

    def cancel_workflow_change(self) -> bool:
        """Ends the change under way; what it made goes, and everything stays as it is. False: there is none."""
        return self._catalog.changes.give_up(self.id, ChangeState.CANCELLED)

    def close(self) -> None:
        """Stops a change where it is; the next one who opens the app goes on with it."""
        self._stopping.set()
        if self._worker:
            self._worker.join()
        super().close()

    def _steadily(self, answer: Callable[[], T]) -> T:
        """What answer gives while the app sees with one base workflow: asked again if that was changed meanwhile."""
        while True:
            with self._switching:
                turn = self._turn
            try:
                found = answer()
            except Exception:
                if turn == self._turn:
                    raise
            else:
                if turn == self._turn:
                    return found

    def _work_on(self, change: WorkflowChange) -> threading.Thread:
        self._worker = threading.Thread(target=self._carry_through, args=(change,), name="tenshot-sight", daemon=True)
        self._worker.start()
        return self._worker

    def _carry_through(self, change: WorkflowChange) -> None:
        try:
            while not self._stopping.is_set():
                missing = self._catalog.changes.missing(self.id, change.recipe["workflow"], _BATCH)
                if not missing:
                    if self._switch(change):
                        return
                elif not self._embed_again(change, missing):
                    return
        except (TenshotError, ImageError, WorkflowError) as error:
            self._catalog.changes.give_up(self.id, ChangeState.FAILED, str(error))
        except Exception as error:
            if not self._stopping.is_set():
                _log.exception("changing the base workflow of app %s failed", self.name)
                self._catalog.changes.give_up(self.id, ChangeState.FAILED, type(error).__name__)

    def _embed_again(self, change: WorkflowChange, missing: list[tuple[int, str, Crop | None]]) -> bool:
        """False: the change has ended."""
        recipe = Recipe(**change.recipe)
        known = self._catalog.vectors.of_pictures(change.recipe, [(sha256, box) for _, sha256, box in missing])
        vectors: dict[int, FloatArray] = {
            key: known[sha256, box] for key, sha256, box in missing if (sha256, box) in known
        }
        left = [one for one in missing if one[0] not in vectors]
        if left:
            embedder = self._embedders(recipe)

            def opened(one: tuple[int, str, Crop | None]) -> object:
                _, sha256, box = one
                data = self._blobs.get(sha256)
                return embedder.prepare(
                    crop(open_image(data).image, box) if box else open_image(data, least_side=embedder.least_side).image
                )

            pixels = side_by_side(opened, left)
            try:
                made = embedder.embed_pixels(pixels)  # type: ignore[arg-type]
            except (Busy, BatcherClosed):
                self._stopping.wait(_RETRY_S)  # those who wait for an answer go first
                return True
            vectors |= {key: vector for (key, _, _), vector in zip(left, made, strict=True)}
        return self._catalog.changes.store(change, vectors)

    def _switch(self, change: WorkflowChange) -> bool:
        recipe = Recipe(**change.recipe)
        with self._lock:
            if not self._catalog.changes.switch(self.id, change):
                return False
            collection, teacher = self._remembered(recipe, self._catalog.apps.get(self.id).seq)
            with self._switching:
                self._turn += 1
                old, self._collection, self._teacher = self._collection, collection, teacher
                self.recipe, self.dim, self._space_saved = recipe, recipe.dim, None
                self._changes = self._catalog.changes.done(self.id)
        old.close()
        return True
