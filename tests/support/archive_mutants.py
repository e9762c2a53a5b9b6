"""Exports with something wrong: one to three changes, each of a kind, by a random draw."""

import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import numpy as np
import pyarrow as pa
from archives import DIM, MANIFEST, Parts, bomb, hostile_npz

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 7, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 2**63, 10**30, 0.5, -0.0, 1e30, -1e308),
    *(float("nan"), float("inf"), 1e-320, "", " ", "a", "x1", "m", "all", "\0", "a\0b", "\n", "\ud800", "é", "﷽" * 80),
    *("../../etc/passwd", "/etc/passwd", "a" * 201, "a" * 70_000, "0" * 32, "f" * 64, "F" * 64, "text/html", "ready"),
    *(
        "pending",
        "failed",
        "running",
        "queued",
        "done",
        "nan",
        "1e30",
        "{}",
        "[]",
        "vectors",
        "general",
        "timm:resnet18",
    ),
    *(
        "open_clip:ViT-B-32:/dev/zero",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2020-01-01",
        b"",
        b"\xff",
    ),
    *(
        b"\0" * 32,
        bytes(3208),
        b"\xff" * 32,
        [],
        {},
        [1, 2, 3, 4],
        [0, 0, 1, 1],
        ["a", "a"],
        ["a"],
        [[[[]]]],
        {"a": 1},
        {"": {"\0": []}},
    ),
    *(
        {"id": "n", "model_id": "m", "version_id": None},
        [{"id": "n", "model_id": "m", "version_id": 5}],
        {"dim": 8},
        ["x"] * 1000,
    ),
]
JSON_TEXTS = [
    *(
        "",
        "null",
        "NaN",
        "[NaN]",
        "-Infinity",
        "1e999",
        '"\\ud800"',
        '{"a":"\\ud800"}',
        '{"\\u0000":1}',
        "{",
        "[" * 100_000,
    ),
    *(
        "9" * 5000,
        '{"a":' * 500 + "1" + "}" * 500,
        "[" + "0," * 50_000 + "0]",
        '{"a":1,"a":2}',
        "\ufeff{}",
        "[[],[]]",
        "[0.1,0.1,0.9,0.9]",
    ),
    *(
        '[{"id":"n","model_id":"m","version_id":null}]',
        '{"concepts":[],"confusion":[],"cooccurrence":[],"judged":[],"accuracy":null}',
    ),
    *(
        '{"concepts":[1],"confusion":[[0]]}',
        '[{"id":[],"model_id":{},"version_id":null}]',
        '{"reason":5}',
        '{"a":1e308}',
    ),
]


_LEFT_UNREADABLE = (pa.ArrowException, tarfile.TarError, OSError, ValueError, AttributeError, TypeError, MemoryError)
"""Raised where an earlier change has left what can't be changed again."""


def mutant(base: Parts, draw: random.Random) -> bytes:
    """A tar with one to three things wrong, or with none that matters."""
    parts = deepcopy(base)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        with suppress(*_LEFT_UNREADABLE):
            _pick(_MUTATIONS, draw)(parts, draw)
    tar = parts.tar()
    if draw.random() < 0.12:
        with suppress(*_LEFT_UNREADABLE):
            tar = _pick(_TAR_MUTATIONS, draw)(tar, draw)
    return tar


def _pick(weighted: dict[Callable[..., Any], int], draw: random.Random) -> Callable[..., Any]:
    return draw.choices(list(weighted), list(weighted.values()))[0]


