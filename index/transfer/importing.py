"""An app from a whole export: as it was, to the last bit. What was begun and broken off goes on where it stopped."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from ..blobs import Blobs
from ..catalog import Catalog
from ..catalog.transfers import KeyMap
from ..errors import AppExists, AppNotFound, BadArchive
from ..intake import check_id
from ..records import AppRecord
from ..scoring.predictor import Predictor
from .archive import Archive
from .exporting import FORMAT, image_name, predictor_name
from .tables import INPUTS, TABLES, Row, from_parquet

_BATCH = 256


@dataclass(frozen=True)
class Imported:
    """What an import brought."""

    app: AppRecord
    added: int
    already_there: int
    """Of an import that was broken off."""
    lost: Sequence[str]
    """Ids of inputs whose picture is not in the archive: they are there without it."""


def begun(catalog: Catalog, archive: Archive, name: str) -> AppRecord | None:
    """The app that an import of this archive was broken off in, or None if there is no app of this name.

    Raises AppExists for an app of another kind.
    """
    try:
        record = catalog.apps.find(name)
    except AppNotFound:
        return None
    app = _app(archive)
    same = record.created_at == app["created_at"] and dict(record.recipe) == app["recipe"]
    if not same or record.seq or not app["seq"]:
        raise AppExists(f"an app {name!r} exists already: an export of a whole app becomes a new app")
    return record


def import_app(
    catalog: Catalog,
    blobs: Blobs,
    archive: Archive,
    name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Makes the app, with all that it had. progress is called with how many inputs are there, and of how many.

    What is broken off by anything else than a bad archive stays, and the next attempt goes on. Raises AppExists or
    BadArchive.
    """
    app = _app(archive)
    name = check_id(app["name"] if name is None else name, "app name")
    record = begun(catalog, archive, name)
    if record is not None:
        return _fill(catalog, blobs, archive, record, progress)
    record = catalog.transfers.begin(app["id"], name, app["recipe"], app["created_at"])
    try:
        return _fill(catalog, blobs, archive, record, progress)
    except BadArchive:
        blobs.delete_unused(catalog.apps.delete(record.id), catalog.unused_blobs)
        raise


def _fill(
    catalog: Catalog, blobs: Blobs, archive: Archive, record: AppRecord, progress: Callable[[int, int], None] | None
) -> Imported:
    """Inputs a batch at a time, those that are not there yet; then all else at once."""
    app = _app(archive)
    total = int(archive.manifest["counts"].get(INPUTS, 0))
    numbers: dict[str, int] = {}
    lost: list[str] = []
    added = 0
    for file in _files(archive, INPUTS):
        shard = list(_table(archive, INPUTS, file, app["dim"]))
        numbers |= {row["id"]: row["key"] for row in shard}
        there = catalog.inputs.taken_ids(record.id, [row["id"] for row in shard])
        new = [row for row in shard if row["id"] not in there]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            lost += _add(catalog, blobs, archive, record, batch)
            added += len(batch)
            if progress:
                progress(len(numbers) - len(new) + start + len(batch), total)
    keys = catalog.transfers.key_map(record.id, numbers)
    tables: dict[str, Iterable[Row]] = {name: _rows(archive, name, app["dim"]) for name in TABLES}
    settings = {"seq": app["seq"], "teach_from_feedback": app["teach_from_feedback"]}
    with blobs.kept():
        tables["model_versions"] = (_translated(blobs, archive, row, keys) for row in tables["model_versions"])
        catalog.transfers.finish(record.id, settings, tables, keys)
    return Imported(catalog.apps.get(record.id), added, len(numbers) - added, lost)


def _add(catalog: Catalog, blobs: Blobs, archive: Archive, record: AppRecord, batch: Sequence[Row]) -> list[str]:
    """Pictures, then rows and vectors in one transaction; ids of those whose picture is lost."""
    lost = []
    _check_vectors(batch, record.dim)
    try:
        with blobs.kept():
            for row in batch:
                if row["sha256"] is None:
                    continue
                if image_name(row) not in archive:
                    lost.append(row["id"])
                    row["sha256"] = row["media_type"] = None
                else:
                    _keep(blobs, archive, image_name(row), row["sha256"])
            catalog.transfers.add_inputs(record.id, record.recipe["workflow"], batch)
    except BadArchive:
        blobs.delete_unused(filter(None, (row["sha256"] for row in batch)), catalog.unused_blobs)
        raise
    return lost


def _keep(blobs: Blobs, archive: Archive, name: str, sha256: str) -> None:
    if sha256 in blobs:
        return
    content = archive.read(name)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BadArchive(f"{name} is not what was exported")
    blobs.put(content)


def _translated(blobs: Blobs, archive: Archive, version: Row, keys: KeyMap) -> Row:
    """A version whose predictor names the inputs by their new keys."""
    sha256 = version["predictor_sha256"]
    if sha256 is None:
        return version
    content = archive.read(predictor_name(sha256))
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BadArchive(f"{predictor_name(sha256)} is not what was exported")
    try:
        predictor = Predictor.from_bytes(content)
    except (ValueError, KeyError, OSError) as error:
        raise BadArchive(f"{predictor_name(sha256)} can't be read: {error}") from error
    moved = replace(predictor, keys=keys(predictor.keys)).to_bytes()
    return version | {"predictor_sha256": blobs.put(moved)}


def _app(archive: Archive) -> dict[str, Any]:
    """What the manifest says of the app. Raises BadArchive."""
    manifest = archive.manifest
    if not isinstance(manifest.get("format"), int) or manifest["format"] > FORMAT:
        raise BadArchive(f"{archive.path} has the format {manifest.get('format')!r}; this tenshot knows {FORMAT}")
    try:
        app = dict(manifest["app"])
        made: dict[str, Any] = {
            "id": str(app["id"]),
            "name": str(app["name"]),
            "recipe": dict(app["recipe"]),
            "dim": int(app["dim"]),
            "seq": int(app["seq"]),
            "teach_from_feedback": bool(app["teach_from_feedback"]),
            "created_at": datetime.fromisoformat(app["created_at"]),
        }
        int(manifest["counts"].get(INPUTS, 0))
        if made["recipe"]["dim"] != made["dim"] or not isinstance(manifest["files"], dict):
            raise BadArchive("its manifest contradicts itself")
    except (KeyError, TypeError, ValueError) as error:
        raise BadArchive(f"the manifest of {archive.path} lacks something: {error!r}") from error
    return made


def _files(archive: Archive, table: str) -> list[str]:
    return sorted(name for name in archive.manifest["files"] if name.startswith(f"{table}/"))


def _rows(archive: Archive, table: str, dim: int) -> Iterator[Row]:
    for file in _files(archive, table):
        yield from _table(archive, table, file, dim)


def _table(archive: Archive, table: str, file: str, dim: int) -> Iterator[Row]:
    content = archive.read(file)
    if hashlib.sha256(content).hexdigest() != archive.manifest["files"][file]:
        raise BadArchive(f"{file} is not what was exported")
    return from_parquet(table, content, dim)


def _check_vectors(rows: Iterable[Row], dim: int) -> None:
    vectors = [row["vector"] for row in rows if row["vector"] is not None]
    matrix = np.frombuffer(b"".join(vectors), dtype="<f4").reshape(len(vectors), dim)
    norms = np.linalg.norm(matrix, axis=1)
    if not np.all(np.isfinite(norms) & (norms > 0)):
        raise BadArchive("it has vectors that are zero or not finite")
