"""Lease: the time in which a resource may be used; its end waits for writes in progress."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import StoreClosed

_log = logging.getLogger("tenshot.index")
_PATIENCE_S = 60.0
"""Longer than any write takes, so that closing never hangs."""


class Lease:
    """Thread-safe."""

    def __init__(self, resource: str) -> None:
        """resource: its name in messages."""
        self._resource = resource
        self._changed = threading.Condition()
        self._writers: set[object] = set()
        self._over = False

    def check(self) -> None:
        """Raises StoreClosed after the end."""
        if self._over:
            raise StoreClosed(f"the store is closed, and {self._resource} with it: open it again")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The end of the lease waits while this is held. Raises StoreClosed after the end."""
        writer = object()
        try:
            with self._changed:
                self.check()
                self._writers.add(writer)
            yield
        finally:
            with self._changed:
                self._writers.discard(writer)
                self._changed.notify_all()

    def end(self) -> None:
        """Ends the lease, and waits for writes in progress. May be called again."""
        with self._changed:
            self._over = True
            if not self._changed.wait_for(lambda: not self._writers, _PATIENCE_S):
                _log.warning("closing no longer waits for a write in progress: %s", self._resource)