def _change_inside(value: Any, draw: random.Random) -> Any:
    """The same JSON with one thing in it changed, taken away, or added."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        match draw.randrange(8):
            case 0:
                return {name: one for name, one in value.items() if name != key}
            case 1:
                return {
                    **value,
                    draw.choice(["more", "../x", "inputs/../../x.parquet", "seq"]): draw.choice(VALUES[:45]),
                }
            case _:
                return {**value, key: _change_inside(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.85:
        place = draw.randrange(len(value))
        match draw.randrange(6):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value, value[place]]
            case _:
                return [*value[:place], _change_inside(value[place], draw), *value[place + 1 :]]
    return draw.choice([one for one in VALUES if not isinstance(one, bytes)])


def _manifest(parts: Parts, draw: random.Random) -> None:
    if draw.random() < 0.6:
        name = (
            draw.choice([*parts.manifest["app"], "recipe", "id"]) if isinstance(parts.manifest.get("app"), dict) else ""
        )
        if name:
            app = parts.manifest["app"]
            changed = draw.choice([one for one in VALUES if not isinstance(one, bytes)])
            if isinstance(app.get(name), dict) and draw.random() < 0.8:
                changed = _change_inside(app[name], draw)
            parts.manifest["app"] = {**app, name: changed}
            return
    changed = _change_inside(parts.manifest, draw)
    if isinstance(changed, dict):
        parts.manifest = changed
        parts.repaired, parts.counted = draw.random() < 0.5, draw.random() < 0.5


def _table_of(parts: Parts, draw: random.Random) -> str | None:
    names = [name for name in parts.tables if parts.table(name).num_rows]
    return draw.choice(names) if names else None


def _cell(parts: Parts, draw: random.Random) -> None:
    if (name := _table_of(parts, draw)) is None:
        return
    table = parts.table(name)
    column = draw.choice(table.column_names)
    if table.column_names.count(column) > 1:  # by a mutation before
        return
    kind = table.schema.field(column).type
    row = draw.randrange(table.num_rows)
    values = VALUES
    if draw.random() < 0.7:  # of the column's own type
        fits = {pa.int64(): int, pa.float64(): float, pa.bool_(): bool, pa.string(): str, pa.binary(): bytes}.get(kind)
        values = [one for one in VALUES if fits and isinstance(one, fits)] or [None]
        if pa.types.is_timestamp(kind):
            values = [None, 0, -1, 1, 10**15, 2**62, -(2**62), 253402300800000000, 10**17]
        elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
            values = [[v] * DIM for v in (0.0, 1.0, 1e38, -1e30, 1e-30, float("nan"), float("inf"))] + [None, [1.0], []]
    parts.set_cell(name, row, column, draw.choice(values))


_JSON_COLUMNS = {
    "inputs": ("crop", "regions", "metadata"),
    "models": ("settings",),
    "model_versions": ("concept_ids", "thresholds", "result"),
    "workflows": ("nodes",),
    "feedback": ("about", "body"),
}


def _json_cell(parts: Parts, draw: random.Random) -> None:
    names = [name for name in parts.tables if name.partition("/")[0] in _JSON_COLUMNS]
    if not names:
        return
    name = draw.choice(names)
    table = parts.table(name)
    column = draw.choice(_JSON_COLUMNS[name.partition("/")[0]])
    if not table.num_rows or column not in table.column_names:
        return
    having = [row for row, value in enumerate(table[column].to_pylist()) if value is not None]
    row = draw.choice(having or range(table.num_rows))
    old = table[column][row].as_py()
    if draw.random() < 0.4 or not isinstance(old, str):
        value = draw.choice(JSON_TEXTS)
    else:
        try:
            value = json.dumps(_change_inside(json.loads(old), draw))
        except ValueError:
            value = "{"
    parts.set_cell(name, row, column, value)


def _rows(parts: Parts, draw: random.Random) -> None:
    if (name := _table_of(parts, draw)) is None:
        return
    table = parts.table(name)
    row = draw.randrange(table.num_rows)
    one = table.slice(row, 1)
    match draw.randrange(6):
        case 0:
            table = pa.concat_tables([table, one])
        case 1:
            table = pa.concat_tables([table.slice(0, row), table.slice(row + 1)])
        case 2:
            table = table.take(pa.array(draw.sample(range(table.num_rows), table.num_rows)))
        case 3:
            table = table.slice(0, 0)
        case 4:
            table = pa.concat_tables([one] * draw.choice((2, 300, 70_000)))
        case _:
            parts.tables[f"{name.partition('/')[0]}/{draw.choice(['000001', '999999', '0', '1000000'])}.parquet"] = (
                parts.tables[name]
            )
            return
    parts.set_table(name, table)


def _columns(parts: Parts, draw: random.Random) -> None:
    if (name := _table_of(parts, draw)) is None:
        return
    table = parts.table(name)
    place = draw.randrange(table.num_columns)
    column = table.column_names[place]
    match draw.randrange(5):
        case 0:
            table = table.remove_column(place)
        case 1:
            table = table.rename_columns([f"{one}2" if one == column else one for one in table.column_names])
        case 2:
            table = table.append_column(draw.choice(["extra", column, "app_id", "key"]), pa.array([1] * table.num_rows))
        case 3:
            kind = draw.choice(
                [
                    pa.int32(),
                    pa.float32(),
                    pa.large_string(),
                    pa.dictionary(pa.int8(), pa.string()),
                    pa.list_(pa.int64()),
                    pa.null(),
                ]
            )
            try:
                table = table.set_column(place, column, table[column].cast(kind))
            except (pa.ArrowException, ValueError):
                table = table.set_column(place, column, pa.nulls(table.num_rows, kind))
        case _:
            table = table.select(draw.sample(table.column_names, table.num_columns))
    parts.set_table(name, table)


def _parquet(parts: Parts, draw: random.Random) -> None:
    """The file itself: other bytes, an end that is missing, other ways to write it, more than there is room for."""
    if not parts.tables:
        return
    name = draw.choice(list(parts.tables))
    content = bytearray(parts.tables[name])
    match draw.randrange(8):
        case 0 | 1 | 2 | 3:
            for _ in range(draw.choice((1, 2, 8))):
                # Mostly in the footer and the headers of pages, which are not compressed.
                place = (
                    draw.randrange(len(content))
                    if draw.random() < 0.5
                    else len(content) - 1 - draw.randrange(min(len(content), 3000))
                )
                content[place] = draw.choice((content[place] ^ (1 << draw.randrange(8)), draw.randrange(256), 0xFF))
            parts.tables[name] = bytes(content)
        case 4:
            parts.tables[name] = bytes(content[: draw.randrange(len(content))])
        case 5:
            options: list[dict[str, Any]] = [
                {"data_page_version": "2.0"},
                {"use_dictionary": False},
                {"row_group_size": 1},
                {"use_dictionary": False, "column_encoding": {"id": "DELTA_BYTE_ARRAY"}},
                {"version": "1.0"},
            ]
            try:
                parts.set_table(name, parts.table(name), **draw.choice(options))
            except (pa.ArrowException, KeyError, OSError, ValueError):
                return
        case 6:
            parts.tables[name] = bomb(parts.table(name).schema, 1_000_000, 64)
        case _:
            parts.tables[name] = bomb(parts.table(name).schema, 2_000, 1 << 16)


def _picture(parts: Parts, draw: random.Random) -> None:
    names = [name for name in parts.files if name.startswith("images/")]
    if not names:
        return
    name = draw.choice(names)
    content = parts.files[name]
    match draw.randrange(7):
        case 0:
            del parts.files[name]
        case 1:
            parts.files[name] = content[: draw.randrange(len(content))]
        case 2:
            parts.replace_file(name, b"<html><script>alert(1)</script></html>")
        case 3:
            parts.replace_file(name, b"")
        case 4:
            parts.replace_file(name, content[: draw.randrange(len(content))])
        case 5:
            parts.replace_file(name, b"GIF89a" + draw.randbytes(200))
        case _:
            flipped = bytearray(content)
            flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            parts.replace_file(name, bytes(flipped))


def _predictor(parts: Parts, draw: random.Random) -> None:
    names = [name for name in parts.files if name.startswith("predictors/")]
    if not names:
        return
    name = draw.choice(names)
    content = parts.files[name]
    try:
        with np.load(io.BytesIO(content)) as stored:
            arrays: dict[str, Any] = dict(stored)
    except (ValueError, OSError, zipfile.BadZipFile, KeyError, EOFError):
        return
    match draw.randrange(6):
        case 0:
            flipped = bytearray(content)
            for _ in range(draw.choice((1, 3))):
                flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
            made = bytes(flipped)
        case 1:
            made = content[: draw.randrange(len(content))]
        case 2:
            made = hostile_npz(arrays, draw)
        case _:
            key = draw.choice(list(arrays))
            if not isinstance(arrays[key], np.ndarray):  # by a mutation before
                return
            arrays[key] = _changed_array(arrays[key], draw)
            out = io.BytesIO()
            np.savez(out, **arrays)
            made = out.getvalue()
    parts.replace_file(name, made)


def _changed_array(array: Any, draw: random.Random) -> Any:
    match draw.randrange(8):
        case 0:
            return array[..., None]
        case 1:
            return np.concatenate([array, array]) if array.ndim else np.array([array, array])
        case 2:
            return array[:-1] if array.ndim else array
        case 3:
            return array.astype(
                draw.choice([np.float64, np.float32, np.int8, np.complex64, "U5", "S3"]), casting="unsafe"
            )
        case 4:
            return np.zeros((0, 5))
        case 5:
            return np.array(draw.choice([np.nan, np.inf, -1.0, 0.0, 1e300, 10**9]))
        case _:
            changed = array.copy()
            if changed.size:
                values = {
                    "f": (np.nan, np.inf, 1e38, -1e30, 5.0, 0.0),
                    "i": (-1, 10**9, 0, 1),
                    "b": (True, False),
                    "U": ("", "zz", "a"),
                    "u": (0, 255),
                }
                with np.errstate(all="ignore"):
                    try:
                        changed.flat[draw.randrange(changed.size)] = draw.choice(values[changed.dtype.kind])
                    except OverflowError:
                        changed.flat[0] = 0
            return changed


def _strange_members(parts: Parts, draw: random.Random) -> None:
    info = tarfile.TarInfo(
        draw.choice(["images/x", "../../out", "/tmp/out", MANIFEST, "inputs/000000.parquet", "a" * 300, "\0", "é/\x01"])
    )
    content = b""
    match draw.randrange(8):
        case 0:
            info.type, info.linkname = tarfile.SYMTYPE, draw.choice(["/etc/passwd", MANIFEST, "../../.."])
        case 1:
            info.type, info.linkname = tarfile.LNKTYPE, MANIFEST
        case 2:
            info.type = draw.choice([tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE])
        case 3:
            info.type = tarfile.DIRTYPE
        case 4:
            info.pax_headers = {
                draw.choice(["size", "path", "GNU.sparse.realsize", "comment", "mtime"]): draw.choice(
                    ["9999999999", "tenshot.json", "x" * 100_000]
                )
            }
        case 5:
            info.type = tarfile.GNUTYPE_SPARSE
        case _:
            content = draw.choice([b"", b"x" * 600])
    info.size = len(content)
    parts.members.append((info, content))


def _manifest_first(parts: Parts, draw: random.Random) -> None:
    parts.manifest_first = True


def _bytes(tar: bytes, draw: random.Random) -> bytes:
    changed = bytearray(tar)
    for _ in range(draw.choice((1, 1, 5))):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _cut(tar: bytes, draw: random.Random) -> bytes:
    return tar[: draw.randrange(len(tar))]


def _huge_size(tar: bytes, draw: random.Random) -> bytes:
    """A header that claims more than there is, with its checksum right."""
    starts = []
    with tarfile.open(fileobj=io.BytesIO(tar)) as file:
        starts = [one.offset for one in file]
    start = draw.choice(starts)
    header = bytearray(tar[start : start + 512])
    header[124:136] = draw.choice(
        [b"77777777777\0", b"\x80" + b"\0" * 7 + b"\xff\xff\xff\xff", b"00000000000\0", b"\xff" * 12]
    )
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    return tar[:start] + bytes(header) + tar[start + 512 :]


def _doubled(tar: bytes, draw: random.Random) -> bytes:
    return tar[:-10240] + tar if draw.random() < 0.5 else tar + draw.randbytes(512)


_MUTATIONS: dict[Callable[..., Any], int] = {
    _manifest: 5,
    _cell: 10,
    _json_cell: 7,
    _rows: 4,
    _columns: 2,
    _parquet: 5,
    _picture: 3,
    _predictor: 6,
    _strange_members: 3,
    _manifest_first: 1,
}
_TAR_MUTATIONS: dict[Callable[..., Any], int] = {_bytes: 4, _cut: 2, _huge_size: 3, _doubled: 1}
