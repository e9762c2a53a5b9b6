"""Inverted lists (IVF) over a run of rows: a query looks into the lists whose centroids are nearest to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray
from .bits import Bits, Slots
from .calibration import Effort, Sample
from .native import faiss_on, probing
from .rows import Rows
from .selection import Selection

_TRAINING, _ROUNDS = 24, 6
"""Rows a centroid is trained on, and how often: twice the rows and some more rounds find no better ones."""
_CODE_TRAINING = 8192
_BLOCK = 32
"""Rows that a scan looks at together, FAISS's own default."""
_PROBES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_KINDS = ("IndexIVFRaBitQFastScan", "IndexIVFPQFastScan")
_MOST = 0.25
"""The share of the lists from which a scan of all codes is cheaper."""
_AS_EXPECTED, _MORE = 0.7, 2
"""Where a filter leaves at least this part of the rows that it would leave if it left as many everywhere, the effort
for that is near enough, with so many times the lists."""


@dataclass(frozen=True)
class Lists:
    """Rows start..stop-1 by place 0..stop-start-1; immutable."""

    index: Any
    effort: Effort
    centroids: FloatArray
    """(number, dim)"""
    list_of: NDArray[np.int32]
    """(n,): the list that each place is in."""

    @classmethod
    def build(cls, sample: Sample, threads: int) -> "Lists | None":
        """Over the sample's rows, with the kind of code that proves the cheapest: it differs between data sets.

        None: none will do.
        """
        faiss, rows = faiss_on(threads), sample.rows
        # Fewer lists than is usual: their codes are scanned sooner than more centroids are compared.
        number = int(np.sqrt(sample.stop - sample.start))
        quantizer = faiss.IndexFlatIP(rows.dim)
        clustering = faiss.Clustering(rows.dim, number)
        clustering.niter, clustering.spherical = _ROUNDS, True
        clustering.max_points_per_centroid, clustering.min_points_per_centroid = _TRAINING, 1
        clustering.train(rows.spread(sample.start, sample.stop, _TRAINING * number), quantizer)
        best: tuple[Any, Effort] | None = None
        probes = tuple(p for p in _PROBES if p <= number)
        for made in _kinds(quantizer, number, rows, sample.start, sample.stop, threads):
            # A copy owns its centroids, so that they live as long as it does.
            index = faiss.clone_index(made)
            found = sample.effort(_plain_search(index), probes)
            if found and (best is None or found.seconds < best[1].seconds):
                best = index, found
        if best is None:
            return None
        return cls.of_index(*best)

    @classmethod
    def of_index(cls, index: Any, effort: Effort) -> "Lists":
        """Those of FAISS. Raises ValueError for an index of another kind, or one that doesn't hold places 0..n-1."""
        if type(index).__name__ not in _KINDS:
            raise ValueError(f"lists of the kind {type(index).__name__} are unknown")
        centroids = faiss_on().downcast_index(index.quantizer).reconstruct_n(0, index.nlist)
        return cls(index, effort, centroids, _list_of(index))

    def extended(self, rows: Rows, start: int, stop: int, threads: int) -> "Lists":
        """With the rows start..stop-1 behind the others, on a copy."""
        index = faiss_on(threads).clone_index(self.index)
        for block in rows.chunks(start, stop):
            index.add(block)
        return replace(self, index=index, list_of=_list_of(index))

    def beside(self, rows: Rows, start: int, stop: int) -> "Lists":
        """Other rows start..stop-1 in lists round the same centroids, searched with the same effort."""
        empty = faiss_on().clone_index(self.index)
        empty.reset()
        return replace(self, index=empty).extended(rows, start, stop, 1)

    @property
    def kind(self) -> str:
        return "ivf-pq" if "PQ" in type(self.index).__name__ else "ivf-rabitq"

    @property
    def nbytes(self) -> int:
        return int(self.index.ntotal * (self.index.code_size + 8 + 4) + self.centroids.nbytes)

    def search(
        self, queries: FloatArray, k: int, allowed: Bits | None, share: float, boost: int
    ) -> tuple[FloatArray, Slots, NDArray[np.bool_]] | None:
        """Estimates and places (q, c), best first, -1 behind them, and the queries (q,) that saw too little.

        allowed: a bitmap of the places that may come, a share of them all. None where the effort isn't known.
        """
        effort = self.effort.at(k)
        if effort is None:
            return None
        probes, count = effort
        count = min(count * boost, self.index.ntotal)
        looked_into = min(int(np.ceil(probes * boost / share)), self.index.nlist)
        if allowed is None:
            estimates, places = self.index.search(queries, count, params=_probing(looked_into))
            return estimates, places, np.zeros(len(queries), dtype=np.bool_)
        estimates, places = self.index.search(queries, count, params=probing(looked_into, allowed))
        # Lists that deletions emptied tell nothing of what lies behind them.
        usual = min(count, probes * self.index.ntotal // (2 * self.index.nlist))
        short = (places >= 0).sum(axis=1) < usual
        return estimates, places, short & (looked_into < self.index.nlist)

    def search_selected(
        self, queries: FloatArray, k: int, rank: int, allowed: Bits, selection: Selection, start: int
    ) -> tuple[FloatArray, Slots, NDArray[np.bool_]] | None:
        """The same where a filter leaves some of the rows; None where a scan of all codes is cheaper.

        rank: where the k-th that is left stands among all, if the filter leaves as many everywhere.
        """
        few, many = self.effort.at(k), self.effort.at(rank)
        if few is None or many is None:
            return None
        selected, total = selection.within(start, start + self.index.ntotal), self.index.ntotal
        share, probes = len(selected) / total, min(_MORE * many[0], self.index.nlist)
        count = min(max(few[1], int(np.ceil(many[1] * share))), total)
        parameters = selection.probing(start, start + total, probes)
        estimates, places = self.index.search(queries, count, params=parameters)
        expected = min(count, share * probes * total / self.index.nlist)
        sparse = (places >= 0).sum(axis=1) < _AS_EXPECTED * expected
        if not sparse.any():
            return estimates, places, sparse
        covered = self._covering(queries[sparse], many[0], min(max(count, many[1]), total), allowed, selection, start)
        if covered is None:
            return None if sparse.all() else (estimates, places, sparse)
        # As wide as the others need it; the last estimate stays the last.
        wider = ((0, 0), (0, covered[0].shape[1] - count))
        estimates, places = np.pad(estimates, wider, mode="edge"), np.pad(places, wider, constant_values=-1)
        estimates[sparse], places[sparse], sparse[sparse] = covered
        return estimates, places, sparse

    def _covering(
        self, queries: FloatArray, probes: int, count: int, allowed: Bits, selection: Selection, start: int
    ) -> tuple[FloatArray, Slots, NDArray[np.bool_]] | None:
        """From as many lists as it takes to see as many rows that match as a search without a filter sees."""
        number, total = self.index.nlist, self.index.ntotal
        selected = selection.within(start, start + total)
        # Twice as many lists as rows evenly left by the filter would take; who needs more is better off with the codes.
        width = int(2 * probes * total / max(len(selected), 1)) + 2
        if width >= _MOST * number:
            return None
        matching = selection.counts(self, lambda: np.bincount(self.list_of[selected - start], minlength=number))
        cover = probes * total / number
        near = queries @ self.centroids.T
        chosen = np.argpartition(-near, width, axis=1)[:, :width]
        distances = np.take_along_axis(near, chosen, axis=1)
        order = np.argsort(-distances, axis=1)
        chosen, distances = np.take_along_axis(chosen, order, axis=1), np.take_along_axis(distances, order, axis=1)
        seen = matching[chosen].cumsum(axis=1)
        before = np.concatenate([np.zeros((len(queries), 1), dtype=seen.dtype), seen[:, :-1]], axis=1)
        unwanted = (before >= cover) | (matching[chosen] == 0)
        estimates, found = self._search_in(queries, np.where(unwanted, -1, chosen), distances, count, allowed)
        return estimates, found, seen[:, -1] < cover

    def _search_in(
        self, queries: FloatArray, chosen: Slots, near: FloatArray, count: int, allowed: Bits
    ) -> tuple[FloatArray, Slots]:
        faiss = faiss_on()
        chosen, near = np.ascontiguousarray(chosen), np.ascontiguousarray(near)
        queries = np.ascontiguousarray(queries)
        estimates = np.empty((len(queries), count), dtype=np.float32)
        places = np.empty((len(queries), count), dtype=np.int64)
        # The wrapper would take the number of probes from the index, which all threads share.
        self.index.search_preassigned_c(
            len(queries),
            faiss.swig_ptr(queries),
            count,
            faiss.swig_ptr(chosen),
            faiss.swig_ptr(near),
            faiss.swig_ptr(estimates),
            faiss.swig_ptr(places),
            False,
            probing(chosen.shape[1], allowed),
        )
        return estimates, places


def _kinds(quantizer: Any, number: int, rows: Rows, start: int, stop: int, threads: int) -> Iterator[Any]:
    """Indexes of the rows start..stop-1 with one-bit codes, and with product codes where the length allows."""
    faiss, few = faiss_on(threads), rows.spread(start, stop, _CODE_TRAINING)
    bits = faiss.IndexIVFRaBitQFastScan(quantizer, rows.dim, number, faiss.METRIC_INNER_PRODUCT)
    bits.train(few)
    for block in rows.chunks(start, stop):
        bits.add(block)
    yield bits
    if rows.dim % 4:
        return
    # Which list each row goes into is known by now; only the plain index takes that, and a scan's can be made of it.
    faiss, list_of = faiss_on(threads), _list_of(bits).astype(np.int64)
    product = faiss.IndexIVFPQ(quantizer, rows.dim, number, rows.dim // 4, 4, faiss.METRIC_INNER_PRODUCT)
    product.by_residual, product.pq.cp.niter = False, _ROUNDS
    product.train(few)
    for block in rows.chunks(start, stop):
        lists = list_of[product.ntotal : product.ntotal + len(block)]
        product.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(lists))
    yield faiss.IndexIVFPQFastScan(product, _BLOCK)


@lru_cache(64)
def _probing(lists: int) -> Any:
    """Of a search that takes all it finds: kept, since nobody changes them."""
    return probing(lists)


def _plain_search(index: Any) -> Any:
    def search(queries: FloatArray, count: int, probes: int) -> Sequence[Any]:
        found: Sequence[Any] = index.search(queries, count, params=_probing(probes))
        return found

    return search


def _list_of(index: Any) -> NDArray[np.int32]:
    faiss = faiss_on()
    lists, out = index.invlists, np.full(index.ntotal, -1, dtype=np.int32)
    for number in range(index.nlist):
        size = lists.list_size(number)
        places = faiss.rev_swig_ptr(lists.get_ids(number), size) if size else np.empty(0, dtype=np.int64)
        if size and not 0 <= places.min() <= places.max() < len(out):
            raise ValueError("a list names a row that isn't there")
        out[places] = number
    if len(out) and out.min() < 0:
        raise ValueError("a row is in no list")
    return out
