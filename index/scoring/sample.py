"""A few keys that stand for many: the same ones for the same keys, in whatever order they came."""

from bisect import bisect_left, insort
from collections.abc import Mapping

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

    def chosen(self) -> list[int]:
        """Those in the sample."""
        return [key for group in self._orders for key in self._of(group)]

    def set(self, key: int, group: int | None) -> tuple[set[int], set[int]]:
        """The key is of this group now, or (None) there no more. Those that came into the sample, and those that left.

        A key that stays in the sample, but in another group, is neither.
        """
        old = self._group.pop(key, None)
        if group is not None:
            self._group[key] = group
        if old == group:
            return set(), set()
        before, shares = {g: self._of(g) for g in (old, group) if g is not None}, self._shares
        [entry] = self._entries(np.array([key]))
        if old is not None:
            order = self._orders[old]
            del order[bisect_left(order, entry)]
            if not order:
                del self._orders[old]
        if group is not None:
            insort(self._orders.setdefault(group, []), entry)
        self._shares = self._shared_out()
        came, left = set[int](), set[int]()
        for g in shares.keys() | self._shares.keys():
            was, now = shares.get(g, 0), self._shares.get(g, 0)
            if g in before:
                came.update(self._of(g))
                left.update(before[g])
            elif was != now:
                between = {k for _, k in self._orders[g][min(was, now) : max(was, now)]}
                (came if now > was else left).update(between)
        return came - left, left - came

    def _of(self, group: int) -> list[int]:
        return [key for _, key in self._orders.get(group, ())[: self._shares.get(group, 0)]]

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
