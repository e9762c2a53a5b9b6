"""What a vector index is to the rest of tenshot, and what it is made from.

An index is a cache of the vectors that SQL holds for one app and one base workflow. SQL is written first. An index may
be deleted and made anew from its `Source` at any time. `tests/index/test_vector_index_contract.py` says what every
implementation must do; `docs/architecture.md` says how to add one.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..bounds import check_count, has_direction
from ..errors import BadFilter, BadRequest, BadVector
from ..filters import Filter
from ..records import FloatArray, KeyArray

T = TypeVar("T")
Positions = NDArray[np.int64]

_PADDED = 1000
"""Neighbours that a query may ask for where there are fewer rows."""
_MOST_SCORES = 1 << 26
"""Neighbours of all queries of one search, of 12 bytes each."""


@dataclass(frozen=True)
class CollectionFacts:
    """What an index is made of, for whoever runs the service."""

    kind: str
    """How most rows are searched, in the index's own word: `exact`, `flat`, `ivf-rabitq`, `ivf-pq`."""
    place: str
    """`gpu` or `cpu`: where most of a search happens."""
    rows: int
    dead: int
    """Deleted, and not cleared away yet."""
    tail: int
    """New, and looked at one by one."""
    mapped: int
    """Read from the snapshot's file, by pages."""
    code_bytes: int
    gpu_bytes: int


@dataclass(frozen=True)
class SavedFacts:
    """What the newest snapshot on the disk says of itself."""

    kind: str
    rows: int
    """Dead ones included."""
    seq: int


@dataclass(frozen=True)
class RowView:
    """Rows of one moment; later writes leave them as they are."""

    keys: KeyArray
    """(n,) ascending."""
    positions: Positions
    """(n,): small numbers from 0 on that name the vectors. Another vector of the same key has another position."""
    numbering: int
    """Positions of two views of one index mean the same vectors where this is the same."""
    take: Callable[[Positions], FloatArray]
    """The vectors (m, dim) at positions (m,): a copy."""

    def batches(self, size: int) -> Iterator[tuple[KeyArray, FloatArray]]:
        """Keys (m,) and vectors (m, dim) of all the rows, m at most `size`."""
        for start in range(0, len(self.keys), size):
            yield self.keys[start : start + size], self.take(self.positions[start : start + size])


class VectorIndex(Protocol):
    """Rows (key, unit vector), each key once. Keys are the int64 of `inputs`, arrays of them have the shape (n,).

    Thread-safe. Readers never wait for writers; each call answers by one moment, and a write is seen by every call that
    begins after it has returned. A write that raises, or is interrupted, has happened or has not, never in part.
    """

    @property
    def dim(self) -> int:
        """The length of the vectors."""

    @property
    def tail(self) -> int:
        """How many rows every search looks at one by one: what a search costs, at least."""

    @property
    def applied(self) -> int:
        """The app's sequence number up to which this holds what SQL does."""

    def __len__(self) -> int:
        """How many rows there are."""

    def facts(self) -> CollectionFacts:
        """How the rows are kept."""

    def upsert(self, keys: KeyArray, vectors: FloatArray, seq: int | None = None) -> None:
        """Stores a vector (n, dim) for each key, in place of the one it had; of a key given twice the last counts.

        Vectors need not be of unit length. seq: the number of the change in SQL; `applied` never goes back. Raises
        BadVector for a wrong shape and for a vector that is zero or not finite, and then stores none.
        """

    def delete(self, keys: KeyArray | Iterable[int], seq: int | None = None) -> int:
        """Forgets these keys and says how many there were; unknown ones don't count."""

    def catch_up(self) -> None:
        """Reads from the source what was committed there and didn't come here."""

    def contains(self, keys: KeyArray) -> NDArray[np.bool_]:
        """(n,): which of the keys have a row."""

    def get(self, keys: KeyArray) -> FloatArray:
        """(n, dim): a copy of the vectors of these keys, in their order. Raises InputNotFound for an unknown key."""

    def present(self, keys: KeyArray) -> tuple[KeyArray, FloatArray]:
        """Those of the keys that have a row, in their order, and a copy of their vectors."""

    def sample(self, n: int, seed: int = 0) -> KeyArray:
        """n of the keys, or all where there are fewer, ascending; each key with the same chance.

        The same for the same keys and seed, however they came; a smaller n gives a part of it. See `sampled`.
        """

    def rows(self, where: Filter | None = None) -> RowView:
        """All rows, or those that a filter matches. Raises BadFilter where the index has no source to ask."""

    def iterate(self, size: int = 4096) -> Iterator[tuple[KeyArray, FloatArray]]:
        """All rows of the moment of the call, by ascending key: keys (m,) and vectors (m, dim), m at most `size`."""

    def search(self, queries: FloatArray, k: int, where: Filter | None = None) -> tuple[KeyArray, FloatArray]:
        """The k nearest rows of each query (q, dim): keys (q, k) padded with -1, cosines (q, k) padded with -inf.

        Best first, equal cosines by key; as many as match, up to k. Cosines are exact, whichever rows were looked at.
        See `checked_search` for what is refused. Raises BadFilter where the index has no source to ask.
        """

    def wait(self) -> None:
        """Returns when nothing is left to do in the background."""

    def close(self) -> None:
        """Ends what is done in the background; nothing may be written afterwards, and who still reads may go on."""


