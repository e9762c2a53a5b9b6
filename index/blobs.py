"""Picture bytes by their content's hash."""

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from uuid import uuid4

import fsspec
from filelock import FileLock
from fsspec.implementations.local import LocalFileSystem

from .errors import NotFound, StorageFailed

_BLOCK = 1 << 20


class Blobs:
    """Files named by the sha256 of what is in them, `ab/cd/abcd...`: written once, never changed."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        """A local folder, or any URL that fsspec opens."""
        self._fs, self._root = fsspec.url_to_fs(os.fspath(url))
        self._guard: AbstractContextManager[object] = threading.Lock()
        if isinstance(self._fs, LocalFileSystem):
            os.makedirs(self._root, exist_ok=True)
            # Holds other processes too: apps may be deleted beside a running server.
            self._guard = FileLock(f"{self._root}/lock")

    def __contains__(self, sha256: str) -> bool:
        return bool(self._fs.exists(self._path(sha256)))

    def put(self, data: bytes) -> str:
        """Keeps the bytes and returns their hash. When this returns they are on the disk. Raises StorageFailed."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if self._fs.exists(path):
            return sha256
        try:
            self._write(path, data)
        except OSError as error:
            raise StorageFailed(f"a picture can't be kept: {error.strerror or error}") from error
        return sha256

    def _write(self, path: str, data: bytes) -> None:
        local = isinstance(self._fs, LocalFileSystem)
        # Under another name first: a crash leaves a stray file, never half a blob under the hash of a whole one.
        stray = f"{path}.{uuid4().hex}.new"
        folder = str(PurePosixPath(path).parent)
        new = [] if self._fs.exists(folder) else [self._root, str(PurePosixPath(folder).parent)]
        self._fs.makedirs(folder, exist_ok=True)
        try:
            with self._fs.open(stray, "wb") as file:
                file.write(data)
                if local:
                    file.flush()
                    os.fsync(file.fileno())
            self._fs.mv(stray, path)
        except BaseException:
            if self._fs.exists(stray):
                self._fs.rm_file(stray)
            raise
        if local:
            for one in (folder, *new):
                _sync_folder(one)

    def hashes(self) -> Iterator[str]:
        """Of all that is here, in order."""
        names = (PurePosixPath(path).name for path in self._files())
        return (name for name in names if re.fullmatch("[0-9a-f]{64}", name))

    def strays(self) -> list[str]:
        """Files that crashes left behind; only while nobody writes."""
        return [path for path in self._files() if path.endswith(".new")]

    def delete_strays(self) -> None:
        for path in self.strays():
            self._fs.rm_file(path)

    def is_whole(self, sha256: str) -> bool:
        """Whether what lies under a hash is what it names; everything is read."""
        digest = hashlib.sha256()
        with self._fs.open(self._path(sha256), "rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest() == sha256

    def _files(self) -> list[str]:
        return sorted(self._fs.find(self._root))

    def get(self, sha256: str) -> bytes:
        """Raises NotFound."""
        try:
            return bytes(self._fs.cat_file(self._path(sha256)))
        except FileNotFoundError as error:
            raise NotFound(f"no blob {sha256}") from error

    def thumbnail(self, sha256: str, make: Callable[[bytes], bytes]) -> bytes:
        """A small picture of the blob, made by make once and kept until the blob goes. Raises NotFound."""
        path = self._thumbnail_path(sha256)
        try:
            return bytes(self._fs.cat_file(path))
        except FileNotFoundError:
            made = make(self.get(sha256))
        stray = f"{path}.{uuid4().hex}.new"
        with self.kept():
            if sha256 in self:
                self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
                self._fs.pipe_file(stray, made)
                self._fs.mv(stray, path)
        return made

    def kept(self) -> AbstractContextManager[object]:
        """While this is held nothing is deleted: so what is put meanwhile is there when a record of it is committed."""
        return self._guard

    def delete_unused(self, hashes: Iterable[str], unused: Callable[[Iterable[str]], Iterable[str]]) -> None:
        """Deletes those that no record names; unused tells which. Unknown ones don't matter."""
        if not (hashes := list(hashes)):
            return
        with self.kept():
            for sha256 in unused(hashes):
                for path in (self._path(sha256), self._thumbnail_path(sha256)):
                    try:
                        self._fs.rm_file(path)
                    except FileNotFoundError:
                        continue

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256[2:4]}/{sha256}"

    def _thumbnail_path(self, sha256: str) -> str:
        return f"{self._root}/thumbnails/{sha256[:2]}/{sha256[2:4]}/{sha256}"


def _sync_folder(path: str) -> None:
    """Makes a rename in it durable."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
