"""What is compiled for this processor, and where that is kept; functions by Numba, where it is installed."""

import logging
import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_log = logging.getLogger("tenshot.embeddings")


def cache_folder() -> Path:
    """Where compiled models and functions are kept: TENSHOT_CACHE, else `tenshot` in the user's cache folder."""
    given = os.environ.get("TENSHOT_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tenshot"


def compiled(function: Callable[..., Any], signature: Callable[[Any], Any], *, reorder: bool = False) -> Any:
    """The function as machine code that runs without the interpreter's lock, kept on the disk if that is possible.

    signature: of the module `numba`, the types of what is taken and given. reorder: sums may be added up in any order.
    None where Numba is missing or fails.
    """
    if find_spec("numba") is None:
        return None
    try:
        import numba

        numba.config.CACHE_DIR = str(cache_folder() / "numba")
        types, fast = signature(numba), {"reassoc", "contract"} if reorder else False
        try:
            return numba.njit(types, nogil=True, cache=True, fastmath=fast)(function)
        except (OSError, RuntimeError):  # no folder that it may write to
            return numba.njit(types, nogil=True, fastmath=fast)(function)
    except Exception as error:  # a NumPy or Python that it doesn't know, a processor that LLVM doesn't
        _log.warning("%s stays slow, since Numba can't: %s", function.__name__, " ".join(str(error).split())[:300])
        return None
