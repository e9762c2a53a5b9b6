"""Writes rows of an app as Parquet files, and reads them. Every value comes back exactly."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..bounds import MOST_JSON
from ..errors import BadArchive, NotSupported
from .columns import COLUMNS, INPUTS, Column
from .parquet_pages import MOST_FOOTER, MOST_UNPACKED, check_pages
from .untrusted import one_line, read_json

Row = dict[str, Any]

MOST_ROWS = 65_536
"""Rows in one file."""
_INPUTS, _ROWS = 256, 2048
"""Rows in memory at a time: inputs have vectors."""
_MOST_AT_ONCE = 1 << 22
"""Bytes of values in memory at a time, unless a single row has more."""
_MOST_WRITTEN = MOST_UNPACKED >> 3
"""Bytes of values in a file; they may all be in one page, since Arrow doesn't split pages below 1,024 rows."""
_TEXTS = ("text", "json", "bytes")
_STORED = {"text": 6, "json": 6, "bytes": 6, "int": 2, "float": 5, "bool": 0, "moment": 2, "vector": 4}
"""Parquet's types: BOOLEAN, INT64, FLOAT, DOUBLE, BYTE_ARRAY."""
_MOST_LIST = 10_000


def to_parquet(table: str, rows: Sequence[Row], dim: int) -> Iterator[tuple[Sequence[Row], bytes]]:
    """At least one (rows, file) pair; each file is small enough for `from_parquet`.

    vector: bytes of (dim,) float32, stored in the file as a list of floats.
    """
    pa, parquet = _arrow()
    columns = COLUMNS[table]
    schema = pa.schema([(name, _type(column, dim)) for name, column in columns.items()])
    cells = {name: [_cell(row[name], column) for row in rows] for name, column in columns.items()}
    whole = pa.Table.from_pydict(cells, schema)
    parts = [(0, len(rows))]
    while parts:
        start, stop = parts.pop()
        part = whole.slice(start, stop - start)
        if part.nbytes > _MOST_WRITTEN and stop - start > 1:
            middle = (start + stop) // 2
            parts += [(middle, stop), (start, middle)]
            continue
        out = io.BytesIO()
        parquet.write_table(part, out, compression="zstd")
        yield rows[start:stop], out.getvalue()


def check_readable(table: str, rows: Iterable[Row]) -> None:
    """Raises NotSupported for a JSON value that is too large for an import."""
    for row in rows:
        for name, column in COLUMNS[table].items():
            if column.kind == "json" and row[name] is not None:
                try:
                    read_json(_json(row[name]).encode())
                except BadArchive as error:
                    raise NotSupported(f"{table}: {name} of {row.get('id')!r} can't be exported: {error}") from error


def _cell(value: Any, column: Column) -> Any:
    if value is None or column.kind not in ("json", "vector"):
        return value
    return _json(value) if column.kind == "json" else np.frombuffer(value, dtype="<f4")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def from_parquet(table: str, content: bytes, dim: int) -> Iterator[list[Row]]:
    """The rows of an untrusted file, a bounded number in memory at a time.

    Timestamps are microseconds since 1970. Raises BadArchive for any other kind of file, and for one with a text of
    more than `MOST_JSON` bytes or values of more than `MOST_UNPACKED` bytes.
    """
    pa, parquet = _arrow()
    columns = COLUMNS[table]
    unpacked = 0
    try:
        check_pages(content, _stored(columns, dim), MOST_ROWS)
        with parquet.ParquetFile(
            io.BytesIO(content),
            # A repeated value stays a single one in memory, however often a page repeats it.
            read_dictionary=[name for name, column in columns.items() if column.kind in _TEXTS],
            pre_buffer=False,
            thrift_string_size_limit=MOST_FOOTER,
            thrift_container_size_limit=_MOST_LIST,
        ) as file:
            _check_types(file.schema_arrow, columns, dim)
            batch_size = _INPUTS if table == INPUTS else _ROWS
            for batch in file.iter_batches(batch_size, columns=list(columns), use_threads=False):
                for part, size in _parts(batch, columns, dim):
                    unpacked += size
                    if unpacked > MOST_UNPACKED:
                        raise BadArchive(f"a file unpacks to more than {MOST_UNPACKED} bytes")
                    cells = zip(*(_values(part[name], column) for name, column in columns.items()), strict=True)
                    yield [dict(zip(columns, values, strict=True)) for values in cells]
    except BadArchive as error:
        raise BadArchive(f"the table {table}: {error}") from error
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError, MemoryError, OverflowError) as error:
        raise BadArchive(f"the table {table} can't be read: {one_line(error)}") from error


def _stored(columns: Mapping[str, Column], dim: int) -> dict[str, tuple[int, int]]:
    """Path in the file -> (Parquet's type, values per row)."""
    return {
        f"{name}.list.element" if column.kind == "vector" else name: (
            _STORED[column.kind],
            dim if column.kind == "vector" else 1,
        )
        for name, column in columns.items()
    }


def _check_types(schema: Any, columns: Mapping[str, Column], dim: int) -> None:
    """Raises BadArchive."""
    pa, _ = _arrow()
    for name, column in columns.items():
        expected = _type(column, dim)
        expected = pa.dictionary(pa.int32(), expected) if column.kind in _TEXTS else expected
        if schema.names.count(name) != 1 or schema.field(name).type != expected:
            raise BadArchive(f"there is no column {name} of type {expected}")


def _parts(batch: Any, columns: Mapping[str, Column], dim: int) -> Iterator[tuple[Any, int]]:
    """A batch, halved until each part unpacks to little, and the bytes of the values of each part."""
    size = sum(_size(batch[name], column, dim) for name, column in columns.items())
    if size <= _MOST_AT_ONCE or len(batch) < 2:
        yield batch, size
        return
    for half in (batch.slice(0, len(batch) // 2), batch.slice(len(batch) // 2)):
        yield from _parts(half, columns, dim)


def _size(values: Any, column: Column, dim: int) -> int:
    if column.kind not in _TEXTS:
        return len(values) * (4 * dim if column.kind == "vector" else 8)
    from pyarrow import compute

    lengths = compute.binary_length(values.dictionary)
    if (most := compute.max(lengths).as_py() or 0) > MOST_JSON:
        raise BadArchive(f"a value has {most} bytes, more than {MOST_JSON}")
    return compute.sum(lengths.take(values.indices)).as_py() or 0


def _values(values: Any, column: Column) -> list[Any]:
    pa, _ = _arrow()
    if column.kind == "vector":
        # `to_numpy` copies nothing here, and would fail for null vectors.
        return [vector.values.to_numpy().tobytes() if vector.is_valid else None for vector in values]
    if column.kind == "moment":
        values = values.cast(pa.int64())
    elif column.kind in _TEXTS:
        values = values.dictionary_decode()
    items: list[Any] = values.to_pylist()
    return [None if item is None else read_json(item) for item in items] if column.kind == "json" else items


def _arrow() -> Any:
    # Importing takes a third of a second, so it waits until it is needed.
    import pyarrow
    import pyarrow.parquet

    return pyarrow, pyarrow.parquet


def _type(column: Column, dim: int) -> Any:
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
    return types[column.kind]
