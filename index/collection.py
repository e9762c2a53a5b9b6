"""One app's vectors, searchable: the in-memory accelerator of what SQL holds. Exact so far.

Everything that is asked goes by key, the int64 of `inputs`. A search sees every write that has returned.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from .errors import BadRequest, BadVector, InputNotFound, TenshotError
from .records import FloatArray, KeyArray
from .rows import Rows

_SCORES = 1 << 23
"""Scores held at once by a scan, 32 MB."""
_GATHER = 3_000_000
"""Up to this many components, matching rows are read one by one; beyond, a scan of all rows is cheaper."""
_TIE = 1e-5
"""Rows whose scanned scores differ by less are told apart by their exact ones."""
_ZERO = 1e-12
_FAISS_PACKAGES = {"faiss-cpu": "cpu", "faiss-gpu": "gpu", "faiss-gpu-cuvs": "gpu"}


def installed_faiss() -> list[str]:
    """The installed packages that provide FAISS."""
    return [name for name in _FAISS_PACKAGES if any(True for _ in metadata.distributions(name=name))]


def check_faiss(installed: Iterable[str] | None = None) -> str:
    """The one package that provides FAISS. Raises TenshotError if there are none or several."""
    found = installed_faiss() if installed is None else list(installed)
    if not found:
        raise TenshotError("FAISS is missing: pip install 'tenshot[cpu]', or 'tenshot[gpu]' with an NVIDIA GPU")
    if len(found) > 1:
        raise TenshotError(
            f"{' and '.join(found)} are installed, and each brings a module `faiss`: keep one of them "
            f"(pip uninstall {found[0]})"
        )
    return found[0]


def gpu_count() -> int:
    """How many GPUs the installed FAISS can use."""
    import faiss

    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


@dataclass(frozen=True)
class KeyFilter:
    """Which keys may be found: valid for any later state of the collection."""

    keys: KeyArray
    """Ascending."""
    _slots: dict[int, tuple[Rows, NDArray[np.int64]]] = field(default_factory=dict, repr=False, compare=False)

    def slots(self, rows: Rows) -> NDArray[np.int64]:
        """The live slots of these keys in a state, worked out once."""
        cached = self._slots.get(0)
        if cached is None or cached[0] is not rows:
            slots = rows.slots_of(self.keys)
            cached = self._slots[0] = (rows, np.ascontiguousarray(slots[slots >= 0]))
        return cached[1]


class Collection:
    """Rows (key, unit vector), each key once. One writer at a time; readers never wait."""

    kind = "exact"

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.applied_seq = 0
        """The app's sequence number up to which this holds what SQL does."""
        self._rows = Rows.empty(dim)
        self._slot: dict[int, int] = {}
        self._write = threading.Lock()

    def __len__(self) -> int:
        return self._rows.count

    def __repr__(self) -> str:
        rows = self._rows
        return f"Collection({self.kind}, dim={self.dim}, rows={rows.count}, dead={rows.size - rows.count})"

    def upsert(self, keys: KeyArray, vectors: FloatArray, seq: int | None = None) -> None:
        """Stores a vector (n, dim) for each key (n,), in place of the one it had; of a key given twice the last counts.

        Raises BadVector for a wrong shape and for a vector that is zero or not finite, and then stores none.
        """
        keys, unit = np.asarray(keys, dtype=np.int64), self._unit(vectors)
        if keys.shape != (len(unit),):
            raise BadVector(f"{keys.shape} keys were given for {len(unit)} vectors")
        last = {key: place for place, key in enumerate(keys.tolist())}
        places = np.fromiter(last.values(), dtype=np.int64, count=len(last))
        with self._write:
            rows = self._rows
            old = np.array([self._slot.get(key, -1) for key in last], dtype=np.int64)
            known = old >= 0
            # The same vector again is no change.
            same = known.copy()
            same[known] = (rows.vectors[old[known]] == unit[places[known]]).all(axis=1)
            places, old = places[~same], old[~same]
            start = rows.size
            rows = rows.append(keys[places], unit[places])
            if (old >= 0).any():
                rows = rows.without(old[old >= 0])
            self._slot.update(zip(keys[places].tolist(), range(start, rows.size), strict=True))
            self._publish(rows, seq)

    def delete(self, keys: KeyArray | Iterable[int], seq: int | None = None) -> int:
        """Forgets these keys; unknown ones don't count. How many there were."""
        with self._write:
            slots = [slot for key in keys if (slot := self._slot.pop(int(key), None)) is not None]
            if slots:
                self._publish(self._rows.without(np.array(slots, dtype=np.int64)), seq)
            return len(slots)

    def keys(self) -> KeyArray:
        """(n,) ascending."""
        return self._rows.live_keys

    def contains(self, keys: KeyArray) -> NDArray[np.bool_]:
        """(n,): which of the keys have a row."""
        return self._rows.slots_of(np.asarray(keys, dtype=np.int64)) >= 0

    def get(self, keys: KeyArray) -> FloatArray:
        """(n, dim): a copy of the vectors of these keys. Raises InputNotFound."""
        rows = self._rows
        slots = rows.slots_of(np.asarray(keys, dtype=np.int64))
        if len(slots) and slots.min() < 0:
            raise InputNotFound(f"no vector for key {int(np.asarray(keys)[slots < 0][0])}")
        return rows.vectors[slots]

    def filter(self, keys: KeyArray) -> KeyFilter:
        """Restricts searches to these keys; unknown ones don't matter, also if they come later."""
        return KeyFilter(np.unique(np.asarray(keys, dtype=np.int64)))

    def search(self, queries: FloatArray, k: int, where: KeyFilter | None = None) -> tuple[KeyArray, FloatArray]:
        """The k nearest rows of each query (q, dim): keys (q, k) padded with -1, cosines (q, k) padded with -inf.

        Best first, equal scores by key. As many as match, up to k. Raises BadVector, BadRequest for k below 1.
        """
        if k < 1:
            raise BadRequest(f"k must be 1 or more, not {k}")
        unit, rows = self._unit(queries), self._rows
        slots = None if where is None else where.slots(rows)
        width = min(k, rows.count if slots is None else len(slots))
        found_keys = np.full((len(unit), k), -1, dtype=np.int64)
        found_scores = np.full((len(unit), k), -np.inf, dtype=np.float32)
        if width:
            for query, chosen in enumerate(self._candidates(rows, unit, width, slots)):
                scores = _inner_products(unit[query], rows.vectors, chosen)
                keys = rows.keys[chosen]
                best = np.lexsort((keys, -scores))[:width]
                found_keys[query, :width], found_scores[query, :width] = keys[best], scores[best]
        return found_keys, found_scores

    def close(self) -> None:
        """Lets the memory go; nothing may be asked afterwards."""
        with self._write:
            self._rows = Rows.empty(self.dim)
            self._slot = {}

    def _candidates(
        self, rows: Rows, queries: FloatArray, k: int, slots: NDArray[np.int64] | None
    ) -> Iterable[NDArray[np.int64]]:
        """For each query, slots with at least its k best rows."""
        if slots is not None and len(slots) * self.dim <= _GATHER:
            return [slots] * len(queries)
        hidden = ~rows.live
        if slots is not None:
            hidden[:] = True
            hidden[slots] = False
        step = max(_SCORES // rows.size, 1)
        return (
            _at_least_best(scores, k)
            for start in range(0, len(queries), step)
            for scores in _masked(queries[start : start + step] @ rows.vectors.T, hidden)
        )

    def _publish(self, rows: Rows, seq: int | None) -> None:
        dead = rows.size - rows.count
        if dead > 1000 and dead > 0.2 * rows.size:
            rows = rows.compacted()
            self._slot = dict(rows.slot_map())
        self._rows = rows
        if seq is not None:
            self.applied_seq = seq

    def _unit(self, vectors: FloatArray) -> FloatArray:
        array = np.ascontiguousarray(vectors, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise BadVector(f"vectors must have the shape (n, {self.dim}), not {array.shape}")
        norms = np.linalg.norm(array, axis=1)
        bad = np.flatnonzero(~(np.isfinite(norms) & (norms > _ZERO)))
        if len(bad):
            raise BadVector(f"vector {bad[0]} is zero or not finite")
        # Unit vectors come back bit by bit, so that storing what was read changes nothing.
        return np.where(np.abs(norms - 1) < 1e-6, 1, 1 / norms).astype(np.float32)[:, None] * array


def _masked(scores: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
    scores[:, hidden] = -np.inf
    return scores


def _at_least_best(scores: FloatArray, k: int) -> NDArray[np.int64]:
    """Places of the k largest, and of all that might tie with the last of them: a scan's rounding depends on layout."""
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k] - _TIE
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))


def _inner_products(query: FloatArray, vectors: FloatArray, slots: NDArray[np.int64]) -> FloatArray:
    """(n,) exact, the same for a row wherever it lies and whatever is asked beside it."""
    import faiss

    # The native call checks nothing: a wrong slot or layout would end the process.
    assert vectors.flags.c_contiguous
    assert slots.dtype == np.int64
    assert len(slots) == 0 or (slots.min() >= 0 and slots.max() < len(vectors))
    slots, query = np.ascontiguousarray(slots), np.ascontiguousarray(query)
    # One query is one thread's work: a team would be woken for nothing, and on busy cores is waited for.
    faiss.omp_set_num_threads(1)
    out = np.empty(len(slots), dtype=np.float32)
    faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]  # made at import
        faiss.swig_ptr(out),
        faiss.swig_ptr(query),
        faiss.swig_ptr(vectors),
        faiss.swig_ptr(slots),
        vectors.shape[1],
        1,
        len(slots),
    )
    return out
