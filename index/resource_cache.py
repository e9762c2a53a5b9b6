"""Shelf: what is costly to open is opened once, by whoever asks first."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import Generic, TypeVar

from .errors import StoreClosed

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Shelf(Generic[K, V]):
    """Opened things by key. Who asks for one that is being opened waits for it; nobody else waits."""

    def __init__(self, close: Callable[[V], None]) -> None:
        self._close = close
        self._mutex = threading.Lock()
        self._things: dict[K, Future[V]] = {}
        self._closed = False

    def get(self, key: K, open: Callable[[], V]) -> V:
        """The thing, opened if it isn't. What open raises reaches all who wait, and the next one tries again."""
        with self._mutex:
            self._check_open()
            thing = self._things.get(key)
            first = thing is None
            if thing is None:
                thing = self._things[key] = Future()
        if first:
            try:
                thing.set_result(open())
            except BaseException as error:
                with self._mutex:
                    self._things.pop(key, None)
                thing.set_exception(error)
        return thing.result()

    def opened(self, key: K) -> V | None:
        """The thing if it is there."""
        self._check_open()
        thing = self._things.get(key)
        return thing.result() if thing and thing.done() and not thing.exception() else None

    def all_opened(self) -> dict[K, V]:
        """Those that are there."""
        self._check_open()
        return {key: thing for key in list(self._things) if (thing := self.opened(key)) is not None}

    def remove(self, key: K) -> None:
        """Closes one thing, if it is there."""
        with self._mutex:
            thing = self._things.pop(key, None)
        self._close_all([thing] if thing else [])

    def close(self) -> None:
        """Closes everything, also what is being opened now; nothing can be had any more.

        Each thing, whatever closing others raises; then the last error is raised.
        """
        with self._mutex:
            self._closed = True
            things, self._things = list(self._things.values()), {}
        self._close_all(things)

    def _close_all(self, things: list[Future[V]]) -> None:
        with ExitStack() as stack:
            for thing in things:
                stack.callback(self._close_one, thing)

    def _close_one(self, thing: Future[V]) -> None:
        if thing.exception() is None:
            self._close(thing.result())

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the store is closed")
