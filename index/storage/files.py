"""Files that tenshot writes: private, synced to the disk, with names of a fixed form; it removes no others."""

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from io import BufferedReader, BufferedWriter
from pathlib import Path

_APP_ID = re.compile("[0-9a-f]{32}")
_SHA256 = re.compile("[0-9a-f]{64}")
FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Other users can't read a data folder; if its owner changes the modes, they stay so."""


def is_app_id(value: object) -> bool:
    """Whether this can be an app's id: 32 hexadecimal digits in lower case, so a safe file name."""
    return isinstance(value, str) and _APP_ID.fullmatch(value) is not None


def is_sha256(value: object) -> bool:
    """Whether this can be a SHA-256 as tenshot writes it: 64 hexadecimal digits in lower case."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def make_folder(folder: Path) -> set[Path]:
    """Creates a private folder and its missing parents; returns the folders that got a new entry, to be synced."""
    missing = []
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir(FOLDER_MODE)
        except FileExistsError:
            # Another process was faster, or there is a file of this name.
            if not path.is_dir():
                raise
    return {path.parent for path in missing}


def make_file(path: Path) -> None:
    """Creates a private, empty file. An existing one is not even opened, since closing it would end SQLite's locks."""
    with suppress(FileExistsError):
        create(path).close()


def create(path: Path) -> BufferedWriter:
    """A new private file, open for writing. Raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb")


def write_new(path: Path, content: bytes) -> None:
    """Writes a new private file, synced when this returns; the caller syncs the folder."""
    with create(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_regular(path: Path) -> BufferedReader:
    """Opens a file for reading. Raises FileNotFoundError, without blocking, also for what is no regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def sync(paths: Iterable[Path]) -> None:
    """Syncs files, or the entries of folders, to the disk."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def exposure(folder: Path) -> str | None:
    """A warning, for people, that every user of the machine can read files in a folder; None where they can't."""
    if not folder.stat().st_mode & stat.S_IXOTH:
        return None
    modes = {path.name: path.lstat().st_mode for path in folder.iterdir()}
    names = sorted(name for name, mode in modes.items() if mode & stat.S_IROTH and not stat.S_ISLNK(mode))
    if not names:
        return None
    return f"every user of this machine can read {', '.join(names[:5])} in {folder}: chmod -R o-rwx closes it"
