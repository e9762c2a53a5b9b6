"""Which rows of one state a filter leaves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import bits
from .bits import Bits, Slots


@dataclass(frozen=True)
class Selection:
    """Made once for a filter and a state, asked by many searches."""

    slots: Slots
    """Live, ascending."""
    size: int
    """Of the state, live or dead."""
    _counts: dict[int, tuple[Any, NDArray[np.int64]]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def allowed(self) -> Bits:
        """The same as a bitmap over all slots."""
        if len(self.slots) * 8 > self.size:
            mask = np.zeros(self.size, dtype=np.bool_)
            mask[self.slots] = True
            return np.packbits(mask, bitorder="little")
        allowed = bits.zeros(self.size)
        bits.add(allowed, self.slots)
        return allowed

    def within(self, start: int, stop: int) -> Slots:
        """Those from start to stop - 1."""
        first, last = np.searchsorted(self.slots, (start, stop))
        return self.slots[first:last]

    def counts(self, owner: object, count: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
        """What count gives, worked out once for each owner."""
        known = self._counts.get(id(owner))
        if known is None:
            # The owner is kept with it, so that no other can come to have its number.
            known = self._counts[id(owner)] = (owner, count())
        return known[1]
