"""What a backup says of itself: `backup.json`, which belongs to the database beside it."""

import hashlib
import json
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from ..errors import BadArchive
from ..storage.files import is_sha256, open_regular

DATABASE, MANIFEST = "tenshot.db", "backup.json"
DRAFT = ".new"
"""Behind the name of a file that is to take another's place."""
_MOST_BYTES = 64 << 20
"""Bytes that are read of one."""


@dataclass(frozen=True)
class Backup:
    """What a backup says of itself."""

    taken_at: str
    apps: int
    blobs: int
    database_sha256: str
    lost: list[str]
    """What named a picture that was lost or damaged before the backup."""
    format: int = 1


def read_manifest(backup: Path) -> Backup:
    """What a backup says of itself, also where a crash left the newer manifest beside its place. Raises BadArchive."""
    newer = backup / f"{MANIFEST}{DRAFT}"
    return _manifest(newer if newer.exists() and fits(newer) else backup / MANIFEST)


def fits(manifest: Path) -> bool:
    """Whether it belongs to the database beside it."""
    try:
        return _manifest(manifest).database_sha256 == sha256_of(manifest.with_name(DATABASE))
    except BadArchive:
        return False


def _manifest(path: Path) -> Backup:
    """Raises BadArchive for one that is not whole."""
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
        made = Backup(**document)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise BadArchive(f"{path.parent} is no whole backup: {path.name}: {error}") from error
    counts = type(made.apps) is int and type(made.blobs) is int
    names = isinstance(made.lost, list) and all(isinstance(name, str) for name in made.lost)
    if not (counts and names and isinstance(made.taken_at, str) and is_sha256(made.database_sha256)):
        raise BadArchive(f"{path.parent} is no whole backup: {path.name} has values of other types than it should")
    return made


def sha256_of(path: Path) -> str:
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def opened(path: Path) -> BufferedReader:
    """Raises BadArchive."""
    try:
        return open_regular(path)
    except OSError as error:
        raise BadArchive(f"can't read {path}: {error.strerror or error}") from error
