"""Inverted lists (IVF) over a run of rows: a query looks into the lists whose centroids are nearest to it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...records import FloatArray
from ..faiss_compat import faiss_on, probing
from . import tuning
from .bitmap import Bits, Slots
from .rows import Rows
from .search_parameters import Breadth, CalibrationSample, Candidates, Escalation, SearchParameters
from .selection import Selection

_KINDS = ("IndexIVFRaBitQFastScan", "IndexIVFPQFastScan")


@dataclass(frozen=True)
class Lists:
    """Rows start..stop-1 by position 0..stop-start-1; immutable."""

    index: Any
    parameters: SearchParameters
    centroids: FloatArray
    """(number, dim)"""

    @classmethod
    def build(cls, sample: CalibrationSample, threads: int) -> "Lists | None":
        """Over the sample's rows, with the kind of code that proves the cheapest: it differs between data sets.

        None: none will do.
        """
        faiss, rows = faiss_on(threads), sample.rows
        # Fewer lists than is usual: their codes are scanned sooner than more centroids are compared.
        number = int(np.sqrt(sample.stop - sample.start))
        quantizer = faiss.IndexFlatIP(rows.dim)
        clustering = faiss.Clustering(rows.dim, number)
        clustering.niter, clustering.spherical = tuning.ROUNDS, True
        clustering.max_points_per_centroid, clustering.min_points_per_centroid = tuning.LISTS_TRAINING, 1
        clustering.train(rows.spread(sample.start, sample.stop, tuning.LISTS_TRAINING * number), quantizer)
        best: tuple[Any, SearchParameters] | None = None
        probes = tuple(p for p in tuning.PROBES if p <= number)
        for kind in _kinds(quantizer, number, rows, sample.start, sample.stop, threads):
            # A copy owns its centroids, so that they live as long as it does.
            index = faiss.clone_index(kind)
            parameters = sample.parameters(partial(_search, index), probes)
            if parameters and (best is None or parameters.seconds < best[1].seconds):
                best = index, parameters
        return None if best is None else cls.of_index(*best)

    @classmethod
    def of_index(cls, index: Any, parameters: SearchParameters) -> "Lists":
        """Those of FAISS. Raises ValueError for an index of another kind, or one that doesn't hold positions 0..n-1."""
        if type(index).__name__ not in _KINDS:
            raise ValueError(f"lists of the kind {type(index).__name__} are unknown")
        lists = cls(index, parameters, faiss_on().downcast_index(index.quantizer).reconstruct_n(0, index.nlist))
        if len(lists.list_of) and lists.list_of.min() < 0:
            raise ValueError("a row is in no list")
        return lists

    @cached_property
    def list_of(self) -> NDArray[np.int32]:
        """(n,): the list that each position is in."""
        return _list_of(self.index)

    @property
    def kind(self) -> str:
        return "ivf-pq" if "PQ" in type(self.index).__name__ else "ivf-rabitq"

    @property
    def nbytes(self) -> int:
        return int(self.index.ntotal * (self.index.code_size + 8 + 4) + self.centroids.nbytes)

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
        """What the nearest lists hold. allowed: a bitmap of the positions that may come, a share of them all.

        selection: the same where a filter makes it; start: the slot of the first. None: see `SearchParameters.at`.
        """
        if selection is not None and allowed is not None:
            plan = selection.remembered(
                (k, escalation), self, lambda: self._plan(k, selection, share, start, escalation)
            )
            return None if plan is None else self._planned(queries, plan, allowed, selection, start)
        breadth, number = self.parameters.at(k), self.index.nlist
        if breadth is None:
            return None
        count = escalation.more(breadth.candidates, self.index.ntotal)
        probes = min(math.ceil(self._lists_for(breadth) * escalation.probes / share), number)
        if allowed is None:
            return Candidates(*_search(self.index, queries, count, probes), np.zeros(len(queries), dtype=np.bool_))
        estimates, positions = self.index.search(queries, count, params=probing(probes, allowed))
        # Lists that deletions emptied tell nothing of what lies behind them.
        usual = min(count, breadth.probes * self.index.ntotal // (2 * number)) if probes < number else 0
        return Candidates(estimates, positions, _fewer(positions, usual))

    def _planned(
        self, queries: FloatArray, plan: "_Plan", allowed: Bits, selection: Selection, start: int
    ) -> Candidates:
        """The same where a filter leaves a share of all rows, of every list or not."""
        sure = np.zeros(len(queries), dtype=np.bool_)
        if plan.parameters is None:
            return Candidates(*self._covering(queries, plan.probes, plan.wide, allowed, selection, start), sure)
        estimates, positions = self.index.search(queries, plan.count, params=plan.parameters)
        sparse = _fewer(positions, plan.enough)
        if not np.count_nonzero(sparse) or len(selection.slots) * tuning.READ <= self.index.ntotal:
            return Candidates(estimates, positions, sparse)
        # As wide as the others need it; the last estimate stays the last.
        behind = ((0, 0), (0, max(plan.wide - plan.count, 0)))
        estimates, positions = np.pad(estimates, behind, mode="edge"), np.pad(positions, behind, constant_values=-1)
        estimates[sparse], positions[sparse] = self._covering(
            queries[sparse], plan.probes, estimates.shape[1], allowed, selection, start
        )
        return Candidates(estimates, positions, sure)

    def _plan(self, k: int, selection: Selection, share: float, start: int, escalation: Escalation) -> "_Plan | None":
        # The k-th that is left stands there among all, if the filter leaves as many everywhere.
        breadth = self.parameters.at(int(k / share))
        if breadth is None:
            return None
        number, total = self.index.nlist, self.index.ntotal
        probes = min(self._lists_for(breadth) * escalation.probes, number)
        wide = escalation.more(breadth.candidates, total)
        if probes < number and not self.spreads_evenly(selection, start):
            return _Plan(probes, wide)
        # As many as lie among those that are enough without a filter, and what chance may add.
        usual = breadth.candidates * share
        count = escalation.more(math.ceil(usual + 2 * usual**0.5), total)
        expected = min(count, share * probes * total / number) if probes < number else 0
        parameters = selection.probing(start, start + total, probes)
        return _Plan(probes, wide, parameters, count, int(tuning.AS_EXPECTED * expected))

    def _lists_for(self, breadth: Breadth) -> int:
        """So many lists that they hold as many candidates: beyond the measured k, more are needed for that alone."""
        return max(breadth.probes, math.ceil(breadth.candidates * len(self.centroids) / self.parameters.rows))

    def spreads_evenly(self, selection: Selection, start: int) -> bool:
        """Whether a filter leaves about the same share of every list, as far as chance lets tell."""
        return selection.remembered("evenly", self, lambda: self._spreads_evenly(selection, start))

    def _spreads_evenly(self, selection: Selection, start: int) -> bool:
        number, total = self.index.nlist, self.index.ntotal
        each = len(selection.within(start, start + total)) / number
        if not each:
            return True
        expected = np.maximum(np.bincount(self.list_of, minlength=number) * (each * number / total), 1e-9)
        # One, for rows left at random (the index of dispersion); by chance it deviates by so much.
        dispersion = float(((self._matching(selection, start) - expected) ** 2 / expected).mean())
        chance = ((2 + 1 / each) / number) ** 0.5
        return bool(dispersion <= 1 + 3 * chance + tuning.EVEN * each)

    def _matching(self, selection: Selection, start: int) -> NDArray[np.int64]:
        """(number,): how many rows of each list a filter leaves."""

        def count() -> NDArray[np.int64]:
            selected = selection.within(start, start + self.index.ntotal)
            return np.bincount(self.list_of[selected - start], minlength=self.index.nlist)

        return selection.remembered("matching", self, count)

    def _covering(
        self, queries: FloatArray, probes: int, count: int, allowed: Bits, selection: Selection, start: int
    ) -> tuple[FloatArray, Slots]:
        """From as many lists as it takes to see as many rows that match as so many probes see without a filter.

        From all where that takes a large part of them.
        """
        number, total = self.index.nlist, self.index.ntotal
        matching, cover = self._matching(selection, start), probes * total / number
        width = int(tuning.MOST_LISTS * number)
        if width:
            near = queries @ self.centroids.T
            chosen = np.argpartition(-near, width, axis=1)[:, :width]
            distances = np.take_along_axis(near, chosen, axis=1)
            order = np.argsort(-distances, axis=1)
            chosen, distances = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(distances, order, axis=1)
            seen = matching[chosen].cumsum(axis=1)
            if (seen[:, -1] >= cover).all():
                unwanted = (seen - matching[chosen] >= cover) | (matching[chosen] == 0)
                return self._search_in(queries, np.where(unwanted, -1, chosen), distances, count, allowed)
        parameters = selection.probing(start, start + total, number)
        estimates, positions = self.index.search(queries, count, params=parameters)
        return estimates, positions

    def _search_in(
        self, queries: FloatArray, chosen: Slots, near: FloatArray, count: int, allowed: Bits
    ) -> tuple[FloatArray, Slots]:
        faiss = faiss_on()
        chosen, near = np.ascontiguousarray(chosen), np.ascontiguousarray(near)
        queries = np.ascontiguousarray(queries)
        estimates = np.empty((len(queries), count), dtype=np.float32)
        positions = np.empty((len(queries), count), dtype=np.int64)
        # The wrapper would take the number of probes from the index, which all threads share.
        self.index.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            count,
            faiss.swig_ptr(chosen),
            faiss.swig_ptr(near),
            faiss.swig_ptr(estimates),
            faiss.swig_ptr(positions),
            False,
            probing(chosen.shape[1], allowed),
        )
        return estimates, positions


