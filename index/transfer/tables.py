"""Rows of an app as Parquet files, and back. Every value comes back as it was, floats to the last bit."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BadArchive, NotSupported
from .pages import MOST_UNPACKED, check_pages
from .plain import MOST_JSON, one_line, read_json

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
MOST_ROWS = 65_536
"""Rows in one file."""
_INPUTS, _ROWS = 256, 2048
"""Rows in memory at a time: inputs have vectors."""
_LARGE_ROW = 1 << 20
_MOST_WRITTEN = MOST_UNPACKED >> 3
"""Bytes of the values of a file; one page of it may have all of them, since Arrow cuts none below 1,024 rows."""
_TEXTS = ("text", "json", "bytes")
_STORED = {"text": 6, "json": 6, "bytes": 6, "int": 2, "float": 5, "bool": 0, "moment": 2, "vector": 4}
"""Parquet's types: BOOLEAN, INT64, FLOAT, DOUBLE, BYTE_ARRAY."""
_MOST_FOOTER, _MOST_LIST = 1 << 20, 10_000


def to_parquet(table: str, rows: Sequence[Row], dim: int) -> Iterator[tuple[Sequence[Row], bytes]]:
    """Files of one table's rows, one at least, and which rows are in each: as many as `from_parquet` surely takes.

    vector: bytes of (dim,) float32, in the file a list of as many floats.
    """
    kinds = _COLUMNS[table]
    columns = {
        name: [row[name] if kind != "json" or row[name] is None else _json(row[name]) for row in rows]
        for name, kind in kinds.items()
    }
    sizes = [0] * len(rows)
    for name, kind in kinds.items():
        for place, value in enumerate(columns[name]):
            sizes[place] += _size(value) if kind in _TEXTS else 4 * dim if kind == "vector" else 8
    for start, stop in _cut(sizes):
        yield rows[start:stop], _file(kinds, {name: values[start:stop] for name, values in columns.items()}, dim)


def check_readable(table: str, rows: Iterable[Row]) -> None:
    """Raises NotSupported for a JSON value of which an import would say that it is too much."""
    for row in rows:
        for name, kind in _COLUMNS[table].items():
            if kind == "json" and row[name] is not None:
                try:
                    read_json(_json(row[name]).encode())
                except BadArchive as error:
                    raise NotSupported(f"{table}: {name} of {row.get('id')!r} can't be exported: {error}") from error


def _file(kinds: Mapping[str, str], columns: Mapping[str, Sequence[Any]], dim: int) -> bytes:
    pa, parquet = _arrow()
    arrays, fields = [], []
    for name, kind in kinds.items():
        type = _type(kind, dim)
        arrays.append(_vectors(columns[name], dim) if kind == "vector" else pa.array(columns[name], type=type))
        fields.append(pa.field(name, type))
    out = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), out, compression="zstd")
    return out.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _size(value: str | bytes | None) -> int:
    """Bytes of it in a file, at most."""
    if value is None:
        return 0
    return len(value) if isinstance(value, bytes) or value.isascii() else 4 * len(value)


def _cut(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each file begins and ends."""
    start = total = 0
    for place, size in enumerate(sizes):
        if total and total + size > _MOST_WRITTEN:
            yield start, place
            start, total = place, 0
        total += size
    yield start, len(sizes)


def from_parquet(table: str, content: bytes, dim: int) -> Iterator[list[Row]]:
    """The rows of a file, some at a time, so that only these are in memory: of any file, not of ours alone.

    Texts are at most `MOST_JSON` bytes, and all of a file's values `MOST_UNPACKED`. Raises BadArchive for what is no
    such file.
    """
    pa, parquet = _arrow()
    kinds = _COLUMNS[table]
    unpacked = 0
    try:
        check_pages(content, _stored(kinds, dim), MOST_ROWS)
        with parquet.ParquetFile(
            io.BytesIO(content),
            # What repeats stays one value, however often a page says it.
            read_dictionary=[name for name, kind in kinds.items() if kind in _TEXTS],
            pre_buffer=False,
            thrift_string_size_limit=_MOST_FOOTER,
            thrift_container_size_limit=_MOST_LIST,
        ) as file:
            _check_types(file.schema_arrow, kinds, dim)
            for batch in file.iter_batches(
                _INPUTS if table == INPUTS else _ROWS, columns=list(kinds), use_threads=False
            ):
                if batch.num_columns != len(kinds):
                    raise BadArchive("a column is missing")
                rows: list[Row] = []
                for row, size in _rows(batch, kinds, dim):
                    unpacked += size
                    if unpacked > MOST_UNPACKED:
                        raise BadArchive(f"a file unpacks to more than {MOST_UNPACKED} bytes")
                    rows.append(row)
                    if size > _LARGE_ROW:
                        yield rows
                        rows = []
                if rows:
                    yield rows
    except BadArchive as error:
        raise BadArchive(f"the table {table}: {error}") from error
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise BadArchive(f"the table {table} can't be read: {one_line(error)}") from error


def _stored(kinds: Mapping[str, str], dim: int) -> dict[str, tuple[int, int]]:
    """Path in the file -> Parquet's type, and values of a row."""
    return {
        f"{name}.list.element" if kind == "vector" else name: (_STORED[kind], dim if kind == "vector" else 1)
        for name, kind in kinds.items()
    }


def _check_types(schema: Any, kinds: Mapping[str, str], dim: int) -> None:
    """Raises BadArchive."""
    pa, _ = _arrow()
    for name, kind in kinds.items():
        wanted = _type(kind, dim)
        wanted = pa.dictionary(pa.int32(), wanted) if kind in _TEXTS else wanted
        if schema.names.count(name) != 1 or schema.field(name).type != wanted:
            raise BadArchive(f"there is no column {name} of type {wanted}")


def _rows(batch: Any, kinds: Mapping[str, str], dim: int) -> Iterator[tuple[Row, int]]:
    """Each row and its bytes; texts are read when their row is, and moments are microseconds since 1970."""
    columns = [_cells(batch.column(name), kind, dim) for name, kind in kinds.items()]
    for cells in zip(*columns, strict=True):
        yield dict(zip(kinds, (value for value, _ in cells), strict=True)), sum(size for _, size in cells)


def _cells(column: Any, kind: str, dim: int) -> Iterator[tuple[Any, int]]:
    """Each value and its bytes."""
    pa, _ = _arrow()
    if kind == "vector":
        yield from ((vector, 4 * dim) for vector in _vector_bytes(column, dim))
    elif kind in _TEXTS:
        known: dict[int, Any] = {}
        for place in column.indices.to_pylist():
            if place is None:
                yield None, 0
                continue
            data = column.dictionary[place].as_buffer()
            if data.size > MOST_JSON:
                raise BadArchive(f"a value has {data.size} bytes, more than {MOST_JSON}")
            if place not in known:
                content = data.to_pybytes()
                value = content if kind == "bytes" else read_json(content) if kind == "json" else content.decode()
                if data.size > _LARGE_ROW:  # is read again rather than kept
                    yield value, data.size
                    continue
                known[place] = value
            yield known[place], data.size
    else:
        values = column.cast(pa.int64()) if kind == "moment" else column
        yield from ((value, 8) for value in values.to_pylist())


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
    valid = column.is_valid().to_pylist()
    values = column.filter(column.is_valid()).flatten()
    if values.null_count:
        raise BadArchive("a vector lacks numbers")
    vectors = iter(values.to_numpy(zero_copy_only=False).astype("<f4").reshape(-1, dim))
    return [next(vectors).tobytes() if there else None for there in valid]
