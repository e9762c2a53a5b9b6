"""Regression whose solution follows each added, removed or changed example exactly, without solving again.

The inverse is kept up to date by rank-one corrections (Sherman-Morrison and the block inverse), in float64, so a
thousand updates leave less than 1e-9 of drift. Only the upper triangle of the inverse is stored and touched.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, blas, lapack

Array = NDArray[np.float64]
Follow = Callable[[float, Array, Array], None]
"""The inverse has grown by factor * v v^T, and alpha by v residual^T."""

LABEL_NOISE = 0.1
"""How little a label is believed, beside a kernel of 1 with itself."""
FEW = 16
"""More pending changes than this are cheaper to take in by one fresh solution."""
_BLOCK = 64
"""Capacity grows by this many slots at least, and by a quarter."""


def spd_inverse(matrix: Array) -> Array:
    """The inverse of a symmetric positive definite matrix, by Cholesky."""
    upper = np.triu(_upper_inverse(matrix))
    return np.asarray(upper + np.triu(upper, 1).T, dtype=np.float64)


def _upper_inverse(matrix: Array) -> Array:
    """Its upper triangle, of which the matrix's is enough; what lies below means nothing."""
    if not len(matrix):
        return matrix
    # From the factor itself: a third of the work of solving for the identity.
    factor, failed = lapack.dpotrf(matrix, lower=0, clean=0)
    if failed:
        raise LinAlgError("the matrix is not positive definite")
    return np.asarray(lapack.dpotri(factor, lower=0, overwrite_c=1)[0])


class KernelRidge:
    """alpha = (K + noise)^-1 targets over examples that come and go.

    Each example has a *slot* for as long as it stays; a freed slot is used again. Free slots hold zeros everywhere, so
    every product below runs over the whole capacity without looking which slots are taken.

    The mean of a Gaussian process with per-example noise (Rasmussen and Williams 2006, section 2.2).
    """

    def __init__(self, kernel: Array, noise: float, targets: Array, follow: Follow | None = None) -> None:
        """kernel (n, n), of which the upper triangle is enough, targets (n, T); examples take the slots 0..n-1.

        follow is told of every change.
        """
        count = len(kernel)
        self.noise = noise
        self._follow = follow
        capacity = count + _BLOCK
        self._inverse = np.zeros((capacity, capacity), order="F")
        noisy = np.array(kernel, order="F")
        noisy[np.diag_indices(count)] += noise
        self._inverse[:count, :count] = _upper_inverse(noisy)
        self.targets = np.zeros((capacity, targets.shape[1]))
        self.targets[:count] = targets
        self.alpha = np.asarray(blas.dsymm(1.0, self._inverse, self.targets), order="C")
        self._free = list(range(capacity - 1, count - 1, -1))

    @property
    def capacity(self) -> int:
        return len(self.alpha)

    def add(self, column: Array, self_kernel: float, target: Array) -> int:
        """Takes in one example and returns its slot.

        column (capacity,): its kernel with each slot, zero at the free ones; target (T,).
        """
        slot = self.next_slot()
        column = np.pad(column, (0, self.capacity - len(column)))
        self._free.pop()
        direction = self.solve(column)
        variance = self.noise + self_kernel - float(column @ direction)
        residual = (target - column @ self.alpha) / variance
        direction[slot] = -1.0
        self._correct(1.0 / variance, direction, -residual)
        self.targets[slot] = target
        return slot

    def next_slot(self) -> int:
        """The one that `add` will take."""
        if not self._free:
            self._grow()
        return self._free[-1]

    def remove(self, slot: int) -> None:
        """Forgets the example in this slot, as if it had never been added."""
        column = self.inverse_column(slot)
        pivot = column[slot]
        self._correct(-1.0 / pivot, column, -self.alpha[slot] / pivot)
        self._inverse[: slot + 1, slot] = 0
        self._inverse[slot, slot:] = 0
        self.alpha[slot] = self.targets[slot] = 0
        self._free.append(slot)

    def retarget(self, slot: int, target: Array) -> None:
        """Gives the example in this slot another target (T,)."""
        self.alpha += np.outer(self.inverse_column(slot), target - self.targets[slot])
        self.targets[slot] = target

    def solve(self, vector: Array) -> Array:
        """(K + noise)^-1 vector, both (capacity,)."""
        return np.asarray(blas.dsymv(1.0, self._inverse, vector))

    def shift(self, factor: float, vector: Array, target: Array | float = 0.0) -> None:
        """The kernel of all examples changes by factor * v v^T, v (capacity,), zero at the free slots; the targets by
        factor * v target^T, target (T,).
        """
        direction = self.solve(vector)
        scale = 1 / factor + float(vector @ direction)
        self._correct(-1.0 / scale, direction, (target - vector @ self.alpha) / scale)

    def push(self, vector: Array, target: Array) -> None:
        """The targets alone change, by v target^T, v (capacity,), target (T,)."""
        self._correct(0.0, self.solve(vector), target)

    def solve_rows(self, rows: Array) -> Array:
        """(n, capacity): (K + noise)^-1 z of rows z (n, capacity)."""
        return _solve_rows(self._inverse, rows)

    def solve_rows_later(self) -> Callable[[Array], Array]:
        """The same by the inverse of this moment."""
        return partial(_solve_rows, self._inverse.copy(order="F"))

    def inverse_column(self, slot: int) -> Array:
        """(capacity,): a copy of one column of the inverse."""
        return np.concatenate([self._inverse[:slot, slot], self._inverse[slot, slot:]])

    def inverse_diagonal(self) -> Array:
        """(capacity,); zero at free slots."""
        return self._inverse.diagonal().copy()

    def leave_one_out(self) -> Array:
        """(capacity, T): what the others would predict for each example (Rasmussen and Williams 2006, eq. 5.12)."""
        diagonal = self.inverse_diagonal()
        return self.targets - self.alpha / np.where(diagonal == 0, 1, diagonal)[:, None]

    def symmetric_inverse(self) -> Array:
        """(capacity, capacity): the whole inverse, both triangles."""
        upper = np.triu(self._inverse)
        return np.asarray(upper + np.triu(upper, 1).T, dtype=np.float64)

    def _correct(self, factor: float, vector: Array, residual: Array) -> None:
        """The inverse grows by factor * v v^T, alpha by v residual^T: all that ever happens to them."""
        blas.dsyr(factor, vector, a=self._inverse, overwrite_a=1)
        # In place: with very many targets a second matrix would cost more than the sums.
        blas.dger(1.0, residual, vector, a=self.alpha.T, overwrite_a=1)
        if self._follow:
            self._follow(factor, vector, residual)

    def _grow(self) -> None:
        old = self.capacity
        extra = max(_BLOCK, old // 4)
        inverse = np.zeros((old + extra, old + extra), order="F")
        inverse[:old, :old] = self._inverse
        self._inverse = inverse
        self.targets = np.pad(self.targets, ((0, extra), (0, 0)))
        self.alpha = np.pad(self.alpha, ((0, extra), (0, 0)))
        self._free = list(range(old + extra - 1, old - 1, -1))


def _solve_rows(inverse: Array, rows: Array) -> Array:
    if len(rows) <= FEW:
        return np.array([blas.dsymv(1.0, inverse, row) for row in rows]).reshape(rows.shape)
    return np.asarray(blas.dsymm(1.0, inverse, np.asfortranarray(rows.T)).T)
