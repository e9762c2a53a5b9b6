"""Long work ends between two of its steps when nobody waits for it any more. A check costs less than a microsecond."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Cancelled(Exception):
    """Nobody waits for what this work gives."""


def _always() -> bool:
    return True


_is_wanted: ContextVar[Callable[[], bool]] = ContextVar("is_wanted", default=_always)


@contextmanager
def cancellable(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Work inside, in this context, ends by Cancelled at its next step once is_wanted says no."""
    token = _is_wanted.set(is_wanted)
    try:
        yield
    finally:
        _is_wanted.reset(token)


def check_cancelled() -> None:
    """For long work, between its steps, where nothing is half done. Raises Cancelled."""
    if not _is_wanted.get()():
        raise Cancelled
