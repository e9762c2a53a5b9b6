"""Which rows of one state a filter leaves."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast
from weakref import ReferenceType, ref

import numpy as np

from ..faiss_compat import probing
from . import bitmap
from .bitmap import Bits, Slots

T = TypeVar("T")


@dataclass(frozen=True)
class Selection:
    """Made once for a filter and a state, asked by many searches."""

    slots: Slots
    """Live, ascending."""
    size: int
    """Of the state, live or dead."""
    _memory: dict[tuple[Hashable, int], tuple[ReferenceType[Any], object]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def allowed(self) -> Bits:
        """The same as a bitmap over all slots."""
        if len(self.slots) * 8 > self.size:
            mask = np.zeros(self.size, dtype=np.bool_)
            mask[self.slots] = True
            return np.packbits(mask, bitorder="little")
        allowed = bitmap.zeros(self.size)
        bitmap.add(allowed, self.slots)
        return allowed

    def within(self, start: int, stop: int) -> Slots:
        """Those from start to stop - 1."""
        first, last = np.searchsorted(self.slots, (start, stop))
        return self.slots[first:last]

    def probing(self, start: int, stop: int, lists: int) -> Any:
        """FAISS's parameters of a search in so many lists that lets only these come, counted from start.

        start: a multiple of 8. Kept, since to make them takes as long as a search; nobody changes them.
        """
        local = slice(start // 8, (stop + 7) // 8)
        return self.remembered((start, stop, lists), self, lambda: probing(lists, self.allowed[local]))

    def remembered(self, name: Hashable, owner: object, find: Callable[[], T]) -> T:
        """What find gives, worked out once for each owner."""
        entry = self._memory.get((name, id(owner)))
        # Another may have come to have the number of one that is gone.
        if entry is None or entry[0]() is not owner:
            entry = self._memory[name, id(owner)] = (ref(owner), find())
        return cast(T, entry[1])