@dataclass(frozen=True)
class _Plan:
    """How a filter's matches are found: worked out once, since that takes as long as a search."""

    probes: int
    wide: int
    """Candidates where lists are chosen by how many matches they have."""
    parameters: Any = None
    """FAISS's, for the nearest lists; None: lists are to be chosen."""
    count: int = 0
    """Candidates of those."""
    enough: int = 0
    """Where fewer are found, the nearest lists are emptier than others."""


def _kinds(quantizer: Any, number: int, rows: Rows, start: int, stop: int, threads: int) -> Iterator[Any]:
    """Indexes of the rows start..stop-1 with one-bit codes, and with product codes where the length allows."""
    faiss, few = faiss_on(threads), rows.spread(start, stop, tuning.CODE_TRAINING)
    bits = faiss.IndexIVFRaBitQFastScan(quantizer, rows.dim, number, faiss.METRIC_INNER_PRODUCT)
    bits.train(few)
    rows.add_to(bits, start, stop)
    yield bits
    if rows.dim % 4:
        return
    # Which list each row goes into is known by now; only the plain index takes that, and a scan's can be made of it.
    faiss, list_of = faiss_on(threads), _list_of(bits).astype(np.int64)
    product = faiss.IndexIVFPQ(quantizer, rows.dim, number, rows.dim // 4, 4, faiss.METRIC_INNER_PRODUCT)
    product.by_residual, product.pq.cp.niter = False, tuning.ROUNDS
    product.train(few)
    for block in rows.chunks(start, stop):
        lists = list_of[product.ntotal : product.ntotal + len(block)]
        product.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(lists))
    yield faiss.IndexIVFPQFastScan(product, tuning.LISTS_SCAN_BLOCK)


@lru_cache(64)
def _probing(lists: int) -> Any:
    """Of a search that takes all it finds: kept, since nobody changes them."""
    return probing(lists)


def _fewer(positions: Slots, number: int) -> NDArray[np.bool_]:
    """Which queries (q,) have fewer positions (q, c) than that; those that there are come first."""
    if number < 1:
        return np.zeros(len(positions), dtype=np.bool_)
    return positions[:, number - 1] < 0


def _search(index: Any, queries: FloatArray, count: int, probes: int) -> tuple[FloatArray, Slots]:
    estimates, positions = index.search(queries, count, params=_probing(probes))
    return estimates, positions


def _list_of(index: Any) -> NDArray[np.int32]:
    faiss = faiss_on()
    lists, out = index.invlists, np.full(index.ntotal, -1, dtype=np.int32)
    for number in range(index.nlist):
        size = lists.list_size(number)
        positions = faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.empty(0, dtype=np.int64)
        if size and not 0 <= positions.min() <= positions.max() < len(out):
            raise ValueError("a list names a row that isn't there")
        out[positions] = number
    return out
