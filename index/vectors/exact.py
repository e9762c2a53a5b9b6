"""The engine `exact`: every search looks at every row, by NumPy alone.

It has nothing to train, to keep on the disk, or to do in the background, so it is what the other engines are judged by:
in tests, and as the peer `exact` of `tenshot bench index`. A write copies all rows: 10,000 of 512 take 10 ms.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputNotFound
from ..filters import Filter
from ..records import FloatArray, KeyArray
from .protocol import CollectionFacts, Positions, RowView, Source, checked_rows, checked_search, filterable, sampled

_SCORES = 1 << 23
"""Scores held at once, 32 MB."""
_SPARE_NUMBERS = 1024
"""More than twice the rows that may be given before all are numbered anew."""
_TIE = 1e-5
"""What a product of matrices may be off by; how a row's own is rounded depends on where it lies."""


@dataclass(frozen=True)
class _Rows:
    """One moment."""

    keys: KeyArray
    """(n,) ascending."""
    vectors: FloatArray
    """(n, dim) of unit length."""
    numbers: Positions
    """(n,): what each was given when it came, for `RowView.positions`."""
    next_number: int = 0
    numbering: int = 0
    seq: int = 0

    def positions(self, keys: KeyArray) -> Positions:
        """(n,): where these keys are, -1 for unknown ones."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        positions = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[positions] == keys, positions, -1)

    def without(self, keys: KeyArray) -> "_Rows":
        kept = ~np.isin(self.keys, keys)
        return replace(self, keys=self.keys[kept], vectors=self.vectors[kept], numbers=self.numbers[kept])

    def with_rows(self, keys: KeyArray, vectors: FloatArray) -> "_Rows":
        """Of a key given twice the last counts."""
        keys, first_reversed = np.unique(keys[::-1], return_index=True)
        vectors, others = vectors[::-1][first_reversed], self.without(keys)
        numbers = np.arange(self.next_number, self.next_number + len(keys))
        all_keys, numbering = np.concatenate([others.keys, keys]), self.numbering
        order = np.argsort(all_keys, kind="stable")
        numbers = np.concatenate([others.numbers, numbers])[order]
        if self.next_number > 2 * len(order) + _SPARE_NUMBERS:
            numbers, numbering = np.arange(len(order)), numbering + 1
        return _Rows(
            all_keys[order],
            np.concatenate([others.vectors, vectors])[order],
            numbers,
            next_number=int(numbers.max(initial=-1)) + 1,
            numbering=numbering,
            seq=self.seq,
        )

    def at(self, seq: int | None) -> "_Rows":
        return self if seq is None or seq <= self.seq else replace(self, seq=seq)

    def nearest(self, query: FloatArray, products: FloatArray, k: int) -> tuple[KeyArray, FloatArray]:
        """Keys and cosines of the best k of the rows, whose products (n,) with a query (dim,) are about these."""
        near = np.arange(len(products))
        if k < len(products):
            near = np.flatnonzero(products >= np.partition(products, -k)[-k] - _TIE)
        # One sum a row, whose rounding depends on nothing else: equal rows have equal scores.
        cosines = (self.vectors[near] * query).sum(axis=1)
        best = np.argsort(-cosines, kind="stable")[:k]
        return self.keys[near[best]], cosines[best]


class ExactIndex:
    """A `VectorIndex`, whose docstrings hold here too."""

    def __init__(self, dim: int, source: Source | None = None) -> None:
        """With all that the source holds, or empty."""
        self.dim = dim
        self._source = source
        self._lock = threading.Lock()
        empty = np.empty(0, dtype=np.int64)
        self._rows = _Rows(empty, np.empty((0, dim), dtype=np.float32), empty)
        if source:
            self._read(source, None)

    def __len__(self) -> int:
        return len(self._rows.keys)

    @property
    def tail(self) -> int:
        return len(self)

    @property
    def applied(self) -> int:
        return self._rows.seq

    def facts(self) -> CollectionFacts:
        return CollectionFacts("exact", "cpu", len(self), dead=0, tail=len(self), mapped=0, code_bytes=0, gpu_bytes=0)

    def upsert(self, keys: KeyArray, vectors: FloatArray, seq: int | None = None) -> None:
        keys, unit = checked_rows(keys, vectors, self.dim)
        with self._lock:
            self._rows = self._rows.with_rows(keys, unit).at(seq)

    def delete(self, keys: KeyArray | Iterable[int], seq: int | None = None) -> int:
        removed = np.array(keys if isinstance(keys, np.ndarray) else list(keys), dtype=np.int64)
        with self._lock:
            before = self._rows
            self._rows = before.without(removed).at(seq)
            return len(before.keys) - len(self._rows.keys)

    def catch_up(self) -> None:
        if self._source:
            self._read(self._source, self._rows.seq)

    def contains(self, keys: KeyArray) -> NDArray[np.bool_]:
        return self._rows.positions(np.asarray(keys, dtype=np.int64)) >= 0

    def get(self, keys: KeyArray) -> FloatArray:
        present, vectors = self.present(np.asarray(keys, dtype=np.int64))
        if len(present) < len(keys):
            raise InputNotFound(f"no vector for key {int(np.setdiff1d(keys, present)[0])}")
        return vectors

    def present(self, keys: KeyArray) -> tuple[KeyArray, FloatArray]:
        rows = self._rows
        positions = rows.positions(keys)
        return keys[positions >= 0], rows.vectors[positions[positions >= 0]]

    def sample(self, n: int, seed: int = 0) -> KeyArray:
        return sampled(self._rows.keys, n, seed)

    def rows(self, where: Filter | None = None) -> RowView:
        rows = self._matching(where)
        order = np.argsort(rows.numbers)

        def take(numbers: Positions) -> FloatArray:
            return rows.vectors[order[np.searchsorted(rows.numbers, numbers, sorter=order)]]

        return RowView(rows.keys, rows.numbers, rows.numbering, take)

    def iterate(self, size: int = 4096) -> Iterator[tuple[KeyArray, FloatArray]]:
        return self.rows().batches(size)

    def search(self, queries: FloatArray, k: int, where: Filter | None = None) -> tuple[KeyArray, FloatArray]:
        queries, k = checked_search(queries, k, self.dim, len(self))
        rows = self._matching(where)
        keys = np.full((len(queries), k), -1, dtype=np.int64)
        cosines = np.full((len(queries), k), -np.inf, dtype=np.float32)
        step = max(_SCORES // max(len(rows.keys), 1), 1)
        for start in range(0, len(queries), step):
            products = queries[start : start + step] @ rows.vectors.T
            for row, of_query in enumerate(products, start):
                best, scores = rows.nearest(queries[row], of_query, k)
                keys[row, : len(best)], cosines[row, : len(best)] = best, scores
        return keys, cosines

    def wait(self) -> None:
        pass

    def close(self) -> None:
        pass

    def _matching(self, where: Filter | None) -> _Rows:
        if where is None:
            return self._rows
        keys, rows = filterable(self._source).matching(where, _keys), self._rows
        positions = rows.positions(keys)
        chosen = positions[positions >= 0]
        return replace(rows, keys=rows.keys[chosen], vectors=rows.vectors[chosen], numbers=rows.numbers[chosen])

    def _read(self, source: Source, after: int | None) -> None:
        # Asked first: what is committed meanwhile is read now, and once more by whoever catches up next.
        seq = source.seq()
        with self._lock:
            rows, batches = self._rows, [checked_rows(*batch, self.dim) for batch in source.vectors(after)]
            if batches:
                keys, vectors = zip(*batches, strict=True)
                rows = rows.with_rows(np.concatenate(keys), np.concatenate(vectors))
            # Nobody is told to forget what was deleted: another engine may have left a snapshot that needs it.
            self._rows = rows.without(source.removed(after or 0)).at(seq)


def _keys(keys: KeyArray) -> KeyArray:
    return keys
