"""Lease: the time in which something may be asked and written; what is being written when it ends is finished first."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import StoreClosed

_log = logging.getLogger("tenshot.index")
_PATIENCE_S = 60.0
"""Longer than any write takes: the end must come, whatever hangs."""


class Lease:
    """Thread-safe."""

    def __init__(self, what: str) -> None:
        """what: stands in the messages."""
        self._what = what
        self._changed = threading.Condition()
        self._writers: set[object] = set()
        self._over = False

    def check(self) -> None:
        """Raises StoreClosed when it is over."""
        if self._over:
            raise StoreClosed(f"the store is closed, and {self._what} with it: open it again")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The end waits for who holds this. Raises StoreClosed when it is over."""
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
        """Returns when nobody writes any more, and nobody can. May be called again."""
        with self._changed:
            self._over = True
            if not self._changed.wait_for(lambda: not self._writers, _PATIENCE_S):
                _log.warning("closing no longer waits for what is being written: %s", self._what)
