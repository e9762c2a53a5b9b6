"""Exact scores of proposed rows and the best of them: compiled by Numba where it is installed, else by FAISS and NumPy.

A score is the same whatever is asked beside it and wherever the row lies; which of the two ways it is computed makes a
difference in the last bits, so one process uses one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ....runtime.compiled import compiled
from ...records import FloatArray, KeyArray
from ..faiss_compat import inner_products
from . import bitmap
from .bitmap import Bits, Slots

TIE = 1e-5
"""Estimated or scanned scores that differ by less may be the other way round exactly."""
_EQUALS = 8
"""More than k are put in order, so that equals of the last are among them."""
_INSERTED = 512
"""Up to so many are kept in order one by one, more are sorted."""
_ALL = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True)
class Proposal:
    """Slots that may be among the best of each query, some or all of one part of the rows."""

    slots: Slots
    """(q, c), -1 where there is none."""
    estimates: FloatArray
    """(q, c) of their scores, the best first."""
    complete: bool = False
    """Nothing was left out; else others like the last of them may have been."""
    short: NDArray[np.bool_] | None = None
    """(q,): for which too little was seen; None: for none."""


@dataclass(frozen=True)
class Rescored:
    """The best of what was proposed."""

    keys: KeyArray
    """(q, k) best first, equal scores by key; -1 behind the last."""
    scores: FloatArray
    """(q, k) exact; -inf behind the last."""
    exact: FloatArray
    """(q, c) of all that was proposed, -inf where it may not come."""
    proposals: Sequence[Proposal]

    def doubt(self) -> NDArray[np.bool_]:
        """(q,): too little was seen, fewer than k came, or something that was left out may equal the last."""
        last = self.scores[:, -1:]
        doubt = np.asarray(last[:, 0] == -np.inf)
        for proposal in self.proposals:
            if proposal.short is not None:
                doubt |= proposal.short
        for estimates, exact in self._incomplete():
            edge = estimates <= estimates[:, -1:] + np.float32(TIE)
            doubt |= (edge & (exact >= last - np.float32(TIE))).any(axis=1)
        return doubt

    def room(self) -> NDArray[np.float64]:
        """(q,): how far the k-th score is above the last estimate, in typical errors of this query's estimates.

        One of the k best is missing where its estimate is wrong by more than so many of them.
        """
        room = np.full(len(self.scores), np.inf)
        for estimates, exact in self._incomplete():
            there = exact != -np.inf
            errors = np.where(there, exact - estimates, 0)
            typical = np.sqrt((errors * errors).sum(axis=1) / np.maximum(there.sum(axis=1), 1))
            gap = self.scores[:, -1].astype(np.float64) - estimates[:, -1]
            room = np.minimum(room, gap / np.maximum(typical, TIE))
        return room

    def _incomplete(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Estimates and exact scores (q, c) of each part of which something was left out."""
        start = 0
        for proposal in self.proposals:
            stop = start + proposal.slots.shape[1]
            if not proposal.complete:
                yield proposal.estimates, self.exact[:, start:stop]
            start = stop


def prepare() -> None:
    """Has all compiled, which takes two seconds once on each machine, and a third of one in each process."""
    _kernels()


def rescored(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    allowed: Bits | None,
    k: int,
) -> tuple[KeyArray, FloatArray, FloatArray]:
    """Keys and exact scores (q, k) of the best of slots (q, c), and the scores (q, c) of all; k at most c, or 0.

    Slots below len(mapped) are rows of it, the others of buffer; -1 is none, and those that are not in allowed don't
    come. Best first, equal scores by key; -1 and -inf behind the last.
    """
    exact = _exact(queries, mapped, buffer, slots, allowed)
    kernels = _kernels()
    if k and (kernels is None or k > _INSERTED):
        return *_in_order(keys, exact, slots, k), exact
    best, scores = np.empty((len(slots), k), dtype=np.int64), np.empty((len(slots), k), dtype=np.float32)
    if kernels and k:
        kernels.keep_best(exact, np.ascontiguousarray(slots), keys, best, scores)
    return best, scores, exact


def _exact(
    queries: FloatArray, mapped: FloatArray, buffer: FloatArray, slots: Slots, allowed: Bits | None
) -> FloatArray:
    kernels = _kernels()
    if kernels is None:
        if allowed is not None:
            slots = np.where((slots >= 0) & bitmap.has(allowed, np.maximum(slots, 0)), slots, -1)
        return _products(queries, mapped, buffer, slots)
    assert queries.shape == (len(slots), mapped.shape[1])
    assert buffer.shape[1] == mapped.shape[1]
    exact, may = np.empty(slots.shape, dtype=np.float32), _ALL if allowed is None else allowed
    inside = kernels.score(np.ascontiguousarray(queries), mapped, buffer, np.ascontiguousarray(slots), may, exact)
    assert inside, "a slot is outside of the rows"
    return exact


