"""What is compiled for this processor, and where that is kept; functions by Numba, where it is installed."""

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

_log = logging.getLogger("tenshot.embeddings")


def cache_folder() -> Path:
    """Where compiled models and functions are kept: TENSHOT_CACHE, else `tenshot` in the user's cache folder."""
    folder = os.environ.get("TENSHOT_CACHE")
    return Path(folder) if folder else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenshot"


def keep(path: Path, content: bytes) -> None:
    """Writes a file of the cache folder for the next time, whole and on the disk or not at all; silent where it can't.

    Readers hold it against a digest all the same, for disks lie.
    """
    stray = path.with_name(f"{uuid4().hex}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(stray, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        stray.replace(path)
    except OSError:
        with suppress(OSError):
            stray.unlink(missing_ok=True)


def compiled(function: Callable[..., Any], signature: Callable[[Any], Any], *, reorder: bool = False) -> Any:
    """The function as machine code that runs without the interpreter's lock, kept on the disk if that is possible.

    signature: of the module `numba`, the types of what is taken and given. reorder: sums may be added up in any order.
    None where Numba is missing or fails.
    """
    if find_spec("numba") is None:
        return None
    try:
        import numba

        folder = cache_folder() / "numba"
        numba.config.CACHE_DIR = str(folder)
        _drop_damaged(folder, function)
        types, fast = signature(numba), {"reassoc", "contract"} if reorder else False
        try:
            made = numba.njit(types, nogil=True, cache=True, fastmath=fast)(function)
            _keep_digests(folder, function)
            return made
        except (OSError, RuntimeError):  # no folder that it may write to
            return numba.njit(types, nogil=True, fastmath=fast)(function)
    except Exception as error:  # a NumPy or Python that it doesn't know, a processor that LLVM doesn't
        _log.warning("%s stays slow, since Numba can't: %s", function.__name__, " ".join(str(error).split())[:300])
        return None


def _kept(folder: Path, function: Callable[..., Any]) -> list[Path]:
    """What Numba keeps of a function: an index, and machine code."""
    return list(folder.rglob(f"*.{function.__name__}-*.nb[ic]"))


def _drop_damaged(folder: Path, function: Callable[..., Any]) -> None:
    """Numba never replaces a file that it can't read, and runs one that was changed."""
    with suppress(OSError):
        for path in _kept(folder, function):
            digest = _digest_of(path)
            if not digest.is_file() or digest.read_text() != hashlib.sha256(path.read_bytes()).hexdigest():
                path.unlink()


def _keep_digests(folder: Path, function: Callable[..., Any]) -> None:
    with suppress(OSError):
        for path in _kept(folder, function):
            keep(_digest_of(path), hashlib.sha256(path.read_bytes()).hexdigest().encode())


def _digest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
