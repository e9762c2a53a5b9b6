"""Backups of a data folder: taken while a server runs and writes, checked before they count, and restored.

    tenshot.db      a snapshot of the database
    blobs/          every picture and frozen predictor that it names
    backup.json     when, how many, and the database's SHA-256; written last

A second backup into the same folder copies only new pictures. The first one stays whole until the second is: both
files are written under other names (`.new`) and then renamed, and only then are unused pictures deleted.
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

from ..catalog import Catalog, untrusted_database
from ..errors import BadArchive, BadRequest, StorageFailed
from ..storage.blobs import Blobs
from ..storage.files import FILE_MODE, create, make_folder, sync, write_new
from .backup_manifest import DATABASE, DRAFT, MANIFEST, Backup, fits, opened, read_manifest, sha256_of

BLOBS, LOCK = "blobs", "backup.lock"
_DATABASE_DRAFT = re.compile(r"tenshot\.db(\.[0-9a-f]{32})?\.new(-wal|-shm|-journal)?")
_RESTORE_DRAFT = re.compile(r"\.restore-[0-9a-f]{32}\.new")
_ROUNDS = 3
"""Snapshots that are tried while others may delete pictures; for the next one deletions wait."""
_MOST_NAMES = 50_000
"""Names of lost pictures in a manifest; restoring counts blobs, not these."""
_BATCH = 64
_MOST_BATCH_BYTES = 64 << 20
"""Pictures, and their bytes, that are written together, so that the disk is synced once for all."""


Progress = Callable[[int, int], None]
"""Receives how many blobs are done, and of how many."""


def back_up(catalog: Catalog, blobs: Blobs, folder: Path, progress: Progress = lambda count, total: None) -> Backup:
    """Writes a backup and verifies all of it. Raises BadRequest for a folder with other content, NotSupported.

    A server may own the data folder meanwhile: SQLite gives a snapshot, and pictures never change. An older backup in
    the folder stays whole until the new one is.
    """
    _check_target(folder, blobs)
    try:
        make_folder(folder)
        with _locked(folder):
            return _back_up(catalog, blobs, folder, progress)
    except OSError as error:
        raise StorageFailed(f"{folder} can't be written: {error.strerror or error}") from error


def _back_up(catalog: Catalog, blobs: Blobs, folder: Path, progress: Progress) -> Backup:
    _settle(folder)
    target = Blobs(folder / BLOBS)
    draft, manifest = folder / f"{DATABASE}.{uuid4().hex}{DRAFT}", folder / f"{MANIFEST}{DRAFT}"
    try:
        # Most pictures first, so that few remain to copy after the snapshot.
        _copy(blobs, target, catalog.blobs(), progress)
        for last in [False] * _ROUNDS + [True]:
            named, lost = _copy_snapshot(catalog, blobs, target, draft, progress, last)
            # A picture that the database still names is lost for good; any other was deleted since the snapshot.
            if last or lost <= catalog.blobs():
                break
        with Catalog.open(draft, make=False) as copied:
            _check(copied)
            apps, names = len(copied.apps.list()), _names(copied, lost)
        backup = Backup(
            datetime.now(UTC).isoformat(), apps, len(named) - len(lost), sha256_of(draft), names[:_MOST_NAMES]
        )
        write_new(manifest, json.dumps(asdict(backup), indent=1).encode())
        sync([draft, folder])
        # After a crash between the two, `read_manifest` finds the new manifest, which fits the new database.
        os.replace(draft, folder / DATABASE)
        sync([folder])
        os.replace(manifest, folder / MANIFEST)
        sync([folder])
    except BaseException:
        _settle(folder)
        raise
    target.delete_unused(set(target.hashes()) - named, lambda hashes: hashes)
    target.delete_strays()
    return backup


def _settle(folder: Path) -> None:
    """Finishes what an interrupted backup has begun, or removes it."""
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
def _locked(folder: Path) -> Iterator[None]:
    """Keeps others from backing up into the folder. Raises BadRequest where one does already."""
    lock = FileLock(folder / LOCK, mode=FILE_MODE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadRequest(f"another backup into {folder} is under way: wait until it is done") from None
    try:
        yield
    finally:
        lock.release()


def restore(backup: Path, folder: Path, progress: Progress = lambda count, total: None) -> Backup:
    """Restores a checked backup into a data folder, which must be new or empty. Raises BadRequest, BadArchive.

    Collections are rebuilt from the vectors, since sequence numbers may come to stand for other changes. The database
    comes last, in one step, so that the folder may be a mount point; without it no store opens there.
    """
    new = not folder.exists()
    if not new and not folder.is_dir():
        raise BadRequest(f"{folder} is a file: restore into a new folder")
    if not new and any(not _is_ignored(path) for path in folder.iterdir()):
        raise BadRequest(f"{folder} is not empty: restore into a new folder, and move that into its place")
    manifest = read_manifest(backup)
    draft = folder / f".restore-{uuid4().hex}{DRAFT}"
    moved = False
    try:
        make_folder(draft)
        _fill(backup, draft, manifest, progress)
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
    return manifest


def _fill(backup: Path, draft: Path, manifest: Backup, progress: Progress) -> None:
    """Fills a draft of the data folder. Raises BadArchive."""
    database = draft / DATABASE
    _check_files(backup / BLOBS)
    with opened(backup / DATABASE) as source, create(database) as copy:
        shutil.copyfileobj(source, copy)
    if sha256_of(database) != manifest.database_sha256:
        raise BadArchive(f"{backup / DATABASE} is not what was backed up")
    make_folder(draft / BLOBS)
    with untrusted_database(database), Catalog.open(database, make=False) as catalog:
        _check(catalog)
        catalog.apps.list()
        named = catalog.blobs()
        lost = _copy(Blobs(backup / BLOBS), Blobs(draft / BLOBS), named, progress)
        if len(named) - len(lost) < manifest.blobs:
            newly_lost = [name for name in _names(catalog, lost) if name not in manifest.lost]
            count = manifest.blobs + len(lost) - len(named)
            raise BadArchive(f"{count} pictures of {backup} are lost or damaged: {', '.join(newly_lost[:5])}")
        catalog.apps.renew_epochs()
    sync([database])


def _is_ignored(path: Path) -> bool:
    """Whether a folder with this entry still counts as empty: a file system's own, or the rest of a killed restore."""
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


