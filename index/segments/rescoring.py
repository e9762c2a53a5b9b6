"""Exact scores of proposed rows and the best of them: compiled by Numba where it is installed, else by FAISS and NumPy.

A score is the same whatever is asked beside it and wherever the row lies; which of the two ways it is computed makes a
difference in the last bits, so one process uses one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...embeddings.compiled import compiled
from ..records import FloatArray, KeyArray
from . import bits
from .bits import Bits, Slots
from .native import inner_products

TIE = 1e-5
"""Estimated or scanned scores that differ by less may be the other way round exactly."""
_EQUALS = 8
"""More than k are put in order, so that equals of the last are among them."""
_INSERTED = 512
"""Up to so many are kept in order one by one, more are sorted."""
_TOGETHER = 64
"""Rows read before it is asked again which of the next are worth it: the processor fetches ahead, over all of them."""
_NO_ESTIMATES = np.empty((0, 0), dtype=np.float32)
_ALL = np.empty(0, dtype=np.uint8)
_NO_KEYS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Proposal:
    """Slots that may be among the best of each query, some or all of one part of the rows."""

    slots: Slots
    """(q, c), -1 where there is none."""
    estimates: FloatArray
    """(q, c) of their scores, the best first."""
    margin: float
    """By how much a neighbour's score is above its estimate at most."""
    complete: bool = False
    """Nothing was left out; else others like the last of them may have been."""


def prepare() -> None:
    """Has all compiled, which takes two seconds once on each machine, and a third of one in each process."""
    _kernel()


def scores(queries: FloatArray, mapped: FloatArray, buffer: FloatArray, slots: Slots) -> FloatArray:
    """(q, c) inner products of queries (q, dim) with rows of slots (q, c), -inf where a slot is -1.

    Rows lie in mapped (b, dim), those from slot b on in buffer.
    """
    kernel = _kernel()
    if kernel is None:
        return _scores(queries, mapped, buffer, slots)
    return _run(kernel, queries, mapped, buffer, _NO_KEYS, slots, _NO_ESTIMATES, _parts(_all(slots)), None, 0)[2]


def best(
    queries: FloatArray, mapped: FloatArray, buffer: FloatArray, keys: KeyArray, slots: Slots, k: int
) -> tuple[KeyArray, FloatArray]:
    """Keys and scores (q, k) of the best of slots (q, c), best first, equal ones by key, then -1 and -inf.

    keys: of each slot; c: at least k.
    """
    kernel = _kernel()
    if kernel is None or k > _INSERTED:
        return _in_order(keys, scores(queries, mapped, buffer, slots), slots, k)
    return _run(kernel, queries, mapped, buffer, keys, slots, _NO_ESTIMATES, _parts(_all(slots)), None, k)[:2]


def best_proposed(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    proposals: Sequence[Proposal],
    allowed: Bits | None,
    k: int,
) -> tuple[KeyArray, FloatArray, NDArray[np.bool_]]:
    """The same of proposed slots that are in the bitmap allowed, and the queries (q,) that leave a doubt.

    Those that have fewer than k, or where something that was left out may equal the last. Rows whose estimate is by
    more than the margin below the k-th score are not read; a part whose estimates are exact should come last.
    """
    slots, estimates = proposals[0].slots, proposals[0].estimates
    if len(proposals) > 1:
        slots = np.concatenate([one.slots for one in proposals], axis=1)
        estimates = np.concatenate([one.estimates for one in proposals], axis=1)
    kernel = _kernel()
    if kernel is not None and k <= _INSERTED:
        parts = _parts(*[_Part(one.slots.shape[1], one.margin, one.complete) for one in proposals])
        found, values, _, doubt = _run(kernel, queries, mapped, buffer, keys, slots, estimates, parts, allowed, k)
        return found, values, doubt
    if allowed is not None:
        slots = np.where((slots >= 0) & bits.has(allowed, np.maximum(slots, 0)), slots, -1)
    exact = scores(queries, mapped, buffer, slots)
    found, values = _in_order(keys, exact, slots, k)
    last = values[:, -1:]
    edge = np.concatenate(
        [(one.estimates <= one.estimates[:, -1:] + np.float32(TIE)) & (not one.complete) for one in proposals], axis=1
    )
    doubt = (last[:, 0] == -np.inf) | (edge & (exact >= last - np.float32(TIE))).any(axis=1)
    return found, values, doubt


