"""Exports taken apart, to be changed and put together again so that what is changed is looked at; and bombs."""

import hashlib
import io
import json
import random
import struct
import tarfile
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pictures import png

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.records import Failure, Geo, InputChange, NewInput, WorkflowNode

DIM = 8
MANIFEST = "tenshot.json"


@dataclass
class Parts:
    """An archive taken apart."""

    manifest: dict[str, Any]
    tables: dict[str, bytes]
    """Parquet files by name."""
    files: dict[str, bytes]
    """Pictures and predictors by name."""
    repaired: bool = True
    """Whether the manifest's hashes and counts are set right, so that what is changed is read at all."""
    counted: bool = True
    members: list[tuple[tarfile.TarInfo, bytes]] = field(default_factory=list)
    """What else stands in the tar, at its beginning."""
    manifest_first: bool = False

    @classmethod
    def of(cls, tar: bytes) -> "Parts":
        with tarfile.open(fileobj=io.BytesIO(tar)) as file:
            content = {one.name: file.extractfile(one).read() for one in file}  # type: ignore[union-attr]
        manifest = json.loads(content.pop(MANIFEST))
        tables = {name: content.pop(name) for name in manifest["files"]}
        return cls(manifest, tables, content)

    def table(self, name: str) -> pa.Table:
        return _table(self.tables[name])

    def set_table(self, name: str, table: pa.Table, **options: Any) -> None:
        out = io.BytesIO()
        pq.write_table(table, out, compression="zstd", **options)
        self.tables[name] = out.getvalue()

    def set_cell(self, name: str, row: int, column: str, value: Any) -> None:
        """Any value: where it is not of the column's type, the column becomes one of what it is."""
        table = self.table(name)
        values = table[column].to_pylist()
        values[row] = value
        place = table.column_names.index(column)
        try:
            array = pa.array(values, type=table.schema.field(column).type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            try:
                array = pa.array([None if one is None else value for one in values])
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                array = pa.array([str(one).encode(errors="replace") for one in values])
        self.set_table(name, table.set_column(place, column, array))

    def rename(self, old: str, new: str) -> None:
        """Another hash for a picture or a predictor, wherever it is named."""
        for name in [name for name in self.tables if name.startswith(("inputs/", "model_versions/"))]:
            table = self.table(name)
            for column in {"sha256", "predictor_sha256"} & set(table.column_names):
                values = [new if value == old else value for value in table[column].to_pylist()]
                place = table.column_names.index(column)
                table = table.set_column(place, column, pa.array(values, type=pa.string()))
            self.set_table(name, table)

    def replace_file(self, name: str, content: bytes) -> None:
        """Other content under its own right hash."""
        sha256, path = hashlib.sha256(content).hexdigest(), Path(name)
        del self.files[name]
        self.rename(path.stem, sha256)
        folder = f"images/{sha256[:2]}" if name.startswith("images/") else "predictors"
        self.files[f"{folder}/{sha256}{path.suffix}"] = content

    def tar(self) -> bytes:
        manifest = self.manifest
        if self.repaired and isinstance(manifest.get("files"), dict):
            hashes = {name: hashlib.sha256(content).hexdigest() for name, content in self.tables.items()}
            manifest = {**manifest, "files": {**manifest["files"], **hashes}}
        if self.counted and isinstance(manifest.get("counts"), dict):
            manifest = {**manifest, "counts": {**manifest["counts"], **self._counts()}}
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as file:
            for info, content in self.members:
                file.addfile(info, io.BytesIO(content))
            said = json.dumps(manifest).encode()
            files = [*self.tables.items(), *self.files.items()]
            for name, content in [(MANIFEST, said), *files] if self.manifest_first else [*files, (MANIFEST, said)]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        return out.getvalue()

    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for name, content in self.tables.items():
            try:
                rows = _rows_of(content)
            except (pa.ArrowException, OSError, ValueError, MemoryError):
                continue
            table = name.partition("/")[0]
            counts[table] = counts.get(table, 0) + rows
        return counts


@lru_cache(128)
def _table(content: bytes) -> pa.Table:
    return pq.ParquetFile(io.BytesIO(content)).read(use_threads=False)


@lru_cache(128)
def _rows_of(content: bytes) -> int:
    return int(pq.ParquetFile(io.BytesIO(content)).metadata.num_rows)


def lived_in(store: Store, name: str, *, pictures: bool) -> App:
    """An app of vectors with something in every table; `pictures`: as if they had been made of pictures."""
    app = store.create_app(name, "vectors", dim=DIM)
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(DIM)[:3], 10, axis=0) + 0.15 * rng.normal(size=(30, DIM))
    labels = [{"abc"[i // 10]: i % 2 == 0} if i % 10 < 6 else {} for i in range(30)]
    app.add_vectors(rows, [f"x{i}" for i in range(30)], labels, [{"row": i, "é": [None, 1.5]} for i in range(30)])
    app.update_many([InputChange("x1", geo=Geo(1.5, -2), regions=[{"id": "r", "region_info": {}}])])
    app.label("x3", {"a": None, "other": True})
    app.delete(["x5", "x15"])
    app.create_model("m", ["a", "b"], settings={"k": [1, None]})
    app.create_model("exclusive", ["a", "b", "c"], mutually_exclusive=True)
    app.create_model("closed", ["a", "b"], mutually_exclusive=True, closed_environment=True)
    frozen = [app.create_version(model) for model in ("m", "exclusive", "closed")]
    app.evaluate_version("m", frozen[0].id)
    app.set_thresholds({"a": 0.25}, "m")
    app.set_thresholds({"b": 0.75})
    app.create_workflows([("w", [WorkflowNode("n", "m", frozen[0].id), WorkflowNode("o", "exclusive")])])
    app.keep_feedback("model", {"model_id": "m"}, {"input": {"id": "x1"}})
    app.predict_vectors(rows)
    if pictures:
        _with_pictures(store, app)
    return app


def _with_pictures(store: Store, app: App) -> None:
    inputs = store.catalog.inputs
    for number in range(4):
        id = f"p{number}"
        waiting = NewInput(id=id, vector=None, url=f"http://pictures.example/{number}.png", crop=(0.0, 0.0, 0.5, 1.0))
        [added] = inputs.add(app.id, [waiting])
        if number == 2:
            inputs.fail(app.id, added.key, Failure.FETCH, "it can't be reached")
        elif number != 3:
            sha256 = store._blobs.put(png("discs", number, 16))
            vector = np.eye(DIM, dtype=np.float32)[number]
            inputs.complete(app.id, added.key, NewInput(id=id, vector=vector, sha256=sha256, media_type="image/png"))


@lru_cache(8)
def bomb(schema: pa.Schema, rows: int, length: int) -> bytes:
    """A small file of one row that is repeated, with texts so long in its first column."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array(["a" * length])).cast(
        pa.string()
    )
    some = pa.Table.from_arrays(
        [
            text if one.type == pa.string() and not place else pa.nulls(1000, one.type)
            for place, one in enumerate(schema)
        ],
        schema=schema,
    )
    out = io.BytesIO()
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for _ in range(rows // 1000):
            writer.write_table(some)
    return out.getvalue()


def hostile_npz(arrays: dict[str, Any], draw: random.Random) -> bytes:
    """Of a kind that NumPy never writes, or that takes more room than it says."""
    out = io.BytesIO()
    key = draw.choice(list(arrays))
    match draw.randrange(5):
        case 0:
            np.savez_compressed(out, **arrays)
        case 1:
            np.savez(out, allow_pickle=True, **{**arrays, key: np.array([{"a": 1}, None], dtype=object)})
        case 2:
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("rows.npy", bytes(50_000_000))
        case 3:
            with zipfile.ZipFile(out, "w") as file:
                for name, array in arrays.items():
                    inner = io.BytesIO()
                    np.save(inner, array)
                    header = inner.getvalue()
                    if name == key:
                        said = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
                        header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said
                    file.writestr(f"{name}.npy", header)
        case _:
            nested: dict[str, Any] = dict(arrays)
            for _ in range(draw.choice((1, 2, 30))):
                inner = io.BytesIO()
                np.savez(inner, **nested)
                nested = {**arrays, "known": np.frombuffer(inner.getvalue(), np.uint8)}
            np.savez(out, **nested)
    return out.getvalue()
