"""A lock that is had in the order of asking."""

import threading
from collections import deque


class FairLock:
    """Whoever has it can't take it again before those who wait: `threading.Lock` promises nothing of the kind."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._held = False
        # A lock for each who waits, released when it is that one's turn.
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, seconds: float) -> bool:
        """Waits that long at most. False: others still have it."""
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
        """Waits no longer. True: the turn had come all the same, and is kept if it should be."""
        with self._mutex:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return False
        if not keep:
            self.release()
        return keep
