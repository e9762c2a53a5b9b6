"""One moment of a collection, and what a write makes of it."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import ReferenceType, ref

import numpy as np

from ...records import FloatArray, KeyArray
from .bitmap import Slots
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
    writes: int = 0
    """Rows added and deleted since the collection was opened."""
    exact_until: int = 0
    """Rows up to which codes were found to be no gain on this data."""
    generation: int = 0
    """How often slots were renumbered."""

    @classmethod
    def empty(cls, dim: int) -> "State":
        return cls(Rows.empty(dim), KeyMap())

    @property
    def sealed(self) -> int:
        """The first slot of the tail."""
        return self.segments[-1].stop if self.segments else 0

    @cached_property
    def ordered(self) -> tuple[KeyArray, Slots]:
        """Keys (n,) of the live rows, ascending, and their slots (n,)."""
        slots = self.rows.live_slots()
        keys = self.rows.keys[slots]
        # Inputs come with ascending keys: then nothing is to be moved.
        order = np.argsort(keys, kind="stable")
        return keys[order], slots[order]

    def slots_of(self, keys: KeyArray) -> Slots:
        """(n,): the live slot of each key (n,), -1 for unknown ones."""
        if len(keys) == 1:  # which is what is asked most
            return np.array([self.keymap.slot(self.rows, int(keys[0]))], dtype=np.int64)
        return self.keymap.slots(self.rows, keys)

    def with_rows(self, rows: Rows) -> "State":
        """With these rows, of which all that there were have kept their slots."""
        return replace(self, rows=rows, keymap=self.keymap.grown(rows))

    def upserted(self, keys: KeyArray, vectors: FloatArray) -> "State":
        """With a unit vector (n, dim) for each key (n,), in place of the one it had; the last of a key given twice."""
        if len(keys) > 1:
            # The first of the reversed is the last.
            _, last = np.unique(keys[::-1], return_index=True)
            order = np.sort(len(keys) - 1 - last)
            keys, vectors = keys[order], vectors[order]
        rows, old = self.rows, self.slots_of(keys)
        stored = old >= 0
        if stored.any():
            # The same vector again is no change.
            same = stored.copy()
            same[stored] = (rows.take(old[stored]) == vectors[stored]).all(axis=1)
            keys, vectors, old = keys[~same], vectors[~same], old[~same]
        rows = rows.append(keys, vectors)
        if (old >= 0).any():
            rows = rows.without(old[old >= 0])
        return replace(self.with_rows(rows), writes=self.writes + len(keys))

    def deleted(self, keys: KeyArray) -> "State":
        """Without these keys; unknown ones don't matter."""
        slots = self.slots_of(np.unique(keys))
        slots = slots[slots >= 0]
        if not len(slots):
            return self
        return replace(self.with_rows(self.rows.without(slots)), writes=self.writes + len(slots))


@dataclass(frozen=True)
class KeyFilter:
    """Which keys may be found: valid for any later state of the collection."""

    keys: KeyArray
    """Ascending."""
    _latest: "_Latest" = field(default_factory=lambda: _Latest(), repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """Of the keys, and of the rows that they will be found to be."""
        return 3 * self.keys.nbytes

    def selection(self, state: State) -> Selection:
        """The live rows of these keys in a state, worked out once."""
        cached = self._latest.selection
        # Filters are kept for long, and must not keep rows that went into a file.
        if cached is None or cached[0]() is not state.rows:
            slots = state.slots_of(self.keys)
            slots = np.sort(slots[slots >= 0])
            cached = self._latest.selection = (ref(state.rows), Selection(slots, state.rows.size))
        return cached[1]


class _Latest:
    """The rows of a filter's keys, and what they are rows of."""

    selection: tuple[ReferenceType[Rows], Selection] | None = None
