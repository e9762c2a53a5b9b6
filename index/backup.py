"""Backups of a data folder: taken while a server runs and writes, checked before they count, and brought back.

    tenshot.db      the database of one moment
    blobs/          every picture and frozen predictor that it names
    backup.json     when, how many, and the database's SHA-256; comes last

A second backup into the same folder copies only pictures that are new.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from .blobs import Blobs
from .catalog import Catalog
from .errors import BadArchive, BadRequest, NotFound

DATABASE, BLOBS, MANIFEST = "tenshot.db", "blobs", "backup.json"
_ROUNDS = 3
"""Moments of the database that are tried while others may delete pictures; then they wait."""


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


Told = Callable[[int, int], None]
"""How many blobs are there, and of how many."""


def back_up(catalog: Catalog, blobs: Blobs, folder: Path, told: Told = lambda done, total: None) -> Backup:
    """Writes a backup, and reads all of it again. Raises BadRequest for a folder of something else, NotSupported.

    Works on a folder that a server owns: SQLite gives one moment, and pictures never change.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / DATABASE).exists() and not (folder / BLOBS).exists():
        raise BadRequest(f"{folder} has other things in it: back up into an empty folder, or over an older backup")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    target = Blobs(folder / BLOBS)
    draft = folder / f"{DATABASE}.new"
    # Most pictures first, so that few are left when the moment is taken.
    _copy(blobs, target, catalog.blobs(), told)
    for last in [False] * _ROUNDS + [True]:
        named, lost = _moment(catalog, blobs, target, draft, told, last)
        # What the database still names is lost for good; what it doesn't was deleted between the two.
        if last or lost.keys() <= catalog.blobs().keys():
            break
    _check(draft)
    os.replace(draft, folder / DATABASE)
    made = Backup(
        taken_at=datetime.now(UTC).isoformat(),
        apps=len(catalog.apps.list()),
        blobs=len(named) - len(lost),
        database_sha256=_sha256(folder / DATABASE),
        lost=sorted(lost.values()),
    )
    for sha256 in set(target.hashes()) - named.keys():
        target.delete_unused([sha256], lambda hashes: hashes)
    (folder / MANIFEST).write_text(json.dumps(asdict(made), indent=1))
    _sync(folder)
    return made


def restore(backup: Path, folder: Path, told: Told = lambda done, total: None) -> Backup:
    """Makes a data folder of a backup, checked. Raises BadRequest for one that isn't empty, BadArchive for the backup.

    Collections are made anew from the vectors, for numbers will come to mean other changes than they did.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BadRequest(f"{folder} is not empty: restore into a new folder, and move that into its place")
    made = read(backup)
    if _sha256(backup / DATABASE) != made.database_sha256:
        raise BadArchive(f"{backup / DATABASE} is not what was backed up")
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.new")
    try:
        draft.mkdir(parents=True)
        shutil.copyfile(backup / DATABASE, draft / DATABASE)
        with Catalog.open(f"sqlite:///{(draft / DATABASE).resolve()}") as catalog:
            lost = _copy(Blobs(backup / BLOBS), Blobs(draft / BLOBS), catalog.blobs(), told)
            if missing := sorted(set(lost.values()) - set(made.lost)):
                raise BadArchive(f"{len(missing)} pictures of {backup} are lost or damaged: {', '.join(missing[:5])}")
            catalog.apps.renew_epochs()
        if folder.exists():
            folder.rmdir()
        os.rename(draft, folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return made


def read(backup: Path) -> Backup:
    """What a backup says of itself. Raises BadArchive for one that is not whole."""
    try:
        return Backup(**json.loads((backup / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BadArchive(f"{backup} is no whole backup: {error}") from error


def _moment(
    catalog: Catalog, blobs: Blobs, target: Blobs, draft: Path, told: Told, alone: bool
) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """A copy of the database, and the pictures that it names; which were not there any more.

    alone: nobody deletes pictures meanwhile.
    """
    if alone:
        with blobs.kept():
            return _moment(catalog, blobs, target, draft, told, False)
    draft.unlink(missing_ok=True)
    catalog.copy_to(str(draft))
    with Catalog.open(f"sqlite:///{draft.resolve()}") as copied:
        named = copied.blobs()
    return named, _copy(blobs, target, named, told)


def _copy(source: Blobs, target: Blobs, named: Mapping[str, str], told: Told) -> dict[str, str]:
    """Those of the blobs that could not be copied whole. What is there already is read again."""
    lost = {}
    for done, (sha256, name) in enumerate(named.items(), 1):
        if not (there := sha256 in target) or not target.is_whole(sha256):
            if there:
                target.delete_unused([sha256], lambda hashes: hashes)
            try:
                content = source.get(sha256)
                if hashlib.sha256(content).hexdigest() != sha256:
                    lost[sha256] = name
                else:
                    target.put(content)
            except NotFound:
                lost[sha256] = name
        told(done, len(named))
    return lost


def _check(database: Path) -> None:
    """Raises BadArchive."""
    with Catalog.open(f"sqlite:///{database.resolve()}") as copied:
        problems = copied.problems()
    if problems:
        raise BadArchive(f"the database is damaged: {problems[0]}")
    _sync(database)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadArchive(f"can't read {path}: {error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
