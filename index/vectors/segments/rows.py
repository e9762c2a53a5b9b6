"""The rows of a collection, as immutable states that readers take by one reference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import FloatArray, KeyArray
from . import bitmap
from .bitmap import Bits, Slots
from .rescore import Proposal, Rescored, rescored

_MIN_CAPACITY = 256
_CHUNK = 65_536


@dataclass(frozen=True)
class Rows:
    """Rows are named by slot 0..size-1; a slot belongs to one key for good, a dead slot's bit is off.

    The first ones may lie in a mapped file, the others in a buffer. Buffers are longer than what they hold, and a later
    state may write behind `size`, never before it: so a state stays as it was while appending costs nothing but the
    new rows.
    """

    mapped: FloatArray
    """(b, dim): slots below b, of a file that only grows."""
    _buffer: FloatArray
    _keys: KeyArray
    _live: Bits
    size: int
    count: int
    """How many slots are live."""

    @classmethod
    def empty(cls, dim: int, capacity: int = _MIN_CAPACITY) -> "Rows":
        # Untouched pages of `np.empty` cost no memory.
        return cls(
            np.empty((0, dim), dtype=np.float32),
            np.empty((capacity, dim), dtype=np.float32),
            np.empty(capacity, dtype=np.int64),
            bitmap.zeros(capacity),
            size=0,
            count=0,
        )

    @classmethod
    def of_file(cls, mapped: FloatArray, keys: KeyArray, live: Bits) -> "Rows":
        """Rows that a snapshot holds: vectors (n, dim), keys (n,), live bits."""
        size, room = len(mapped), len(mapped) + _MIN_CAPACITY
        rows = cls.empty(mapped.shape[1], room)
        rows._keys[:size] = keys
        rows._live[: len(live)] = live
        count = int(np.bitwise_count(live).sum())
        return replace(rows, mapped=mapped, _buffer=rows._buffer[:_MIN_CAPACITY], size=size, count=count)

    @property
    def dim(self) -> int:
        return int(self._buffer.shape[1])

    @property
    def dead(self) -> int:
        return self.size - self.count

    @property
    def keys(self) -> KeyArray:
        """(size,) int64; dead ones included."""
        return self._keys[: self.size]

    @property
    def live(self) -> Bits:
        """Which slots are live; bits from `size` on mean nothing."""
        return self._live

    def is_live(self, slot: int) -> bool:
        """Whether one slot, below `size`, is live."""
        return bool(self._live[slot >> 3] >> (slot & 7) & 1)

    def are_live(self, slots: Slots) -> NDArray[np.bool_]:
        """Which of the slots (n,), all below `size`, are live."""
        return bitmap.has(self._live, slots)

    def live_mask(self) -> NDArray[np.bool_]:
        """(size,)"""
        return bitmap.mask(self._live, self.size)

    def live_slots(self, start: int = 0) -> Slots:
        """The live slots from start on, ascending."""
        first = start // 8
        slots = bitmap.members(self._live[first:], self.size - 8 * first) + 8 * first
        return slots[slots >= start] if start % 8 else slots

    def blocks(self, start: int, stop: int) -> Iterator[tuple[int, FloatArray]]:
        """The vectors of slots start..stop-1 as contiguous arrays (m, dim), each with its first slot."""
        border = len(self.mapped)
        if start < border:
            yield start, self.mapped[start : min(stop, border)]
        if stop > border:
            first = max(start, border)
            yield first, self._buffer[first - border : stop - border]

    def chunks(self, start: int, stop: int) -> Iterator[FloatArray]:
        """The same in arrays of bounded size."""
        for first in range(start, stop, _CHUNK):
            for _, block in self.blocks(first, min(first + _CHUNK, stop)):
                yield block

    def add_to(self, index: Any, start: int, stop: int) -> None:
        """Adds the vectors of slots start..stop-1 to one of FAISS's indexes, behind what it has."""
        for block in self.chunks(start, stop):
            index.add(block)

    def spread(self, start: int, stop: int, most: int) -> FloatArray:
        """At most so many of the vectors, evenly spread over the slots, so that early and late ones count alike."""
        return self.take(np.linspace(start, stop - 1, min(most, stop - start)).astype(np.int64))

    def take(self, slots: Slots) -> FloatArray:
        """(n, dim): a copy of the vectors of slots (n,)."""
        border = len(self.mapped)
        if not border:
            return self._buffer[slots]
        out = np.empty((len(slots), self.dim), dtype=np.float32)
        below = slots < border
        out[below], out[~below] = self.mapped[slots[below]], self._buffer[slots[~below] - border]
        return out

    def scores(self, queries: FloatArray, slots: Slots) -> FloatArray:
        """(q, c) exact inner products of queries (q, dim) with slots (q, c); -inf where a slot is -1."""
        return rescored(queries, self.mapped, self._buffer, self._keys, slots, None, 0)[2]

    def best(self, queries: FloatArray, slots: Slots, k: int) -> tuple[KeyArray, FloatArray]:
        """Keys and exact scores (q, k) of the best of slots (q, c), best first, equal ones by key; c is at least k."""
        return rescored(queries, self.mapped, self._buffer, self._keys, slots, None, k)[:2]

    def best_proposed(
        self, queries: FloatArray, proposals: Sequence[Proposal], allowed: Bits | None, k: int
    ) -> Rescored:
        """The same of those proposed that are in allowed."""
        slots = proposals[0].slots
        if len(proposals) > 1:
            slots = np.concatenate([proposal.slots for proposal in proposals], axis=1)
        return Rescored(*rescored(queries, self.mapped, self._buffer, self._keys, slots, allowed, k), proposals)

    def append(self, keys: KeyArray, vectors: FloatArray) -> "Rows":
        """With these rows behind the others."""
        start, end = self.size, self.size + len(keys)
        border, rows = len(self.mapped), self
        if end - border > len(self._buffer):
            rows = self._moved(self.mapped, max(end - border, 2 * (start - border), _MIN_CAPACITY))
        rows._buffer[start - border : end - border], rows._keys[start:end] = vectors, keys
        bitmap.add(rows._live, np.arange(start, end))
        return replace(rows, size=end, count=self.count + len(keys))

    def without(self, slots: Slots) -> "Rows":
        """With the bits of these live slots off."""
        live = self._live.copy()
        bitmap.discard(live, slots)
        return replace(self, _live=live, count=self.count - len(slots))

    def on_file(self, mapped: FloatArray) -> "Rows":
        """The same rows, the first ones read from a file that holds them: vectors (b, dim)."""
        return self._moved(mapped, self.size - len(mapped) + _MIN_CAPACITY)

    def _moved(self, mapped: FloatArray, room: int) -> "Rows":
        """The same rows, the first ones from there, in new buffers with room for so many of the others."""
        border, before, size = len(mapped), len(self.mapped), self.size
        buffer, live = np.empty((room, self.dim), dtype=np.float32), bitmap.zeros(border + room)
        keys = np.empty(border + room, dtype=np.int64)
        buffer[: size - border] = self._buffer[border - before : size - before]
        keys[:size], live[: (size + 7) // 8] = self.keys, self._live[: (size + 7) // 8]
        return replace(self, mapped=mapped, _buffer=buffer, _keys=keys, _live=live)
