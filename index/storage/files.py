"""Files that tenshot makes: private, on the disk when it is said so, under names of a form; nothing else is removed."""

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
"""Others on the machine have no business in a data folder; who wants it otherwise changes the modes, and they stay."""


def is_app_id(value: object) -> bool:
    """Whether an app can have this id: 32 hexadecimal digits, in lower case. Such a name never leaves a folder."""
    return isinstance(value, str) and _APP_ID.fullmatch(value) is not None


def is_sha256(value: object) -> bool:
    """Whether this can be a SHA-256 as tenshot writes it: 64 hexadecimal digits, in lower case."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def make_folder(folder: Path) -> set[Path]:
    """Makes a private folder with the parents that it lacks; the folders that got an entry by that, to be synced."""
    missing = []
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir(FOLDER_MODE)
        except FileExistsError:
            # Another process was quicker, or there is a file.
            if not path.is_dir():
                raise
    return {path.parent for path in missing}


def make_file(path: Path) -> None:
    """Makes a private, empty file. One that is there isn't even opened: closing it would end SQLite's locks on it."""
    with suppress(FileExistsError):
        create(path).close()


def create(path: Path) -> BufferedWriter:
    """A new private file, open for writing. Raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb")


def write_new(path: Path, content: bytes) -> None:
    """A new private file, on the disk when this returns; the folder is for the caller to sync."""
    with create(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def open_regular(path: Path) -> BufferedReader:
    """A file for reading. Raises FileNotFoundError, at once, also for what is no regular file: a pipe could wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def sync(paths: Iterable[Path]) -> None:
    """Files, or the entries of folders, are on the disk when this returns."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def exposure(folder: Path) -> str | None:
    """Says, for people, that every user of the machine may read what is in a folder; None where they may not."""
    if not folder.stat().st_mode & stat.S_IXOTH:
        return None
    modes = {path.name: path.lstat().st_mode for path in folder.iterdir()}
    names = sorted(name for name, mode in modes.items() if mode & stat.S_IROTH and not stat.S_ISLNK(mode))
    if not names:
        return None
    return f"every user of this machine can read {', '.join(names[:5])} in {folder}: chmod -R o-rwx closes it"
