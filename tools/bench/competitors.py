"""The competitors of `tenshot bench index` by name, and our collection as one of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import bare_indexes, vector_stores
from .competitor import CHUNK, Competitor, Facts, Vectors


class Tenshot:
    """The collection alone, as an app uses it; its rows are in memory and in its snapshots."""

    efforts: Sequence[int] = (0,)

    def __init__(self, dim: int, folder: Path) -> None:
        from ...index.vectors.collection import Collection
        from ...index.vectors.segments import rescore
        from ...index.vectors.segments.faiss_compat import faiss_on

        # Loaded before the measurement, as the other libraries are.
        faiss_on()
        rescore.prepare()
        self._dim, self._folder = dim, folder
        self.collection = Collection(dim)

    def build(self, rows: Vectors, facts: Facts) -> None:
        for start in range(0, len(rows), CHUNK):
            self.collection.upsert(np.arange(start, min(start + CHUNK, len(rows))), rows[start : start + CHUNK])
        self.collection.wait()
        self._filters = {name: self.collection.filter(np.flatnonzero(chosen)) for name, chosen in facts.items()}

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        return self.collection.search(queries, k, None if where is None else self._filters[where])[0]

    def add(self, key: int, row: Vectors) -> None:
        self.collection.upsert(np.array([key]), row[None])

    def delete(self, key: int) -> None:
        self.collection.delete([key])

    def reopen(self) -> None:
        from ...index.vectors.collection import Collection
        from ...index.vectors.segments.snapshot import Snapshots

        class Nothing:
            """A source without changes since the snapshot."""

            def seq(self) -> int:
                return 0

            def vectors(self, after: int | None) -> Any:
                return iter(())

            def removed(self, after: int) -> NDArray[np.int64]:
                return np.empty(0, dtype=np.int64)

            def forget_removed(self, until: int) -> None: ...

            def keys(self) -> NDArray[np.int64]:
                return stored_keys

            def sample(self, keys: NDArray[np.int64]) -> dict[int, Vectors]:
                return {}

        stored_keys = self.collection.keys()
        if not self._folder.exists():
            Snapshots(self._folder, self._dim, "bench").save(self.collection._current.state)
        self.collection = Collection(self._dim, snapshots=Snapshots(self._folder, self._dim, "bench"), source=Nothing())


COMPETITORS: dict[str, Callable[[int, Path], Competitor]] = {
    "tenshot": Tenshot,
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
