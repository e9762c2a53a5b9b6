"""One moment of a collection, and what a write makes of it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import ReferenceType, ref

import numpy as np

from ..records import FloatArray, KeyArray
from . import bits
from .bits import Slots
from .keymap import KeyMap
from .rows import Rows
from .segment import Segment
from .selection import Selection


@dataclass(frozen=True)
class State:
    """Rows, where the keys are, and segments over the first of the rows; the others are the tail. Readers take one."""

    rows: Rows
    keymap: KeyMap
    segments: tuple[Segment, ...] = ()
    """Consecutive, from slot 0 on."""
    seq: int = 0
    """The app's sequence number up to which this holds what SQL does."""
    exact_until: int = 0
    """Rows up to which codes were found to be no gain on this data."""
    generation: int = 0
    """How often slots were renumbered."""

    @classmethod
    def empty(cls, dim: int) -> "State":
        nothing = np.empty(0, dtype=np.int64)
        return cls(Rows.empty(dim), KeyMap(nothing, nothing))

    @property
    def sealed(self) -> int:
        """The first slot of the tail."""
        return self.segments[-1].stop if self.segments else 0

    @cached_property
    def keys(self) -> KeyArray:
        """(n,) of the live rows, ascending."""
        keys: KeyArray = np.sort(self.rows.keys[self.rows.live_mask()], kind="stable")
        return keys

    def slots_of(self, keys: KeyArray) -> Slots | None:
        """(n,): the live slot of each key, -1 for unknown ones; None if a later state knows better."""
        if len(keys) == 1:
            return self._slot_of(int(keys[0]))
        slots = self.keymap.slots(keys)
        if len(slots) and slots.max() >= self.rows.size:
            return None
        return np.where((slots >= 0) & bits.has(self.rows.live, np.maximum(slots, 0)), slots, -1)

    def _slot_of(self, key: int) -> Slots | None:
        """The same for one key, which is what is asked most: a tenth of the work."""
        slot = self.keymap.slot(key)
        if slot >= self.rows.size:
            return None
        live = slot >= 0 and self.rows.live[slot >> 3] >> (slot & 7) & 1
        return np.array([slot if live else -1], dtype=np.int64)

    # For the one writer, whose state is the last

    def upserted(self, keys: KeyArray, vectors: FloatArray) -> "State":
        """With a unit vector (n, dim) for each key (n,), in place of the one it had; the last of a key given twice."""
        if len(keys) > 1:
            # The first of the reversed is the last.
            _, last = np.unique(keys[::-1], return_index=True)
            places = np.sort(len(keys) - 1 - last)
            keys, vectors = keys[places], vectors[places]
        rows, old = self.rows, self._slots(keys)
        known = old >= 0
        if known.any():
            # The same vector again is no change.
            same = known.copy()
            same[known] = (rows.take(old[known]) == vectors[known]).all(axis=1)
            keys, vectors, old = keys[~same], vectors[~same], old[~same]
        start = rows.size
        rows = rows.append(keys, vectors)
        if (old >= 0).any():
            rows = rows.without(old[old >= 0])
        return replace(self, rows=rows, keymap=self.keymap.changed(keys, np.arange(start, rows.size)))

    def deleted(self, keys: KeyArray) -> "State":
        """Without these keys; unknown ones don't matter."""
        keys = np.unique(keys)
        slots = self._slots(keys)
        gone = slots >= 0
        if not gone.any():
            return self
        rows = self.rows.without(slots[gone])
        return replace(self, rows=rows, keymap=self.keymap.changed(keys[gone], np.full(int(gone.sum()), -1)))

    def _slots(self, keys: KeyArray) -> Slots:
        slots = self.slots_of(keys)
        assert slots is not None
        return slots


@dataclass(frozen=True)
class KeyFilter:
    """Which keys may be found: valid for any later state of the collection."""

    keys: KeyArray
    """Ascending."""
    _cache: dict[int, tuple[ReferenceType[Rows], Selection]] = field(default_factory=dict, repr=False, compare=False)

    def selection(self, state: State) -> Selection | None:
        """The live rows of these keys in a state, worked out once; None if a later state knows better."""
        cached = self._cache.get(0)
        # Filters are kept for long, and must not keep rows that went into a file.
        if cached is None or cached[0]() is not state.rows:
            slots = state.slots_of(self.keys)
            if slots is None:
                return None
            slots = np.sort(slots[slots >= 0])
            cached = self._cache[0] = (ref(state.rows), Selection(slots, state.rows.size))
        return cached[1]