def _copy_snapshot(
    catalog: Catalog, blobs: Blobs, target: Blobs, draft: Path, progress: Progress, locked: bool
) -> tuple[set[str], set[str]]:
    """Copies the database and the pictures that it names; returns the hashes of all these, and of the missing ones.

    locked: keep others from deleting pictures meanwhile.
    """
    if locked:
        with blobs.deletion_paused():
            return _copy_snapshot(catalog, blobs, target, draft, progress, False)
    draft.unlink(missing_ok=True)
    catalog.copy_to(draft)
    with Catalog.open(draft, make=False) as copied:
        named = copied.blobs()
    return named, _copy(blobs, target, named, progress)


def _copy(source: Blobs, target: Blobs, named: Iterable[str], progress: Progress) -> set[str]:
    """Copies the named blobs; returns those that could not be copied whole. Blobs in the target are verified."""
    lost = set()
    batch: list[bytes] = []
    hashes = sorted(named)
    for count, sha256 in enumerate(hashes, 1):
        if not target.is_whole(sha256):
            # Read once, since others may delete it meanwhile.
            if (content := source.whole(sha256)) is not None:
                batch.append(content)
            else:
                lost.add(sha256)
        if len(batch) == _BATCH or sum(map(len, batch)) > _MOST_BATCH_BYTES or count == len(hashes):
            target.put_many(batch)
            batch = []
        progress(count, len(hashes))
    return lost


def _check(catalog: Catalog) -> None:
    """Raises BadArchive."""
    if problems := catalog.problems():
        raise BadArchive(f"the database is damaged: {problems[0]}")


def _names(catalog: Catalog, hashes: Iterable[str]) -> list[str]:
    """The inputs and versions that these pictures belong to, for people."""
    return sorted(name for names in catalog.references(hashes).values() for name in names)
