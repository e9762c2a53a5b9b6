"""The space in which an app's vectors are judged: power-normalised, centred on the app, and smoothed over it.

Stored vectors stay raw. A `Space` is a snapshot of the app's mean and of a sample of it, refreshed when the app has
grown, so that judging a vector never needs a pass over the others.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray
from .arrays import check_array, check_rows

Number = TypeVar("Number", np.float32, np.float64)
_TINY = 1e-4
"""A vector this near to the mean has no direction worth judging: it becomes zero, not amplified rounding noise."""
_SMALL_APP = 20
"""Below this many vectors the mean is shrunk towards zero, for it says more about the few than about the app; and
nothing is smoothed."""
_DIRECTIONS = 128
NEIGHBOURS = 10
_EXPANSION = 0.5
"""How much the neighbours weigh beside the vector itself."""
_SAME = 0.999
"""A neighbour this near is the image itself, or a copy."""
_CHUNK = 1024
_REMEMBERED = 1024
"""Vectors that were asked about alone are asked about again, after each label: so many keep their prepared row."""


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


def in_chunks(
    do: Callable[[FloatArray], NDArray[Number]], rows: FloatArray, nothing: NDArray[Number]
) -> NDArray[Number]:
    """What `do` makes of rows (n, dim), a bounded number at a time; nothing: its answer to no rows."""
    if 0 < len(rows) <= _CHUNK:
        return do(rows)
    return np.concatenate([nothing, *(do(rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK))])


@dataclass(frozen=True)
class Smoothing:
    """What a sample of the app says of every vector, learned without any label.

    The directions in which the whole app varies most are damped, each by (variance / mean variance + 1)^(-1/4): half of
    a whitening, and a soft one. Then a vector is drawn towards its nearest neighbours in the sample: average query
    expansion (Chum et al., ICCV 2007), weighted by similarity. With few labels this brings images of a kind together;
    on the tasks of `tenshot bench accuracy` each of the two helps some and hurts others, both together help.
    """

    directions: FloatArray
    """(r, dim) orthonormal."""
    gains: FloatArray
    """(r,): what is added along each direction, as a share; negative."""
    neighbours: FloatArray
    """(m, dim) unit length: the sample, damped."""

    @classmethod
    def fit(cls, sample: FloatArray) -> "Smoothing | None":
        """Of prepared rows (m, dim), not smoothed; None for so few that they say nothing of the app."""
        if len(sample) < _SMALL_APP:
            return None
        variances, left = np.linalg.eigh(sample.astype(np.float64) @ sample.T)
        largest = slice(-1, -_DIRECTIONS - 1, -1)
        kept = variances[largest] > 1e-6 * max(variances[-1], _TINY)
        top, left = variances[largest][kept], left[:, largest][:, kept]
        damped = cls(
            directions=((left / np.sqrt(top)).T @ sample).astype(np.float32),
            gains=((top / max(variances.mean(), _TINY) + 1) ** -0.25 - 1).astype(np.float32),
            neighbours=sample[:0],
        )
        return replace(damped, neighbours=damped.damp(sample))

    def damp(self, rows: FloatArray | NDArray[np.float64]) -> FloatArray:
        """(n, dim) unit length."""
        directions: NDArray[np.floating[Any]] = self.directions.astype(rows.dtype, copy=False)
        return unit(np.asarray(rows + (rows @ directions.T * self.gains) @ directions, dtype=np.float32))

    def smooth(self, rows: FloatArray, precision: type[np.floating[Any]] = np.float32) -> FloatArray:
        """(n, dim) unit length of prepared rows (n, dim); rows of zeros stay zeros.

        precision: of the sums; with double precision a row comes out the same whatever rows are beside it.
        """
        return in_chunks(lambda some: self._smooth(some.astype(precision, copy=False)), rows, rows[:0])

    def _smooth(self, some: FloatArray | NDArray[np.float64]) -> FloatArray:
        damped = self.damp(some)
        rows: NDArray[np.floating[Any]] = damped.astype(some.dtype, copy=False)
        neighbours = self._candidates(damped) if rows.dtype == np.float64 else self.neighbours
        near = rows @ neighbours.T
        near[near > _SAME] = 0
        # What the first that is left out has is taken off all, so that rounding at the edge doesn't matter.
        far = np.partition(near, -NEIGHBOURS - 1, axis=1)[:, [-NEIGHBOURS - 1]]
        weights = np.maximum(near - np.maximum(far, 0), 0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), _TINY)
        near_any = np.flatnonzero(weights.any(axis=0))
        drawn = weights[:, near_any] @ neighbours[near_any]
        return unit(np.asarray(rows + _EXPANSION * drawn, dtype=np.float32))

    def _candidates(self, rows: FloatArray) -> FloatArray:
        """(k, dim): the neighbours that single precision can't tell from the nearest of a few damped rows (n, dim)."""
        if len(rows) * NEIGHBOURS > len(self.neighbours):
            return self.neighbours
        near = rows @ self.neighbours.T
        counted = np.where(near > _SAME - _TINY, 0, near)
        edge = np.partition(counted, -NEIGHBOURS - 1, axis=1)[:, [-NEIGHBOURS - 1]]
        return self.neighbours[(near >= edge - _TINY).any(axis=0)]


