"""How long the parts of one request take: decoding, embedding, SQL, searching. Costs a microsecond each."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_taken: ContextVar[dict[str, float] | None] = ContextVar("stages", default=None)


def begin_stages() -> dict[str, float]:
    """From here on this context's stages are added up: name -> seconds. Threads that it asks see the same mapping."""
    taken: dict[str, float] = {}
    _taken.set(taken)
    return taken


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Counts what is done inside, where somebody wants to know; a stage inside a stage counts for both."""
    taken = _taken.get()
    if taken is None:
        yield
        return
    start = time.perf_counter()
    try:
        yield
    finally:
        taken[name] = taken.get(name, 0.0) + time.perf_counter() - start
