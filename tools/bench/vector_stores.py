"""Competitors that are embedded vector stores: LanceDB, qdrant-edge, milvus-lite, Chroma."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .competitor import BUILD, CHUNK, EFS, GRAPH, Facts, Vectors


class LanceDB:
    """LanceDB with IVF-PQ, re-ranking twenty times k."""

    efforts: Sequence[int] = (1, 4, 8, 16, 32, 64, 128)

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
        for row, query in enumerate(queries):
            query_builder = self._table.search(query).distance_type("dot").nprobes(effort).refine_factor(20).limit(k)
            if where is not None:
                query_builder = query_builder.where(self._names[where], prefilter=True)
            keys = query_builder.select(["key"]).to_arrow()["key"].to_numpy()
            out[row, : len(keys)] = keys
        return out

    def add(self, key: int, row: Vectors) -> None:
        self._table.add([{"key": key, "vector": row} | dict.fromkeys(self._names.values(), False)])

    def delete(self, key: int) -> None:
        self._table.delete(f"key = {key}")

    def reopen(self) -> None:
        self._table = self._connect(str(self._folder)).open_table("rows")


class QdrantEdge:
    """Qdrant's embedded shard."""

    efforts: Sequence[int] = EFS

    def __init__(self, dim: int, folder: Path) -> None:
        import qdrant_edge

        self._q, self._dim, self._folder = qdrant_edge, dim, folder

    def _config(self) -> Any:
        q = self._q
        graph = q.HnswIndexConfig(m=GRAPH, ef_construct=BUILD, full_scan_threshold=10_000, max_indexing_threads=1)
        return q.EdgeConfig(vectors=q.EdgeVectorParams(size=self._dim, distance=q.Distance.Dot), hnsw_config=graph)

    def build(self, rows: Vectors, facts: Facts) -> None:
        q = self._q
        self._shard = q.EdgeShard.create(str(self._folder), self._config())
        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        for column in self._names.values():
            self._shard.update(q.UpdateOperation.create_field_index(column, q.PayloadSchemaType.Keyword))
        for start in range(0, len(rows), CHUNK):
            points = [
                q.Point(key, rows[key].tolist(), {self._names[name]: "ny"[int(on[key])] for name, on in facts.items()})
                for key in range(start, min(start + CHUNK, len(rows)))
            ]
            self._shard.update(q.UpdateOperation.upsert_points(points))
        self._shard.optimize()

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        q, chosen = self._q, None
        if where is not None:
            chosen = q.Filter(must=[q.FieldCondition(key=self._names[where], match=q.MatchValue("y"))])
        out = np.full((len(queries), k), -1, dtype=np.int64)
        for row, query in enumerate(queries.tolist()):
            hits = self._shard.query(
                q.QueryRequest(
                    limit=k, query=q.Query.Nearest(query), filter=chosen, params=q.SearchParams(hnsw_ef=effort)
                )
            )
            out[row, : len(hits)] = [point.id for point in hits]
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
    """Embedded Milvus, with its HNSW."""

    efforts: Sequence[int] = EFS

    def __init__(self, dim: int, folder: Path) -> None:
        from pymilvus import DataType, MilvusClient

        folder.mkdir(exist_ok=True)
        self._open: Callable[[], Any] = lambda: MilvusClient(str(folder / "milvus.db"))
        self._client, self._dim, self._types = self._open(), dim, DataType

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("id", self._types.INT64, is_primary=True)
        schema.add_field("vector", self._types.FLOAT_VECTOR, dim=self._dim)
        index = self._client.prepare_index_params()
        index.add_index("vector", index_type="HNSW", metric_type="IP", params={"M": GRAPH, "efConstruction": BUILD})
        self._client.create_collection("rows", schema=schema, index_params=index)
        for start in range(0, len(rows), CHUNK):
            batch = [
                {"id": key, "vector": rows[key]} | {self._names[name]: bool(on[key]) for name, on in facts.items()}
                for key in range(start, min(start + CHUNK, len(rows)))
            ]
            self._client.upsert("rows", batch)
        self._client.flush("rows")
        self._client.load_collection("rows")

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        out = np.full((len(queries), k), -1, dtype=np.int64)
        hits_per_query = self._client.search(
            "rows",
            data=queries.tolist(),
            limit=k,
            filter="" if where is None else f"{self._names[where]} == true",
            search_params={"metric_type": "IP", "params": {"ef": max(effort, k)}},
        )
        for row, hits in enumerate(hits_per_query):
            out[row, : len(hits)] = [hit["id"] for hit in hits]
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
    """Chroma, stored on disk."""

    efforts: Sequence[int] = (10, 32, 64, 128, 256)

    def __init__(self, dim: int, folder: Path) -> None:
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        self._open: Callable[[], Any] = lambda: chromadb.PersistentClient(str(folder), settings)
        self._client = self._open()

    def build(self, rows: Vectors, facts: Facts) -> None:
        self._names = {name: f"f{number}" for number, name in enumerate(facts)}
        graph = {"space": "ip", "max_neighbors": GRAPH, "ef_construction": BUILD, "ef_search": 64, "num_threads": 1}
        self._rows = self._client.create_collection("rows", configuration={"hnsw": graph})
        for start in range(0, len(rows), CHUNK):
            keys = range(start, min(start + CHUNK, len(rows)))
            self._rows.add(
                ids=[str(key) for key in keys],
                embeddings=rows[start : start + CHUNK],
                metadatas=[{self._names[name]: bool(on[key]) for name, on in facts.items()} for key in keys],
            )

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        out = np.full((len(queries), k), -1, dtype=np.int64)
        self._rows.modify(configuration={"hnsw": {"ef_search": effort}}) if effort != getattr(self, "_ef", 0) else None
        self._ef = effort
        chosen = None if where is None else {self._names[where]: True}
        result = self._rows.query(query_embeddings=queries, n_results=k, where=chosen, include=[])
        for row, ids in enumerate(result["ids"]):
            out[row, : len(ids)] = [int(id) for id in ids]
        return out

    def add(self, key: int, row: Vectors) -> None:
        self._rows.add(ids=[str(key)], embeddings=row[None])

    def delete(self, key: int) -> None:
        self._rows.delete(ids=[str(key)])

    def reopen(self) -> None:
        self._client = self._open()
        self._rows = self._client.get_collection("rows")
