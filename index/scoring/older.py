"""What only predictors have that older releases froze: they answer as they did, but nothing makes them any more."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import FloatArray
from .arrays import Arrays, check_array, check_places, sparse, sparse_arrays
from .examples import Array
from .terms import Parts, Term

_SHARPNESS = 10.0


@dataclass(frozen=True)
class PrimalForm(Term):
    """Concepts with more labels than a kernel matrix held: ridge prototypes beside a kNN cache (Tip-Adapter, Zhang et
    al., ECCV 2022).
    """

    concepts: int
    """C"""
    columns: NDArray[np.int64]
    """(L,) which of the concepts."""
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

    def scores(self, vectors: FloatArray) -> Array:
        parts = self.parts(vectors)
        return np.asarray(parts.prototype + parts.neighbours)

    def parts(self, vectors: FloatArray) -> Parts:
        kernel = cache_kernel(vectors @ self.cache.T)
        cached = log_means(kernel @ self.members)
        if self.contrast:
            cached -= log_means(kernel @ self.others)
        prototype, neighbours = np.zeros((2, len(vectors), self.concepts))
        prototype[:, self.columns] = vectors @ self.prototypes
        neighbours[:, self.columns] = self.neighbour_scale * cached
        return Parts(prototype, neighbours)

    def votes_of(self, column: int, similarities: FloatArray) -> Array:
        """To first order: each row's share of its side's kernel sum, signed."""
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

    @property
    def needed(self) -> NDArray[np.int64]:
        return self.cached

    def of_rows(self, kept: NDArray[np.int64], rows: FloatArray) -> Self:
        return replace(self, cached=np.searchsorted(kept, self.cached))

    def arrays(self) -> dict[str, Any]:
        return {
            "large_columns": self.columns,
            "large_cached": self.cached,
            "large_prototypes": self.prototypes,
            "large_scale": self.neighbour_scale,
            "large_contrast": np.bool_(self.contrast),
            **sparse_arrays("large_members", self.members),
            **sparse_arrays("large_others", self.others),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self | None:
        if "large_columns" not in arrays:
            return None
        shape = (len(arrays["large_cached"]), len(arrays["large_columns"]))
        return cls(
            concepts=len(arrays["concept_ids"]),
            cached=arrays["large_cached"],
            cache=arrays["rows"][arrays["large_cached"]],
            columns=arrays["large_columns"],
            prototypes=arrays["large_prototypes"],
            members=sparse("large_members", arrays, shape),
            others=sparse("large_others", arrays, shape),
            neighbour_scale=arrays["large_scale"],
            contrast=bool(arrays["large_contrast"]),
        )

    def check(self, rows: int, concepts: int, dim: int) -> None:
        check_places(self.columns, concepts)
        check_places(self.cached, rows)
        check_array(self.prototypes, (dim, len(self.columns)), "f")
        check_array(self.neighbour_scale, (len(self.columns),), "f")


def cache_kernel(cosines: FloatArray) -> Array:
    """exp(10 (s - 1)) for cosines s, float64."""
    return np.asarray(np.exp(_SHARPNESS * (cosines.astype(np.float64) - 1)))


def log_means(means: Array) -> Array:
    """log of cache means, bounded where a group is empty."""
    return np.asarray(np.log(np.maximum(means, np.exp(-2 * _SHARPNESS))))
