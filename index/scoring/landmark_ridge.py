"""Kernel ridge regression on more examples than a kernel matrix should hold: the same kernel, seen from landmarks.

A solution that is a sum of kernels at m *landmarks*, a sample of the examples, fitted to all of them (Nyström's
approximation, Williams and Seeger, NIPS 2000; the subset of regressors of Quiñonero-Candela and Rasmussen, JMLR 2005).
Where every example is a landmark it is the solution of `KernelRidge`. A change costs O(m^2), however many there are.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from ...runtime.cancellation import check_cancelled
from ..records import FloatArray
from .examples import Array, Later
from .ridge import KernelRidge

_JITTER = 1e-4
"""Added to the landmarks' own kernel matrix, as a share of the noise: copies among them must not matter."""
_CHUNK = 1024
_CACHED = 64


class LandmarkRidge:
    """votes = (F^T W F + noise (K + jitter))^-1 F^T W targets, for features F: the kernel of examples and landmarks.

    Examples and landmarks have slots, as in `KernelRidge`, and free ones hold zeros. The leave-one-out scores of a
    *calibration subset* of the examples follow every change. An example that is a landmark is left out as both: as a
    landmark it would bend the others' solution just where it is asked about, which nothing does where a new image is.
    """

    def __init__(
        self,
        kernel: Array,
        features: FloatArray,
        weights: Array,
        targets: FloatArray,
        noise: float,
        itself: NDArray[np.int64] | None = None,
    ) -> None:
        """kernel (m, m) of the landmarks, features (n, m), weights (n,), targets (n, T); itself (n,): which landmark
        an example is, -1 for none.
        """
        landmarks = features.shape[1]
        self._noise = noise
        # In single precision: with very many targets and examples these are the largest arrays.
        self._targets = targets.astype(np.float32)
        self._features, self._weights = features, weights
        self._itself = np.full(len(features), -1) if itself is None else itself
        system, right = self._sums()
        system += noise * kernel
        self._system = KernelRidge(system, noise * _JITTER, right, follow=self._follow)
        self._free: list[int] = []
        self._place: dict[int, int] = {}
        """Slot of an example of the subset -> its place in what follows, where free places hold zeros."""
        self._free_places: list[int] = []
        self._subset = np.empty((0, landmarks))
        self._leverage = np.empty(0)
        self._landmarks = np.empty(0, dtype=np.int64)
        self._pulls = np.empty(0)
        """Of the inverse's row of the landmark that each of the subset is, times its features."""
        self._outputs = np.empty((0, targets.shape[1]))
        self._widen()

    @property
    def capacity(self) -> int:
        """Of the examples."""
        return len(self._features)

    @property
    def votes(self) -> Array:
        """(landmark capacity, T)"""
        return self._system.alpha

    def add(self, features: Array, target: Array, weight: float) -> int:
        """Takes in one example, features (landmark capacity,), and returns its slot."""
        if not self._free:
            old, new = self.capacity, self.capacity + max(self.capacity // 4, 64)
            self._features, self._weights, self._targets = (
                padded(array, new) for array in (self._features, self._weights, self._targets)
            )
            self._itself = np.pad(self._itself, (0, new - old), constant_values=-1)
            self._free = list(range(new - 1, old - 1, -1))
        slot = self._free.pop()
        self._features[slot], self._weights[slot], self._targets[slot] = features, weight, target
        self._system.shift(weight, self._row(slot), self._targets[slot].astype(np.float64))
        return slot

    def remove(self, slot: int) -> None:
        """Forgets one example that is not of the subset."""
        self._system.shift(-self._weights[slot], self._row(slot), self._targets[slot].astype(np.float64))
        self._features[slot] = self._weights[slot] = self._targets[slot] = 0
        self._free.append(slot)

    def change(self, slot: int, target: Array, weight: float) -> None:
        """Another target (T,) and weight for an example that stays."""
        row, old = self._row(slot), self._targets[slot].astype(np.float64)
        if weight != self._weights[slot]:
            self._system.shift(weight - self._weights[slot], row, old)
            self._weights[slot] = weight
        self._targets[slot] = target
        self._system.push(row, weight * (self._targets[slot] - old))

    def add_landmark(self, column: Array, kernel: Array, self_kernel: float, example: int | None = None) -> int:
        """One more landmark: its slot. column (capacity,): its kernel with the examples, kernel: with the landmarks;
        example: the slot of the one that it is.
        """
        slot = self._system.next_slot()
        self._widen()
        kernel = np.pad(kernel, (0, self._system.capacity - len(kernel)))
        self._features[:, slot] = column
        places, slots = list(self._place.values()), list(self._place)
        # As it is kept, to the bit: what is added must be what is taken away one day.
        self._subset[places, slot] = self._features[slots, slot]
        if example is not None:
            self._itself[example] = slot
        if example in self._place:
            self._landmarks[self._place[example]], self._pulls[self._place[example]] = slot, 0
        pairs, right = self._sums_at(slot)
        itself, pairs[slot] = float(pairs[slot]) + self._noise * self_kernel, 0
        return self._system.add(pairs + self._noise * kernel, itself, right)

    def remove_landmark(self, slot: int) -> None:
        self._system.remove(slot)
        self._features[:, slot] = 0
        self._subset[:, slot] = 0
        self._itself[self._itself == slot] = self._landmarks[self._landmarks == slot] = -1

    def calibrate_by(self, came: Iterable[int], left: Iterable[int]) -> None:
        """Examples, by slot, that are of the calibration subset from now on, and those that are no more."""
        for slot in left:
            place = self._place.pop(slot)
            self._subset[place] = self._leverage[place] = self._outputs[place] = 0
            self._free_places.append(place)
        new = list(came)
        if (short := len(new) - len(self._free_places)) > 0:
            old, wanted = len(self._leverage), len(self._leverage) + short
            self._subset, self._leverage, self._outputs, self._landmarks, self._pulls = (
                padded(array, wanted)
                for array in (self._subset, self._leverage, self._outputs, self._landmarks, self._pulls)
            )
            self._free_places += range(old, wanted)
        places = [self._free_places.pop() for _ in new]
        self._place.update(zip(new, places, strict=True))
        rows = self._features[new].astype(np.float64)
        solved, self._landmarks[places] = self._system.solve_rows(rows), self._itself[new]
        self._subset[places], self._leverage[places] = rows, np.vecdot(solved, rows)
        self._pulls[places] = solved[np.arange(len(new)), self._itself[new]]
        self._outputs[places] = rows @ self.votes

    def left_out(self, slots: Sequence[int]) -> Array:
        """(n, T): what the others would predict for members of the subset."""
        places = [self._place[slot] for slot in slots]
        together = self._outputs[places], self._leverage[places], self._weights[slots], self._targets[slots]
        as_landmarks = self._landmarks[places], self._pulls[places], self.votes, self._system.inverse_diagonal()
        return _without(*together, *as_landmarks)

    def leave_one_out(self, slots: NDArray[np.int64]) -> Later:
        """(n, T): the same for any examples, from scratch."""
        features, weights, targets = self._features[slots], self._weights[slots], self._targets[slots]
        landmarks, solve, votes = self._itself[slots], self._system.solve_rows_later(), self.votes.copy()
        diagonal = self._system.inverse_diagonal()

        def solved() -> Array:
            scores = np.empty((len(slots), votes.shape[1]))
            for start in range(0, len(slots), _CHUNK):
                check_cancelled()
                chunk = slice(start, start + _CHUNK)
                rows = features[chunk].astype(np.float64)
                solved, itself = solve(rows), landmarks[chunk]
                leverage, pulls = np.vecdot(solved, rows), solved[np.arange(len(rows)), itself]
                scores[chunk] = _without(
                    rows @ votes, leverage, weights[chunk], targets[chunk], itself, pulls, votes, diagonal
                )
            return scores

        return solved

    def _sums(self) -> tuple[Array, Array]:
        """Weighted products of features with features, the upper triangle of (m, m), and with targets, (m, T)."""
        landmarks = self._features.shape[1]
        pairs, right = np.zeros((landmarks, landmarks), order="F"), np.zeros((landmarks, self._targets.shape[1]))
        for start in range(0, len(self._features), _CHUNK):
            rows = slice(start, start + _CHUNK)
            roots = np.sqrt(self._weights[rows])[:, None]
            chunk = self._features[rows] * roots
            # Half of a plain product's work.
            pairs = blas.dsyrk(1.0, chunk.T, beta=1.0, c=pairs, overwrite_c=1)
            right += chunk.T @ (self._targets[rows] * roots)
        return pairs, right

    def _sums_at(self, landmark: int) -> tuple[Array, Array]:
        """The same for one landmark: (m,) and (T,)."""
        weighted = self._features[:, landmark] * self._weights
        pairs = np.zeros(self._features.shape[1])
        # So few rows at a time that what is widened to double precision stays in the processor's cache.
        wide = np.empty((_CACHED, len(pairs)))
        for start in range(0, len(weighted), _CACHED):
            rows = self._features[start : start + _CACHED]
            wide[: len(rows)] = rows
            pairs += weighted[start : start + _CACHED] @ wide[: len(rows)]
        return pairs, weighted @ self._targets

    def _widen(self) -> None:
        """As many columns as there are slots of landmarks."""
        if more := self._system.capacity - self._features.shape[1]:
            self._features = np.pad(self._features, ((0, 0), (0, more)))
            self._subset = np.pad(self._subset, ((0, 0), (0, more)))

    def _row(self, slot: int) -> Array:
        return np.asarray(self._features[slot], dtype=np.float64)

    def _follow(self, factor: float, vector: Array, residual: Array) -> None:
        """The inverse has grown by factor * v v^T, the votes by v residual^T."""
        if not len(self._subset):
            return
        pulled = self._subset @ vector
        self._leverage += factor * pulled**2
        self._pulls += factor * vector[self._landmarks] * pulled
        blas.dger(1.0, residual, pulled, a=self._outputs.T, overwrite_a=1)


def _without(
    outputs: Array,
    leverage: Array,
    weights: Array,
    targets: NDArray[Any],
    landmarks: NDArray[np.int64],
    pulls: Array,
    votes: Array,
    diagonal: Array,
) -> Array:
    """(n, T) what the others predict of examples that all together predict outputs (n, T): each is left out, and the
    landmark that it is, by the block inverse. votes (m, T) and the inverse's diagonal (m,) are of all landmarks.
    """
    share = np.divide(pulls, diagonal[landmarks], out=np.zeros_like(pulls), where=landmarks >= 0)
    pull = weights * (leverage - share * pulls)
    outputs = outputs - share[:, None] * votes[landmarks]
    return np.asarray((outputs - pull[:, None] * targets) / (1 - pull[:, None]))


def padded(array: NDArray[Any], length: int) -> NDArray[Any]:
    """With rows of zeros after its own."""
    return np.concatenate([array, np.zeros((length - len(array), *array.shape[1:]), array.dtype)])
