"""A segment: light codes over a run of slots that propose candidates, nothing more. Immutable."""

from dataclasses import dataclass, replace

import numpy as np

from ...records import FloatArray
from ..faiss_compat import faiss_on
from .bitmap import Bits
from .devices import Resident
from .flat import Flat
from .lists import Lists
from .rescore import Proposal
from .rows import Rows
from .search_parameters import CalibrationSample, Escalation, SearchParameters
from .selection import Selection


@dataclass(frozen=True)
class Segment:
    """Slots start..stop-1 as codes: all looked at by a search, or in inverted lists where there are many."""

    start: int
    """A multiple of 8, so that a slice of a bitmap over all slots is one over these."""
    stop: int
    trained_on: int
    """Rows when the centroids were chosen; 0 where that is still to be done."""
    codes: Flat | Lists
    resident: Resident | None = None
    """Where it also lies on a GPU."""

    @classmethod
    def build(cls, rows: Rows, start: int, stop: int, *, with_lists: bool, threads: int) -> "Segment | None":
        """Trained and calibrated on its own rows; None where codes would not be cheaper than looking at every row."""
        sample = CalibrationSample.of(rows, start, stop)
        codes = (Lists.build(sample, threads) if with_lists else None) or Flat.build(sample, threads)
        return None if codes is None else cls(start, stop, stop - start, codes)

    def extended(self, rows: Rows, stop: int, threads: int) -> "Segment":
        """With the slots up to stop, on copies: nothing is trained anew."""
        index = faiss_on(threads).clone_index(self.codes.index)
        rows.add_to(index, self.stop, stop)
        before, after = (max(end - self.start, self.trained_on) for end in (self.stop, stop))
        codes = replace(self.codes, index=index, parameters=self.parameters.for_more(after / before))
        return replace(self, stop=stop, codes=codes, resident=None)

    def encode(self, rows: Rows, start: int, stop: int) -> "Segment":
        """Other slots, by this segment's centroids and code book, to be searched by its parameters."""
        index = faiss_on().clone_index(self.codes.index)
        index.reset()
        rows.add_to(index, start, stop)
        return replace(self, start=start, stop=stop, codes=replace(self.codes, index=index), resident=None)

    @property
    def parameters(self) -> SearchParameters:
        """How its codes are searched."""
        return self.codes.parameters

    def spreads_evenly(self, selection: Selection) -> bool:
        """Whether few rows that a filter leaves are found without reading them all: as many lie in every list."""
        return self.codes.spreads_evenly(selection, self.start)

    def candidates(
        self,
        queries: FloatArray,
        k: int,
        allowed: Bits | None,
        selection: Selection | None,
        share: float,
        escalation: Escalation,
    ) -> Proposal | None:
        """Most of the k best slots of each query.

        allowed: a bitmap over all slots, only these are worth proposing, a share of them all in (0, 1]; selection: the
        same where a filter makes it. None where it isn't known how to find so many.
        """
        resident = self.resident
        if resident and (held := resident.candidates(queries, k, self.stop, share, escalation.candidates)):
            return Proposal(*held)
        local = None if allowed is None else allowed[self.start // 8 : (self.stop + 7) // 8]
        candidates = self.codes.search(queries, k, local, selection, share, self.start, escalation)
        if candidates is None:
            return None
        positions = candidates.positions
        slots = np.where(positions < 0, -1, positions + self.start) if self.start else positions
        return Proposal(slots, candidates.estimates, short=candidates.short)
