"""One-bit codes of a run of rows, all of which a search looks at."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...records import FloatArray
from ..faiss_compat import faiss_on, selecting
from . import tuning
from .bitmap import Bits
from .search_parameters import CalibrationSample, Candidates, Escalation, SearchParameters
from .selection import Selection

_KIND = "IndexRaBitQ"


@dataclass(frozen=True)
class Flat:
    """Rows start..stop-1 by position 0..stop-start-1, as RaBitQ (Gao and Long 2024) codes; immutable."""

    index: Any
    parameters: SearchParameters

    @classmethod
    def build(cls, sample: CalibrationSample, threads: int) -> "Flat | None":
        """Over the sample's rows; None where codes would not be cheaper than looking at every row."""
        faiss, rows = faiss_on(threads), sample.rows
        index = faiss.IndexRaBitQ(rows.dim, faiss.METRIC_INNER_PRODUCT)
        index.train(rows.spread(sample.start, sample.stop, tuning.FLAT_TRAINING))
        rows.add_to(index, sample.start, sample.stop)
        parameters = sample.parameters(lambda queries, count, _: _search(index, queries, count, None), (1,))
        return None if parameters is None else cls(index, parameters)

    @classmethod
    def of_index(cls, index: Any, parameters: SearchParameters) -> "Flat":
        """Those of FAISS. Raises ValueError for an index of another kind."""
        if type(index).__name__ != _KIND:
            raise ValueError(f"codes of the kind {type(index).__name__} are unknown")
        return cls(index, parameters)

    @property
    def kind(self) -> str:
        """For people: which codes these are."""
        return "flat"

    @property
    def nbytes(self) -> int:
        """Memory of the codes, about."""
        return int(self.index.ntotal * self.index.code_size)

    def search(
        self,
        queries: FloatArray,
        k: int,
        allowed: Bits | None,
        selection: Selection | None,
        share: float,
        start: int,
        escalation: Escalation,
    ) -> Candidates | None:
        """What is nearest by its codes. None: see `SearchParameters.at`. The arguments are those of `Lists.search`."""
        # What a filter leaves is farther, and codes tell it less apart.
        breadth = self.parameters.at(k if selection is None else max(k, min(int(k / share), tuning.FLAT_RANK)))
        if breadth is None:
            return None
        count = escalation.more(breadth.candidates, self.index.ntotal)
        return Candidates(*_search(self.index, queries, count, allowed), np.zeros(len(queries), dtype=np.bool_))

    def spreads_evenly(self, selection: Selection, start: int) -> bool:
        """Whether it is cheap to search where a filter leaves few of the rows: never, since all codes are looked at."""
        return False


def _search(index: Any, queries: FloatArray, count: int, allowed: Bits | None) -> tuple[FloatArray, Any]:
    parameters = faiss_on().RaBitQSearchParameters()
    parameters.qb = tuning.FLAT_QUERY_BITS
    estimates, positions = index.search(queries, count, params=selecting(parameters, allowed))
    return estimates, positions
