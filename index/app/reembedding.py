"""All inputs of an app embedded again with another base workflow, in a thread, until the app can see with it."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from ...embeddings.base.embedder import Recipe
from ...errors import Busy
from ..catalog import Catalog
from ..catalog.workflow_changes import WorkflowChanges
from ..errors import StorageFailed, StoreBusy, StoreClosed
from ..records import ChangeState, Crop, FloatArray, WorkflowChange

_log = logging.getLogger("tenshot.index")
_BATCH = 32
_RETRY_S = 1.0
_ATTEMPTS = 5
"""Of what fails unexpectedly, each after twice the time of the one before: 31 seconds in all."""
_SHOWN = 20

StoredKey = tuple[int, str, Crop | None]
"""An input's key, its picture's sha256, and the part of it that counts."""
Embedded = tuple[dict[int, FloatArray], dict[int, str]]
"""Vectors (dim,) by input key, and why those of the others can't be had."""


class Reembedding:
    """One change on its way. SQL holds its progress, so that it goes on after whatever ends the process."""

    def __init__(
        self,
        app_id: str,
        change: WorkflowChange,
        catalog: Catalog,
        embed: Callable[[Recipe, Sequence[StoredKey]], Embedded],
        switch: Callable[[WorkflowChange, Mapping[int, str]], bool],
    ) -> None:
        """switch: the app sees with the new workflow, and these inputs fail; False where others lack a vector yet."""
        self._app_id, self._change, self._changes, self._inputs = (
            app_id,
            change,
            catalog.workflow_changes,
            catalog.inputs,
        )
        self._recipe = Recipe(**change.recipe)
        self._embed, self._switch = embed, switch
        self._stopping = threading.Event()
        # Where the present pass through the inputs is, and whether it came upon any that could be embedded.
        self._after, self._fruitful = 0, False
        self._lost: dict[int, str] = {}
        self._lost_before: set[int] | None = None
        self._thread = threading.Thread(target=self._run, name="tenshot-sight", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        """Returns when the change has ended, or was stopped."""
        self._thread.join()

    def stop(self) -> None:
        """Leaves the change where it is, soon."""
        self._stopping.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                if self._advance():
                    self._forget()
                    return
                failures = 0
            except (Busy, StoreBusy):
                self._stopping.wait(_RETRY_S)  # those who wait for an answer go first
            except StoreClosed:
                return  # who opens the app next goes on with it
            except Exception as error:
                if self._stopping.is_set():
                    return
                failures += 1
                _log.warning(
                    "changing the base workflow of app %s: attempt %d failed", self._app_id, failures, exc_info=True
                )
                if failures > _ATTEMPTS:
                    self._give_up(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
                    self._forget()
                    return
                self._stopping.wait(_RETRY_S * 2 ** (failures - 1))

    def _forget(self) -> None:
        """Deletes the vectors of the base workflow that lost."""
        forget(self._changes, self._app_id, self._stopping.is_set)

    def _advance(self) -> bool:
        """Embeds some more inputs, or switches where all are. True: the change has ended."""
        if self._changes.state(self._change) is not ChangeState.RUNNING:
            return True
        missing = self._changes.missing(self._app_id, self._recipe.workflow, _BATCH, self._after)
        if missing:
            new = [picture for picture in missing if picture[0] not in self._lost]
            if new:
                vectors, lost = self._embed(self._recipe, new)
                if vectors and not self._changes.store(self._change, vectors):
                    return True
                self._lost |= lost
                self._fruitful = self._fruitful or bool(vectors)
            self._after = missing[-1][0]
            return False
        self._after = 0
        # Inputs may have come meanwhile. And what was lost for a moment only, as to a decoder that was killed, is not.
        if self._fruitful or self._lost.keys() != self._lost_before:
            self._fruitful, self._lost_before = False, set(self._lost)
            self._lost = {}
            return False
        return self._too_many_lost() or self._switch(self._change, self._lost)

    def _too_many_lost(self) -> bool:
        """Ends the change where so many pictures can't be embedded that something else must be wrong."""
        total = self._changes.total(self._app_id)
        if not self._lost or len(self._lost) <= max(1, total // 10) < total:
            return False
        self._give_up(f"{len(self._lost)} of {total} inputs can't be embedded: {self._described()}")
        return True

    def _described(self) -> str:
        keys = sorted(self._lost)[:_SHOWN]
        ids = self._inputs.by_key(np.array(keys, dtype=np.int64))
        named = [f"{ids[key].id} ({self._lost[key]})" for key in keys if key in ids]
        return ", ".join(named) + (f" and {more} more" if (more := len(self._lost) - len(keys)) else "")

    def _give_up(self, failure: str) -> None:
        while True:
            try:
                self._changes.give_up(self._app_id, ChangeState.FAILED, failure, self._change)
                return
            except StoreClosed:
                return
            except Exception:
                if self._stopping.wait(_RETRY_S):
                    return


def forget(changes: WorkflowChanges, app_id: str, stop: Callable[[], bool] = lambda: False) -> None:
    """Deletes vectors that nobody sees with any more; what is left of that goes when a store is opened."""
    with suppress(StoreBusy, StorageFailed):
        changes.delete_unused_vectors(app_id, stop)