class _Part(NamedTuple):
    width: int
    margin: float
    complete: bool


class _Parts(NamedTuple):
    ends: NDArray[np.int64]
    """(p,): the columns of a part end before this one."""
    margins: FloatArray
    """(p,)"""
    complete: NDArray[np.bool_]
    """(p,)"""


@lru_cache(256)
def _parts(*parts: _Part) -> _Parts:
    """Kept, since most searches are alike."""
    return _Parts(
        np.cumsum([one.width for one in parts], dtype=np.int64),
        np.array([one.margin for one in parts], dtype=np.float32),
        np.array([one.complete for one in parts], dtype=np.bool_),
    )


def _all(slots: Slots) -> _Part:
    return _Part(slots.shape[1], 0.0, True)


def _run(
    kernel: Any,
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    estimates: FloatArray,
    parts: _Parts,
    allowed: Bits | None,
    k: int,
) -> tuple[KeyArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    # Machine code checks no lengths.
    assert queries.shape == (len(slots), mapped.shape[1])
    assert buffer.shape[1] == mapped.shape[1]
    assert not len(estimates) or estimates.shape == slots.shape
    found, values = np.empty((len(slots), k), dtype=np.int64), np.empty((len(slots), k), dtype=np.float32)
    exact, doubt = np.empty(slots.shape, dtype=np.float32), np.empty(len(slots), dtype=np.bool_)
    inside = kernel(
        np.ascontiguousarray(queries),
        mapped,
        buffer,
        keys,
        np.ascontiguousarray(slots),
        np.ascontiguousarray(estimates),
        *parts,
        _ALL if allowed is None else allowed,
        exact,
        found,
        values,
        doubt,
    )
    assert inside, "a slot is outside of the rows"
    return found, values, exact, doubt


def _scores(queries: FloatArray, mapped: FloatArray, buffer: FloatArray, slots: Slots) -> FloatArray:
    border = len(mapped)
    if not border:
        return inner_products(queries, buffer, slots)
    below = inner_products(queries, mapped, np.where(slots < border, slots, -1))
    if not len(buffer):
        return below
    return np.maximum(below, inner_products(queries, buffer, np.where(slots < border, -1, slots - border)))


def _in_order(keys: KeyArray, found: FloatArray, slots: Slots, k: int) -> tuple[KeyArray, FloatArray]:
    """Keys and scores (q, k) of the best of slots with scores found, both (q, c)."""
    some = k + _EQUALS
    if found.shape[1] > 2 * some:
        # Ordering a few is cheaper, where none that are left out equal the last.
        places = found.argpartition(-some, axis=1)[:, -some:]
        each = np.arange(len(found))[:, None]
        few = found[each, places]
        ordered, values = _ordered(keys, few, slots[each, places], k)
        if (values[:, -1] > few[:, 0]).all():
            return ordered, values
    return _ordered(keys, found, slots, k)


def _ordered(keys: KeyArray, values: FloatArray, slots: Slots, k: int) -> tuple[KeyArray, FloatArray]:
    named = np.where(slots < 0, -1, keys[slots])
    order = np.lexsort((named, -values), axis=1)[:, :k]
    each = np.arange(len(slots))[:, None]
    return named[each, order], values[each, order]


@cache
def _kernel() -> Any:
    """`_rescore`, compiled; None where that can't be."""

    def signature(numba: Any) -> Any:
        def read(kind: Any, axes: int) -> Any:
            return numba.types.Array(kind, axes, "C", readonly=True)

        rows, slots = read(numba.f4, 2), read(numba.i8, 2)
        parts = read(numba.i8, 1), read(numba.f4, 1), read(numba.b1, 1)
        out = numba.f4[:, ::1], numba.i8[:, ::1], numba.f4[:, ::1], numba.b1[::1]
        return numba.b1(rows, rows, rows, read(numba.i8, 1), slots, rows, *parts, read(numba.u1, 1), *out)

    return compiled(_rescore, signature, reorder=True)


def _rescore(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    estimates: FloatArray,
    ends: NDArray[np.int64],
    margins: FloatArray,
    complete: NDArray[np.bool_],
    allowed: Bits,
    exact: FloatArray,
    found: KeyArray,
    values: FloatArray,
    doubt: NDArray[np.bool_],
) -> bool:
    """Fills exact (q, c), found and values (q, k) and doubt (q,); k may be 0. False for a slot outside of the rows.

    Four rows at a time, always: memory brings four as fast as two, and sums are rounded alike at every place.
    """
    border, size, dim = len(mapped), len(mapped) + len(buffer), queries.shape[1]
    if len(allowed):
        size = min(size, 8 * len(allowed))
    k, estimated, tie = found.shape[1], len(estimates) > 0, np.float32(TIE)
    places = np.empty(_TOGETHER, dtype=np.int64)
    for i in range(len(queries)):
        query = queries[i]
        full, place = 0, 0
        # Rows that score alike have like estimates: none of those is passed over, so that keys decide between them.
        reached = np.float32(np.inf)
        for part in range(len(ends)):
            while place < ends[part]:
                number = 0
                while number < _TOGETHER and place < ends[part]:
                    slot = slots[i, place]
                    if slot < -1 or slot >= size:
                        return False
                    exact[i, place] = -np.inf
                    wanted = slot >= 0 and (not len(allowed) or (allowed[slot >> 3] >> (slot & 7)) & 1)
                    if wanted and estimated and full == k:
                        estimate = estimates[i, place]
                        wanted = estimate >= reached or estimate + margins[part] >= values[i, k - 1]
                    if wanted:
                        places[number] = place
                        number += 1
                    place += 1
                for first in range(0, number, 4):
                    # Where there is none, the query stands in.
                    a, b, c, d = query, query, query, query
                    for at in range(first, min(first + 4, number)):
                        slot = slots[i, places[at]]
                        row = mapped[slot] if slot < border else buffer[slot - border]
                        if at == first:
                            a = row
                        elif at == first + 1:
                            b = row
                        elif at == first + 2:
                            c = row
                        else:
                            d = row
                    by_a, by_b, by_c, by_d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                    for x in range(dim):
                        by_a += query[x] * a[x]
                        by_b += query[x] * b[x]
                        by_c += query[x] * c[x]
                        by_d += query[x] * d[x]
                    for at in range(first, min(first + 4, number)):
                        if at == first:
                            exact[i, places[at]] = by_a
                        elif at == first + 1:
                            exact[i, places[at]] = by_b
                        elif at == first + 2:
                            exact[i, places[at]] = by_c
                        else:
                            exact[i, places[at]] = by_d
                for at in range(number if k else 0):
                    score, key, end = exact[i, places[at]], keys[slots[i, places[at]]], k - 1
                    if estimated and (full < k or score >= values[i, end] - tie):
                        reached = min(reached, estimates[i, places[at]])
                    if full == k and not (score > values[i, end] or (score == values[i, end] and key < found[i, end])):
                        continue
                    to = min(full, end)
                    while to and (values[i, to - 1] < score or (values[i, to - 1] == score and found[i, to - 1] > key)):
                        values[i, to], found[i, to] = values[i, to - 1], found[i, to - 1]
                        to -= 1
                    values[i, to], found[i, to] = score, key
                    full = min(full + 1, k)
        doubt[i] = full < k
        for to in range(full, k):
            values[i, to], found[i, to] = -np.inf, -1
        if estimated and full == k:
            place = 0
            for part in range(len(ends)):
                last = estimates[i, ends[part] - 1] + tie
                while place < ends[part]:
                    edge = not complete[part] and estimates[i, place] <= last
                    if edge and exact[i, place] >= values[i, k - 1] - tie:
                        doubt[i] = True
                    place += 1
    return True
