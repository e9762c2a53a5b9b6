"""Competitors that are index libraries without a database: FAISS, hnswlib, usearch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...index.vectors.faiss_compat import faiss_on
from .competitor import BUILD, EFS, GRAPH, Facts, NotOffered, Vectors


class _Faiss(ABC):
    """The common part of the FAISS indexes; filters are bitmaps, built once."""

    efforts: Sequence[int]

    def __init__(self, dim: int, folder: Path) -> None:
        # Configured as for a collection, which multiplies batches with BLAS.
        faiss = faiss_on(1)
        self._faiss, self._dim, self._folder = faiss, dim, folder
        self._selectors: dict[str, Any] = {}
        self._index: Any = None

    @abstractmethod
    def _new_index(self, rows: Vectors) -> Any:
        """An empty index, trained on these rows."""

    def _parameters(self, effort: int) -> Any:
        return self._faiss.SearchParameters()

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._index = self._new_index(rows)
        self._index.add(rows)
        self._bits = {name: np.packbits(chosen, bitorder="little") for name, chosen in facts.items()}
        for name, bits in self._bits.items():
            self._selectors[name] = self._faiss.IDSelectorBitmap(len(bits), self._faiss.swig_ptr(bits))

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        parameters = self._parameters(effort)
        if where is not None:
            parameters.sel = self._selectors[where]
        keys: NDArray[np.int64] = self._index.search(queries, k, params=parameters)[1]
        return keys

    def add(self, key: int, row: Vectors) -> None:
        self._index.add(row[None])

    def delete(self, key: int) -> None:
        raise NotOffered

    def reopen(self) -> None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "index.faiss"
        if not path.exists():
            self._faiss.write_index(self._index, str(path))
        self._index = self._faiss.read_index(str(path))


class FaissFlat(_Faiss):
    """Exact."""

    efforts: Sequence[int] = (0,)

    def _new_index(self, rows: Vectors) -> Any:
        return self._faiss.IndexFlatIP(self._dim)


class FaissIVF(_Faiss):
    """Inverted lists of plain rows."""

    efforts: Sequence[int] = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

    def _new_index(self, rows: Vectors) -> Any:
        index = self._faiss.IndexIVFFlat(
            self._faiss.IndexFlatIP(self._dim), self._dim, int(2 * np.sqrt(len(rows))), self._faiss.METRIC_INNER_PRODUCT
        )
        index.cp.max_points_per_centroid = 48
        index.train(rows)
        return index

    def _parameters(self, effort: int) -> Any:
        parameters = self._faiss.SearchParametersIVF()
        parameters.nprobe = effort
        return parameters


class FaissHNSW(_Faiss):
    """A graph."""

    efforts: Sequence[int] = EFS

    def _new_index(self, rows: Vectors) -> Any:
        index = self._faiss.IndexHNSWFlat(self._dim, GRAPH, self._faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BUILD
        return index

    def _parameters(self, effort: int) -> Any:
        parameters = self._faiss.SearchParametersHNSW()
        parameters.efSearch = effort
        return parameters


class Hnswlib:
    """hnswlib; a filter is a Python function that it calls for every visited row."""

    efforts: Sequence[int] = EFS

    def __init__(self, dim: int, folder: Path) -> None:
        import hnswlib

        self._new_index: Callable[[], Any] = lambda: hnswlib.Index(space="ip", dim=dim)
        self._index, self._folder = self._new_index(), folder

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._facts = facts
        self._index.init_index(max_elements=len(rows) + 10_000, M=GRAPH, ef_construction=BUILD)
        self._index.set_num_threads(1)
        self._index.add_items(rows, np.arange(len(rows)))

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        self._index.set_ef(max(effort, k))
        chosen = None if where is None else self._facts[where]
        keys, _ = self._index.knn_query(queries, k, filter=None if chosen is None else lambda key: bool(chosen[key]))
        return np.asarray(keys, dtype=np.int64)

    def add(self, key: int, row: Vectors) -> None:
        self._index.add_items(row[None], [key])

    def delete(self, key: int) -> None:
        self._index.mark_deleted(key)

    def reopen(self) -> None:
        self._folder.mkdir(exist_ok=True)
        path = str(self._folder / "index.bin")
        self._index.save_index(path)
        self._index = self._new_index()
        self._index.load_index(path, max_elements=self._index.element_count + 10_000)
        self._index.set_num_threads(1)


class Usearch:
    """usearch; its Python interface has no filters."""

    efforts: Sequence[int] = EFS

    def __init__(self, dim: int, folder: Path) -> None:
        from usearch.index import Index

        self._index, self._folder = (
            Index(ndim=dim, metric="ip", dtype="f32", connectivity=GRAPH, expansion_add=BUILD),
            folder,
        )

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._index.add(np.arange(len(rows)), rows, threads=1)

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        if where is not None:
            raise NotOffered
        self._index.expansion_search = effort
        keys = np.asarray(self._index.search(queries, k, threads=1).keys, dtype=np.int64)
        return keys.reshape(len(queries), -1)

    def add(self, key: int, row: Vectors) -> None:
        self._index.add(key, row)

    def delete(self, key: int) -> None:
        self._index.remove(key)

    def reopen(self) -> None:
        self._folder.mkdir(exist_ok=True)
        self._index.save(str(self._folder / "index.usearch"))
        self._index.load(str(self._folder / "index.usearch"))
