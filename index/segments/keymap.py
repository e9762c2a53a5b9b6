"""Which slot a key has: sorted arrays for most, a dictionary for what changed lately."""

import numpy as np
from numpy.typing import NDArray

from ..records import KeyArray
from .bits import Slots

_RECENT = 2048
_FEW = 64
_GONE = -1


class KeyMap:
    """key -> slot, 8 + 8 bytes each. One writer; readers may ask meanwhile."""

    def __init__(self, keys: KeyArray, slots: Slots) -> None:
        """keys (n,), each once, in any order, with their slots (n,)."""
        if len(keys) > 1 and (np.diff(keys) < 0).any():
            order = np.argsort(keys, kind="stable")
            keys, slots = keys[order], slots[order]
        self._keys, self._slots = keys, slots
        self._recent: dict[int, int] = {}

    def slot(self, key: int) -> int:
        """The same as `slots` for one key."""
        recent = self._recent.get(key)
        if recent is not None:
            return recent
        place = int(self._keys.searchsorted(key))
        return int(self._slots[place]) if place < len(self._keys) and self._keys[place] == key else _GONE

    def slots(self, keys: KeyArray) -> Slots:
        """(n,): the slot of each key as of the last change, -1 for unknown ones."""
        found = np.full(len(keys), _GONE, dtype=np.int64)
        if len(self._keys):
            found = _looked_up(self._keys, self._slots, keys, found)
        recent = self._recent
        if not recent:
            return found
        if len(keys) <= max(_FEW, len(recent)):
            pairs = zip(keys.tolist(), found.tolist(), strict=True)
            return np.fromiter((recent.get(key, slot) for key, slot in pairs), dtype=np.int64, count=len(keys))
        # The copy is one step of the interpreter, so a writer can't come between.
        lately = np.array(list(recent.items()), dtype=np.int64)
        lately = lately[np.argsort(lately[:, 0])]
        return _looked_up(lately[:, 0], lately[:, 1], keys, found)

    def changed(self, keys: KeyArray, slots: Slots) -> "KeyMap":
        """With these slots for these keys, -1 to forget one. May be the same map, changed in place."""
        self._recent.update(zip(keys.tolist(), slots.tolist(), strict=True))
        if len(self._recent) <= max(_RECENT, len(self._keys) // 8):
            return self
        pairs = np.array(list(self._recent.items()), dtype=np.int64)
        old = ~np.isin(self._keys, pairs[:, 0])
        pairs = pairs[pairs[:, 1] != _GONE]
        merged = np.concatenate([self._keys[old], pairs[:, 0]]), np.concatenate([self._slots[old], pairs[:, 1]])
        return KeyMap(*merged)


def _looked_up(known: KeyArray, slots: Slots, keys: KeyArray, otherwise: NDArray[np.int64]) -> Slots:
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[places] == keys, slots[places], otherwise)
