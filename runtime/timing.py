"""How long the parts of one request take: decoding, embedding, SQL, searching. Costs a microsecond each."""

import time
from contextvars import ContextVar

_taken: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


def begin_stages() -> dict[str, float]:
    """From here on this context's stages are added up: name -> seconds. Threads that it asks see the same mapping."""
    taken: dict[str, float] = {}
    _taken.set(taken)
    return taken


def stage(name: str) -> "_Stage":
    """Counts what is done inside, where somebody wants to know; a stage inside a stage counts for both."""
    return _Stage(name)


class _Stage:
    """Written out, for a generator's context costs several times as much."""

    __slots__ = ("_name", "_start", "_taken")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._taken = _taken.get()
        self._start = time.perf_counter()

    def __exit__(self, *_error: object) -> None:
        if self._taken is not None:
            self._taken[self._name] = self._taken.get(self._name, 0.0) + time.perf_counter() - self._start
