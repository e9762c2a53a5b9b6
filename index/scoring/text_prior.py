"""What a concept's name says of pictures: zero-shot log-odds, which labels join and outweigh (recipe, section 6).

The fusion is late, as in Tip-Adapter (Zhang et al., ECCV 2022): log-odds by labels plus a share of those by words. How
large a share leave-one-out says; see `calibration.py`.
"""

from collections.abc import Callable, Iterable

import numpy as np

from ..records import FloatArray, KeyArray
from .examples import Array


class TextPrior:
    """Of T concepts. Remembers what it said, since the same images are judged after every label."""

    def __init__(self, directions: FloatArray, vectors_of: Callable[[KeyArray], FloatArray]) -> None:
        """directions (dim, T): a raw unit vector times one gives log-odds; vectors_of: raw vectors (n, dim) of keys."""
        self.directions = directions
        self._vectors_of = vectors_of
        self._said: dict[int, Array] = {}

    def of(self, keys: Iterable[int]) -> Array:
        """(n, T) of inputs."""
        keys = list(keys)
        new = [key for key in dict.fromkeys(keys) if key not in self._said]
        if new:
            vectors = self._vectors_of(np.array(new, dtype=np.int64))
            self._said.update(zip(new, (vectors @ self.directions).astype(np.float64), strict=True))
        return np.array([self._said[key] for key in keys]).reshape(len(keys), self.directions.shape[1])
