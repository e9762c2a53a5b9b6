"""A thread of the process that does what collections have due: one thing after the other, in turn."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

_log = logging.getLogger("tenshot.index")
_LOOK_S = 0.002

Job = Callable[[], None]
"""Does one thing, and wants itself again where more is due."""


class Worker:
    """Starts its thread when there is something to do.

    Who wants something holds a collection's write lock, and may be interrupted anywhere (Ctrl-C): so there is no lock
    here that could stay taken, only steps that happen as a whole.
    """

    def __init__(self, name: str, *, patient: bool = False) -> None:
        """patient: it, and what FAISS starts for it, takes what searches leave of the processors."""
        self._name = name
        self._patient = patient
        self._due: dict[Job, float] = {}
        self._running: Job | None = None
        self._thread: threading.Thread | None = None
        self._signals: SimpleQueue[None] = SimpleQueue()

    def want(self, job: Job, after: float = 0.0) -> None:
        """Has it done once, after so many seconds."""
        at = time.monotonic() + after if after else 0.0
        self._due[job] = min(at, self._due.get(job, at))
        if self._signals.empty():
            self._signals.put(None)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def drop(self, job: Job) -> None:
        """Nobody wants it any more; if it is being done it goes on."""
        self._due.pop(job, None)

    def busy(self, job: Job) -> bool:
        """Whether it is being done, or would be by now if nothing else were."""
        # In this order: what is begun is running before it is no longer due.
        return self._due.get(job, float("inf")) <= time.monotonic() or self._running == job

    def wait(self, job: Job, seconds: float = float("inf")) -> bool:
        """Returns when it is not busy, or after so many seconds; whether it isn't."""
        end = time.monotonic() + seconds
        while busy := self.busy(job):
            if time.monotonic() > end:
                break
            time.sleep(_LOOK_S)
        return not busy

    def _work(self) -> None:
        if self._patient and hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        # An interrupted start may have been made up for by another thread.
        while self._thread is threading.current_thread():
            job, at = min(list(self._due.items()), key=lambda item: item[1], default=(None, float("inf")))
            if job is None or at > time.monotonic():
                self._sleep(at)
                continue
            self._running = job
            self._due.pop(job, None)
            try:
                job()
            except Exception:  # it sees to its own errors; others' things must be done all the same
                _log.exception("%s failed", self._name)
            self._running = job = None

    def _sleep(self, until: float) -> None:
        """Until then, or until somebody wants something."""
        with suppress(Empty):
            self._signals.get(timeout=None if until == float("inf") else max(until - time.monotonic(), 0))
