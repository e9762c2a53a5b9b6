"""The large-set form of a scorer: ridge in the space of the components (prototypes) beside a kNN cache.

A kernel matrix grows with the square of the labels; this grows with the labels only. Prototypes are the columns of an
exact ridge solution; the cache is log mean exp(10 (cosine - 1)) over each group's images (Tip-Adapter, Zhang et al.,
ECCV 2022), of a large group over a part of them. Both are brought to the same spread and added.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import FloatArray
from .examples import Array, Examples
from .ridge import LinearRidge

DUAL_LIMIT = 1024
"""With more labelled images than this the large form is used."""
PENALTY = 0.3
SHARPNESS = 10.0
NEIGHBOUR_WEIGHT = 0.3
_CACHED, _LEAST_CACHED = 2048, 8
"""Images in all caches together, and in each at least, where a group has so many: what a prediction has to look at."""
_JUDGES = 256
"""Leave-one-out values are kept for this many examples, enough for a calibration."""
_CHUNK = 512


def cache_kernel(cosines: FloatArray) -> Array:
    """exp(10 (s - 1)) for cosines s, float64."""
    return np.asarray(np.exp(SHARPNESS * (cosines.astype(np.float64) - 1)))


@dataclass(frozen=True)
class Taught:
    """One example: its targets (T,), and the number of the group whose cache it may be in, -1 for none."""

    target: Array
    group: int


@dataclass(frozen=True)
class WithoutSelf:
    """Leave-one-out outputs of n examples."""

    targets: Array
    """(n, T)"""
    groups: NDArray[np.int64]
    """(n,)"""
    bystander: NDArray[np.bool_]
    """(n,)"""
    prototype: Array
    """(n, T) ridge outputs"""
    neighbours: Array
    """(n, G) cache means"""


@dataclass(frozen=True)
class Cached:
    """The images that stand for all of their groups, and what they share."""

    rows: NDArray[np.int64]
    """(k,) of the examples."""
    vectors: FloatArray
    """(k, dim)"""
    shares: csc_array
    """(k, G): kernel @ shares are the groups' means. Rows of zeros are of images that left their group's cache."""


class _Pool:
    """The images of all caches, as arrays to which rows are only ever added, so that readers may keep views."""

    def __init__(self, rows: NDArray[np.int64], groups: NDArray[np.int64], vectors: FloatArray) -> None:
        """rows (k,) of the examples, their groups (k,), -1 for those to leave out, and vectors (k, dim)."""
        stay = np.flatnonzero(groups >= 0)
        self._count = len(stay)
        room = self._count + max(self._count // 4, _LEAST_CACHED)
        self._rows = np.empty(room, dtype=np.int64)
        self._groups = np.empty(room, dtype=np.int64)
        self._vectors = np.empty((room, vectors.shape[1]), dtype=np.float32)
        self._rows[: self._count], self._groups[: self._count] = rows[stay], groups[stay]
        np.take(vectors, stay, axis=0, out=self._vectors[: self._count])
        self._slot = {row: slot for slot, row in enumerate(rows[stay].tolist())}

    def with_room(self) -> "_Pool":
        """Itself, or where it is full another one, without those that left."""
        return self if self._count < len(self._rows) else _Pool(self._rows, self._groups, self._vectors)

    def add(self, row: int, group: int, vector: FloatArray) -> None:
        """There must be room."""
        slot = self._slot[row] = self._count
        self._rows[slot], self._groups[slot], self._vectors[slot] = row, group, vector
        self._count += 1

    def drop(self, row: int) -> None:
        self._groups[self._slot.pop(row)] = -1

    def cached(self, sizes: NDArray[np.int64]) -> Cached:
        """Of this moment; sizes (G,): how many each group has in its cache."""
        count = self._count
        alive = np.flatnonzero(self._groups[:count] >= 0)
        groups = self._groups[alive]
        shares = csc_array((1 / sizes[groups], (alive, groups)), shape=(count, len(sizes)))
        return Cached(self._rows[:count], self._vectors[:count], shares)


class _Cache:
    """Which of a group's examples stand for it: the first in the shuffled order, whatever order they came in."""

    def __init__(self, keys: Sequence[int], most: int) -> None:
        self._most = most
        self._order = sorted(zip(shuffled(np.array(keys, dtype=np.int64)).tolist(), keys, strict=True))

    @property
    def keys(self) -> list[int]:
        return [key for _, key in self._order[: self._most]]

    def add(self, key: int) -> dict[int, int]:
        """Key -> 1 for what is in the cache from now on, -1 for what is in it no more."""
        place = self._place(key)
        self._order.insert(place, (int(shuffled(np.array([key]))[0]), key))
        if place >= self._most:
            return {}
        return {key: 1} | {pushed: -1 for _, pushed in self._order[self._most : self._most + 1]}

    def remove(self, key: int) -> dict[int, int]:
        """The same."""
        place = self._place(key)
        del self._order[place]
        if place >= self._most:
            return {}
        return {key: -1} | {next_one: 1 for _, next_one in self._order[self._most - 1 : self._most]}

    def _place(self, key: int) -> int:
        return bisect_left(self._order, (int(shuffled(np.array([key]))[0]), key))


