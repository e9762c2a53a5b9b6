"""What a model is taught with, as arrays: labelled vectors, and a sample of the app as background."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, KeyArray
from .ridge import spd_inverse
from .space import Space

Array = NDArray[np.float64]
Later = Callable[[], Array]
"""Takes long, and needs nothing that may have changed by then."""
Texts = Mapping[str, FloatArray]
"""Concept id -> (dim,): a raw unit vector times it gives the log-odds by the concept's name."""
Labels = Mapping[str, Mapping[int, bool]]
"""Concept id -> input key -> yes or no."""

BACKGROUND_SIZE = 400


def similarity_kernel(cosines: FloatArray, sharpness: float = 1.0) -> Array:
    """(e^gs - 1) / (e^g - 1) for cosines s and sharpness g, float64; near g = 0 it is the cosine itself.

    The Gaussian kernel on the sphere without its constant term, which would let concepts with many labels win wherever
    nothing is near: 1 for equal directions, 0 for unrelated ones.
    """
    return np.asarray(np.expm1(sharpness * cosines.astype(np.float64)) / np.expm1(sharpness))


def linear_part(cosines: FloatArray, sharpness: float = 1.0) -> Array:
    """The first term of the kernel's series, gs / (e^g - 1): all that a dot product with one mean vector can see."""
    return np.asarray(cosines.astype(np.float64) * (sharpness / np.expm1(sharpness)))


def curved_part(cosines: FloatArray, sharpness: float = 1.0) -> Array:
    """What the kernel has beyond its linear part: next to nothing where nothing is near."""
    return similarity_kernel(cosines, sharpness) - linear_part(cosines, sharpness)


class Background:
    """At most `BACKGROUND_SIZE` of the app's vectors, labelled or not: what images look like that show nothing special.

    Each independent concept is taught with them as weak negatives, all but those that it has labels of its own for.
    """

    def __init__(self, keys: KeyArray, rows: FloatArray) -> None:
        self.keys = keys
        self.rows = rows
        self.position = {int(key): i for i, key in enumerate(keys)}
        self._resolvents: dict[float, Array] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def kernel(self) -> Array:
        return similarity_kernel(self.rows @ self.rows.T)

    def summary(self, rows: FloatArray, votes: Array, near: Array) -> tuple[FloatArray, Array]:
        """What kernel votes (n,) of examples (n, dim) come to, in a size that doesn't grow with them: (dim,) and (m,).

        The linear part of the kernel exactly, as one prototype; the curved part as votes of the background instead
        (Nyström's approximation, Williams and Seeger, NIPS 2000). near (m,): the votes' sums at the background.
        """
        prototype = linear_part(votes.astype(np.float32) @ rows).astype(np.float32)
        return prototype, self._curved_inverse @ (near - self.rows @ prototype)

    @cached_property
    def _curved_inverse(self) -> Array:
        return spd_inverse(curved_part(self.rows @ self.rows.T) + 1e-3 * np.eye(len(self)))

    def resolvent(self, noise: float) -> Array:
        """(K + noise * size)^-1, (m, m); noise is a share, so that the background weighs the same at any size."""
        if noise not in self._resolvents:
            self._resolvents[noise] = spd_inverse(self.kernel + noise * len(self) * np.eye(len(self)))
        return self._resolvents[noise]


class Examples:
    """The prepared vectors of labelled inputs, each once, whatever the number of concepts it has labels for.

    Shared by the scorers of all models. Rows are only ever added while this object lives, so a reader may keep a view
    of the first n.
    """

    def __init__(self, space: Space, background: Background, fetch: Callable[[KeyArray], FloatArray]) -> None:
        """fetch gives the raw unit vectors (n, dim) of keys (n,), zeros for an input that is being deleted."""
        self.space = space
        self.background = background
        self.fetch = fetch
        self._lock = threading.Lock()
        self._row: dict[int, int] = {}
        self._keys = np.empty(64, dtype=np.int64)
        self._matrix = np.empty((64, len(space.mean)), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._row)

    @cached_property
    def plain(self) -> "Examples":
        """The same in the space that is not smoothed, without a background; itself where nothing is smoothed."""
        if self.space.smoothing is None:
            return self
        none = np.empty((0, len(self.space.mean)), dtype=np.float32)
        return Examples(self.space.plain, Background(np.empty(0, dtype=np.int64), none), self.fetch)

    def all(self) -> tuple[KeyArray, FloatArray]:
        """Keys (n,) and rows (n, dim) of one moment, as views: other models may add rows while one is scored."""
        with self._lock:
            return self.keys, self.matrix

    @property
    def matrix(self) -> FloatArray:
        """(n, dim) float32, a view."""
        return self._matrix[: len(self)]

    @property
    def keys(self) -> KeyArray:
        """(n,) int64, a view."""
        return self._keys[: len(self)]

    def rows(self, keys: Iterable[int]) -> NDArray[np.int64]:
        """(n,): the row of each key; unknown ones are fetched and prepared."""
        keys = list(keys)
        with self._lock:
            new = sorted(set(keys).difference(self._row))
        # Prepared without the lock: of very many that takes long, and other models are asked meanwhile.
        prepared = self._prepared(np.array(new, dtype=np.int64)) if new else self._matrix[:0]
        with self._lock:
            self._append(new, prepared)
            return np.fromiter(map(self._row.__getitem__, keys), dtype=np.int64, count=len(keys))

    def vectors(self, keys: Iterable[int]) -> FloatArray:
        """(n, dim): the prepared vector of each key."""
        rows = self.rows(keys)  # May put a new matrix in place: so first.
        return self._matrix[rows]

    def _prepared(self, keys: KeyArray) -> FloatArray:
        vectors = self.fetch(keys)
        # Without its vector an input says nothing, until its labels go too.
        # One by one, so that a restart, which prepares all at once, makes the same of each.
        return np.asarray(self.space.prepare_alone(vectors) * vectors.any(axis=1, keepdims=True))

    def _append(self, keys: Sequence[int], prepared: FloatArray) -> None:
        """Those that another model has not added meanwhile."""
        new = [place for place, key in enumerate(keys) if key not in self._row]
        start, end = len(self), len(self) + len(new)
        if end > len(self._matrix):
            capacity = max(end, 2 * len(self._matrix))
            # New buffers, never resized ones: readers keep views of the old.
            matrix = np.empty((capacity, self._matrix.shape[1]), dtype=np.float32)
            matrix[:start] = self.matrix
            all_keys = np.empty(capacity, dtype=np.int64)
            all_keys[:start] = self.keys
            self._matrix, self._keys = matrix, all_keys
        self._matrix[start:end] = prepared[new]
        self._keys[start:end] = [keys[place] for place in new]
        self._row.update((keys[place], row) for row, place in enumerate(new, start))
