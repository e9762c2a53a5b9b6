"""Files by the hash of their content: pictures and frozen predictors."""

import errno
import fcntl
import hashlib
import logging
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from ..errors import NotFound, StorageFailed, TenshotError
from .files import FILE_MODE, create, is_sha256, make_folder, open_regular, sync
from .lease import Lease

_log = logging.getLogger("tenshot.index")
_STRAY = re.compile(r"[0-9a-f]{64}\..+\.new")
_TWO_DIGITS = re.compile("[0-9a-f]{2}")
_PINS = "pins"
"""A file that this process locks (shared) while it has pins."""
Unused = Callable[[Iterable[str]], Iterable[str]]
"""Gives the hashes among these that no record names."""


class Pin:
    """Protects blobs from deletion: all of them, or those that `only` names."""

    def __init__(self) -> None:
        self._hashes: Collection[str] | None = None
        self.postponed: list[tuple[list[str], Unused]] = []
        """Deletions to be done when the pin ends."""

    def only(self, hashes: Collection[str]) -> None:
        """From now on it protects only these."""
        self._hashes = hashes

    def names(self, sha256: str) -> bool:
        return self._hashes is None or sha256 in self._hashes


class Blobs:
    """Files named by the sha256 of their content, `ab/cd/abcd...`: written once, never changed.

    Folders are created when needed. A name that is no sha256 is the name of no blob.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """folder: a local path; it is never read as a URL."""
        self.folder = Path(folder)
        self._lease = Lease("its pictures")
        self._thread = threading.local()
        self._pinning = threading.Lock()
        self._pins: list[Pin] = []
        self._failed: set[str] = set()
        """Hashes of blobs whose deletion failed."""

    def __contains__(self, sha256: str) -> bool:
        return is_sha256(sha256) and self._path(sha256).exists()

    def put(self, data: bytes) -> str:
        """Stores the bytes and returns their hash. When this returns they are on the disk. Raises StorageFailed."""
        return self.put_many([data])[0]

    def put_many(self, contents: Iterable[bytes]) -> list[str]:
        """Stores all contents and returns their hashes; replaces damaged blobs. Raises StorageFailed, and stores none.

        Each folder is synced once, which nearly halves the time of storing them one by one.
        """
        with self._lease.writing():
            return self._put_many(contents)

    def _put_many(self, contents: Iterable[bytes]) -> list[str]:
        hashes = []
        drafts: dict[Path, Path] = {}
        changed: set[Path] = set()
        try:
            for data in contents:
                sha256 = hashlib.sha256(data).hexdigest()
                hashes.append(sha256)
                path = self._path(sha256)
                if path not in drafts and not _holds(path, data):
                    # Under another name first, so that a crash leaves a stray file, never half a blob under its hash.
                    drafts[path] = path.with_name(f"{sha256}.{uuid4().hex}.new")
                    changed |= {path.parent} | make_folder(path.parent)
                    with create(drafts[path]) as file:
                        file.write(data)
            sync(drafts.values())
            for path, draft in drafts.items():
                os.replace(draft, path)
            sync(changed)
        except BaseException as error:
            for draft in drafts.values():
                with suppress(OSError):
                    draft.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise StorageFailed(f"a picture can't be kept: {error.strerror or error}") from error
            raise
        return hashes

    def hashes(self) -> Iterator[str]:
        """The hashes of all blobs, ascending."""
        for folder in self._folders(self.folder):
            for path in sorted(folder.iterdir()):
                if is_sha256(path.name) and path.name.startswith(folder.parent.name + folder.name):
                    yield path.name

    def strays(self) -> list[str]:
        """Files that crashes left behind. Call this only while nobody writes."""
        return [str(path) for path in self._strays()]

    def delete_strays(self) -> None:
        for path in self._strays():
            self._remove(path)

    def is_whole(self, sha256: str) -> bool:
        """Whether the blob exists and its content has this hash; reads all of it."""
        return self.whole(sha256) is not None

    def whole(self, sha256: str) -> bytes | None:
        """The blob's content; None if it doesn't exist, can't be read, or has another hash."""
        try:
            content = self.get(sha256)
        except NotFound:
            return None
        except OSError as error:
            if error.errno == errno.EIO:
                return None
            raise
        return content if hashlib.sha256(content).hexdigest() == sha256 else None

    def get(self, sha256: str) -> bytes:
        """Raises NotFound."""
        try:
            with open_regular(self._path(sha256)) as file:
                return file.read()
        except FileNotFoundError as error:
            raise NotFound(f"no blob {sha256}") from error

    def thumbnail(self, sha256: str, make: Callable[[bytes], bytes]) -> bytes:
        """A blob's thumbnail, created once by make and kept until the blob is deleted. Raises NotFound."""
        path = self._thumbnail_path(sha256)
        with suppress(FileNotFoundError), open_regular(path) as file:
            # Thumbnails are not synced, so a power cut may leave empty ones.
            if content := file.read():
                return content
        content = make(self.get(sha256))
        with self.deletion_paused():
            if sha256 in self:
                make_folder(path.parent)
                draft = path.with_name(f"{sha256}.{uuid4().hex}.new")
                with create(draft) as file:
                    file.write(content)
                os.replace(draft, path)
        return content

    def deletion_paused(self) -> AbstractContextManager[None]:
        """While this is held nothing is deleted, so a blob that is put still exists when its record is committed.

        Any number of threads and processes may hold it at once: apps may be deleted beside a running server. It is
        reentrant; its holder must delete blobs only afterwards.
        """
        return self._locked(fcntl.LOCK_SH)

    def delete_unused(self, hashes: Iterable[str], unused: Unused) -> None:
        """Deletes the blobs among these that no record names, as `unused` tells. Unknown hashes are ignored, pinned
        blobs are deleted later.

        A blob that can't be deleted now is deleted by the next call, or by `repair`.
        """
        if not (hashes := self._free([*hashes, *tuple(self._failed)], unused)):
            return
        self._failed.update(hashes)
        with self._locked(fcntl.LOCK_EX):
            for sha256 in filter(is_sha256, unused(hashes)):
                for path in (self._path(sha256), self._thumbnail_path(sha256)):
                    self._remove(path)
        self._failed.difference_update(hashes)

    @contextmanager
    def pinned(self) -> Iterator[Pin]:
        """Keeps the pinned blobs until the end; deletions meanwhile are done then, of blobs that are still unused.

        At first all blobs are pinned. Other processes delete nothing meanwhile: they leave orphans for `repair`.
        """
        pin = Pin()
        with self._pinning:
            self._pins.append(pin)
        try:
            # This tells other processes; the lock ends with this process.
            with self._flock(_PINS, fcntl.LOCK_SH):
                yield pin
        finally:
            with self._pinning:
                self._pins.remove(pin)
            for hashes, unused in pin.postponed:
                try:
                    self.delete_unused(hashes, unused)
                except TenshotError as error:
                    _log.warning("%d pictures are left: %s; `tenshot doctor --repair` deletes them", len(hashes), error)

    def check_open(self) -> None:
        """Raises StoreClosed."""
        self._lease.check()

    def close(self) -> None:
        """Waits for writes in progress; afterwards everything raises StoreClosed. May be called again."""
        self._lease.end()

    def _free(self, hashes: list[str], unused: Unused) -> list[str]:
        """The hashes that nobody has pinned; the pins postpone the others."""
        with self._pinning:
            for pin in self._pins:
                if named := [sha256 for sha256 in hashes if pin.names(sha256)]:
                    pin.postponed.append((named, unused))
                    hashes = [sha256 for sha256 in hashes if not pin.names(sha256)]
            if self._pins or not self._others_pin():
                return hashes
        _log.warning("an export is being read: `tenshot doctor --repair` deletes %d pictures later", len(hashes))
        return []

    def _others_pin(self) -> bool:
        if not (self.folder / _PINS).exists():
            return False
        try:
            with self._flock(_PINS, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        if getattr(self._thread, "holds", False):
            if kind == fcntl.LOCK_EX:
                raise RuntimeError("who keeps blobs would wait for itself to delete some: delete afterwards")
            yield
            return
        with self._lease.writing(), ExitStack() as held:
            # A waiting deletion holds `turn` meanwhile, so that others with a shared lock can't overtake it for ever.
            with self._flock("turn", fcntl.LOCK_EX):
                held.enter_context(self._flock("lock", kind))
            self._thread.holds = True
            held.callback(setattr, self._thread, "holds", False)
            yield

    @contextmanager
    def _flock(self, name: str, kind: int) -> Iterator[None]:
        """Holds a lock on a file. Each holder opens the file itself, so threads wait for each other as processes do.

        Raises StorageFailed, and BlockingIOError where it should not wait.
        """
        with ExitStack() as held:
            try:
                make_folder(self.folder)
                descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, kind)
            except BlockingIOError:
                raise
            except OSError as error:
                raise StorageFailed(f"the pictures can't be locked: {error.strerror or error}") from error
            # Closing is not enough: a process forked meanwhile still has the file open.
            held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
            yield

    def _path(self, sha256: str) -> Path:
        """A blob's path. Raises NotFound for what is no SHA-256, so that no other path can be formed.

        Raises StoreClosed too, since all access to blobs passes here.
        """
        self.check_open()
        if not is_sha256(sha256):
            raise NotFound(f"no blob {sha256!r}: a SHA-256 is 64 hexadecimal digits in lower case")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def _thumbnail_path(self, sha256: str) -> Path:
        return self.folder / "thumbnails" / self._path(sha256).relative_to(self.folder)

    def _folders(self, root: Path) -> Iterator[Path]:
        """The folders that contain blobs or thumbnails, in order."""
        for first in _two_digits(root):
            yield from _two_digits(first)

    def _strays(self) -> Iterator[Path]:
        for root in (self.folder, self.folder / "thumbnails"):
            for folder in self._folders(root):
                yield from (path for path in folder.iterdir() if _STRAY.fullmatch(path.name))

    def _remove(self, path: Path) -> None:
        """Deletes a file, unless its folder is a link: what lies behind it belongs to others."""
        inside = path.relative_to(self.folder).parent
        if path.parent.resolve() == self.folder.resolve() / inside:
            path.unlink(missing_ok=True)


def _two_digits(folder: Path) -> list[Path]:
    """The subfolders that are named by two digits of a hash, in order; none where the folder doesn't exist."""
    try:
        return sorted(path for path in folder.iterdir() if _TWO_DIGITS.fullmatch(path.name) and path.is_dir())
    except FileNotFoundError:
        return []


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file has exactly these bytes."""
    try:
        with open_regular(path) as file:
            return os.fstat(file.fileno()).st_size == len(data) and file.read() == data
    except FileNotFoundError:
        return False