class LargeFit:
    """Ridge and cache over examples, exact under add, remove and change.

    A fixed pseudo-random choice of the examples are *judges*: their leave-one-out outputs are kept up to date. The
    choice depends on the keys alone, so the same labels give the same calibration, in whatever order they came. So it
    is with the images that stand for a group in its cache.
    *Bystanders* are weak examples with target zero, in the last group, for as long as nothing else is said of them; all
    of them are judges.
    """

    _judge_vectors: FloatArray
    _leverage: Array
    _outputs: Array
    _sums: Array

    def __init__(
        self,
        examples: Examples,
        taught: Mapping[int, Taught],
        groups: int,
        bystanders: Sequence[int] = (),
        bystander_weight: float = 0.0,
        *,
        opposed: bool = False,
    ) -> None:
        """taught: input key -> example, at least one; bystanders: keys, also of those that are examples now.

        opposed: the groups are sides, one of which may be rare: as many judges are taken of each.
        """
        self._examples = examples
        self._taught = dict(sorted(taught.items()))
        self._may_stand_by = dict.fromkeys(bystanders)
        self._bystanders = self._standing_by()
        self._bystander_weight = bystander_weight
        vectors, weak = examples.vectors(self._taught), examples.vectors(self._bystanders)
        self._ridge = LinearRidge(
            vectors, np.array([t.target for t in self._taught.values()]), PENALTY, bystander_weight * weak.T @ weak
        )
        shown: list[list[int]] = [[] for _ in range(groups)]
        for key, one in self._taught.items():
            if one.group >= 0:
                shown[one.group].append(key)
        most = max(_CACHED // groups, _LEAST_CACHED)
        self._caches = [_Cache(keys, most) for keys in shown]
        self._group = np.full(len(examples), -1)
        """Of the rows of the examples: the group whose cache it is in."""
        for group, cache in enumerate(self._caches):
            self._group[examples.rows(cache.keys)] = group
        self._group[examples.rows(self._bystanders)] = groups - 1
        self._sizes = np.bincount(self._group + 1, minlength=groups + 1)[1:]
        self._shown = np.full(len(examples), -1)
        """Of the rows of the examples: the group that it would be in the cache of."""
        self._shown[examples.rows(self._taught)] = [one.group for one in self._taught.values()]
        rows = np.flatnonzero(self._group >= 0)
        self._pool = _Pool(rows, self._group[rows], examples.matrix[rows])
        self._cached: Cached | None = None
        self._sides = groups if opposed else 1
        self._judges: list[int] = []
        self._last: list[int | None] = []
        """Of each side: the place of its last judge, None where all are judges."""
        self._told: tuple[Array, NDArray[np.int64]] | None = None
        self._choose_judges()

    def __contains__(self, key: int) -> bool:
        return key in self._taught

    @property
    def weights(self) -> Array:
        """(dim, T)"""
        return self._ridge.weights

    @property
    def judge_keys(self) -> Sequence[int]:
        """In the order of `judges`, bystanders not among them."""
        return self._judges

    @property
    def bystanders(self) -> Sequence[int]:
        """Keys, in the order of `judges`."""
        return self._bystanders

    @property
    def cached(self) -> Cached:
        """Of this moment: it is never changed."""
        if self._cached is None:
            self._cached = self._pool.cached(self._sizes)
        return self._cached

    def shown(self, rows: int) -> csc_array:
        """(rows, G): 1 where an example is of the group, cached or not."""
        mine, groups = self.grouped()
        # Put in order here: SciPy would take several times as long.
        starts = np.append(0, np.cumsum(np.bincount(groups, minlength=len(self._sizes))))
        mine = mine[np.argsort(groups.astype(np.int32), kind="stable")]
        return csc_array((np.ones(len(mine)), mine, starts), shape=(rows, len(self._sizes)))

    def grouped(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows (n,) of the examples that are of a group, cached or not, ascending, and the groups (n,)."""
        mine = np.flatnonzero(self._shown >= 0)
        return mine, self._shown[mine]

    def set(self, key: int, taught: Taught | None) -> None:
        """Takes in, changes or (None) forgets one example."""
        self._told = None if key in self._judges else self._told
        old = self._taught.pop(key, None)
        if taught is not None:
            self._taught[key] = taught
        if old is None and taught is not None and key in self._may_stand_by:
            self._stand_by(key, -1)
        if old is not None:
            self._step(key, old, -1)
        if taught is not None:
            self._step(key, taught, 1)
        sides = {self._side(one) for one in (old, taught) if one is not None}
        if len(sides) == 2 or (old is None) != (taught is None):
            self._follow_judges(key, sides)
        if old is not None and taught is None and key in self._may_stand_by:
            self._stand_by(key, 1)

    def judges(self) -> "WithoutSelf":
        """What the judges, then the bystanders, get from the others."""
        if self._told is None:
            self._told = self._targets_of(self._judges, len(self._bystanders))
        return self._without(self._judges, self._bystanders, self._told, self._leverage, self._outputs, self._sums)

    def leave_one_out(self, keys: Sequence[int]) -> "WithoutSelf":
        """The same for any of the examples, from scratch."""
        vectors = self._examples.vectors(keys)
        leverage, outputs = self._ridge.leverage(vectors), vectors @ self._ridge.weights
        return self._without(keys, [], self._targets_of(keys), leverage, outputs, self._sums_of(vectors))

    def _targets_of(self, keys: Sequence[int], bystanders: int = 0) -> tuple[Array, NDArray[np.int64]]:
        """(n, T) and (n,): targets and groups of examples, then of so many bystanders."""
        taught = [self._taught[key] for key in keys]
        taught += [Taught(np.zeros(self.weights.shape[1]), len(self._sizes) - 1)] * bystanders
        return np.array([t.target for t in taught]), np.array([t.group for t in taught])

    def _without(
        self,
        keys: Sequence[int],
        bystanders: Sequence[int],
        told: tuple[Array, NDArray[np.int64]],
        leverage: Array,
        outputs: Array,
        sums: Array,
    ) -> "WithoutSelf":
        targets, groups = told
        weight = np.repeat([1.0, self._bystander_weight], [len(keys), len(bystanders)])
        pull = (weight * leverage)[:, None]
        cached = self._group[self._examples.rows([*keys, *bystanders])]
        # Each without itself, where it is in a cache.
        own = np.flatnonzero(cached >= 0), cached[cached >= 0]
        neighbours = sums / np.maximum(self._sizes, 1)
        neighbours[own] = (sums[own] - 1) / np.maximum(self._sizes[own[1]] - 1, 1)
        return WithoutSelf(
            targets=targets,
            groups=groups,
            bystander=np.repeat([False, True], [len(keys), len(bystanders)]),
            prototype=(outputs - pull * targets) / (1 - pull),
            neighbours=neighbours,
        )

    def _sums_of(self, vectors: FloatArray) -> Array:
        """(n, G): the cache kernel with each group, summed."""
        sums = np.empty((len(vectors), len(self._sizes)))
        cached = self.cached
        for start in range(0, len(vectors), _CHUNK):
            kernel = cache_kernel(vectors[start : start + _CHUNK] @ cached.vectors.T)
            sums[start : start + _CHUNK] = kernel @ cached.shares
        return sums * self._sizes

    def _step(self, key: int, taught: Taught, sign: int) -> None:
        row = self._examples.rows([key])[0]
        self._correct(self._examples.matrix[row], taught.target, sign)
        if row >= len(self._shown):
            # Twice as many, or more: other models add rows too.
            grown = (0, max(len(self._shown), row + 1))
            self._shown, self._group = (np.pad(of, grown, constant_values=-1) for of in (self._shown, self._group))
        self._shown[row] = taught.group if sign > 0 else -1
        if taught.group >= 0:
            cache = self._caches[taught.group]
            for moved, joins in (cache.add(key) if sign > 0 else cache.remove(key)).items():
                self._move(moved, taught.group, joins)

    def _stand_by(self, key: int, sign: int) -> None:
        """One bystander more (1) or less (-1)."""
        vector = self._examples.vectors([key])[0] * np.float32(self._bystander_weight**0.5)
        self._correct(vector, np.zeros(self.weights.shape[1]), sign)
        self._move(key, len(self._sizes) - 1, sign)
        known, self._bystanders = self._judges + self._bystanders, self._standing_by()
        self._align(known)

    def _standing_by(self) -> list[int]:
        """Those of whom nothing else is said."""
        return [key for key in self._may_stand_by if key not in self._taught]

    def _correct(self, vector: FloatArray, target: Array, sign: int) -> None:
        """Ridge and judges, for one example more or less."""
        direction, residual = (self._ridge.add if sign > 0 else self._ridge.remove)(vector, target)
        pulled = self._judge_vectors @ direction
        self._leverage -= sign * pulled**2
        self._outputs += np.outer(pulled, residual)

    def _move(self, key: int, group: int, sign: int) -> None:
        """Into the group's cache, or out of it."""
        row = int(self._examples.rows([key])[0])
        self._group[row] = group if sign > 0 else -1
        if sign > 0:
            self._pool = self._pool.with_room()
            self._pool.add(row, group, self._examples.matrix[row])
        else:
            self._pool.drop(row)
        self._sums[:, group] += sign * cache_kernel(self._judge_vectors @ self._examples.matrix[row])
        self._sizes[group] += sign
        self._cached = None

    def _side(self, one: Taught) -> int:
        return one.group if self._sides > 1 else 0

    def _choose_judges(self) -> None:
        known = self._judges + self._bystanders if self._judges else []
        count, most = len(self._taught), _JUDGES // self._sides
        keys = np.fromiter(self._taught, dtype=np.int64, count=count)
        side = np.fromiter(map(self._side, self._taught.values()), dtype=np.int64, count=count)
        places = shuffled(keys)
        self._judges, self._last = [], []
        for number in range(self._sides):
            mine = np.flatnonzero(side == number)
            chosen = mine[np.argsort(places[mine])[:most]]
            self._judges += keys[chosen].tolist()
            self._last.append(int(places[chosen[-1]]) if len(chosen) == most else None)
        self._align(known)

    def _align(self, known: Sequence[int]) -> None:
        """Brings what is known of judges and bystanders in their order, from that of these keys."""
        self._told = None
        place = {key: i for i, key in enumerate(known)}
        everyone = self._judges + self._bystanders
        stay = np.array([place.get(key, -1) for key in everyone], dtype=np.int64)
        new = np.flatnonzero(stay < 0)
        vectors = self._examples.vectors([everyone[i] for i in new.tolist()])
        leverage, outputs = self._ridge.leverage(vectors), vectors @ self._ridge.weights
        sums = self._sums_of(vectors)
        if known:
            # Those who stay are copied, then the new ones stand in their places.
            kept = self._judge_vectors[stay], self._leverage[stay], self._outputs[stay], self._sums[stay]
            kept[0][new], kept[1][new], kept[2][new], kept[3][new] = vectors, leverage, outputs, sums
            vectors, leverage, outputs, sums = kept
        self._judge_vectors, self._leverage, self._outputs, self._sums = vectors, leverage, outputs, sums

    def _follow_judges(self, key: int, sides: Iterable[int]) -> None:
        """After a key came, went or changed sides: the judges are again those that come first in the shuffled order."""
        place = int(shuffled(np.array([key]))[0])
        lasts = [self._last[side] for side in sides]
        if any(last is None or place <= last for last in lasts):
            self._choose_judges()


def shuffled(keys: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Each key's place in a pseudo-random order (Fibonacci hashing)."""
    with np.errstate(over="ignore"):
        mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)


def spread(values: Array) -> float:
    """The typical distance of outputs from their row's mean, never zero; (n, C) -> float."""
    columns = max(values.shape[1], 1)
    means = values.sum(axis=1) / columns
    squares = np.einsum("nc,nc->", values, values) / columns - means @ means
    return max(float(np.sqrt(max(squares, 0) / max(len(values), 1))), 1e-6)


def log_means(means: Array) -> Array:
    """log of cache means, bounded where a group is empty."""
    return np.log(np.maximum(means, np.exp(-2 * SHARPNESS)))
