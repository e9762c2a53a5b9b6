"""The space in which an app's vectors are judged: power-normalised, centred on the app, unit length again.

Stored vectors stay raw. A `Space` is a snapshot of the app's mean, refreshed when the app has grown, so that judging a
vector never needs a pass over the others.
"""

from dataclasses import dataclass

import numpy as np

from ..records import FloatArray

_TINY = 1e-4
"""A vector this near to the mean has no direction worth judging: it becomes zero, not amplified rounding noise."""
_SMALL_APP = 20
"""Below this many vectors the mean is shrunk towards zero, for it says more about the few than about the app."""


def power_transform(vectors: FloatArray, power: float) -> FloatArray:
    """Sign-preserving power of each component, then unit length; (n, dim) float32.

    Evens out the few large components of features after a ReLU (Yang et al., ICLR 2021, section 3.2). With power 1 the
    unit vectors come back unchanged.
    """
    if power == 1.0:
        return vectors
    raised = np.sign(vectors) * np.abs(vectors) ** np.float32(power)
    return unit(raised.astype(np.float32, copy=False))


def unit(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length one; rows of zeros stay zeros."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms == 0, 1, norms), dtype=np.float32)


@dataclass(frozen=True)
class Space:
    """`prepare` maps (n, dim) unit vectors into this space."""

    mean: FloatArray
    """(dim,) float32: the mean of the power-transformed vectors, shrunk in small apps."""
    power: float
    """0.5 where features are never negative, else 1."""

    @classmethod
    def fit(cls, vectors: FloatArray, power: float) -> "Space":
        """The space of an app whose vectors are these, (n, dim) float32 unit length; n may be zero."""
        count = len(vectors)
        if not count:
            return cls(np.zeros(vectors.shape[1], dtype=np.float32), power)
        mean = power_transform(vectors, power).mean(axis=0, dtype=np.float64)
        if count < _SMALL_APP:
            mean *= count / (count + 10)
        return cls(mean.astype(np.float32), power)

    def prepare(self, vectors: FloatArray) -> FloatArray:
        """(n, dim) float32 of unit length, zero where a vector equals the mean (CL2N, Wang et al. 2019)."""
        centred = power_transform(vectors, self.power) - self.mean
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.asarray(np.where(norms < _TINY, 0, centred / np.maximum(norms, _TINY)), dtype=np.float32)
