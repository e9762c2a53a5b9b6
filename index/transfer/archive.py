"""Writes the files of an export into a folder or a tar stream. `source.py` reads them."""

import os
import tarfile
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MANIFEST = "tenshot.json"
"""Written last: an archive without it is not whole."""
FORMAT = 1
"""Version of the manifest and the tables."""


@dataclass(frozen=True)
class Member:
    """A file of an archive."""

    name: str
    """Its relative path, with forward slashes."""
    content: bytes


Members = Generator[Member | None, None, None]
"""Files in their order; None: the next one is not ready yet."""


def write_folder(folder: Path, members: Members) -> None:
    """Writes a folder; an existing file stays if its name is a hash of its content and its size is right."""
    with closing(members):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for member in filter(None, members):
            path = folder / member.name
            if _named_by_content(member.name) and path.is_file() and path.stat().st_size == len(member.content):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name[:100]}.new")
            draft.write_bytes(member.content)
            os.replace(draft, path)


def tar_stream(members: Members) -> Generator[bytes, None, None]:
    """The bytes of a tar file, a member at a time; empty bytes while the next one is not ready."""
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


def _named_by_content(name: str) -> bool:
    return name.startswith(("images/", "predictors/")) and len(PurePosixPath(name).stem) == 64
