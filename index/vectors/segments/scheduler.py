"""Where searches of one collection go through: as many at once as there are processors, the others together."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from ...records import FloatArray, KeyArray
from .state import KeyFilter

Answer = tuple[KeyArray, FloatArray]
_TOGETHER = 64
"""Queries asked in one call at most."""
_LOOK_S = 1.0
"""Who waits looks so often whether it is forgotten."""


@dataclass(eq=False)
class _Request:
    queries: FloatArray
    k: int
    where: KeyFilter | None
    turn: threading.Event = field(default_factory=threading.Event)
    """Set when it has a place, an answer or an error."""
    answer: Answer | None = None
    error: Exception | None = None


class SearchScheduler:
    """While there is a free place, a search runs at once and alone: nobody ever waits for others to come.

    Those that find no place wait anyway; whoever leaves lets the first of them in, with all that ask alike, so that
    they take one walk through the codes or one multiplication of matrices.

    A search may be interrupted anywhere (Ctrl-C). Its place is free when its request is gone, whether or not it could
    still say so; and those that it would have answered go back to those that wait.
    """

    def __init__(self, search: Callable[[FloatArray, int, KeyFilter | None], Answer], places: int) -> None:
        self._search = search
        self._places = places
        self._mutex = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._inside: WeakKeyDictionary[_Request, list[_Request]] = WeakKeyDictionary()
        """Who has a place, and those that it answers besides itself."""

    def search(self, queries: FloatArray, k: int, where: KeyFilter | None) -> Answer:
        """What the search that was given says to (queries (q, dim), k, where)."""
        request = _Request(queries, k, where)
        try:
            with self._mutex:
                if len(self._inside) < self._places:
                    self._inside[request] = []
                else:
                    self._waiting.append(request)
            while request not in self._inside and not request.turn.wait(_LOOK_S):
                self._admit(request)
            if request in self._inside:
                self._answer(request)
        finally:
            self._leave(request)
        if request.error is not None:
            raise request.error
        assert request.answer is not None
        return request.answer

    def _answer(self, first: _Request) -> None:
        group = [first, *self._inside[first]]
        try:
            queries = first.queries if len(group) == 1 else np.concatenate([request.queries for request in group])
            keys, scores = self._search(queries, first.k, first.where)
            start = 0
            for request in group:
                stop = start + len(request.queries)
                request.answer = keys[start:stop], scores[start:stop]
                start = stop
        except Exception as error:
            for request in group:
                request.error = error
        for request in group[1:]:
            request.turn.set()

    def _leave(self, request: _Request) -> None:
        """The place goes to the first who waits, or is free."""
        with self._mutex:
            others = self._inside.pop(request, [])
            # Only where it was interrupted.
            self._waiting.extendleft(other for other in reversed(others) if not other.turn.is_set())
            if request in self._waiting:
                self._waiting.remove(request)
        if self._waiting:
            self._admit()

    def _admit(self, lost: _Request | None = None) -> None:
        """Lets those in for whom there is a place. lost: waits, and may have been forgotten by who was to answer it."""
        with self._mutex:
            kept = (self._waiting, *self._inside.values())
            if lost and not lost.turn.is_set() and not any(lost in requests for requests in kept):
                self._waiting.append(lost)
            while self._waiting and len(self._inside) < self._places:
                first = self._waiting.popleft()
                count, others, left = len(first.queries), list[_Request](), deque[_Request]()
                for request in self._waiting:
                    alike = request.k == first.k and request.where is first.where
                    if alike and count + len(request.queries) <= _TOGETHER:
                        others.append(request)
                        count += len(request.queries)
                    else:
                        left.append(request)
                self._inside[first], self._waiting = others, left
                first.turn.set()
