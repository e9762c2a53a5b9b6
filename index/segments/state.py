"""One moment of a collection, and which of its rows a search may find."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..records import KeyArray
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

    def slots_of(self, keys: KeyArray) -> "Slots | None":
        """(n,): the live slot of each key, -1 for unknown ones; None if a later state knows better."""
        slots = self.keymap.slots(keys)
        if len(slots) and slots.max() >= self.rows.size:
            return None
        known = slots >= 0
        slots[known] = np.where(bits.has(self.rows.live, slots[known]), slots[known], -1)
        return slots


@dataclass(frozen=True)
class KeyFilter:
    """Which keys may be found: valid for any later state of the collection."""

    keys: KeyArray
    """Ascending."""
    _cache: dict[int, tuple[State, Selection]] = field(default_factory=dict, repr=False, compare=False)

    def selection(self, state: State) -> Selection | None:
        """The live rows of these keys in a state, worked out once; None if a later state knows better."""
        cached = self._cache.get(0)
        if cached is None or cached[0].rows is not state.rows:
            slots = state.slots_of(self.keys)
            if slots is None:
                return None
            slots = np.sort(slots[slots >= 0])
            cached = self._cache[0] = (state, Selection(slots, state.rows.size))
        return cached[1]
