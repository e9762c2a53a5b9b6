"""Backups of a data folder: taken while a server runs and writes, checked before they count, and brought back.

    tenshot.db      the database of one moment
    blobs/          every picture and frozen predictor that it names
    backup.json     when, how many, and the database's SHA-256; comes last

A second backup into the same folder copies only pictures that are new. Until it is whole the first one stays so: both
files are written under other names (`.new`) before they take their places, and pictures are deleted after that.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from ..catalog import Catalog, of_others
from ..errors import BadArchive, BadRequest, StorageFailed
from ..storage.blobs import Blobs
from ..storage.files import FILE_MODE, create, make_folder, sync, write_new
from .backup_manifest import DATABASE, DRAFT, MANIFEST, Backup, fits, opened, read_manifest, sha256_of

BLOBS, LOCK = "blobs", "backup.lock"
_DATABASE_DRAFT = re.compile(r"tenshot\.db(\.[0-9a-f]{32})?\.new(-wal|-shm|-journal)?")
_RESTORE_DRAFT = re.compile(r"\.restore-[0-9a-f]{32}\.new")
_ROUNDS = 3
"""Moments of the database that are tried while others may delete pictures; then they wait."""
_MOST_NAMES = 50_000
"""Of what was lost, in a manifest; what counts is the number of blobs."""
_AT_ONCE = 64
_MOST_AT_ONCE = 64 << 20
"""Pictures, and their bytes, that are written together, since the disk is waited for once."""


Told = Callable[[int, int], None]
"""How many blobs are there, and of how many."""


def back_up(catalog: Catalog, blobs: Blobs, folder: Path, told: Told = lambda done, total: None) -> Backup:
    """Writes a backup, and reads all of it again. Raises BadRequest for a folder of something else, NotSupported.

    Works on a folder that a server owns: SQLite gives one moment, and pictures never change. An older backup in the
    folder stays whole until the new one is.
    """
    _check_target(folder, blobs)
    try:
        make_folder(folder)
        with _alone(folder):
            return _back_up(catalog, blobs, folder, told)
    except OSError as error:
        raise StorageFailed(f"{folder} can't be written: {error.strerror or error}") from error


def _back_up(catalog: Catalog, blobs: Blobs, folder: Path, told: Told) -> Backup:
    _settle(folder)
    target = Blobs(folder / BLOBS)
    draft, manifest = folder / f"{DATABASE}.{uuid4().hex}{DRAFT}", folder / f"{MANIFEST}{DRAFT}"
    try:
        # Most pictures first, so that few are left when the moment is taken.
        _copy(blobs, target, catalog.blobs(), told)
        for last in [False] * _ROUNDS + [True]:
            named, lost = _moment(catalog, blobs, target, draft, told, last)
            # What the database still names is lost for good; what it doesn't was deleted between the two.
            if last or lost <= catalog.blobs():
                break
        with Catalog.open(draft, make=False) as copied:
            _check(copied)
            apps, names = len(copied.apps.list()), _names(copied, lost)
        made = Backup(
            datetime.now(UTC).isoformat(), apps, len(named) - len(lost), sha256_of(draft), names[:_MOST_NAMES]
        )
        write_new(manifest, json.dumps(asdict(made), indent=1).encode())
        sync([draft, folder])
        # A crash between the two leaves the new database with a manifest that fits: `read_manifest` finds it.
        os.replace(draft, folder / DATABASE)
        sync([folder])
        os.replace(manifest, folder / MANIFEST)
        sync([folder])
    except BaseException:
        _settle(folder)
        raise
    target.delete_unused(set(target.hashes()) - named, lambda hashes: hashes)
    target.delete_strays()
    return made


def _settle(folder: Path) -> None:
    """Finishes what a backup that broke off has begun, or takes it away."""
    newer = folder / f"{MANIFEST}{DRAFT}"
    if newer.exists() and fits(newer):
        os.replace(newer, folder / MANIFEST)
    for path in folder.iterdir():
        if path == newer or _DATABASE_DRAFT.fullmatch(path.name):
            path.unlink()


def _check_target(folder: Path, blobs: Blobs) -> None:
    """Raises BadRequest for a folder that is neither new or empty, nor a backup, nor the beginning of one."""
    data = blobs.folder.parent.resolve()
    if folder.resolve() == data or folder.resolve().is_relative_to(data / BLOBS):
        raise BadRequest(f"{folder} is the data folder itself: back up into another folder, best on another disk")
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise BadRequest(f"{folder} is a file: back up into a folder") from error
    if names & {"lock", "collections"}:
        raise BadRequest(f"{folder} is a data folder, which a backup would replace: back up into another folder")
    if names - {"lost+found"} and not names & {MANIFEST, LOCK}:
        raise BadRequest(f"{folder} has other things in it: back up into an empty folder, or over an older backup")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else backs up into the folder meanwhile."""
    lock = FileLock(folder / LOCK, mode=FILE_MODE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadRequest(f"another backup into {folder} is under way: wait until it is done") from None
    try:
        yield
    finally:
        lock.release()


def restore(backup: Path, folder: Path, told: Told = lambda done, total: None) -> Backup:
    """Makes a data folder of a backup, checked. Raises BadRequest for one that isn't empty, BadArchive for the backup.

    Collections are made anew from the vectors, for numbers will come to mean other changes than they did. The database
    comes last, in one step, so that the folder may be a mount point; without it no store opens there.
    """
    new = not folder.exists()
    if not new and not folder.is_dir():
        raise BadRequest(f"{folder} is a file: restore into a new folder")
    if not new and any(not _is_left(path) for path in folder.iterdir()):
        raise BadRequest(f"{folder} is not empty: restore into a new folder, and move that into its place")
    made = read_manifest(backup)
    draft = folder / f".restore-{uuid4().hex}{DRAFT}"
    moved = False
    try:
        make_folder(draft)
        _fill(backup, draft, made, told)
        os.rename(draft / BLOBS, folder / BLOBS)
        moved = True
        sync([folder])
        os.rename(draft / DATABASE, folder / DATABASE)
        sync([folder, folder.parent])
    except BaseException as error:
        if moved and not (folder / DATABASE).exists():
            shutil.rmtree(folder / BLOBS, ignore_errors=True)
        shutil.rmtree(draft, ignore_errors=True)
        if new:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise StorageFailed(f"{folder} can't be restored: {error.strerror or error}") from error
        raise
    for path in folder.iterdir():
        if _RESTORE_DRAFT.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
    return made


def _fill(backup: Path, draft: Path, made: Backup, told: Told) -> None:
    """A whole data folder. Raises BadArchive."""
    database = draft / DATABASE
    _check_files(backup / BLOBS)
    with opened(backup / DATABASE) as source, create(database) as copy:
        shutil.copyfileobj(source, copy)
    if sha256_of(database) != made.database_sha256:
        raise BadArchive(f"{backup / DATABASE} is not what was backed up")
    make_folder(draft / BLOBS)
    with of_others(database), Catalog.open(database, make=False) as catalog:
        _check(catalog)
        catalog.apps.list()
        named = catalog.blobs()
        lost = _copy(Blobs(backup / BLOBS), Blobs(draft / BLOBS), named, told)
        if len(named) - len(lost) < made.blobs:
            more = [name for name in _names(catalog, lost) if name not in made.lost]
            count = made.blobs + len(lost) - len(named)
            raise BadArchive(f"{count} pictures of {backup} are lost or damaged: {', '.join(more[:5])}")
        catalog.apps.renew_epochs()
    sync([database])


def _is_left(path: Path) -> bool:
    """What an empty folder may have: a file system's own, and what a restore that was killed left behind."""
    return path.name == "lost+found" or _RESTORE_DRAFT.fullmatch(path.name) is not None


def _check_files(folder: Path) -> None:
    """Raises BadArchive for links, pipes and devices among the pictures: a backup has none."""
    folders = [folder] if folder.is_dir() else []
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    raise BadArchive(f"{entry.path} is no regular file: tenshot didn't make it")


def _moment(
    catalog: Catalog, blobs: Blobs, target: Blobs, draft: Path, told: Told, alone: bool
) -> tuple[set[str], set[str]]:
    """A copy of the database, and the pictures that it names; which were not there any more.

    alone: nobody deletes pictures meanwhile.
    """
    if alone:
        with blobs.kept():
            return _moment(catalog, blobs, target, draft, told, False)
    draft.unlink(missing_ok=True)
    catalog.copy_to(draft)
    with Catalog.open(draft, make=False) as copied:
        named = copied.blobs()
    return named, _copy(blobs, target, named, told)


def _copy(source: Blobs, target: Blobs, named: Iterable[str], told: Told) -> set[str]:
    """Those of the blobs that could not be copied whole. What is there already is read again."""
    lost = set()
    batch: list[bytes] = []
    hashes = sorted(named)
    for done, sha256 in enumerate(hashes, 1):
        if not target.is_whole(sha256):
            # Read once: others may delete it meanwhile.
            if (content := source.whole(sha256)) is not None:
                batch.append(content)
            else:
                lost.add(sha256)
        if len(batch) == _AT_ONCE or sum(map(len, batch)) > _MOST_AT_ONCE or done == len(hashes):
            target.put_many(batch)
            batch = []
        told(done, len(hashes))
    return lost


def _check(catalog: Catalog) -> None:
    """Raises BadArchive."""
    if problems := catalog.problems():
        raise BadArchive(f"the database is damaged: {problems[0]}")


def _names(catalog: Catalog, hashes: Iterable[str]) -> list[str]:
    """Who names these pictures, for people."""
    return sorted(name for names in catalog.who_names(hashes).values() for name in names)
