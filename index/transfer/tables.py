"""Rows of an app as Parquet files, and back. Every value comes back as it was, floats to the last bit."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BadArchive

Row = dict[str, Any]

_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "inputs": {
        "id": "text",
        "key": "int",
        "seq": "int",
        "status": "text",
        "status_reason": "text",
        "failure": "text",
        "url": "text",
        "sha256": "text",
        "media_type": "text",
        "crop": "json",
        "regions": "json",
        "metadata": "json",
        "longitude": "float",
        "latitude": "float",
        "created_at": "moment",
        "modified_at": "moment",
        "vector": "vector",
    },
    "concepts": {"id": "text", "name": "text", "created_at": "moment"},
    "labels": {
        "input": "text",
        "concept": "text",
        "value": "bool",
        "source": "text",
        "created_at": "moment",
        "seq": "int",
    },
    "label_events": {
        "seq": "int",
        "input_key": "int",
        "input": "text",
        "concept": "text",
        "value": "bool",
        "source": "text",
        "created_at": "moment",
    },
    "models": {
        "id": "text",
        "name": "text",
        "mutually_exclusive": "bool",
        "closed_environment": "bool",
        "settings": "json",
        "created_at": "moment",
    },
    "model_concepts": {"model": "text", "position": "int", "concept": "text"},
    "model_versions": {
        "model": "text",
        "id": "text",
        "frozen": "bool",
        "label_seq": "int",
        "predictor_sha256": "text",
        "concept_ids": "json",
        "input_count": "int",
        "created_at": "moment",
        "thresholds": "json",
        "state": "text",
        "result": "json",
        "evaluated_at": "moment",
    },
    "thresholds": {"model": "text", "concept": "text", "value": "float"},
    "workflows": {"id": "text", "nodes": "json", "created_at": "moment"},
    "workflow_changes": {
        "old_recipe": "json",
        "recipe": "json",
        "state": "text",
        "failure": "text",
        "created_at": "moment",
        "finished_at": "moment",
    },
    "feedback": {"kind": "text", "about": "json", "body": "json", "created_at": "moment"},
    "spaces": {"seq": "int", "count": "int", "power": "float", "mean": "bytes", "background": "bytes"},
}
TABLES = tuple(name for name in _COLUMNS if name != "inputs")
"""All but the inputs, which come first and with their pictures."""
INPUTS = "inputs"


def to_parquet(table: str, rows: Sequence[Row], dim: int) -> bytes:
    """A file of one table's rows. vector: bytes of (dim,) float32, in the file a list of as many floats."""
    pa, parquet = _arrow()
    arrays, fields = [], []
    for name, kind in _COLUMNS[table].items():
        type = _type(kind, dim)
        values = [row[name] for row in rows]
        if kind == "json":
            values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
        arrays.append(_vectors(values, dim) if kind == "vector" else pa.array(values, type=type))
        fields.append(pa.field(name, type))
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), out, compression="zstd")
    return out.getvalue()


def from_parquet(table: str, content: bytes, dim: int) -> Iterator[Row]:
    """Raises BadArchive for what is no such file."""
    pa, parquet = _arrow()
    columns = _COLUMNS[table]
    try:
        found = parquet.read_table(io.BytesIO(content), columns=list(columns))
        found = found.cast(pa.schema([pa.field(name, _type(kind, dim)) for name, kind in columns.items()]))
        lists = {
            name: _vector_bytes(found[name], dim) if kind == "vector" else found[name].to_pylist()
            for name, kind in columns.items()
        }
        for name, kind in columns.items():
            if kind == "json":
                lists[name] = [None if value is None else json.loads(value) for value in lists[name]]
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as error:
        raise BadArchive(f"the table {table} can't be read: {error}") from error
    for values in zip(*lists.values(), strict=True):
        yield dict(zip(lists, values, strict=True))


def _arrow() -> Any:
    # Takes a third of a second, so not before it is needed.
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def _type(kind: str, dim: int) -> Any:
    pa, _ = _arrow()
    types = {
        "text": pa.string(),
        "json": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "bytes": pa.binary(),
        "moment": pa.timestamp("us", tz="UTC"),
        "vector": pa.list_(pa.float32(), dim),
    }
    return types[kind]


def _vectors(values: Iterable[bytes | None], dim: int) -> Any:
    pa, _ = _arrow()
    values = list(values)
    missing = np.array([value is None for value in values], dtype=bool)
    flat = np.frombuffer(b"".join(value or bytes(4 * dim) for value in values), dtype="<f4")
    return pa.FixedSizeListArray.from_arrays(pa.array(flat, type=pa.float32()), dim, mask=pa.array(missing))


def _vector_bytes(column: Any, dim: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    for chunk in column.chunks:
        rows = chunk.filter(chunk.is_valid()).flatten().to_numpy(zero_copy_only=False).astype("<f4").reshape(-1, dim)
        source = iter(rows)
        found += [next(source).tobytes() if valid else None for valid in chunk.is_valid().to_pylist()]
    return found
