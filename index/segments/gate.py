"""Where searches of one collection go through: as many at once as there are processors, the others together."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..records import FloatArray, KeyArray
from .state import KeyFilter

Answer = tuple[KeyArray, FloatArray]
_TOGETHER = 64
"""Queries asked in one call at most."""


@dataclass
class _Request:
    queries: FloatArray
    k: int
    where: KeyFilter | None
    turn: threading.Event = field(default_factory=threading.Event)
    group: "list[_Request] | None" = None
    """Set where this one's thread has to answer for these."""
    answer: Answer | None = None
    error: BaseException | None = None


class Gate:
    """While there is a free place, a search runs at once and alone: nobody ever waits for others to come.

    Those that find no place wait anyway; whoever leaves lets the first of them in, with all that ask alike, so that
    they take one walk through the codes or one multiplication of matrices.
    """

    def __init__(self, search: Callable[[FloatArray, int, KeyFilter | None], Answer], places: int) -> None:
        self._search = search
        self._free = places
        self._mutex = threading.Lock()
        self._waiting: deque[_Request] = deque()

    def search(self, queries: FloatArray, k: int, where: KeyFilter | None) -> Answer:
        """What the search that was given says to (queries (q, dim), k, where)."""
        request = None
        with self._mutex:
            if self._free:
                self._free -= 1
            else:
                self._waiting.append(request := _Request(queries, k, where))
        if request is None:
            try:
                return self._search(queries, k, where)
            finally:
                self._leave()
        request.turn.wait()
        if request.group is not None:
            try:
                self._answer(request.group)
            finally:
                self._leave()
        if request.error is not None:
            raise request.error
        assert request.answer is not None
        return request.answer

    def _answer(self, group: list[_Request]) -> None:
        first = group[0]
        try:
            queries = first.queries if len(group) == 1 else np.concatenate([one.queries for one in group])
            keys, scores = self._search(queries, first.k, first.where)
            start = 0
            for one in group:
                stop = start + len(one.queries)
                one.answer = keys[start:stop], scores[start:stop]
                start = stop
        except BaseException as error:
            for one in group:
                one.error = error
        for one in group[1:]:
            one.turn.set()

    def _leave(self) -> None:
        """The place goes to the first who waits, or is free."""
        with self._mutex:
            if not self._waiting:
                self._free += 1
                return
            first = self._waiting.popleft()
            first.group, others, count = [first], deque[_Request](), len(first.queries)
            while self._waiting:
                one = self._waiting.popleft()
                alike = one.k == first.k and one.where is first.where and count + len(one.queries) <= _TOGETHER
                if alike:
                    first.group.append(one)
                    count += len(one.queries)
                else:
                    others.append(one)
            self._waiting = others
        first.turn.set()
