"""Deleting apps with their pictures, in steps, and continuing deletions that a crash or a full disk interrupted."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain

from ..catalog import Catalog
from ..errors import AppNotFound
from ..storage.blobs import Blobs

_log = logging.getLogger("tenshot.index")
_DELAY_S = 60.0
"""Before a failed deletion is tried again."""


class Deletion:
    """The deletion of an app: hides it at once; `finish` deletes its records and pictures."""

    def __init__(self, catalog: Catalog, blobs: Blobs, app_id: str) -> None:
        """Raises AppNotFound."""
        self._catalog = catalog
        self._blobs = blobs
        self._steps = catalog.deletions.delete(app_id)
        self._first = next(self._steps)

    def finish(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Deletes its rows, and the pictures that no other app has, in short steps. stop: asked after each step."""
        for hashes in chain([self._first], self._steps):
            self._blobs.delete_unused(hashes, self._catalog.unused_blobs)
            if stop():
                return


class Purge:
    """Continues interrupted deletions in the background, until all are finished.

    It deletes apps, and vectors of base workflows that their apps no longer use.
    """

    def __init__(self, catalog: Catalog, blobs: Blobs) -> None:
        self._catalog = catalog
        self._blobs = blobs
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._closed = False

    def begin(self) -> None:
        """Starts, if there is anything to do."""
        with self._mutex:
            if self._thread is None and not self._closed and self._is_any_left():
                self._thread = threading.Thread(target=self._run, name="tenshot-purge", daemon=True)
                self._thread.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stops after the present step, and begins again at the end."""
        self._end()
        try:
            yield
        finally:
            self._stop.clear()
            self.begin()

    def close(self) -> None:
        """For good."""
        with self._mutex:
            self._closed = True
        self._end()

    def _end(self) -> None:
        self._stop.set()
        with self._mutex:
            thread = self._thread
        if thread:
            thread.join()

    def _run(self) -> None:
        while True:
            try:
                if self._is_done():
                    return
                for app_id in self._catalog.deletions.unfinished():
                    # Another process may have been quicker.
                    with suppress(AppNotFound):
                        Deletion(self._catalog, self._blobs, app_id).finish(self._stop.is_set)
                for app_id in self._catalog.workflow_changes.apps_with_unused_vectors():
                    self._catalog.workflow_changes.delete_unused_vectors(app_id, self._stop.is_set)
            except Exception as error:
                _log.warning("what was deleted still takes room: %s; what is left of it is deleted later", error)
                self._stop.wait(_DELAY_S)

    def _is_done(self) -> bool:
        with self._mutex:
            if not self._stop.is_set() and self._is_any_left():
                return False
            self._thread = None
            return True

    def _is_any_left(self) -> bool:
        return bool(self._catalog.deletions.unfinished() or self._catalog.workflow_changes.apps_with_unused_vectors())
