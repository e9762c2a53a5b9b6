"""Arrays as files have them: checked before they are used, since what is read may be hostile."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

Arrays = Mapping[str, NDArray[Any]]
_UNIT = 1.01


def column_of(matrix: NDArray[np.float64] | csc_array, column: int) -> NDArray[np.float64]:
    """(n,) one column."""
    if isinstance(matrix, csc_array):
        return np.asarray(matrix[:, [column]].toarray()[:, 0], dtype=np.float64)
    return matrix[:, column]


def sparse_arrays(name: str, array: csc_array) -> dict[str, Any]:
    """For a file."""
    return {f"{name}_data": array.data, f"{name}_indices": array.indices, f"{name}_indptr": array.indptr}


def sparse(name: str, arrays: Arrays, shape: tuple[int, int]) -> csc_array:
    """From the arrays of a file. Raises ValueError for what is no sparse array: compiled code would read elsewhere."""
    data, indices, indptr = (arrays[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    if data.dtype.kind != "f" or indices.dtype.kind != "i" or indptr.dtype.kind != "i":
        raise ValueError("it has a sparse array of the wrong type")
    array = csc_array((data, indices, indptr), shape=shape)
    array.check_format(full_check=True)
    return array


def check_array(array: Any, shape: tuple[int, ...], kind: str) -> None:
    """kind: of its numbers, f or i or b. Raises ValueError."""
    if array.shape != shape or array.dtype.kind != kind:
        raise ValueError(f"it has an array of shape {array.shape}, type {array.dtype}, not {shape}")


def check_places(places: NDArray[Any], end: int) -> None:
    """(n,) numbers of rows or columns, of which there are so many. Raises ValueError."""
    check_array(places, (len(places),), "i")
    if np.any((places < 0) | (places >= end)):
        raise ValueError("it has numbers of rows or columns that are not there")


def check_rows(rows: NDArray[Any], dim: int) -> None:
    """(n, dim) prepared vectors. Raises ValueError."""
    check_array(rows, (len(rows), dim), "f")
    if np.any(np.linalg.norm(rows, axis=1) > _UNIT):
        raise ValueError("it has rows that are longer than 1")
