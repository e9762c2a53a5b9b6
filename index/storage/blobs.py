"""Picture bytes by their content's hash."""

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
"""A file that is locked, shared, while this process has pins."""
Unused = Callable[[Iterable[str]], Iterable[str]]
"""Those of the hashes that no record names."""


class Pin:
    """Blobs that must stay."""

    def __init__(self) -> None:
        self._hashes: Collection[str] | None = None
        self.left: list[tuple[list[str], Unused]] = []
        """What is to be deleted at its end."""

    def only(self, hashes: Collection[str]) -> None:
        """From here on it names these; before, everything."""
        self._hashes = hashes

    def names(self, sha256: str) -> bool:
        return self._hashes is None or sha256 in self._hashes


class Blobs:
    """Files named by the sha256 of what is in them, `ab/cd/abcd...`: written once, never changed.

    Folders are made when something is put there. What is no sha256 names nothing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """A local folder, whatever its name looks like."""
        self.folder = Path(folder)
        self._lease = Lease("its pictures")
        self._thread = threading.local()
        self._pinning = threading.Lock()
        self._pins: list[Pin] = []
        self._failed: set[str] = set()
        """What was to be deleted and could not be."""

    def __contains__(self, sha256: str) -> bool:
        return is_sha256(sha256) and self._path(sha256).exists()

    def put(self, data: bytes) -> str:
        """Keeps the bytes and returns their hash. When this returns they are on the disk. Raises StorageFailed."""
        return self.put_many([data])[0]

    def put_many(self, contents: Iterable[bytes]) -> list[str]:
        """Keeps them all and returns their hashes; a damaged blob of theirs is mended. Raises StorageFailed: then none.

        Folders are synced once for all, so that many cost a disk little more than half of what they do one by one.
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
                    # Under another name first: a crash leaves a stray file, never half a blob under a whole one's hash.
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
        """Of all that is here, in order."""
        for folder in self._folders(self.folder):
            for path in sorted(folder.iterdir()):
                if is_sha256(path.name) and path.name.startswith(folder.parent.name + folder.name):
                    yield path.name

    def strays(self) -> list[str]:
        """Files that crashes left behind; only while nobody writes."""
        return [str(path) for path in self._strays()]

    def delete_strays(self) -> None:
        for path in self._strays():
            self._remove(path)

    def is_whole(self, sha256: str) -> bool:
        """Whether it is there and is what its hash names; everything is read."""
        return self.whole(sha256) is not None

    def whole(self, sha256: str) -> bytes | None:
        """Its content, if it is there and is what its hash names."""
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
        """A small picture of the blob, made by make once and kept until the blob goes. Raises NotFound."""
        path = self._thumbnail_path(sha256)
        with suppress(FileNotFoundError), open_regular(path) as file:
            # Thumbnails are not synced: a power cut leaves empty ones.
            if content := file.read():
                return content
        content = make(self.get(sha256))
        with self.kept():
            if sha256 in self:
                make_folder(path.parent)
                draft = path.with_name(f"{sha256}.{uuid4().hex}.new")
                with create(draft) as file:
                    file.write(content)
                os.replace(draft, path)
        return content

    def kept(self) -> AbstractContextManager[None]:
        """While this is held nothing is deleted: so what is put meanwhile is there when a record of it is committed.

        Any number hold it at once, on threads and in other processes: apps may be deleted beside a running server. Who
        holds it may ask for it again, and deletes only afterwards.
        """
        return self._locked(fcntl.LOCK_SH)

    def delete_unused(self, hashes: Iterable[str], unused: Unused) -> None:
        """Deletes those that no record names; unused tells which. Unknown ones don't matter, pinned ones wait.

        What can't be deleted now is deleted by the next call, or by `repair`.
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
        """What the pin names stays until the end: what is to be deleted meanwhile is deleted then, if still unused.

        At first it names everything. Other processes delete nothing at all meanwhile: what they leave are orphans,
        which `repair` deletes.
        """
        pin = Pin()
        with self._pinning:
            self._pins.append(pin)
        try:
            # Other processes can tell by this; it ends with the process.
            with self._flock(_PINS, fcntl.LOCK_SH):
                yield pin
        finally:
            with self._pinning:
                self._pins.remove(pin)
            for hashes, unused in pin.left:
                try:
                    self.delete_unused(hashes, unused)
                except TenshotError as error:
                    _log.warning("%d pictures are left: %s; `tenshot doctor --repair` deletes them", len(hashes), error)

    def check_open(self) -> None:
        """Raises StoreClosed."""
        self._lease.check()

    def close(self) -> None:
        """When what is being written is; afterwards everything raises StoreClosed. May be called again."""
        self._lease.end()

    def _free(self, hashes: list[str], unused: Unused) -> list[str]:
        """Those that nobody has pinned; the others are left to the pins."""
        with self._pinning:
            for pin in self._pins:
                if named := [sha256 for sha256 in hashes if pin.names(sha256)]:
                    pin.left.append((named, unused))
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
            # Who waits to delete has the turn meanwhile, so that others who keep can't go on overtaking.
            with self._flock("turn", fcntl.LOCK_EX):
                held.enter_context(self._flock("lock", kind))
            self._thread.holds = True
            held.callback(setattr, self._thread, "holds", False)
            yield

    @contextmanager
    def _flock(self, name: str, kind: int) -> Iterator[None]:
        """Holds a lock on a file; each holder opens it anew, so threads wait for each other as processes do.

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
            # Closing is not enough: a child that was forked meanwhile has it open still.
            held.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)
            yield

    def _path(self, sha256: str) -> Path:
        """Where a blob lies. Raises NotFound for what can't be one's name: no other path is ever made of it.

        And StoreClosed: whatever is asked of a blob comes by here.
        """
        self.check_open()
        if not is_sha256(sha256):
            raise NotFound(f"no blob {sha256!r}: a SHA-256 is 64 hexadecimal digits in lower case")
        return self.folder / sha256[:2] / sha256[2:4] / sha256

    def _thumbnail_path(self, sha256: str) -> Path:
        return self.folder / "thumbnails" / self._path(sha256).relative_to(self.folder)

    def _folders(self, root: Path) -> Iterator[Path]:
        """Those that blobs or thumbnails lie in, in order."""
        for first in _two_digits(root):
            yield from _two_digits(first)

    def _strays(self) -> Iterator[Path]:
        for root in (self.folder, self.folder / "thumbnails"):
            for folder in self._folders(root):
                yield from (path for path in folder.iterdir() if _STRAY.fullmatch(path.name))

    def _remove(self, path: Path) -> None:
        """Not through a link: what lies behind it belongs to others."""
        inside = path.relative_to(self.folder).parent
        if path.parent.resolve() == self.folder.resolve() / inside:
            path.unlink(missing_ok=True)


def _two_digits(folder: Path) -> list[Path]:
    """The folders in it that are named by two digits of a hash, in order; none where it is not there."""
    try:
        return sorted(path for path in folder.iterdir() if _TWO_DIGITS.fullmatch(path.name) and path.is_dir())
    except FileNotFoundError:
        return []


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file has just these bytes."""
    try:
        with open_regular(path) as file:
            return os.fstat(file.fileno()).st_size == len(data) and file.read() == data
    except FileNotFoundError:
        return False
