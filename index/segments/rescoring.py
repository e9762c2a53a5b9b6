"""Exact scores of proposed rows and the best of them: compiled by Numba where it is installed, else by FAISS and NumPy.

A score is the same whatever is asked beside it and wherever the row lies; which of the two ways it is computed makes a
difference in the last bits, so one process uses one.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...embeddings.compiled import compiled
from ..records import FloatArray, KeyArray
from .bits import Slots
from .native import inner_products

TIE = 1e-5
"""Estimated or scanned scores that differ by less may be the other way round exactly."""
_EQUALS = 8
"""More than k are put in order, so that equals of the last are among them."""
_INSERTED = 512
"""Up to so many are kept in order one by one, more are sorted."""
_NO_EDGE = np.empty((0, 0), dtype=np.bool_)


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
    return _run(kernel, queries, mapped, buffer, np.empty(0, dtype=np.int64), slots, _NO_EDGE, 0)[2]


def best(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    edge: NDArray[np.bool_] | None,
    k: int,
) -> tuple[KeyArray, FloatArray, NDArray[np.bool_]]:
    """Keys and scores (q, k) of the best, best first, equal ones by key; and the queries (q,) that leave a doubt.

    Those that have fewer than k, or, with edge (q, c), one marked there that may equal the last. keys: of each slot;
    c: at least k.
    """
    kernel = _kernel()
    if kernel is not None and k <= _INSERTED:
        some = _NO_EDGE if edge is None else edge
        found, values, _, doubt = _run(kernel, queries, mapped, buffer, keys, slots, some, k)
        return found, values, doubt
    return _sorted(scores(queries, mapped, buffer, slots), keys, slots, edge, k)


def _run(
    kernel: Any,
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    edge: NDArray[np.bool_],
    k: int,
) -> tuple[KeyArray, FloatArray, FloatArray, NDArray[np.bool_]]:
    # Machine code checks no lengths.
    assert queries.shape == (len(slots), mapped.shape[1])
    assert buffer.shape[1] == mapped.shape[1]
    found, values = np.empty((len(slots), k), dtype=np.int64), np.empty((len(slots), k), dtype=np.float32)
    exact, doubt = np.empty(slots.shape, dtype=np.float32), np.empty(len(slots), dtype=np.bool_)
    inside = kernel(
        np.ascontiguousarray(queries),
        mapped,
        buffer,
        keys,
        np.ascontiguousarray(slots),
        np.ascontiguousarray(edge),
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


def _sorted(
    found: FloatArray, keys: KeyArray, slots: Slots, edge: NDArray[np.bool_] | None, k: int
) -> tuple[KeyArray, FloatArray, NDArray[np.bool_]]:
    """As `best`, of scores (q, c)."""
    some = k + _EQUALS
    if found.shape[1] > 2 * some:
        # Ordering a few is cheaper, where none that are left out equal the last.
        places = found.argpartition(-some, axis=1)[:, -some:]
        each = np.arange(len(found))[:, None]
        few = found[each, places]
        ordered, values = _in_order(keys[slots[each, places]], few, k)
        if not (values[:, -1] > few[:, 0]).all():
            ordered, values = _in_order(keys[slots], found, k)
    else:
        ordered, values = _in_order(keys[slots], found, k)
    last = values[:, -1:]
    doubt = last[:, 0] == -np.inf
    if edge is not None:
        doubt |= (edge & (found >= last - TIE)).any(axis=1)
    return ordered, values, doubt


def _in_order(keys: KeyArray, values: FloatArray, k: int) -> tuple[KeyArray, FloatArray]:
    """The k best of each row (q, c), best first, equal scores by key."""
    order = np.lexsort((keys, -values), axis=1)[:, :k]
    each = np.arange(len(keys))[:, None]
    return keys[each, order], values[each, order]


@cache
def _kernel() -> Any:
    """`_rescore`, compiled; None where that can't be."""

    def signature(numba: Any) -> Any:
        def read(kind: Any, axes: int) -> Any:
            return numba.types.Array(kind, axes, "C", readonly=True)

        rows, slots = read(numba.f4, 2), read(numba.i8, 2)
        out = numba.f4[:, ::1], numba.i8[:, ::1], numba.f4[:, ::1], numba.b1[::1]
        return numba.b1(rows, rows, rows, read(numba.i8, 1), slots, read(numba.b1, 2), *out)

    return compiled(_rescore, signature, reorder=True)


def _rescore(
    queries: FloatArray,
    mapped: FloatArray,
    buffer: FloatArray,
    keys: KeyArray,
    slots: Slots,
    edge: NDArray[np.bool_],
    exact: FloatArray,
    found: KeyArray,
    values: FloatArray,
    doubt: NDArray[np.bool_],
) -> bool:
    """Fills exact (q, c), found and values (q, k) and doubt (q,); k may be 0. False for a slot outside of the rows.

    Four rows at a time, always: memory brings four as fast as two, and sums are rounded alike at every place.
    """
    border, size, dim = len(mapped), len(mapped) + len(buffer), queries.shape[1]
    count, k = slots.shape[1], found.shape[1]
    for i in range(len(queries)):
        query = queries[i]
        for first in range(0, count, 4):
            # Where there is none, the query stands in.
            a, b, c, d = query, query, query, query
            for place in range(first, min(first + 4, count)):
                slot = slots[i, place]
                if slot < -1 or slot >= size:
                    return False
                if slot >= 0:
                    row = mapped[slot] if slot < border else buffer[slot - border]
                    if place == first:
                        a = row
                    elif place == first + 1:
                        b = row
                    elif place == first + 2:
                        c = row
                    else:
                        d = row
            by_a, by_b, by_c, by_d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for x in range(dim):
                by_a += query[x] * a[x]
                by_b += query[x] * b[x]
                by_c += query[x] * c[x]
                by_d += query[x] * d[x]
            for place in range(first, min(first + 4, count)):
                if slots[i, place] < 0:
                    exact[i, place] = -np.inf
                elif place == first:
                    exact[i, place] = by_a
                elif place == first + 1:
                    exact[i, place] = by_b
                elif place == first + 2:
                    exact[i, place] = by_c
                else:
                    exact[i, place] = by_d
        full = 0
        for place in range(count if k else 0):
            if slots[i, place] < 0:
                continue
            score, key = exact[i, place], keys[slots[i, place]]
            last = k - 1
            if full == k and not (score > values[i, last] or (score == values[i, last] and key < found[i, last])):
                continue
            at = min(full, last)
            while at and (values[i, at - 1] < score or (values[i, at - 1] == score and found[i, at - 1] > key)):
                values[i, at], found[i, at] = values[i, at - 1], found[i, at - 1]
                at -= 1
            values[i, at], found[i, at] = score, key
            full = min(full + 1, k)
        doubt[i] = full < k
        for at in range(full, k):
            values[i, at], found[i, at] = -np.inf, -1
        if k and full == k:
            for place in range(count if len(edge) else 0):
                if edge[i, place] and exact[i, place] >= values[i, k - 1] - np.float32(TIE):
                    doubt[i] = True
    return True
