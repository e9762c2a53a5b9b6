"""The rows of a collection in memory, as immutable states that readers take by one reference."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .records import FloatArray, KeyArray

_MIN_CAPACITY = 256


@dataclass(frozen=True)
class Rows:
    """Rows are named by slot 0..size-1; a slot belongs to one key for good, a dead slot's bit is off.

    The buffers are longer than `size`, and a later state may write behind it, never before it: so a state stays as it
    was while appending costs nothing but the new rows.
    """

    _vectors: FloatArray
    _keys: KeyArray
    _live: NDArray[np.bool_]
    size: int
    count: int
    """How many slots are live."""

    @classmethod
    def empty(cls, dim: int) -> "Rows":
        return cls._with_capacity(dim, _MIN_CAPACITY)

    @classmethod
    def _with_capacity(cls, dim: int, capacity: int) -> "Rows":
        # Untouched pages of `np.empty` cost no memory.
        return cls(
            np.empty((capacity, dim), dtype=np.float32),
            np.empty(capacity, dtype=np.int64),
            np.zeros(capacity, dtype=np.bool_),
            size=0,
            count=0,
        )

    @property
    def vectors(self) -> FloatArray:
        """(size, dim) float32 unit length, C-contiguous; dead ones included."""
        return self._vectors[: self.size]

    @property
    def keys(self) -> KeyArray:
        """(size,) int64; dead ones included."""
        return self._keys[: self.size]

    @property
    def live(self) -> NDArray[np.bool_]:
        """(size,)"""
        return self._live[: self.size]

    def append(self, keys: KeyArray, vectors: FloatArray) -> "Rows":
        """With these rows behind the others."""
        start, end = self.size, self.size + len(keys)
        rows = self
        if end > len(self._keys):
            rows = self._with_capacity(self._vectors.shape[1], max(end, 2 * len(self._keys)))
            rows._vectors[:start], rows._keys[:start], rows._live[:start] = self.vectors, self.keys, self.live
        rows._vectors[start:end], rows._keys[start:end], rows._live[start:end] = vectors, keys, True
        return replace(rows, size=end, count=self.count + len(keys))

    def without(self, slots: NDArray[np.int64]) -> "Rows":
        """With the bits of these live slots off."""
        live = self._live.copy()
        live[slots] = False
        return replace(self, _live=live, count=self.count - len(slots))

    def compacted(self) -> "Rows":
        """The live rows only, in new buffers, in the order of their slots."""
        rows = self._with_capacity(self._vectors.shape[1], max(self.count, _MIN_CAPACITY))
        return rows.append(self.keys[self.live], self.vectors[self.live])

    @cached_property
    def _sorted(self) -> tuple[KeyArray, NDArray[np.int64]]:
        slots = np.flatnonzero(self.live)
        order = np.argsort(self.keys[slots], kind="stable")
        return self.keys[slots[order]], slots[order]

    @property
    def live_keys(self) -> KeyArray:
        """(count,) ascending."""
        return self._sorted[0]

    def slots_of(self, keys: KeyArray) -> NDArray[np.int64]:
        """(n,): the live slot of each key, -1 for unknown ones."""
        known, slots = self._sorted
        if not len(known):
            return np.full(len(keys), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[places] == keys, slots[places], -1)

    def slot_map(self) -> Mapping[int, int]:
        """key -> slot, for a writer."""
        keys, slots = self._sorted
        return dict(zip(keys.tolist(), slots.tolist(), strict=True))
