"""How far a search has to go, found on a segment's own rows: it differs several times between data sets."""

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
from . import tuning
from .bitmap import Slots
from .rows import Rows

Search = Callable[[FloatArray, int, int], tuple[FloatArray, Slots]]
"""(queries, candidates, probes) -> estimates and positions, both (q, candidates), best first."""
_NEVER = 2.0
"""No cosine is that high."""
_CHUNK = 16_384
_TIE = 1e-6


class Escalation(NamedTuple):
    """Times the usual probes and candidates."""

    probes: int = 1
    candidates: int = 1

    def more(self, candidates: int, total: int) -> int:
        """So many times the candidates, up to MOST_CANDIDATES where those are more, and all there are."""
        return min(max(candidates, min(candidates * self.candidates, tuning.MOST_CANDIDATES)), total)


class Breadth(NamedTuple):
    """How far one search goes."""

    probes: int
    """Lists that are looked into."""
    candidates: int
    """Rows that are proposed, to be scored exactly."""


class Candidates(NamedTuple):
    """What codes propose."""

    estimates: FloatArray
    """(q, c) of the scores, best first."""
    positions: Slots
    """(q, c) from 0 on, -1 behind the last."""
    short: NDArray[np.bool_]
    """(q,): which queries saw too little."""


@dataclass(frozen=True, eq=False)
class SearchParameters:
    """How a segment is searched: probes and candidates for the k of WIDTHS that can be served."""

    probes: tuple[int, ...]
    candidates: tuple[int, ...]
    usual: tuple[float, ...]
    """For each k of RANKS an exact score; a query whose k-th neighbour has less is unlike the sample.

    As far below its FAR quantile as that is below its NEARER quantile: a query like the sample is hardly ever so far
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
        if k > tuning.RANKS[-1]:
            return -1.0, _NEVER
        rank, ranks = math.log(k), [math.log(rank) for rank in tuning.RANKS]
        return float(np.interp(rank, ranks, self.usual)), float(np.interp(rank, ranks, self.crowded))

    @lru_cache(1024)  # noqa: B019
    def at(self, k: int) -> Breadth | None:
        """For any k: by the power law between the measured ones, beyond in proportion.

        None: look at all rows.
        """
        if k <= tuning.WIDTHS[0]:
            return Breadth(self.probes[0], self.candidates[0])
        if len(self.probes) < len(tuning.WIDTHS):
            return None
        part = math.log(k / tuning.WIDTHS[0]) / math.log(tuning.WIDTHS[1] / tuning.WIDTHS[0])
        if part <= 1:
            return Breadth(_between(self.probes, part), _between(self.candidates, part))
        few, many = self.probes
        probes = many * max(many / few, tuning.LEAST_GROWTH) ** (part - 1)
        return Breadth(math.ceil(probes - 1e-9), math.ceil(self.candidates[1] * k / tuning.WIDTHS[1]))

    def for_more(self, times: float) -> "SearchParameters":
        """Among so many times the rows: as many times as many stand before a neighbour by their estimates."""
        candidates = tuple(math.ceil(number * times) for number in self.candidates)
        return replace(self, candidates=candidates, rows=math.ceil(self.rows * times))


@dataclass(frozen=True)
class CalibrationSample:
    """Some of the rows start..stop-1 as queries, and how near their true neighbours are."""

    rows: Rows
    start: int
    stop: int
    slots: Slots
    """(q,)"""
    queries: FloatArray
    """(q, dim)"""
    least: Mapping[int, FloatArray]
    """k of RANKS -> (q,): the exact score of the k-th nearest other row of each query."""

    @classmethod
    def of(cls, rows: Rows, start: int, stop: int) -> "CalibrationSample":
        slots = spread(rows, start, stop, tuning.QUERIES)
        queries = rows.take(slots)
        return cls(rows, start, stop, slots, queries, _least_scores(rows, start, stop, slots, queries))

    def parameters(self, search: Search, probes: Sequence[int]) -> SearchParameters | None:
        """The cheapest that find TARGET of the neighbours; None if none of these does.

        probes: numbers to try, ascending.
        """
        trials = list[_Trial]()
        for k in tuning.WIDTHS:
            trial = next(filter(None, (self._cheapest(search, probes, k, steps) for steps in tuning.STEPS)), None)
            if trial is None:
                break
            trials.append(trial)
        if not trials:
            return None
        order = np.argsort(self.least[tuning.WIDTHS[0]])
        lost, crowd = _hidden(trials[0].recall, order), _hidden(trials[0].recall, order[::-1])
        usual, crowded = [], []
        for rank in tuning.RANKS:
            scores = self.least[rank]
            near, far = np.quantile(scores, (tuning.NEARER, tuning.FAR))
            usual.append(float(max(2 * far - near, scores[lost].max(initial=-1))))
            crowded.append(float(scores[crowd].min(initial=_NEVER)))
        return SearchParameters(
            probes=tuple(trial.probes for trial in trials),
            candidates=tuple(trial.candidates for trial in trials),
            usual=tuple(usual),
            crowded=tuple(crowded),
            rows=self.stop - self.start,
            seconds=trials[0].seconds,
        )

    def _cheapest(self, search: Search, probes: Sequence[int], k: int, steps: Sequence[float]) -> "_Trial | None":
        trial_at = cache(lambda index: self._least_candidates(search, probes[index], k, steps))
        first = _first(len(probes), lambda index: trial_at(index) is not None)
        tried = range(first, min(first + 1 + tuning.PATIENCE, len(probes)))
        trials = [trial for index in tried if (trial := trial_at(index))]
        if len(probes) > 1:
            trials = [replace(trial, seconds=self._seconds(search, trial.candidates, trial.probes)) for trial in trials]
        return min(trials, key=lambda trial: trial.seconds, default=None)

    def _least_candidates(self, search: Search, probes: int, k: int, steps: Sequence[float]) -> "_Trial | None":
        """With the least candidates that do; None if the most don't."""
        # Who has many neighbours says more.
        chosen = slice(None, None, 1 if k == tuning.WIDTHS[0] else 2)
        queries, least, wanted = self.queries[chosen], self.least[k][chosen], min(k, self.stop - self.start - 1)
        most = min(tuning.MOST_CANDIDATES, (self.stop - self.start) // tuning.LEAST_GAIN, int(k * steps[-1]))
        _, positions = search(queries, most, probes)
        slots = np.where(positions < 0, -1, positions + self.start)
        slots[slots == self.slots[chosen, None]] = -1
        scores = self.rows.scores(queries, slots)
        hit = scores >= least[:, None] - _TIE
        hits = np.minimum(hit.cumsum(axis=1), wanted) / wanted
        enough = np.flatnonzero(hits.mean(axis=0) >= tuning.TARGET)
        if not len(enough):
            return None
        # One more than needed: the sample's own row took a place.
        candidates = next((int(k * step) for step in steps if k * step > enough[0] + 1), 0)
        if not candidates:
            return None
        return _Trial(probes, candidates, hits[:, min(candidates, most) - 1])

    def _seconds(self, search: Search, candidates: int, probes: int) -> float:
        """Of one query, asked alone, its candidates scored: the median."""
        waited = []
        for query in self.queries[: tuning.TIMED, None]:
            begun = time.perf_counter()
            _, positions = search(query, candidates, probes)
            self.rows.scores(query, np.where(positions < 0, -1, positions + self.start))
            waited.append(time.perf_counter() - begun)
        return float(np.median(waited))


@dataclass(frozen=True)
class _Trial:
    probes: int
    candidates: int
    recall: FloatArray
    """(q,)"""
    seconds: float = 0
    """Of a query."""


def _hidden(recall: FloatArray, order: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first queries in that order, as many as find few together, each with such a recall (q,)."""
    poor = np.flatnonzero(recall[order].cumsum() < tuning.POOR * np.arange(1, len(order) + 1)) + 1
    number = int(poor.max(initial=0))
    return order[:number] if number >= tuning.MINORITY else order[:0]


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
    most = min(max(tuning.RANKS), stop - start - 1)
    best = np.full((len(queries), most), -np.inf, dtype=np.float32)
    for first in range(start, stop, _CHUNK):
        for offset, block in rows.blocks(first, min(first + _CHUNK, stop)):
            scores = queries @ block.T
            own = (sample >= offset) & (sample < offset + len(block))
            scores[np.flatnonzero(own), sample[own] - offset] = -np.inf
            both = np.concatenate([best, scores], axis=1)
            best = -np.partition(-both, most - 1, axis=1)[:, :most]
    ordered = -np.sort(-best, axis=1)
    return {k: ordered[:, min(k, most) - 1] for k in tuning.RANKS}
