"""Files that carry an app: written into a folder or a tar stream, read from either, never unpacked."""

import json
import os
import tarfile
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Self

from ..errors import BadArchive

MANIFEST = "tenshot.json"
"""Comes last: an archive without it is not whole."""
_MOST_MANIFEST = 1 << 26


@dataclass(frozen=True)
class Member:
    """A file of an archive."""

    name: str
    """Its relative path, with forward slashes."""
    content: bytes


Members = Generator[Member | None, None, None]
"""Files as they come; None: not yet."""


def write_folder(folder: Path, members: Members) -> None:
    """Into a folder; what is there already with the same size stays where its name says its content."""
    with closing(members):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        _write(folder, filter(None, members))


def _write(folder: Path, members: Iterable[Member]) -> None:
    for member in members:
        path = folder / member.name
        if _named_by_content(member.name) and path.is_file() and path.stat().st_size == len(member.content):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name[:100]}.new")
        draft.write_bytes(member.content)
        os.replace(draft, path)


def tar_stream(members: Members) -> Generator[bytes, None, None]:
    """The same as the bytes of a tar file, a member at a time; empty ones while there is none yet."""
    with closing(members):
        for member in members:
            if member is None:
                yield b""
                continue
            info = tarfile.TarInfo(member.name)
            info.size, info.mode = len(member.content), 0o644
            yield info.tobuf(tarfile.PAX_FORMAT)
            yield member.content
            yield bytes(-len(member.content) % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)


class Archive:
    """A folder or a tar file with a manifest. A context manager."""

    def __init__(self, source: Path | IO[bytes]) -> None:
        """source: where it lies, or an opened tar. Raises BadArchive for what is not whole."""
        self.path = source if isinstance(source, Path) else Path("the tar")
        self._tar: tarfile.TarFile | None = None
        self._members: dict[str, tarfile.TarInfo] = {}
        if not isinstance(source, Path) or not source.is_dir():
            try:
                self._tar = tarfile.TarFile(source) if isinstance(source, Path) else tarfile.TarFile(fileobj=source)
                self._members = {member.name: member for member in self._tar if member.isfile()}
            except (tarfile.TarError, EOFError, OSError) as error:
                self.close()
                raise BadArchive(f"{self.path} is neither a folder nor a tar file that is whole: {error}") from error
        try:
            self.manifest: dict[str, Any] = json.loads(self.read(MANIFEST, _MOST_MANIFEST))
            if not isinstance(self.manifest, dict):
                raise BadArchive(f"{MANIFEST} is no manifest")
        except (BadArchive, ValueError, RecursionError) as error:
            self.close()
            raise BadArchive(f"{self.path} is no whole export of tenshot: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members if self._tar else self._inside(name).is_file()

    def read(self, name: str, most: int | None = None) -> bytes:
        """Raises BadArchive for a file that isn't there, or has more bytes."""
        try:
            if self._tar:
                if name not in self._members:
                    raise BadArchive(f"it has no {name}")
                member = self._members[name]
                self._check_size(name, member.size, most)
                file = self._tar.extractfile(member)
                content = file.read() if file else b""
                if len(content) != member.size:
                    raise BadArchive(f"{name} is cut off")
                return content
            path = self._inside(name)
            self._check_size(name, path.stat().st_size, most)
            return path.read_bytes()
        except (OSError, tarfile.TarError) as error:
            raise BadArchive(f"can't read {name}: {error}") from error

    def close(self) -> None:
        if self._tar:
            self._tar.close()

    def _inside(self, name: str) -> Path:
        """A path that a manifest names. Raises BadArchive for one that leads out of the folder."""
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0] == "/":
            raise BadArchive(f"{name!r} is outside")
        return self.path / name

    @staticmethod
    def _check_size(name: str, size: int, most: int | None) -> None:
        if most is not None and size > most:
            raise BadArchive(f"{name} has {size} bytes, more than {most}")


def is_archive(path: Path) -> bool:
    """Whether it looks like an export: a folder with a manifest, or a tar file."""
    try:
        return (path / MANIFEST).is_file() if path.is_dir() else path.is_file() and tarfile.is_tarfile(path)
    except OSError:
        return False


def _named_by_content(name: str) -> bool:
    return name.startswith(("images/", "predictors/")) and len(PurePosixPath(name).stem) == 64
