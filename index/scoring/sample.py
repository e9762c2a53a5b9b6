"""A few keys that stand for many: the same ones for the same keys, in whatever order they came."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_LAST = (1 << 64) - 1


def shuffled(keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Each key's place in a pseudo-random order (Fibonacci hashing)."""
    with np.errstate(over="ignore"):
        mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)


class Sample:
    """At most so many of the keys, as many of each group as of the others: the first of each in the shuffled order.

    A key more or less changes the sample by a key or two.
    """

    def __init__(self, groups: Mapping[int, int], most: int, *, backwards: bool = False) -> None:
        """groups: key -> the group that it is of. backwards: the last of the order, so two samples have little in
        common where there are keys enough.
        """
        self._most = most
        self._backwards = backwards
        self._group = dict(groups)
        self._orders: dict[int, list[tuple[int, int]]] = {}
        keys = np.fromiter(groups, dtype=np.int64, count=len(groups))
        for entry, group in zip(self._entries(keys), groups.values(), strict=True):
            self._orders.setdefault(group, []).append(entry)
        for order in self._orders.values():
            order.sort()
        self._shares = self._shared_out()

    @cached_property
    def chosen(self) -> list[int]:
        """Those in the sample, ascending."""
        return sorted(key for group, share in self._shares.items() for _, key in self._orders[group][:share])

    def set(self, key: int, group: int | None) -> tuple[set[int], set[int]]:
        """The key is of this group now, or (None) there no more. Those that came into the sample, and those that left.

        A key that stays in the sample, but in another group, is neither.
        """
        old = self._group.pop(key, None)
        if group is not None:
            self._group[key] = group
        if old == group:
            return set(), set()
        moved = Counter[int]()
        [entry] = self._entries(np.array([key]))
        if old is not None:
            order, share = self._orders[old], self._shares[old]
            place = bisect_left(order, entry)
            del order[place]
            if place < share:
                moved[key] -= 1
                moved.update(key for _, key in order[share - 1 : share])
            if not order:
                del self._orders[old]
        if group is not None:
            order, share = self._orders.setdefault(group, []), self._shares.get(group, 0)
            place = bisect_left(order, entry)
            order.insert(place, entry)
            if place < share:
                moved[key] += 1
                moved.subtract(key for _, key in order[share : share + 1])
        shares, self._shares = self._shares, self._shared_out()
        for g, now in self._shares.items():
            was = shares.get(g, 0)
            if was < now:
                moved.update(key for _, key in self._orders[g][was:now])
            elif was > now:
                moved.subtract(key for _, key in self._orders[g][now:was])
        came, left = ({key for key, times in moved.items() if times == way} for way in (1, -1))
        if came or left:
            self.__dict__.pop("chosen", None)
        return came, left

    def _entries(self, keys: NDArray[np.int64]) -> list[tuple[int, int]]:
        places = shuffled(keys).tolist()
        return list(zip([_LAST - place for place in places] if self._backwards else places, keys.tolist(), strict=True))

    def _shared_out(self) -> dict[int, int]:
        """How many each group has in the sample: all, or as many as the others that have more."""
        groups = sorted(self._orders)
        sizes = np.array([len(self._orders[group]) for group in groups], dtype=np.int64)
        if sizes.sum() <= self._most:
            return dict(zip(groups, sizes.tolist(), strict=True))
        ascending, level, left = np.sort(sizes), 0, self._most
        for place, size in enumerate(ascending.tolist()):
            level = min(size, left // (len(ascending) - place))
            if level < size:
                break
            left -= size
        shares = np.minimum(sizes, level)
        # What is left over goes to the first that have more.
        shares[np.flatnonzero(sizes > level)[: self._most - int(shares.sum())]] += 1
        return dict(zip(groups, shares.tolist(), strict=True))
