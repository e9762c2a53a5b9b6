"""FAISS: which package brings it, how many threads it may take, and the calls that check nothing themselves."""

import ctypes
import mmap
import sys
import threading
import weakref
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TenshotError
from ..records import FloatArray

_FAISS_PACKAGES = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs")
_GEMM_FROM = 2048
"""Queries times dimensions from which FAISS multiplies matrices; its own default is 250 queries of 512."""
_BYTES_AT_MOST = 1 << 36
"""No honest index of ours has a longer array; a damaged file may claim one."""
_thread = threading.local()


def installed_faiss() -> list[str]:
    """The installed packages that provide FAISS."""
    return [name for name in _FAISS_PACKAGES if any(True for _ in metadata.distributions(name=name))]


def check_faiss(installed: Iterable[str] | None = None) -> str:
    """The one package that provides FAISS. Raises TenshotError if there are none or several."""
    packages = installed_faiss() if installed is None else list(installed)
    if not packages:
        raise TenshotError("FAISS is missing: pip install 'tenshot[cpu]', or 'tenshot[gpu]' with an NVIDIA GPU")
    if len(packages) > 1:
        raise TenshotError(
            f"{' and '.join(packages)} are installed, and each brings a module `faiss`: keep one of them "
            f"(pip uninstall {packages[0]})"
        )
    return packages[0]


def gpu_count() -> int:
    """How many GPUs the installed FAISS can use."""
    import faiss

    return int(faiss.get_num_gpus()) if hasattr(faiss, "get_num_gpus") else 0


def faiss_on(threads: int = 1) -> Any:
    """The module, which takes at most so many threads for what the calling thread asks of it.

    One for a search: searches run beside each other, and FAISS remembers the number for each thread apart.
    """
    import faiss

    if getattr(_thread, "threads", None) != threads:
        faiss.omp_set_num_threads(threads)
        faiss.cvar.distance_compute_blas_threshold = _GEMM_FROM
        faiss.set_deserialization_vector_byte_limit(_BYTES_AT_MOST)
        _thread.threads = threads
    return faiss


def give_back_memory() -> None:
    """What was freed goes back to the system: glibc keeps pieces of up to 32 MB, a third of what a build leaves."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def mapped_file(path: Path, length: int) -> Any:
    """The first bytes of a file, read-only, by pages: a buffer. Raises OSError.

    Not by Python's mmap, which keeps a descriptor for as long as the pages are there (until 3.13).
    """
    with path.open("rb") as file:
        if sys.platform == "win32":
            return mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
        address = libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), f"{path.name} can't be mapped")
    libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    pages = (ctypes.c_char * length).from_address(address)
    weakref.finalize(pages, libc.munmap, address, length).atexit = False
    return memoryview(pages).toreadonly()


def selecting(parameters: Any, allowed: NDArray[np.uint8] | None) -> Any:
    """The same search parameters, which let only these come: a bitmap, lowest bit first; None lets all."""
    if allowed is not None:
        faiss, array = faiss_on(), np.ascontiguousarray(allowed)
        selector = faiss.IDSelectorBitmap(len(array), faiss.swig_ptr(array))
        # FAISS keeps bare pointers: the bitmap and the selector live as long as the parameters.
        parameters.sel, parameters.kept_alive = selector, (selector, array)
    return parameters


def probing(lists: int, allowed: NDArray[np.uint8] | None = None) -> Any:
    """Parameters of a search that looks into so many inverted lists; allowed as in `selecting`."""
    parameters = faiss_on().SearchParametersIVF()
    parameters.nprobe = lists
    return selecting(parameters, allowed)


def inner_products(queries: FloatArray, vectors: FloatArray, places: NDArray[np.int64]) -> FloatArray:
    """(q, c) of queries (q, dim) with the rows of vectors (n, dim) at places (q, c); -inf where a place is -1.

    The same for a row wherever it lies and whatever is asked beside it.
    """
    faiss = faiss_on()
    # The native call checks nothing: a wrong place or layout would end the process.
    assert vectors.flags.c_contiguous
    assert vectors.dtype == queries.dtype == np.float32
    assert places.ndim == queries.ndim == 2
    assert len(places) == len(queries)
    assert queries.shape[1] == vectors.shape[1]
    assert places.size == 0 or (places.min() >= -1 and places.max() < len(vectors))
    places, queries = np.ascontiguousarray(places, dtype=np.int64), np.ascontiguousarray(queries)
    out = np.empty(places.shape, dtype=np.float32)
    if places.size:
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(out),
            faiss.swig_ptr(queries),
            faiss.swig_ptr(vectors),
            faiss.swig_ptr(places),
            vectors.shape[1],
            len(queries),
            places.shape[1],
        )
    return out
