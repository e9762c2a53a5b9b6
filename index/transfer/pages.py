"""How much a Parquet file unpacks to, told before anything is: by its footer and the header of each page.

Arrow makes room for what these claim, repeats a dictionary's value or a run as often as they say, and some footers end
the process (a column whose statistics are not of its type). So they are read here first (Apache Parquet's
`parquet.thrift`, in Thrift's compact protocol), and a file goes to Arrow only if all of its pages are of the kind that
tenshot writes, and hold no more values than the file has rows.
"""

from collections.abc import Mapping
from typing import Any

from ..errors import BadArchive

MOST_UNPACKED = 1 << 29
"""Bytes of a file, and of all values that are read from it."""
_MOST_PAGE = 1 << 27
_MOST_FOOTER = 1 << 20
_MAGIC = b"PAR1"
_DATA, _DICTIONARY = 0, 2
"""Kinds of pages."""
_ENCODINGS = {0, 2, 8}
"""PLAIN, PLAIN_DICTIONARY and RLE_DICTIONARY."""
_MOST_DEPTH = 10
_WRITER = b"parquet-cpp-arrow"


def check_pages(content: bytes, columns: Mapping[str, tuple[int, int]], most_rows: int) -> None:
    """columns: path in the schema -> type (Parquet's number of it), and how many values a row may have.

    Raises BadArchive.
    """
    length = int.from_bytes(content[-8:-4], "little")
    start = len(content) - 8 - length
    if content[:4] != _MAGIC or content[-4:] != _MAGIC or start < 4 or length > _MOST_FOOTER:
        raise BadArchive("it is no Parquet file")
    footer, _ = _struct(content, start, len(content) - 8)
    groups = _structs(footer.get(4))
    rows = [_whole(group.get(3)) for group in groups]
    if sum(rows) != footer.get(3) or sum(rows) > most_rows:
        raise BadArchive(f"it has {footer.get(3)} rows, not as many as its parts, or more than {most_rows}")
    # A version of another maker might mean other places; 8 is what an encrypted one has.
    if not _bytes(footer.get(6)).startswith(_WRITER) or 8 in footer:
        raise BadArchive("it was not written by tenshot")
    unpacked = 0
    for group, count in zip(groups, rows, strict=True):
        for chunk in _structs(group.get(1)):
            unpacked += _unpacked(content, start, chunk, columns, count)
    if unpacked > MOST_UNPACKED:
        raise BadArchive(f"it unpacks to {unpacked} bytes, more than {MOST_UNPACKED}")


def _unpacked(
    content: bytes, footer: int, chunk: dict[int, Any], columns: Mapping[str, tuple[int, int]], rows: int
) -> int:
    """Bytes of all pages of a column chunk; footer: where that begins."""
    column = chunk.get(3)
    if not isinstance(column, dict) or chunk.keys() & {1, 8, 9}:
        raise BadArchive("a column is elsewhere, or encrypted")
    path = b".".join(_bytes(part) for part in _list(column.get(3))).decode(errors="replace")
    if path not in columns:
        return 0
    kind, values_of_row = columns[path]
    place, packed, values = (_whole(column.get(field)) for field in (9, 7, 5))
    if 0 < (dictionary := _whole(column.get(11, 0))) < place:
        place = dictionary
    if column.get(1) != kind or not 4 <= place <= place + packed <= footer or values > values_of_row * rows:
        raise BadArchive(f"the column {path} is not where its footer says, or not what")
    unpacked, counted = _pages(content, place, place + packed)
    if counted > values_of_row * rows:
        raise BadArchive(f"the column {path} has {counted} values, more than it has rows for")
    return unpacked


def _pages(content: bytes, place: int, end: int) -> tuple[int, int]:
    """Bytes of some pages, one behind the other, and how many values their data pages have."""
    unpacked = values = 0
    while place < end:
        header, place = _struct(content, place, end)
        kind, size, packed = (_whole(header.get(field)) for field in (1, 2, 3))
        page = header.get(5 if kind == _DATA else 7)
        if kind not in (_DATA, _DICTIONARY) or not isinstance(page, dict):
            raise BadArchive("it has pages that tenshot doesn't write")
        count, encoding = _whole(page.get(1)), page.get(2)
        if size > _MOST_PAGE or packed > end - place:
            raise BadArchive(f"a page claims {size} bytes in {packed}")
        # A dictionary's values have four bytes at least.
        if encoding not in _ENCODINGS or (kind == _DICTIONARY and (encoding == 8 or 4 * count > size)):
            raise BadArchive("a page is encoded as tenshot doesn't")
        values += count if kind == _DATA else 0
        unpacked += size
        place += packed
    return unpacked, values


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadArchive("its headers lack a number")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise BadArchive("its headers lack a text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadArchive("its headers lack a list")
    return value


def _structs(value: Any) -> list[dict[int, Any]]:
    if not all(isinstance(one, dict) for one in _list(value)):
        raise BadArchive("its headers have a list of something else")
    return _list(value)


def _struct(content: bytes, place: int, end: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """The fields of a struct by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    field = 0
    while True:
        head, place = _byte(content, place, end)
        if head == 0:
            return fields, place
        if head >> 4:
            field += head >> 4
        else:
            field, place = _zigzag(content, place, end)
        if (kind := head & 0xF) in (1, 2):  # true, false
            fields[field] = kind == 1
        else:
            fields[field], place = _value(content, place, end, kind, depth + 1)


def _value(content: bytes, place: int, end: int, kind: int, depth: int) -> tuple[Any, int]:
    if depth > _MOST_DEPTH:
        raise BadArchive("its headers are too deep")
    match kind:
        case 1 | 2 | 3:  # in a list, truth has a byte
            return _byte(content, place, end)
        case 4 | 5 | 6:
            return _zigzag(content, place, end)
        case 7:
            return None, place + 8
        case 8:
            length, place = _varint(content, place, end)
            if length > end - place:
                raise BadArchive("its headers are cut off")
            return content[place : place + length], place + length
        case 9 | 10:
            head, place = _byte(content, place, end)
            length = head >> 4
            if length == 15:
                length, place = _varint(content, place, end)
            if length > end - place:
                raise BadArchive("its headers are cut off")
            items = []
            for _ in range(length):
                item, place = _value(content, place, end, head & 0xF, depth + 1)
                items.append(item)
            return items, place
        case 12:
            return _struct(content, place, end, depth)
    raise BadArchive("its headers have what none has")


def _zigzag(content: bytes, place: int, end: int) -> tuple[int, int]:
    number, place = _varint(content, place, end)
    return (number >> 1) ^ -(number & 1), place


def _varint(content: bytes, place: int, end: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte, place = _byte(content, place, end)
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise BadArchive("its headers have a number without an end")


def _byte(content: bytes, place: int, end: int) -> tuple[int, int]:
    if place >= end:
        raise BadArchive("its headers are cut off")
    return content[place], place + 1
