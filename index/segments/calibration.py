"""How much effort a search needs, found on a segment's own rows: it differs several times between data sets."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..records import FloatArray
from .bits import Slots
from .rows import Rows

Search = Callable[[FloatArray, int, int], tuple[FloatArray, Slots]]
"""(queries, candidates, probes) -> estimates and places, both (q, candidates), best first."""
_QUERIES = 128
_TIMED = 32
_CHECKED = 32
"""Of rows that came later; it is done often, and scans the segment."""
_TARGET = 0.97
"""Of the true neighbours, the share that has to be among the candidates: 0.95 and a margin for the sample's luck."""
_LOST = 0.85
"""Below this share rows that came later are unlike those that the effort was measured on: not the sample's luck."""
_NEARER, _FAR = 0.1, 0.02
"""Shares of the sample that were farther from their neighbours; see Effort.usual."""
_WIDTHS = (10, 100)
"""Effort is measured for these k."""
_RANKS = (10, 30, 100, 300, 1000)
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20), (24, 28, 32, 40, 48, 64, 96, 128)
"""Candidates for each of k. The second ones are tried where no number of probes suffices with the first."""
_LEAST_GAIN = 8
"""Candidates are at most this part of the rows; who needs more is better off with the rows themselves."""
_MOST = 8192
_PATIENCE = 3
"""Numbers of probes tried after the first that suffices: more probes may need fewer candidates."""
_CHUNK = 16_384
_TIE = 1e-6


@dataclass(frozen=True)
class Effort:
    """Probes and candidates for the k of _WIDTHS that can be served.

    And the seconds of one query with the first, 0 where there was nothing to choose from.
    """

    probes: tuple[int, ...]
    candidates: tuple[int, ...]
    usual: tuple[float, ...]
    """For each k of _RANKS an exact score; a query whose k-th neighbour has less is unlike the sample.

    As far below its _FAR quantile as that is below its _NEARER quantile: a query like the sample is hardly ever so far
    off, and needs no more effort when it is.
    """
    seconds: float

    def usual_at(self, k: float) -> float:
        """For any k: between the measured ones on the logarithm of the rank; -1, which all have, beyond the last."""
        if k <= _RANKS[0]:
            return self.usual[0]
        for (before, least), (rank, there) in pairwise(zip(_RANKS, self.usual, strict=False)):
            if k <= rank:
                return least + (there - least) * math.log(k / before) / math.log(rank / before)
        return -1.0

    def for_more(self, times: float) -> "Effort":
        """Among so many times the rows: as many times as many stand before a neighbour by their estimates."""
        return replace(self, candidates=tuple(math.ceil(number * times) for number in self.candidates))

    def at(self, k: int) -> tuple[int, int] | None:
        """(probes, candidates) for any k: of the next measured one, beyond in proportion. None: look at all rows."""
        for width, probes, candidates in zip(_WIDTHS, self.probes, self.candidates, strict=False):
            if k <= width:
                return probes, candidates
        if len(self.probes) < len(_WIDTHS):
            return None
        factor = k / _WIDTHS[-1]
        return int(np.ceil(self.probes[-1] * factor**0.5)), int(np.ceil(self.candidates[-1] * factor))


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
        slots = _spread(rows, start, stop)
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
        tails = (np.quantile(self.least[rank], (_NEARER, _FAR)) for rank in _RANKS)
        usual = tuple(float(2 * far - near) for near, far in tails)
        return Effort(tuple(one[0] for one in found), tuple(one[1] for one in found), usual, found[0][2])

    def _cheapest(
        self, search: Search, probes: Sequence[int], k: int, steps: Sequence[float]
    ) -> tuple[int, int, float] | None:
        """Probes, candidates and the seconds of a query."""
        found: list[tuple[int, int, float]] = []
        since = 0
        most = min(_MOST, (self.stop - self.start) // _LEAST_GAIN, int(k * steps[-1]))
        for number in probes:
            _, places = search(self.queries, most, number)
            slots = np.where(places < 0, -1, places + self.start)
            slots[slots == self.slots[:, None]] = -1
            hits = (self.rows.scores(self.queries, slots) >= self.least[k][:, None] - _TIE).cumsum(axis=1)
            recall = np.minimum(hits, k).mean(axis=0) / min(k, self.stop - self.start - 1)
            enough = np.flatnonzero(recall >= _TARGET)
            if len(enough):
                # One more than needed: the sample's own row took a place.
                candidates = next((int(k * step) for step in steps if k * step > enough[0] + 1), 0)
                if candidates:
                    seconds = self._seconds(search, candidates, number) if len(probes) > 1 else 0.0
                    found.append((number, candidates, seconds))
            since += bool(found)
            if since > _PATIENCE:
                break
        return min(found, key=lambda one: one[2], default=None)

    def _seconds(self, search: Search, candidates: int, probes: int) -> float:
        """Of one query, asked alone, its candidates scored: the median."""
        waited = []
        for query in self.queries[:_TIMED, None]:
            begun = time.perf_counter()
            _, places = search(query, candidates, probes)
            self.rows.scores(query, np.where(places < 0, -1, places + self.start))
            waited.append(time.perf_counter() - begun)
        return float(np.median(waited))


def still_finds(
    rows: Rows, start: int, stop: int, new: int, proposed: Callable[[FloatArray, int], Slots], *, well: bool
) -> bool:
    """Whether rows that were not there at the calibration, from slot new on, find their neighbours in start..stop-1.

    proposed: (queries, k) -> slots (q, c), -1 where there is none, by the effort of then. well: as many as those that
    were there, rather than so many that they are no others.
    """
    k = _WIDTHS[0]
    sample = _spread(rows, new, stop)
    sample = sample[:: max(len(sample) // _CHECKED, 1)]
    queries = rows.take(sample)
    slots = proposed(queries, k)
    slots = np.where(slots == sample[:, None], -1, slots)
    least = _least_scores(rows, start, stop, sample, queries)[k]
    hits = (rows.scores(queries, slots) >= least[:, None] - _TIE).sum(axis=1)
    wanted = min(k, stop - start - 1)
    # Of k places one may have gone to the row itself.
    return bool(np.minimum(hits + 1, wanted).mean() >= (_TARGET if well else _LOST) * wanted)


def _spread(rows: Rows, start: int, stop: int) -> Slots:
    """Slots spread evenly, no two of the same vector: copies are easily found, and would speak for the others."""
    slots = np.linspace(start, stop - 1, min(8 * _QUERIES, stop - start)).astype(np.int64)
    _, first = np.unique(rows.take(slots), axis=0, return_index=True)
    first = np.sort(first)
    return slots[first[np.linspace(0, len(first) - 1, min(_QUERIES, len(first))).astype(np.int64)]]


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
