"""Other searchable collections, each behind the same few verbs: what `tenshot bench index` measures ours beside.

A row's key is its place; `facts` are the filters' names and which rows they leave. Efforts go from cheap to dear; the
bench takes the cheapest that finds enough. What a peer can't do it says by raising NotOffered.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Facts = Mapping[str, NDArray[np.bool_]]
_GRAPH, _BUILD = 16, 100
"""Links a row and candidates while building, the same for every HNSW."""
_EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 800)
_CHUNK = 2000


class NotOffered(Exception):
    """This peer has no such operation."""


class Peer(Protocol):
    """One searchable collection in a folder of its own."""

    name: str
    efforts: Sequence[int]

    def build(self, rows: Vectors, facts: Facts) -> None:
        """Takes in all rows; returns when searches are as fast as they will be."""

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        """(q, k) keys, -1 behind the last."""

    def add(self, key: int, row: Vectors) -> None:
        """One more row (dim,)."""

    def delete(self, key: int) -> None: ...

    def reopen(self) -> None:
        """Closes, and opens from the disk."""


class Tenshot:
    """The collection alone, as an app uses it; what it was told lives in memory, and in its snapshots."""

    name, efforts = "tenshot", (0,)

    def __init__(self, dim: int, folder: Path) -> None:
        from ..index.collection import Collection

        self._dim, self._folder = dim, folder
        self.collection = Collection(dim)

    def build(self, rows: Vectors, facts: Facts) -> None:
        for start in range(0, len(rows), _CHUNK):
            self.collection.upsert(np.arange(start, min(start + _CHUNK, len(rows))), rows[start : start + _CHUNK])
        self.collection.wait()
        self._filters = {name: self.collection.filter(np.flatnonzero(chosen)) for name, chosen in facts.items()}

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        return self.collection.search(queries, k, None if where is None else self._filters[where])[0]

    def add(self, key: int, row: Vectors) -> None:
        self.collection.upsert(np.array([key]), row[None])

    def delete(self, key: int) -> None:
        self.collection.delete([key])

    def reopen(self) -> None:
        from ..index.collection import Collection
        from ..index.segments.snapshot import Snapshots

        class Nothing:
            """A source that has not changed since."""

            def seq(self) -> int:
                return 0

            def vectors(self, after: int | None) -> Any:
                return iter(())

            def removed(self, after: int) -> NDArray[np.int64]:
                return np.empty(0, dtype=np.int64)

            def forget_removed(self, until: int) -> None: ...

            def keys(self) -> NDArray[np.int64]:
                return known

            def sample(self, keys: NDArray[np.int64]) -> dict[int, Vectors]:
                return {}

        known = self.collection.keys()
        if not self._folder.exists():
            Snapshots(self._folder, self._dim, "bench").save(self.collection._current.state)
        self.collection = Collection(self._dim, snapshots=Snapshots(self._folder, self._dim, "bench"), source=Nothing())


class _Faiss:
    """What the FAISS peers share; filters are bitmaps, made once."""

    name: str
    efforts: Sequence[int]

    def __init__(self, dim: int, folder: Path) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self._faiss, self._dim, self._folder = faiss, dim, folder
        self._selectors: dict[str, Any] = {}
        self._index: Any = None

    def _made(self, rows: Vectors) -> Any:
        raise NotImplementedError

    def _parameters(self, effort: int) -> Any:
        return self._faiss.SearchParameters()

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._index = self._made(rows)
        self._index.add(rows)
        self._bits = {name: np.packbits(chosen, bitorder="little") for name, chosen in facts.items()}
        for name, bits in self._bits.items():
            self._selectors[name] = self._faiss.IDSelectorBitmap(len(bits), self._faiss.swig_ptr(bits))

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        parameters = self._parameters(effort)
        if where is not None:
            parameters.sel = self._selectors[where]
        found: NDArray[np.int64] = self._index.search(queries, k, params=parameters)[1]
        return found

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

    name, efforts = "FAISS flat", (0,)

    def _made(self, rows: Vectors) -> Any:
        return self._faiss.IndexFlatIP(self._dim)


class FaissIVF(_Faiss):
    """Inverted lists of plain rows."""

    name, efforts = "FAISS IVF", (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

    def _made(self, rows: Vectors) -> Any:
        made = self._faiss.IndexIVFFlat(
            self._faiss.IndexFlatIP(self._dim), self._dim, int(2 * np.sqrt(len(rows))), self._faiss.METRIC_INNER_PRODUCT
        )
        made.cp.max_points_per_centroid = 48
        made.train(rows)
        return made

    def _parameters(self, effort: int) -> Any:
        parameters = self._faiss.SearchParametersIVF()
        parameters.nprobe = effort
        return parameters


class FaissHNSW(_Faiss):
    """A graph."""

    name, efforts = "FAISS HNSW", _EFS

    def _made(self, rows: Vectors) -> Any:
        made = self._faiss.IndexHNSWFlat(self._dim, _GRAPH, self._faiss.METRIC_INNER_PRODUCT)
        made.hnsw.efConstruction = _BUILD
        return made

    def _parameters(self, effort: int) -> Any:
        parameters = self._faiss.SearchParametersHNSW()
        parameters.efSearch = effort
        return parameters


class Hnswlib:
    """hnswlib; a filter is a Python function that it calls for every row on its way."""

    name, efforts = "hnswlib", _EFS

    def __init__(self, dim: int, folder: Path) -> None:
        import hnswlib

        self._made: Callable[[], Any] = lambda: hnswlib.Index(space="ip", dim=dim)
        self._index, self._folder = self._made(), folder

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._facts = facts
        self._index.init_index(max_elements=len(rows) + 10_000, M=_GRAPH, ef_construction=_BUILD)
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
        self._index = self._made()
        self._index.load_index(path, max_elements=self._index.element_count + 10_000)
        self._index.set_num_threads(1)


class Usearch:
    """usearch; its Python face takes no filter."""

    name, efforts = "usearch", _EFS

    def __init__(self, dim: int, folder: Path) -> None:
        from usearch.index import Index

        self._index, self._folder = (
            Index(ndim=dim, metric="ip", dtype="f32", connectivity=_GRAPH, expansion_add=_BUILD),
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


class LanceDB:
    """LanceDB with IVF-PQ and its own re-ranking of twenty times k."""

    name, efforts = "LanceDB", (1, 4, 8, 16, 32, 64, 128)

    def __init__(self, dim: int, folder: Path) -> None:
        import lancedb

        self._connect, self._dim, self._folder = lancedb.connect, dim, folder

    def build(self, rows: Vectors, facts: Facts) -> None:
        import pyarrow as pa

        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        columns = {"key": pa.array(np.arange(len(rows)))}
        columns["vector"] = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), self._dim)
        columns |= {self._names[name]: pa.array(chosen) for name, chosen in facts.items()}
        self._table = self._connect(str(self._folder)).create_table("rows", pa.table(columns))
        self._table.create_index(metric="dot", vector_column_name="vector", index_type="IVF_PQ")
        for column in self._names.values():
            self._table.create_scalar_index(column, index_type="BITMAP")

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        out = np.full((len(queries), k), -1, dtype=np.int64)
        for place, query in enumerate(queries):
            asked = self._table.search(query).distance_type("dot").nprobes(effort).refine_factor(20).limit(k)
            if where is not None:
                asked = asked.where(self._names[where], prefilter=True)
            keys = asked.select(["key"]).to_arrow()["key"].to_numpy()
            out[place, : len(keys)] = keys
        return out

    def add(self, key: int, row: Vectors) -> None:
        self._table.add([{"key": key, "vector": row} | dict.fromkeys(self._names.values(), False)])

    def delete(self, key: int) -> None:
        self._table.delete(f"key = {key}")

    def reopen(self) -> None:
        self._table = self._connect(str(self._folder)).open_table("rows")


class QdrantEdge:
    """The shard that qdrant offers for use inside a process."""

    name, efforts = "qdrant-edge", _EFS

    def __init__(self, dim: int, folder: Path) -> None:
        import qdrant_edge

        self._q, self._dim, self._folder = qdrant_edge, dim, folder

    def _config(self) -> Any:
        q = self._q
        graph = q.HnswIndexConfig(m=_GRAPH, ef_construct=_BUILD, full_scan_threshold=10_000, max_indexing_threads=1)
        return q.EdgeConfig(vectors=q.EdgeVectorParams(size=self._dim, distance=q.Distance.Dot), hnsw_config=graph)

    def build(self, rows: Vectors, facts: Facts) -> None:
        q = self._q
        self._shard = q.EdgeShard.create(str(self._folder), self._config())
        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        for column in self._names.values():
            self._shard.update(q.UpdateOperation.create_field_index(column, q.PayloadSchemaType.Keyword))
        for start in range(0, len(rows), _CHUNK):
            points = [
                q.Point(key, rows[key].tolist(), {self._names[name]: "ny"[int(on[key])] for name, on in facts.items()})
                for key in range(start, min(start + _CHUNK, len(rows)))
            ]
            self._shard.update(q.UpdateOperation.upsert_points(points))
        self._shard.optimize()

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        q, chosen = self._q, None
        if where is not None:
            chosen = q.Filter(must=[q.FieldCondition(key=self._names[where], match=q.MatchValue("y"))])
        out = np.full((len(queries), k), -1, dtype=np.int64)
        for place, query in enumerate(queries.tolist()):
            found = self._shard.query(
                q.QueryRequest(
                    limit=k, query=q.Query.Nearest(query), filter=chosen, params=q.SearchParams(hnsw_ef=effort)
                )
            )
            out[place, : len(found)] = [point.id for point in found]
        return out

    def add(self, key: int, row: Vectors) -> None:
        self._shard.update(self._q.UpdateOperation.upsert_points([self._q.Point(key, row.tolist(), {})]))

    def delete(self, key: int) -> None:
        self._shard.update(self._q.UpdateOperation.delete_points([key]))

    def reopen(self) -> None:
        self._shard.flush()
        self._shard.close()
        self._shard = self._q.EdgeShard.load(str(self._folder))


class MilvusLite:
    """Milvus inside the process, with its HNSW."""

    name, efforts = "milvus-lite", _EFS

    def __init__(self, dim: int, folder: Path) -> None:
        from pymilvus import MilvusClient

        folder.mkdir(exist_ok=True)
        self._open: Callable[[], Any] = lambda: MilvusClient(str(folder / "milvus.db"))
        self._client, self._dim = self._open(), dim

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        self._client.create_collection(
            "rows", dimension=self._dim, metric_type="IP", id_type="int", auto_id=False, enable_dynamic_field=True
        )
        for start in range(0, len(rows), _CHUNK):
            batch = [
                {"id": key, "vector": rows[key]} | {self._names[name]: bool(on[key]) for name, on in facts.items()}
                for key in range(start, min(start + _CHUNK, len(rows)))
            ]
            self._client.upsert("rows", batch)
        self._client.release_collection("rows")
        self._client.drop_index("rows", "vector")
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": _GRAPH, "efConstruction": _BUILD})
        self._client.create_index("rows", index)
        self._client.load_collection("rows")

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        out = np.full((len(queries), k), -1, dtype=np.int64)
        found = self._client.search(
            "rows",
            data=queries.tolist(),
            limit=k,
            filter="" if where is None else f"{self._names[where]} == true",
            search_params={"metric_type": "IP", "params": {"ef": max(effort, k)}},
        )
        for place, hits in enumerate(found):
            out[place, : len(hits)] = [hit["id"] for hit in hits]
        return out

    def add(self, key: int, row: Vectors) -> None:
        self._client.upsert("rows", [{"id": key, "vector": row}])

    def delete(self, key: int) -> None:
        self._client.delete("rows", ids=[key])

    def reopen(self) -> None:
        self._client.close()
        self._client = self._open()
        self._client.load_collection("rows")


class Chroma:
    """Chroma, kept on the disk."""

    name, efforts = "Chroma", (10, 32, 64, 128, 256)

    def __init__(self, dim: int, folder: Path) -> None:
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        self._open: Callable[[], Any] = lambda: chromadb.PersistentClient(str(folder), settings)
        self._client = self._open()

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        graph = {"space": "ip", "max_neighbors": _GRAPH, "ef_construction": _BUILD, "ef_search": 64, "num_threads": 1}
        self._rows = self._client.create_collection("rows", configuration={"hnsw": graph})
        for start in range(0, len(rows), _CHUNK):
            keys = range(start, min(start + _CHUNK, len(rows)))
            self._rows.add(
                ids=[str(key) for key in keys],
                embeddings=rows[start : start + _CHUNK],
                metadatas=[{self._names[name]: bool(on[key]) for name, on in facts.items()} for key in keys],
            )

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        out = np.full((len(queries), k), -1, dtype=np.int64)
        self._rows.modify(configuration={"hnsw": {"ef_search": effort}}) if effort != getattr(self, "_ef", 0) else None
        self._ef = effort
        chosen = None if where is None else {self._names[where]: True}
        found = self._rows.query(query_embeddings=queries, n_results=k, where=chosen, include=[])
        for place, ids in enumerate(found["ids"]):
            out[place, : len(ids)] = [int(id) for id in ids]
        return out

    def add(self, key: int, row: Vectors) -> None:
        self._rows.add(ids=[str(key)], embeddings=row[None])

    def delete(self, key: int) -> None:
        self._rows.delete(ids=[str(key)])

    def reopen(self) -> None:
        self._client = self._open()
        self._rows = self._client.get_collection("rows")


PEERS: dict[str, Callable[[int, Path], Peer]] = {
    peer.name.lower().replace(" ", "-"): peer
    for peer in (Tenshot, FaissFlat, FaissIVF, FaissHNSW, Hnswlib, Usearch, LanceDB, QdrantEdge, MilvusLite, Chroma)
}


def remove(folder: Path) -> None:
    """What a peer has left on the disk."""
    shutil.rmtree(folder, ignore_errors=True)
