"""Exact scores of proposed rows and the best of them: compiled by Numba where it is installed, else by FAISS and NumPy.

A score is the same whatever is asked beside it and wherever the row lies; which of the two ways it is computed makes a
difference in the last bits, so one process uses one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

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
    _kernel()


def rescored(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    allowed: Bits | None,
    k: int,
) -> tuple[KeyArray, FloatArray, FloatArray]:
    """Keys and scores (q, k) of the best of slots (q, c), and exact scores (q, c) of all: inner products with queries.

    Best first, equal scores by key, then -1 and -inf; which is also the score where a slot is -1, or not in the bitmap
    allowed. Rows lie in mapped (b, dim), those from slot b on in buffer; keys: of each slot; k: 0, or at most c.
    """
    kernel = _kernel()
    inserted = k if kernel is not None and k <= _INSERTED else 0
    found, values = (np.empty((len(slots), inserted), dtype=kind) for kind in (np.int64, np.float32))
    if kernel is None:
        if allowed is not None:
            slots = np.where((slots >= 0) & bitmap.has(allowed, np.maximum(slots, 0)), slots, -1)
        exact = _scores(queries, mapped, buffer, slots)
    else:
        # Machine code checks no lengths.
        assert queries.shape == (len(slots), mapped.shape[1])
        assert buffer.shape[1] == mapped.shape[1]
        exact, may = np.empty(slots.shape, dtype=np.float32), _ALL if allowed is None else allowed
        queries, slots = np.ascontiguousarray(queries), np.ascontiguousarray(slots)
        inside = kernel(queries, mapped, buffer, keys, slots, may, exact, found, values)
        assert inside, "a slot is outside of the rows"
    if k > inserted:
        found, values = _in_order(keys, exact, slots, k)
    return found, values, exact


def _scores(queries: FloatArray, mapped: FloatArray, buffer: FloatArray, slots: Slots) -> FloatArray:
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
        places = exact.argpartition(-some, axis=1)[:, -some:]
        each = np.arange(len(exact))[:, None]
        few = exact[each, places]
        ordered, values = _ordered(keys, few, slots[each, places], k)
        if (values[:, -1] > few[:, 0]).all():
            return ordered, values
    return _ordered(keys, exact, slots, k)


def _ordered(keys: KeyArray, values: FloatArray, slots: Slots, k: int) -> tuple[KeyArray, FloatArray]:
    named = np.where(values == -np.inf, -1, keys[slots])
    order = np.lexsort((named, -values), axis=1)[:, :k]
    each = np.arange(len(slots))[:, None]
    return named[each, order], values[each, order]


@cache
def _kernel() -> Any:
    """`_rescore`, compiled; None where that can't be."""

    def signature(numba: Any) -> Any:
        def read(kind: Any, axes: int) -> Any:
            return numba.types.Array(kind, axes, "C", readonly=True)

        rows, keys, slots, allowed = read(numba.f4, 2), read(numba.i8, 1), read(numba.i8, 2), read(numba.u1, 1)
        out = numba.f4[:, ::1], numba.i8[:, ::1], numba.f4[:, ::1]
        return numba.b1(rows, rows, rows, keys, slots, allowed, *out)

    return compiled(_rescore, signature, reorder=True)


def _rescore(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    allowed: Bits,
    exact: FloatArray,
    found: KeyArray,
    values: FloatArray,
) -> bool:
    """Fills exact (q, c), found and values (q, k); k may be 0. False for a slot outside of the rows.

    allowed: empty where all may come.
    """
    border, size, k = len(mapped), len(mapped) + len(buffer), found.shape[1]
    if len(allowed):
        size = min(size, 8 * len(allowed))
    for i in range(len(queries)):
        query, full = queries[i], 0
        for place in range(slots.shape[1]):
            slot = slots[i, place]
            if slot < -1 or slot >= size:
                return False
            exact[i, place] = -np.inf
            if slot < 0 or (len(allowed) and not (allowed[slot >> 3] >> (slot & 7)) & 1):
                continue
            row = mapped[slot] if slot < border else buffer[slot - border]
            score = np.float32(0)
            for x in range(len(query)):
                score += query[x] * row[x]
            exact[i, place] = score
            if not k:
                continue
            key, end = keys[slot], k - 1
            if full == k and not (score > values[i, end] or (score == values[i, end] and key < found[i, end])):
                continue
            to = min(full, end)
            while to and (values[i, to - 1] < score or (values[i, to - 1] == score and found[i, to - 1] > key)):
                values[i, to], found[i, to] = values[i, to - 1], found[i, to - 1]
                to -= 1
            values[i, to], found[i, to] = score, key
            full = min(full + 1, k)
        for to in range(full, k):
            values[i, to], found[i, to] = -np.inf, -1
    return True