def _products(queries: FloatArray, mapped: FloatArray, buffer: FloatArray, slots: Slots) -> FloatArray:
    border = len(mapped)
    if not border:
        return inner_products(queries, buffer, slots)
    below = inner_products(queries, mapped, np.where(slots < border, slots, -1))
    if not len(buffer):
        return below
    return np.maximum(below, inner_products(queries, buffer, np.where(slots < border, -1, slots - border)))


def _in_order(keys: KeyArray, exact: FloatArray, slots: Slots, k: int) -> tuple[KeyArray, FloatArray]:
    """Keys and scores (q, k) of the best of slots with exact scores, both (q, c)."""
    some = k + _EQUALS
    if exact.shape[1] > 2 * some:
        # Ordering a few is cheaper, where none that are left out equal the last.
        columns = exact.argpartition(-some, axis=1)[:, -some:]
        each = np.arange(len(exact))[:, None]
        few = exact[each, columns]
        ordered, scores = _ordered(keys, few, slots[each, columns], k)
        if (scores[:, -1] > few[:, 0]).all():
            return ordered, scores
    return _ordered(keys, exact, slots, k)


def _ordered(keys: KeyArray, exact: FloatArray, slots: Slots, k: int) -> tuple[KeyArray, FloatArray]:
    named = np.where(exact == -np.inf, -1, keys[slots])
    order = np.lexsort((named, -exact), axis=1)[:, :k]
    each = np.arange(len(slots))[:, None]
    return named[each, order], exact[each, order]


class _Kernels(NamedTuple):
    """Machine code, which checks no lengths."""

    score: Any
    keep_best: Any


@cache
def _kernels() -> _Kernels | None:
    """`_score` and `_keep_best`, compiled; None where that can't be."""

    def read(numba: Any, kind: str, axes: int) -> Any:
        return numba.types.Array(getattr(numba, kind), axes, "C", readonly=True)

    def of_score(numba: Any) -> Any:
        rows, slots, allowed = read(numba, "f4", 2), read(numba, "i8", 2), read(numba, "u1", 1)
        return numba.b1(rows, rows, rows, slots, allowed, numba.f4[:, ::1])

    def of_keep_best(numba: Any) -> Any:
        exact, slots, keys = read(numba, "f4", 2), read(numba, "i8", 2), read(numba, "i8", 1)
        return numba.void(exact, slots, keys, numba.i8[:, ::1], numba.f4[:, ::1])

    score, keep_best = compiled(_score, of_score, reorder=True), compiled(_keep_best, of_keep_best)
    return None if score is None or keep_best is None else _Kernels(score, keep_best)


def _score(
    queries: FloatArray, mapped: FloatArray, buffer: FloatArray, slots: Slots, allowed: Bits, exact: FloatArray
) -> bool:
    """Fills exact (q, c): -inf where nothing may come. allowed: empty where all may. False: a slot outside the rows."""
    border, size = len(mapped), len(mapped) + len(buffer)
    if len(allowed):
        size = min(size, 8 * len(allowed))
    for i in range(len(queries)):
        query = queries[i]
        for j in range(slots.shape[1]):
            slot = slots[i, j]
            if slot < -1 or slot >= size:
                return False
            exact[i, j] = -np.inf
            if slot < 0 or (len(allowed) and not (allowed[slot >> 3] >> (slot & 7)) & 1):
                continue
            row = mapped[slot] if slot < border else buffer[slot - border]
            score = np.float32(0)
            for x in range(len(query)):
                score += query[x] * row[x]
            exact[i, j] = score
    return True


def _keep_best(exact: FloatArray, slots: Slots, keys: KeyArray, best: KeyArray, scores: FloatArray) -> None:
    """Fills best and scores (q, k), k at least 1, by exact (q, c): the best first, equal ones by key."""
    k = best.shape[1]
    for i in range(len(exact)):
        count = 0
        for j in range(exact.shape[1]):
            score = exact[i, j]
            if score == -np.inf or (count == k and score < scores[i, k - 1]):
                continue
            key = keys[slots[i, j]]
            if count == k and score == scores[i, k - 1] and key > best[i, k - 1]:
                continue
            to = min(count, k - 1)
            while to and (scores[i, to - 1] < score or (scores[i, to - 1] == score and best[i, to - 1] > key)):
                scores[i, to], best[i, to] = scores[i, to - 1], best[i, to - 1]
                to -= 1
            scores[i, to], best[i, to] = score, key
            count = min(count + 1, k)
        for to in range(count, k):
            scores[i, to], best[i, to] = -np.inf, -1
