"""How much effort a search needs, found on a segment's own rows: it differs several times between data sets."""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...records import FloatArray
from .bitmap import Slots
from .rows import Rows

Search = Callable[[FloatArray, int, int], tuple[FloatArray, Slots]]
"""(queries, candidates, probes) -> estimates and places, both (q, candidates), best first."""
READ = 32
"""Reading a row that lies anywhere costs as much as scanning so many codes in lists."""
_QUERIES = 128
_TIMED = 32
_TARGET = 0.97
"""Of the true neighbours, the share that has to be among the candidates: 0.95 and a margin for the sample's luck."""
_POOR, _MINORITY = 0.9, 5
"""At least so many queries that find less than this, the farthest or the nearest of all, are a minority that the mean
hides."""
_NEVER = 2.0
"""No cosine is that high."""
_NEARER, _FAR = 0.1, 0.02
"""Shares of the sample that were farther from their neighbours; see Effort.usual."""
_WIDTHS = (10, 100)
"""Effort is measured for these k."""
_RANKS = (10, 30, 100, 300, 1000)
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20), (24, 28, 32, 40, 48, 64, 96, 128)
"""Candidates for each of k. The second ones are tried where no number of probes suffices with the first."""
_LEAST_GROWTH = 10**0.25
"""Beyond the measured k probes grow by so much for each ten times as many neighbours at least."""
_LEAST_GAIN = 8
"""Candidates are at most this part of the rows; who needs more is better off with the rows themselves."""
_MOST = 8192
_PATIENCE = 3
"""Numbers of probes tried after the first that suffices: more probes may need fewer candidates."""
_CHUNK = 16_384
_TIE = 1e-6


class Boost(NamedTuple):
    """Times the usual effort."""

    probes: int = 1
    candidates: int = 1

    def more(self, candidates: int, total: int) -> int:
        """So many times the candidates, up to _MOST where those are more, and all there are."""
        return min(max(candidates, min(candidates * self.candidates, _MOST)), total)


class Found(NamedTuple):
    """What codes propose."""

    estimates: FloatArray
    """(q, c) of the scores, best first."""
    places: Slots
    """(q, c), -1 behind the last."""
    short: NDArray[np.bool_]
    """(q,): which queries saw too little."""


@dataclass(frozen=True, eq=False)
class Effort:
    """How a segment is searched: probes and candidates for the k of _WIDTHS that can be served."""

    probes: tuple[int, ...]
    candidates: tuple[int, ...]
    usual: tuple[float, ...]
    """For each k of _RANKS an exact score; a query whose k-th neighbour has less is unlike the sample.

    As far below its _FAR quantile as that is below its _NEARER quantile: a query like the sample is hardly ever so far
    off, and needs no more effort when it is. Above the score of those that the mean hides, if there are any.
    """
    crowded: tuple[float, ...]
    """The same for the others: a query whose k-th neighbour has that much is in a crowd that the mean hides."""
    rows: int
    """It was measured among so many."""
    seconds: float
    """Of one query with the first, 0 where there was nothing to choose from."""

    # Kept, as a search with the same filter asks the same.
    @lru_cache(1024)  # noqa: B019
    def usual_at(self, k: float) -> tuple[float, float]:
        """Usual and crowded for any k: between the measured ones by the logarithm of the rank; beyond all is usual."""
        if k > _RANKS[-1]:
            return -1.0, _NEVER
        place, ranks = math.log(k), [math.log(rank) for rank in _RANKS]
        return float(np.interp(place, ranks, self.usual)), float(np.interp(place, ranks, self.crowded))

    @lru_cache(1024)  # noqa: B019
    def at(self, k: int) -> tuple[int, int] | None:
        """(probes, candidates) for any k: by the power law between the measured ones, beyond in proportion.

        None: look at all rows.
        """
        if k <= _WIDTHS[0]:
            return self.probes[0], self.candidates[0]
        if len(self.probes) < len(_WIDTHS):
            return None
        part = math.log(k / _WIDTHS[0]) / math.log(_WIDTHS[1] / _WIDTHS[0])
        if part <= 1:
            return _between(self.probes, part), _between(self.candidates, part)
        few, many = self.probes
        probes = many * max(many / few, _LEAST_GROWTH) ** (part - 1)
        return math.ceil(probes - 1e-9), math.ceil(self.candidates[1] * k / _WIDTHS[1])

    def for_more(self, times: float) -> "Effort":
        """Among so many times the rows: as many times as many stand before a neighbour by their estimates."""
        candidates = tuple(math.ceil(number * times) for number in self.candidates)
        return replace(self, candidates=candidates, rows=math.ceil(self.rows * times))


