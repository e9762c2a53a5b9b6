"""What belongs to the request that is being answered: its id, and how long its parts take (decoding, SQL, searching).

A stage costs a microsecond.
"""

import time
from contextvars import ContextVar

_request_id: ContextVar[str] = ContextVar("request_id", default="")
_stages: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


def begin_request(id: str) -> dict[str, float]:
    """From here on this context works for this request, and adds up its stages: name -> seconds.

    Threads that it starts see the same mapping.
    """
    stages: dict[str, float] = {}
    _request_id.set(id)
    _stages.set(stages)
    return stages


def request_id() -> str:
    """Empty outside requests."""
    return _request_id.get()


def stage(name: str) -> "_Stage":
    """Counts what is done inside, where somebody wants to know; a stage inside a stage counts for both."""
    return _Stage(name)


class _Stage:
    """Written out, for a generator's context costs several times as much."""

    __slots__ = ("_name", "_stages", "_start")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._stages = _stages.get()
        self._start = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        if self._stages is not None:
            self._stages[self._name] = self._stages.get(self._name, 0.0) + time.perf_counter() - self._start
