"""Reads an untrusted archive, a folder or a tar, in place, a file at a time, without unpacking it.

Of a tar it reads only plain files that lie inside it; of a folder only regular files below it. It takes less memory
than the archive's own size.
"""

import hashlib
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self

from ..errors import BadArchive
from ..storage.files import open_regular
from .archive import MANIFEST
from .untrusted import one_line, read_json

_MOST_FILE = 1 << 29
"""Bytes of a table, a picture or a predictor."""
_MOST_MANIFEST = 1 << 24
_MOST_HEADER = 1 << 16
"""Bytes of an extended header before a member."""
_BLOCK = tarfile.BLOCKSIZE
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_OF_THE_FILE = ("path", "linkpath", "size", "GNU.sparse")
"""Keys that extended headers may not have: only a member's own header determines its name and size."""


class Archive:
    """A folder or a tar file with a manifest. A context manager."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        """source: a path, or an open, seekable tar. Raises BadArchive for an archive that is not whole."""
        self.path = source if isinstance(source, Path) else Path("the tar")
        self._tar: IO[bytes] | None = None if isinstance(source, Path) else source
        self._own = isinstance(source, Path)
        try:
            if isinstance(source, Path) and not source.is_dir():
                self._tar = open_regular(source)
            self._members = _members(self._tar) if self._tar else {}
            content = self._read(MANIFEST, _MOST_MANIFEST)
            self.digest = hashlib.sha256(content).hexdigest()
            """SHA-256 of the manifest. It names the tables by their hashes, and these the pictures by theirs, so two
            archives with the same digest have the same content."""
            self.manifest: dict[str, Any] = read_json(content)
            if not isinstance(self.manifest, dict):
                raise BadArchive(f"{MANIFEST} is no manifest")
        except (BadArchive, OSError, ValueError) as error:
            self._close()
            raise BadArchive(f"{self.path} is no whole export of tenshot: {one_line(error)}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __contains__(self, name: str) -> bool:
        return name in self._members if self._tar else os.path.lexists(self.path / name)

    def read_exported(self, name: str, sha256: str) -> bytes:
        """A file's content. Raises BadArchive where it is missing, no regular file, too long, or has another hash."""
        content = self._read(name, _MOST_FILE)
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BadArchive(f"{name} is not what was exported")
        return content

    def _read(self, name: str, most: int) -> bytes:
        if self._tar is None:
            with open_inside(self.path, name) as file:
                return _content(file, name, os.fstat(file.fileno()).st_size, most)
        if name not in self._members:
            raise BadArchive(f"it has no {name}")
        offset, size = self._members[name]
        self._tar.seek(offset)
        return _content(self._tar, name, size, most)

    def _close(self) -> None:
        if self._tar and self._own:
            self._tar.close()


def is_archive(path: Path) -> bool:
    """Whether it looks like an export: a folder with a manifest, or a tar file."""
    try:
        if path.is_dir():
            return (path / MANIFEST).is_file()
        with open_regular(path) as file:
            tarfile.TarInfo.frombuf(file.read(_BLOCK), "utf-8", "surrogateescape")
            return True
    except (OSError, tarfile.TarError):
        return False


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a path, its links followed, is below a folder."""
    return path.resolve().is_relative_to(folder.resolve())


def open_inside(folder: Path, name: str) -> IO[bytes]:
    """Opens a regular file below a folder, also after following links. Raises BadArchive."""
    try:
        if not _stays_inside(name) or not is_inside(folder, folder / name):
            raise BadArchive(f"{name!r} is outside of the archive")
        return open_regular(folder / name)
    except OSError as error:
        raise BadArchive(f"can't read {name!r}: {error.strerror}") from error
    except (ValueError, RuntimeError) as error:
        raise BadArchive(f"can't read {name!r}: {error}") from error


def _stays_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and parts[0] != "/"


def _content(file: IO[bytes], name: str, size: int, most: int) -> bytes:
    """Reads `size` bytes from the file's present position. Raises BadArchive."""
    if size > most:
        raise BadArchive(f"{name} has {size} bytes, more than {most}")
    try:
        content = file.read(size)
    except OSError as error:
        raise BadArchive(f"can't read {name}: {error}") from error
    if len(content) != size:
        raise BadArchive(f"{name} is cut off")
    return content


def _members(tar: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Name -> (offset, size) of the files in a tar. Raises BadArchive."""
    end = tar.seek(0, os.SEEK_END)
    offset, members = 0, dict[str, tuple[int, int]]()
    while offset < end:
        tar.seek(offset)
        header = tar.read(_BLOCK)
        if not any(header):
            break
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.TarError as error:
            raise BadArchive(f"it is neither a folder nor a tar that is whole: {error}") from error
        offset += _BLOCK
        name, size = info.name.removeprefix("./"), 0 if info.type == tarfile.DIRTYPE else info.size
        if not 0 <= size <= end - offset:
            raise BadArchive(f"{name!r} is cut off")
        if info.type in _EXTENDED:
            _check_extended(tar.read(size) if size <= _MOST_HEADER else None)
        elif info.type in _FILES:
            if not _stays_inside(name):
                raise BadArchive(f"{name!r} is outside of the archive")
            if name in members:
                raise BadArchive(f"{name!r} is in it twice")
            members[name] = offset, size
        elif info.type != tarfile.DIRTYPE:
            raise BadArchive(f"{name!r} is a link, a device or sparse: an export has plain files only")
        offset += size + -size % _BLOCK
    return members


def _check_extended(header: bytes | None) -> None:
    """Allows times and attributes in an extended header, but no other name or size. Raises BadArchive."""
    if header is None:
        raise BadArchive(f"an extended header has more than {_MOST_HEADER} bytes")
    for record in header.split(b"\n"):
        key = record.partition(b" ")[2].partition(b"=")[0].decode(errors="replace")
        if key.startswith(_OF_THE_FILE):
            raise BadArchive(f"an extended header names the {key} of a file: make the tar in the ustar format")