class Source(Protocol):
    """What SQL holds of one app's vectors under one base workflow: the truth that an index is made of and held against.

    An index that translates filters itself has no need of `matching`.
    """

    def seq(self) -> int:
        """The number of the last change."""

    def vectors(self, after: int | None) -> Iterator[tuple[KeyArray, FloatArray]]:
        """Keys (m,) and vectors (m, dim), all or those of later changes; what has no direction is left out."""

    def removed(self, after: int) -> KeyArray:
        """Keys that later changes deleted."""

    def forget_removed(self, until: int) -> None:
        """Nobody will ask for deletions up to this change."""

    def keys(self) -> KeyArray:
        """(n,) ascending."""

    def of(self, keys: KeyArray) -> dict[int, FloatArray]:
        """key -> vector (dim,) of those of the keys that exist."""

    def matching(self, where: Filter, make: Callable[[KeyArray], T]) -> T:
        """What `make` returns for the keys (n,) ascending that a filter matches, cached while nothing is written.

        make: a function of a module, so that it is the same for the next who asks.
        """


def unit_rows(vectors: FloatArray, dim: int) -> FloatArray:
    """(n, dim) float32 of unit length. Raises BadVector for another shape, and for one that is zero or not finite.

    The very array that was given, where there is nothing to change.
    """
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise BadVector(f"vectors must have the shape (n, {dim}), not {array.shape}")
    if len(array) == 1 and abs(float(array[0] @ array[0]) - 1) < 1e-6:
        return array
    norms = np.linalg.norm(array, axis=1)
    # Unit vectors come back bit by bit, so that storing what was read changes nothing.
    unit = np.abs(norms - 1) < 1e-6
    if unit.all():
        return array
    bad = np.flatnonzero(~has_direction(norms))
    if len(bad):
        raise BadVector(f"vector {bad[0]} is zero or not finite")
    return np.where(unit, 1, 1 / norms).astype(np.float32)[:, None] * array


def checked_rows(keys: KeyArray, vectors: FloatArray, dim: int) -> tuple[KeyArray, FloatArray]:
    """Keys (n,) and their unit vectors (n, dim). Raises BadVector."""
    keys, unit = np.asarray(keys, dtype=np.int64), unit_rows(vectors, dim)
    if keys.shape != (len(unit),):
        raise BadVector(f"{keys.shape} keys were given for {len(unit)} vectors")
    return keys, unit


def checked_search(queries: FloatArray, k: int, dim: int, rows: int) -> tuple[FloatArray, int]:
    """Unit queries (q, dim), and k, which counts as `rows`, or as 1,000, where it is more: that takes no memory.

    Raises BadVector, and BadRequest for a k below 1 or more scores than fit into 768 MB.
    """
    k = min(check_count(k, "k"), max(rows, _PADDED))
    queries = unit_rows(queries, dim)
    if len(queries) * k > _MOST_SCORES:
        raise BadRequest(f"{len(queries):,} queries with k = {k:,} are too many at once: ask for fewer, or a smaller k")
    return queries, k


def match_of(cosines: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cosines of any shape as matches in [0, 1], `(1 + cosine) / 2`: the scale that concepts' probabilities have."""
    return np.clip((1 + cosines.astype(np.float64)) / 2, 0, 1)


def filterable(source: Source | None) -> Source:
    """The source, which knows what filters ask about. Raises BadFilter where there is none."""
    if source is None:
        raise BadFilter("these vectors are in memory alone, and nothing is known of them to filter by")
    return source


def sampled(keys: KeyArray, n: int, seed: int = 0) -> KeyArray:
    """n of the keys, ascending: those whose hashes are least, so that one key more changes one of them at most."""
    if n < len(keys):
        keys = keys[np.argpartition(_hashes(keys, seed), n)[:n]]
    return np.sort(keys)


def _hashes(keys: KeyArray, seed: int) -> NDArray[np.uint64]:
    """(n,): the numbers of SplitMix64 (Steele, Lea and Flood 2014) that a seed gives for keys, each key another one."""
    mixed = keys.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))
