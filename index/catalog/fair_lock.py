"""A first-come, first-served lock."""

import threading
from collections import deque


class FairLock:
    """Its holder can't take it again before those who wait: `threading.Lock` doesn't promise that."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        # One lock for each waiting thread, released when its turn has come.
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, seconds: float) -> bool:
        """Waits that long at most. False: it is still taken."""
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            if seconds <= 0:
                return False
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        try:
            if turn.acquire(timeout=seconds):
                return True
        except BaseException:  # Ctrl-C
            self._leave(turn, keep=False)
            raise
        return self._leave(turn, keep=True)

    def release(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    def _leave(self, turn: threading.Lock, *, keep: bool) -> bool:
        """Stops waiting. True: the lock was handed over meanwhile, and is kept because `keep` is set."""
        with self._mutex:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        if not keep:
            self.release()
        return keep