@dataclass(frozen=True)
class Sample:
    """Some of the rows start..stop-1 as queries, and how near their true neighbours are."""

    rows: Rows
    start: int
    stop: int
    slots: Slots
    """(q,)"""
    queries: FloatArray
    """(q, dim)"""
    least: Mapping[int, FloatArray]
    """k of _RANKS -> (q,): the exact score of the k-th nearest other row of each query."""

    @classmethod
    def of(cls, rows: Rows, start: int, stop: int) -> "Sample":
        slots = spread(rows, start, stop, _QUERIES)
        queries = rows.take(slots)
        return cls(rows, start, stop, slots, queries, _least_scores(rows, start, stop, slots, queries))

    def effort(self, search: Search, probes: Sequence[int]) -> Effort | None:
        """The cheapest that finds _TARGET of the neighbours; None if none of these does.

        probes: numbers to try, ascending.
        """
        found = []
        for k in _WIDTHS:
            one = next(filter(None, (self._cheapest(search, probes, k, steps) for steps in _STEPS)), None)
            if one is None:
                break
            found.append(one)
        if not found:
            return None
        order = np.argsort(self.least[_WIDTHS[0]])
        lost, crowd = _hidden(found[0].recall, order), _hidden(found[0].recall, order[::-1])
        usual, crowded = [], []
        for rank in _RANKS:
            scores = self.least[rank]
            near, far = np.quantile(scores, (_NEARER, _FAR))
            usual.append(float(max(2 * far - near, scores[lost].max(initial=-1))))
            crowded.append(float(scores[crowd].min(initial=_NEVER)))
        return Effort(
            probes=tuple(one.probes for one in found),
            candidates=tuple(one.candidates for one in found),
            usual=tuple(usual),
            crowded=tuple(crowded),
            rows=self.stop - self.start,
            seconds=found[0].seconds,
        )

    def _cheapest(self, search: Search, probes: Sequence[int], k: int, steps: Sequence[float]) -> "_Fits | None":
        fits = cache(lambda place: self._enough(search, probes[place], k, steps))
        first = _first(len(probes), lambda place: fits(place) is not None)
        found = [one for place in range(first, min(first + 1 + _PATIENCE, len(probes))) if (one := fits(place))]
        if len(probes) > 1:
            found = [replace(one, seconds=self._seconds(search, one.candidates, one.probes)) for one in found]
        return min(found, key=lambda one: one.seconds, default=None)

    def _enough(self, search: Search, probes: int, k: int, steps: Sequence[float]) -> "_Fits | None":
        """The least candidates that do; None if the most don't."""
        # Who has many neighbours says more.
        chosen = slice(None, None, 1 if k == _WIDTHS[0] else 2)
        queries, least, wanted = self.queries[chosen], self.least[k][chosen], min(k, self.stop - self.start - 1)
        most = min(_MOST, (self.stop - self.start) // _LEAST_GAIN, int(k * steps[-1]))
        _, places = search(queries, most, probes)
        slots = np.where(places < 0, -1, places + self.start)
        slots[slots == self.slots[chosen, None]] = -1
        scores = self.rows.scores(queries, slots)
        hit = scores >= least[:, None] - _TIE
        hits = np.minimum(hit.cumsum(axis=1), wanted) / wanted
        enough = np.flatnonzero(hits.mean(axis=0) >= _TARGET)
        if not len(enough):
            return None
        # One more than needed: the sample's own row took a place.
        candidates = next((int(k * step) for step in steps if k * step > enough[0] + 1), 0)
        if not candidates:
            return None
        return _Fits(probes, candidates, hits[:, min(candidates, most) - 1])

    def _seconds(self, search: Search, candidates: int, probes: int) -> float:
        """Of one query, asked alone, its candidates scored: the median."""
        waited = []
        for query in self.queries[:_TIMED, None]:
            begun = time.perf_counter()
            _, places = search(query, candidates, probes)
            self.rows.scores(query, np.where(places < 0, -1, places + self.start))
            waited.append(time.perf_counter() - begun)
        return float(np.median(waited))


@dataclass(frozen=True)
class _Fits:
    probes: int
    candidates: int
    recall: FloatArray
    """(q,)"""
    seconds: float = 0
    """Of a query."""


def _hidden(recall: FloatArray, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first queries in that order, as many as find few together, each with such a recall (q,)."""
    poor = np.flatnonzero(recall[order].cumsum() < _POOR * np.arange(1, len(order) + 1)) + 1
    number = int(poor.max(initial=0))
    return order[:number] if number >= _MINORITY else order[:0]


def _first(count: int, holds: Callable[[int], bool]) -> int:
    """The least of 0..count-1 that holds, if all above it do too; count if none does. Low ones are asked first."""
    below, at = -1, 0
    while at < count - 1 and not holds(at):
        below, at = at, min(2 * at + 1, count - 1)
    return bisect_left(range(at), True, lo=below + 1, key=holds) if holds(at) else count


def spread(rows: Rows, start: int, stop: int, count: int) -> Slots:
    """At most so many slots, spread evenly, of copies one: they are found more easily."""
    slots = np.linspace(start, stop - 1, min(8 * count, stop - start)).astype(np.int64)
    _, first = np.unique(rows.take(slots), axis=0, return_index=True)
    first = np.sort(first)
    return slots[first[np.linspace(0, len(first) - 1, min(count, len(first))).astype(np.int64)]]


def _between(measured: tuple[int, ...], part: float) -> int:
    few, many = measured
    return math.ceil(few * math.pow(many / few, part) - 1e-9)


def _least_scores(rows: Rows, start: int, stop: int, sample: Slots, queries: FloatArray) -> dict[int, FloatArray]:
    """k -> (q,): the exact score of the k-th nearest other row of each query."""
    most = min(max(_RANKS), stop - start - 1)
    best = np.full((len(queries), most), -np.inf, dtype=np.float32)
    for first in range(start, stop, _CHUNK):
        for offset, block in rows.blocks(first, min(first + _CHUNK, stop)):
            scores = queries @ block.T
            own = (sample >= offset) & (sample < offset + len(block))
            scores[np.flatnonzero(own), sample[own] - offset] = -np.inf
            both = np.concatenate([best, scores], axis=1)
            best = -np.partition(-both, most - 1, axis=1)[:, :most]
    ordered = -np.sort(-best, axis=1)
    return {k: ordered[:, min(k, most) - 1] for k in _RANKS}
