"""Computes the unpacked size of a Parquet file before Arrow reads it, from its footer and the header of each page.

Arrow allocates what these claim, repeats a dictionary's value or a run as often as they say, and crashes on some
footers (with statistics or sizes of another type than their column's). So they are parsed here first (Apache Parquet's
`parquet.thrift`, in Thrift's compact protocol). A file goes to Arrow only if all its pages are of the kind that tenshot
writes, and hold no more values than the file has rows. Arrow's own reader of column metadata is never called, since it
crashes on some footers too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BadArchive

MOST_UNPACKED = 1 << 29
"""Unpacked bytes of a file, and bytes of all values that are read from it."""
MOST_FOOTER = 1 << 20
_MOST_PAGE = 1 << 27
_MAGIC = b"PAR1"
_DATA, _DICTIONARY = 0, 2
"""Kinds of pages."""
_ENCODINGS = {0, 2, 8}
"""PLAIN, PLAIN_DICTIONARY and RLE_DICTIONARY."""
_MOST_DEPTH = 10
_WRITER = b"parquet-cpp-arrow"

Struct = dict[int, Any]
"""Fields by their numbers."""


def check_pages(content: bytes, columns: Mapping[str, tuple[int, int]], most_rows: int) -> None:
    """columns: path in the schema -> (Parquet's number of its type, values that a row may have).

    Raises BadArchive.
    """
    length = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - length
    if content[:4] != _MAGIC or content[-4:] != _MAGIC or start < 4 or length > MOST_FOOTER:
        raise BadArchive("it is no Parquet file")
    footer = _Headers(content, start, len(content) - 8).struct()
    # Other writers may mean other offsets; field 8 marks an encrypted file.
    if not _field(footer, 6, bytes).startswith(_WRITER) or 8 in footer:
        raise BadArchive("it was not written by tenshot")
    groups = [(_count(group, 3), _structs(group, 1)) for group in _structs(footer, 4)]
    rows = _count(footer, 3)
    if rows != sum(count for count, _ in groups) or rows > most_rows:
        raise BadArchive(f"it has {rows} rows, not as many as its parts, or more than {most_rows}")
    paths, unpacked = _paths(_structs(footer, 2)), 0
    for count, chunks in groups:
        if len(chunks) != len(paths):
            raise BadArchive("a part of it has other columns than its schema")
        for path, chunk in zip(paths, chunks, strict=True):
            if path in columns:
                unpacked += _unpacked(content, start, path, chunk, *columns[path], count)
    if unpacked > MOST_UNPACKED:
        raise BadArchive(f"it unpacks to {unpacked} bytes, more than {MOST_UNPACKED}")


def _paths(schema: Sequence[Struct]) -> list[str]:
    """The columns' paths in the order of their chunks; like Arrow, it ignores the paths in the chunks themselves."""
    paths, parents = list[str](), list[list[Any]]()
    for element in schema[1:]:
        parents.append([_field(element, 4, bytes).decode(errors="replace"), _count(element, 5) if 5 in element else 0])
        if parents[-1][1] == 0:
            paths.append(".".join(name for name, _ in parents))
        while parents and parents[-1][1] == 0:
            parents.pop()
            if parents:
                parents[-1][1] -= 1
    return paths


def _unpacked(content: bytes, footer: int, path: str, chunk: Struct, kind: int, values_of_row: int, rows: int) -> int:
    """Unpacked bytes of all pages of a column's chunk; footer: its offset."""
    if chunk.keys() & {1, 8, 9}:
        raise BadArchive("a column is elsewhere, or encrypted")
    column = _field(chunk, 3, dict)
    offset, packed, values = (_count(column, field) for field in (9, 7, 5))
    if 11 in column and 0 < (dictionary := _count(column, 11)) < offset:
        offset = dictionary
    if column.get(1) != kind or not 4 <= offset <= offset + packed <= footer:
        raise BadArchive(f"the column {path} is not where its footer says, or not what")
    unpacked, counted = _pages(_Headers(content, offset, offset + packed))
    if max(values, counted) > values_of_row * rows:
        raise BadArchive(f"the column {path} has {max(values, counted)} values, more than it has rows for")
    return unpacked


def _pages(headers: "_Headers") -> tuple[int, int]:
    """Unpacked bytes of consecutive pages, and the number of values in their data pages."""
    unpacked = values = 0
    while headers.place < headers.end:
        header = headers.struct()
        kind, size, packed = (_count(header, field) for field in (1, 2, 3))
        if kind not in (_DATA, _DICTIONARY):
            raise BadArchive("it has pages that tenshot doesn't write")
        page = _field(header, 5 if kind == _DATA else 7, dict)
        count, encoding = _count(page, 1), page.get(2)
        if size > _MOST_PAGE:
            raise BadArchive(f"a page claims {size} bytes in {packed}")
        # Values of a dictionary have at least four bytes.
        if encoding not in _ENCODINGS or (kind == _DICTIONARY and (encoding == 8 or 4 * count > size)):
            raise BadArchive("a page is encoded as tenshot doesn't")
        headers.take(packed)
        values += count if kind == _DATA else 0
        unpacked += size
    return unpacked, values


def _field(struct: Struct, number: int, kind: type) -> Any:
    """Raises BadArchive for a field that is missing or of another type."""
    value = struct.get(number)
    if type(value) is not kind:
        raise BadArchive("its headers lack a number, a text or a list")
    return value


def _count(struct: Struct, number: int) -> int:
    value: int = _field(struct, number, int)
    if value < 0:
        raise BadArchive("its headers have a number below zero")
    return value


def _structs(struct: Struct, number: int) -> list[Struct]:
    items: list[Struct] = _field(struct, number, list)
    if not all(isinstance(item, dict) for item in items):
        raise BadArchive("its headers have a list of something else")
    return items


class _Headers:
    """Reads consecutive Thrift structs between two offsets of a file. Every method raises BadArchive."""

    def __init__(self, content: bytes, offset: int, end: int) -> None:
        self._content, self.place, self.end = content, offset, end

    def take(self, length: int) -> bytes:
        start = self.place
        if length > self.end - start:
            raise BadArchive("it is cut off, or its headers are")
        self.place += length
        return self._content[start : self.place]

    def struct(self, depth: int = 0) -> Struct:
        fields: Struct = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 0xF
            # A boolean's value is in the head itself.
            fields[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth + 1)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MOST_DEPTH:
            raise BadArchive("its headers are too deep")
        match kind:
            case 1 | 2 | 3:  # in a list, a boolean takes a byte
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                return self.take(8)
            case 8:
                return self.take(self._varint())
            case 9 | 10:
                head = self._byte()
                length = head >> 4 if head >> 4 < 15 else self._varint()
                if length > self.end - self.place:
                    raise BadArchive("its headers are cut off")
                return [self._value(head & 0xF, depth + 1) for _ in range(length)]
            case 12:
                return self.struct(depth)
        raise BadArchive("its headers have what none has")

    def _byte(self) -> int:
        return self.take(1)[0]

    def _zigzag(self) -> int:
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise BadArchive("its headers have a number without an end")
