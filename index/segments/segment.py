"""A segment: light codes over a run of slots that propose candidates, nothing more. Immutable."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray
from .bits import Bits, Slots
from .calibration import Effort, Sample, still_finds
from .devices import Resident
from .lists import Lists
from .native import faiss_on, selecting
from .rows import Rows
from .selection import Selection

_QUERY_BITS = 4
_TRAINING = 50_000
_RANK = 100
"""A filter makes a search as careful as one for so many neighbours at most."""


@dataclass(frozen=True)
class Segment:
    """Slots start..stop-1 as one-bit codes (RaBitQ, Gao and Long 2024), large ones in inverted lists too.

    The codes work under any filter; the lists are several times faster where what is sought lies in few of them.
    """

    start: int
    """A multiple of 8, so that a slice of a bitmap over all slots is one over these."""
    stop: int
    trained_on: int
    """Rows when the centroids were chosen; 0 where that is still to be done."""
    codes: Any
    effort: Effort
    lists: Lists | None = None
    resident: Resident | None = None
    """Where it also lies on a GPU."""

    @classmethod
    def build(cls, rows: Rows, start: int, stop: int, *, with_lists: bool, threads: int) -> "Segment | None":
        """Trained and calibrated on its own rows; None where codes would not be cheaper than looking at every row."""
        faiss = faiss_on(threads)
        count = stop - start
        codes = faiss.IndexRaBitQ(rows.dim, faiss.METRIC_INNER_PRODUCT)
        codes.train(rows.spread(start, stop, _TRAINING))
        _fill(codes, rows, start, stop)
        sample = Sample.of(rows, start, stop)
        effort = sample.effort(lambda q, c, _: _search(codes, q, c, None), (1,))
        if effort is None:
            return None
        lists = Lists.build(sample, threads) if with_lists else None
        return cls(start, stop, count, codes, effort, lists)

    def extended(self, rows: Rows, stop: int, threads: int) -> "Segment":
        """With the slots up to stop, on copies: nothing is trained anew."""
        codes = faiss_on(threads).clone_index(self.codes)
        _fill(codes, rows, self.stop, stop)
        lists = self.lists and self.lists.extended(rows, self.stop, stop, threads)
        before, after = (max(end - self.start, self.trained_on) for end in (self.stop, stop))
        effort = self.effort.for_more(after / before)
        if lists:
            lists = replace(lists, effort=lists.effort.for_more(after / before))
        return replace(self, stop=stop, codes=codes, effort=effort, lists=lists, resident=None)

    def beside(self, rows: Rows, start: int, stop: int, *, with_lists: bool) -> "Segment":
        """Another segment by this one's codes, searched with this one's effort."""
        codes = faiss_on().clone_index(self.codes)
        codes.reset()
        _fill(codes, rows, start, stop)
        lists = self.lists.beside(rows, start, stop) if self.lists and with_lists else None
        return replace(self, start=start, stop=stop, codes=codes, lists=lists, resident=None)

    def still_finds(self, rows: Rows, new: int, *, well: bool = False) -> bool:
        """Whether the effort suits the rows from slot new on too, which came after it was measured; or does well."""

        def proposed(queries: FloatArray, k: int) -> Slots:
            found = self.candidates(queries, k, None, None, 1.0, 1)
            return np.full((len(queries), 1), -1) if found is None else found[0]

        return still_finds(rows, self.start, self.stop, new, proposed, well=well)

    def usual(self, k: float) -> float:
        """The exact score that a k-th neighbour has, but for queries that are farther off than most."""
        return (self.lists.effort if self.lists else self.effort).usual_at(k)

    def effort_under(self, k: int, share: float) -> tuple[int, int] | None:
        """(probes, candidates) among the codes of all rows, for any k where a filter leaves such a share of them."""
        return self.effort.at(_rank(k, share))

    @property
    def kind(self) -> str:
        """For people: which codes it has."""
        return self.lists.kind if self.lists else "flat"

    @property
    def nbytes(self) -> int:
        """Memory of the codes, about."""
        codes = (self.stop - self.start) * int(self.codes.code_size)
        return codes + (self.lists.nbytes if self.lists else 0)

    def candidates(
        self,
        queries: FloatArray,
        k: int,
        allowed: Bits | None,
        selection: Selection | None,
        share: float,
        boost: int,
    ) -> tuple[Slots, FloatArray, NDArray[np.bool_]] | None:
        """Slots (q, c) with most of the k best of each query, best first, -1 behind them; their estimates (q, c).

        And which queries (q,) saw too little. allowed: a bitmap over all slots of which only these may come, a share of
        them all in (0, 1]; selection: the same where a filter makes it. boost: how many times the usual effort. None
        where the effort for such a k isn't known.
        """
        rank = k if selection is None else _rank(k, share)
        local = None if allowed is None else allowed[self.start // 8 : (self.stop + 7) // 8]
        found: tuple[FloatArray, Slots, NDArray[np.bool_]] | None = None
        sure = np.zeros(len(queries), dtype=np.bool_)
        if self.resident and (held := self.resident.candidates(queries, k, self.stop, share, boost)):
            return *held, sure
        if self.lists and (selection is None or local is None):
            found = self.lists.search(queries, k, local, share, boost)
        elif self.lists and local is not None and selection is not None and boost == 1:
            found = self.lists.search_selected(queries, k, rank, local, selection, self.start)
        if found is None:
            effort = self.effort.at(k) if selection is None else self.effort_under(k, share)
            if effort is None:
                return None
            found = (*_search(self.codes, queries, min(effort[1] * boost, self.stop - self.start), local), sure)
        estimates, places, short = found
        return np.where(places < 0, -1, places + self.start) if self.start else places, estimates, short


def _rank(k: int, share: float) -> int:
    """Where the k-th among the rows that a filter leaves stands among all, where codes tell less apart; up to _RANK."""
    return max(k, min(int(k / share), _RANK))


def _search(codes: Any, queries: FloatArray, count: int, allowed: Bits | None) -> tuple[FloatArray, Slots]:
    parameters = faiss_on().RaBitQSearchParameters()
    parameters.qb = _QUERY_BITS
    estimates, places = codes.search(queries, count, params=selecting(parameters, allowed))
    return estimates, places


def _fill(codes: Any, rows: Rows, start: int, stop: int) -> None:
    for block in rows.chunks(start, stop):
        codes.add(block)
