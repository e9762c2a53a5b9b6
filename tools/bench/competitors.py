"""The competitors of `tenshot bench index` by name, and our vector engines among them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...index.filters import Filter, Labelled
from . import bare_indexes, vector_stores
from .competitor import CHUNK, Competitor, Facts, Vectors

T = TypeVar("T")


class _Source:
    """What SQL would hold: the rows that were built, and the facts; what is made of a filter's keys is kept."""

    def __init__(self) -> None:
        self._rows: Vectors | None = None
        self._facts: Facts = {}
        self._kept: dict[str, Any] = {}

    def fill(self, rows: Vectors, facts: Facts) -> None:
        self._rows, self._facts = rows, facts

    def seq(self) -> int:
        return 0

    def vectors(self, after: int | None) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        if after is None and self._rows is not None:
            yield self.keys(), self._rows

    def removed(self, after: int) -> NDArray[np.int64]:
        return np.empty(0, dtype=np.int64)

    def forget_removed(self, until: int) -> None: ...

    def keys(self) -> NDArray[np.int64]:
        return np.arange(0 if self._rows is None else len(self._rows))

    def of(self, keys: NDArray[np.int64]) -> dict[int, Vectors]:
        return {}

    def matching(self, where: Filter, make: Callable[[NDArray[np.int64]], T]) -> T:
        assert isinstance(where, Labelled)
        kept: T | None = self._kept.get(where.concept_id)
        if kept is None:
            kept = self._kept[where.concept_id] = make(np.flatnonzero(self._facts[where.concept_id]))
        return kept


class Tenshot:
    """One of the vector engines alone, as an app uses it."""

    efforts: Sequence[int] = (0,)

    def __init__(self, engine: str, dim: int, folder: Path) -> None:
        from ...index.vectors.factory import ENGINES, Place, prepare
        from ...index.vectors.faiss_compat import faiss_on
        from ...index.vectors.settings import CollectionSettings, Sizes

        # Loaded before the measurement, as the other libraries are.
        faiss_on()
        prepare()
        self._folder, self._source = folder, _Source()
        # A snapshot is written once, before the index is opened again.
        place = Place(folder, dim, "bench", CollectionSettings(sizes=Sizes(save=1 << 40, save_at_end=0)))
        self._open = partial(ENGINES[engine], place, self._source)
        self._index = self._open()

    def build(self, rows: Vectors, facts: Facts) -> None:
        for start in range(0, len(rows), CHUNK):
            self._index.upsert(np.arange(start, min(start + CHUNK, len(rows))), rows[start : start + CHUNK])
        self._index.wait()
        self._source.fill(rows, facts)
        self._filters = {name: Labelled(name, True) for name in facts}

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        return self._index.search(queries, k, None if where is None else self._filters[where])[0]

    def add(self, key: int, row: Vectors) -> None:
        self._index.upsert(np.array([key]), row[None])

    def delete(self, key: int) -> None:
        self._index.delete([key])

    def reopen(self) -> None:
        if not self._folder.exists():
            self._index.close()
        self._index = self._open()


COMPETITORS: dict[str, Callable[[int, Path], Competitor]] = {
    "tenshot": partial(Tenshot, "segments"),
    "exact": partial(Tenshot, "exact"),
    "faiss-flat": bare_indexes.FaissFlat,
    "faiss-ivf": bare_indexes.FaissIVF,
    "faiss-hnsw": bare_indexes.FaissHNSW,
    "hnswlib": bare_indexes.Hnswlib,
    "usearch": bare_indexes.Usearch,
    "lancedb": vector_stores.LanceDB,
    "qdrant-edge": vector_stores.QdrantEdge,
    "milvus-lite": vector_stores.MilvusLite,
    "chroma": vector_stores.Chroma,
}
