"""A backup's manifest: `backup.json`, which belongs to the database beside it."""

import hashlib
import json
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from ..errors import BadArchive
from ..storage.files import is_sha256, open_regular

DATABASE, MANIFEST = "tenshot.db", "backup.json"
DRAFT = ".new"
"""Suffix of a file that is to replace another one."""
_MOST_BYTES = 64 << 20
"""Of a manifest."""


@dataclass(frozen=True)
class Backup:
    """The content of a manifest."""

    taken_at: str
    apps: int
    blobs: int
    database_sha256: str
    lost: list[str]
    """The inputs and versions whose picture was lost or damaged before the backup."""
    format: int = 1


def read_manifest(backup: Path) -> Backup:
    """A backup's manifest, also where a crash left the newer one under its draft name. Raises BadArchive."""
    newer = backup / f"{MANIFEST}{DRAFT}"
    return _manifest(newer if newer.exists() and fits(newer) else backup / MANIFEST)


def fits(manifest: Path) -> bool:
    """Whether a manifest belongs to the database beside it."""
    try:
        return _manifest(manifest).database_sha256 == sha256_of(manifest.with_name(DATABASE))
    except BadArchive:
        return False


def _manifest(path: Path) -> Backup:
    """Raises BadArchive for a manifest that is not whole."""
    try:
        with open_regular(path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError("it is too long")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("it is no object")
        if document.get("format", 1) != 1:
            raise ValueError(f"its format is {document['format']!r}: a newer tenshot made it")
        manifest = Backup(**document)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BadArchive(f"{path.parent} is no whole backup: {path.name}: {error}") from error
    counts = type(manifest.apps) is int and type(manifest.blobs) is int
    names = isinstance(manifest.lost, list) and all(isinstance(name, str) for name in manifest.lost)
    if not (counts and names and isinstance(manifest.taken_at, str) and is_sha256(manifest.database_sha256)):
        raise BadArchive(f"{path.parent} is no whole backup: {path.name} has values of other types than it should")
    return manifest


def sha256_of(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opened(path: Path) -> BufferedReader:
    """Raises BadArchive."""
    try:
        return open_regular(path)
    except OSError as error:
        raise BadArchive(f"can't read {path}: {error.strerror or error}") from error