@dataclass(frozen=True)
class Space:
    """`prepare` maps (n, dim) unit vectors into this space."""

    mean: FloatArray
    """(dim,) float32: the mean of the power-transformed vectors, shrunk in small apps."""
    power: float
    """0.5 where features are never negative, else 1."""
    smoothing: Smoothing | None = None

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
        return self._remembered(vectors.tobytes(), vectors.dtype) if len(vectors) == 1 else self._prepared(vectors)

    @cached_property
    def _remembered(self) -> Callable[[bytes, np.dtype[Any]], FloatArray]:
        """(1, dim), read-only, of the bytes of one vector."""

        # Without this one: in a circle of references it would wait for the garbage collector.
        space = replace(self)

        def prepared(raw: bytes, dtype: np.dtype[Any]) -> FloatArray:
            row = space._prepared(np.frombuffer(raw, dtype=dtype)[None])
            row.flags.writeable = False
            return row

        return lru_cache(_REMEMBERED)(prepared)

    def prepare_alone(self, vectors: FloatArray) -> FloatArray:
        """The same, and to the bit, whatever is prepared beside it."""
        rows = self.plain._prepared(vectors)
        return self.smoothing.smooth(rows, np.float64) if self.smoothing else rows

    def _prepared(self, vectors: FloatArray) -> FloatArray:
        centred = power_transform(vectors, self.power) - self.mean
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        rows = np.asarray(np.where(norms < _TINY, 0, centred / np.maximum(norms, _TINY)), dtype=np.float32)
        return self.smoothing.smooth(rows) if self.smoothing else rows

    @property
    def plain(self) -> "Space":
        """The same without smoothing."""
        return replace(self, smoothing=None)

    def check(self, dim: int) -> None:
        """Whether one that was read from a file can prepare vectors (n, dim). Raises ValueError; it may be hostile."""
        check_array(self.mean, (dim,), "f")
        if not 0 < self.power <= 1:
            raise ValueError("its power is wrong")
        if smoothing := self.smoothing:
            check_array(smoothing.directions, (len(smoothing.directions), dim), "f")
            check_array(smoothing.gains, (len(smoothing.directions),), "f")
            check_rows(smoothing.neighbours, dim)
            if len(smoothing.neighbours) <= NEIGHBOURS:
                raise ValueError("it has too few neighbours to smooth by")

    def smoothed(self, sample: FloatArray) -> "Space":
        """The same, smoothed over a sample of the app: vectors (m, dim) of unit length."""
        return replace(self, smoothing=Smoothing.fit(self.plain.prepare(sample)))
