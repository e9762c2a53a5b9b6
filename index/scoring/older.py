"""What only predictors have that older releases froze: they answer as they did, but nothing makes them any more."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import FloatArray
from .examples import Array

_SHARPNESS = 10.0


@dataclass(frozen=True)
class LargePart:
    """Concepts with more labels than a kernel matrix held: ridge prototypes beside a kNN cache (Tip-Adapter, Zhang et
    al., ECCV 2022).
    """

    columns: NDArray[np.int64]
    """(L,) which concepts."""
    prototypes: FloatArray
    """(dim, L), scaled."""
    cached: NDArray[np.int64]
    """(k,) rows of the examples that stand for the others among the neighbours."""
    cache: FloatArray
    """(k, dim): these rows."""
    members: csc_array
    """(k, L): the share of each in the concept's positive ones."""
    others: csc_array
    """(k, L): the share of each in its negative side."""
    neighbour_scale: Array
    """(L,)"""
    contrast: bool
    """Whether neighbours are weighed against the negative side (independent) or by the softmax (exclusive)."""

    def parts(self, prepared: FloatArray) -> tuple[Array, Array]:
        """Prototype and neighbour parts, each (q, L)."""
        kernel = cache_kernel(prepared @ self.cache.T)
        neighbours = log_means(kernel @ self.members)
        if self.contrast:
            neighbours -= log_means(kernel @ self.others)
        return (prepared @ self.prototypes).astype(np.float64), self.neighbour_scale * neighbours

    @classmethod
    def of(cls, a: dict[str, Any]) -> "LargePart":
        """From the arrays of a file."""
        shape = (len(a["large_cached"]), len(a["large_columns"]))
        return cls(
            cached=a["large_cached"],
            cache=a["rows"][a["large_cached"]],
            columns=a["large_columns"],
            prototypes=a["large_prototypes"],
            members=sparse("large_members", a, shape),
            others=sparse("large_others", a, shape),
            neighbour_scale=a["large_scale"],
            contrast=bool(a["large_contrast"]),
        )

    def arrays(self) -> dict[str, Any]:
        """For a file."""
        return {
            "large_columns": self.columns,
            "large_cached": self.cached,
            "large_prototypes": self.prototypes,
            "large_scale": self.neighbour_scale,
            "large_contrast": np.bool_(self.contrast),
            **sparse_arrays("large_members", self.members),
            **sparse_arrays("large_others", self.others),
        }

    def votes(self, column: int, similarities: FloatArray) -> Array:
        """(n,): the signed part of each row in a concept's score, to first order: its share of its side's kernel sum.

        similarities (n,): cosines of all rows with what is asked about.
        """
        votes = np.zeros(len(similarities))
        if column not in self.columns:
            return votes
        place = int(np.flatnonzero(self.columns == column)[0])
        kernel = cache_kernel(similarities[self.cached])
        for sign, side in ((1, self.members), (-1, self.others)):
            mass = side[:, [place]].toarray()[:, 0] * kernel
            # An image that left the cache and came back is there twice.
            np.add.at(votes, self.cached, sign * self.neighbour_scale[place] * mass / (float(mass.sum()) or 1.0))
        return votes


def cache_kernel(cosines: FloatArray) -> Array:
    """exp(10 (s - 1)) for cosines s, float64."""
    return np.asarray(np.exp(_SHARPNESS * (cosines.astype(np.float64) - 1)))


def log_means(means: Array) -> Array:
    """log of cache means, bounded where a group is empty."""
    return np.asarray(np.log(np.maximum(means, np.exp(-2 * _SHARPNESS))))


def sparse_arrays(name: str, array: csc_array) -> dict[str, Any]:
    """For a file."""
    return {f"{name}_data": array.data, f"{name}_indices": array.indices, f"{name}_indptr": array.indptr}


def sparse(name: str, a: dict[str, Any], shape: tuple[int, int]) -> csc_array:
    """From the arrays of a file. Raises ValueError for what is no sparse array: compiled code would read elsewhere."""
    data, indices, indptr = a[f"{name}_data"], a[f"{name}_indices"], a[f"{name}_indptr"]
    if data.dtype.kind != "f" or indices.dtype.kind != "i" or indptr.dtype.kind != "i":
        raise ValueError("it has a sparse array of the wrong type")
    array = csc_array((data, indices, indptr), shape=shape)
    array.check_format(full_check=True)
    return array
