"""Which slots a key may have: sorted runs over all but the newest rows. Immutable, so that it belongs to a state."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...records import KeyArray
from .bitmap import Slots
from .rows import Rows

_RECENT = 1024
"""So many of the newest rows are looked at one by one: microseconds."""
_GROWTH = 8
"""A run goes into the one before it from this part of its length on: so there are few, and rows are moved seldom."""


@dataclass(frozen=True)
class Run:
    """Keys (n,) ascending, each once, and a slot of each (n,)."""

    keys: KeyArray
    slots: Slots

    @classmethod
    def of(cls, keys: KeyArray, slots: Slots) -> "Run":
        if len(keys) > 1 and (np.diff(keys) < 0).any():
            order = np.argsort(keys, kind="stable")
            keys, slots = keys[order], slots[order]
        return cls(keys, slots)

    def find(self, keys: KeyArray) -> Slots:
        """(n,): -1 where a key is not in it."""
        nearest = np.minimum(self.keys.searchsorted(keys), len(self.keys) - 1)
        return np.where(self.keys[nearest] == keys, self.slots[nearest], -1)


@dataclass(frozen=True)
class KeyMap:
    """16 bytes a key. Which of a key's slots is live the rows tell, and at most one is."""

    runs: tuple[Run, ...] = ()
    """The longest first; slots that were dead when a run was made are not in it."""
    stop: int = 0
    """Slots from here on are in no run."""

    def slot(self, rows: Rows, key: int) -> int:
        """The live slot of a key, -1 if it has none: as `slots`, in a tenth of the time."""
        for recent in (rows.keys[self.stop :] == key).nonzero()[0][::-1].tolist():
            if rows.is_live(self.stop + recent):
                return self.stop + int(recent)
        for run in self.runs:
            index = int(run.keys.searchsorted(key))
            if index < len(run.keys) and run.keys[index] == key and rows.is_live(int(run.slots[index])):
                return int(run.slots[index])
        return -1

    def slots(self, rows: Rows, keys: KeyArray) -> Slots:
        """(n,): the live slot of each key (n,), -1 for unknown ones."""
        live = np.full(len(keys), -1, dtype=np.int64)
        for run in (*self.runs, *self._recent(rows)):
            slots = run.find(keys)
            live = np.where((slots >= 0) & rows.are_live(np.maximum(slots, 0)), slots, live)
        return live

    def grown(self, rows: Rows) -> "KeyMap":
        """For more rows; nothing is to be done for a few."""
        if rows.size - self.stop <= _RECENT:
            return self
        runs = [*self.runs, *self._recent(rows)]
        while len(runs) > 1 and _GROWTH * len(runs[-1].keys) >= len(runs[-2].keys):
            last, before = runs.pop(), runs.pop()
            slots = np.concatenate([before.slots, last.slots])
            slots = slots[rows.are_live(slots)]
            runs.append(Run.of(rows.keys[slots], slots))
        return KeyMap(tuple(run for run in runs if len(run.keys)), rows.size)

    def _recent(self, rows: Rows) -> Iterator[Run]:
        slots = rows.live_slots(self.stop)
        if len(slots):
            yield Run.of(rows.keys[slots], slots)
