"""Regression whose solution follows each added, removed or changed example exactly, without solving again.

Both forms keep an inverse up to date by rank-one corrections (Sherman-Morrison and the block inverse), in float64, so a
thousand updates leave less than 1e-9 of drift. Only the upper triangle of the inverse is stored and touched.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, cho_factor, cho_solve

Array = NDArray[np.float64]

FEW = 16
"""More pending changes than this are cheaper to take in by one fresh solution."""
_BLOCK = 64
"""Capacity grows by this many slots at least, and by a quarter."""


def spd_inverse(matrix: Array) -> Array:
    """The inverse of a symmetric positive definite matrix, by Cholesky."""
    if not len(matrix):
        return matrix
    return np.asarray(cho_solve(cho_factor(matrix, lower=True), np.eye(len(matrix))), dtype=np.float64)


class KernelRidge:
    """alpha = (K + noise)^-1 targets over examples that come and go.

    Each example has a *slot* for as long as it stays; a freed slot is used again. Free slots hold zeros everywhere, so
    every product below runs over the whole capacity without looking which slots are taken.

    The mean of a Gaussian process with per-example noise (Rasmussen and Williams 2006, section 2.2).
    """

    def __init__(self, kernel: Array, noise: float, targets: Array) -> None:
        """kernel (n, n), targets (n, T); examples take the slots 0..n-1."""
        count = len(kernel)
        self.noise = noise
        capacity = count + _BLOCK
        self._inverse = np.zeros((capacity, capacity), order="F")
        self._inverse[:count, :count] = spd_inverse(kernel + noise * np.eye(count))
        self.targets = np.zeros((capacity, targets.shape[1]))
        self.targets[:count] = targets
        self.alpha = np.zeros_like(self.targets)
        self.alpha[:count] = self._inverse[:count, :count] @ targets
        self._free = list(range(capacity - 1, count - 1, -1))

    @property
    def capacity(self) -> int:
        return len(self.alpha)

    def add(self, column: Array, self_kernel: float, target: Array) -> int:
        """Takes in one example and returns its slot.

        column (capacity,): its kernel with each slot, zero at the free ones; target (T,).
        """
        if not self._free:
            column = self._grow(column)
        slot = self._free.pop()
        direction = self.solve(column)
        variance = self.noise + self_kernel - float(column @ direction)
        residual = (target - column @ self.alpha) / variance
        direction[slot] = -1.0
        self._correct(1.0 / variance, direction)
        self.alpha -= np.outer(direction, residual)
        self.targets[slot] = target
        return slot

    def remove(self, slot: int) -> None:
        """Forgets the example in this slot, as if it had never been added."""
        column = self.inverse_column(slot)
        pivot = column[slot]
        self.alpha -= np.outer(column, self.alpha[slot] / pivot)
        self._correct(-1.0 / pivot, column)
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

    def shift(self, factor: float, vector: Array) -> None:
        """The kernel of all examples changes by factor * v v^T, v (capacity,), zero at the free slots."""
        direction = self.solve(vector)
        scale = 1 / factor + float(vector @ direction)
        self.alpha -= np.outer(direction, vector @ self.alpha / scale)
        self._correct(-1.0 / scale, direction)

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

    def _correct(self, factor: float, vector: Array) -> None:
        blas.dsyr(factor, vector, a=self._inverse, overwrite_a=1)

    def _grow(self, column: Array) -> Array:
        old = self.capacity
        extra = max(_BLOCK, old // 4)
        inverse = np.zeros((old + extra, old + extra), order="F")
        inverse[:old, :old] = self._inverse
        self._inverse = inverse
        self.targets = np.pad(self.targets, ((0, extra), (0, 0)))
        self.alpha = np.pad(self.alpha, ((0, extra), (0, 0)))
        self._free = list(range(old + extra - 1, old - 1, -1))
        return np.pad(column, (0, extra))


class LinearRidge:
    """weights = (sum_i w_i z_i z_i^T + penalty)^-1 sum_i w_i z_i t_i^T: the same in the space of the components, for
    more examples than a kernel matrix should hold. An update costs O(dim^2), however many examples there are.
    """

    def __init__(
        self, rows: NDArray[np.float32], targets: Array, penalty: float, prior: NDArray[Any] | float = 0.0
    ) -> None:
        """rows (n, dim), targets (n, T). prior (dim, dim): a further symmetric term."""
        dim = rows.shape[1]
        gram = (rows.T @ rows).astype(np.float64) + prior
        gram[np.diag_indices(dim)] += penalty
        self._inverse = np.asfortranarray(spd_inverse(gram))
        self.weights = np.ascontiguousarray(self._inverse @ (rows.T @ targets), dtype=np.float64)
        """(dim, T): one prototype a column."""

    def add(self, row: NDArray[np.float32], target: Array) -> tuple[Array, Array]:
        """Takes in one example, row (dim,), target (T,).

        Returns what has changed: direction d (dim,) and residual r (T,), with which `weights` have grown by d r^T, and
        the leverage of a row z has fallen by (z^T d)^2.
        """
        return self._step(row, target, 1.0)

    def remove(self, row: NDArray[np.float32], target: Array) -> tuple[Array, Array]:
        """Forgets one example that had this target. Returns the same, but the leverage has risen."""
        return self._step(row, target, -1.0)

    def retarget(self, row: NDArray[np.float32], change: Array) -> None:
        """The target of an example that stays changes by this much, (T,)."""
        self.weights += np.outer(blas.dsymv(1.0, self._inverse, row), change)

    def leverage(self, rows: NDArray[np.float32]) -> Array:
        """(n,): z^T A z, how far each training row (n, dim) pulls its own prediction."""
        if not len(rows):
            return np.empty(0)
        columns = np.asfortranarray(rows.T, dtype=np.float64)
        return np.asarray(np.einsum("dn,dn->n", blas.dsymm(1.0, self._inverse, columns), columns), dtype=np.float64)

    def _step(self, row: NDArray[np.float32], target: Array, sign: float) -> tuple[Array, Array]:
        direction = blas.dsymv(1.0, self._inverse, row)
        root = np.sqrt(1.0 + sign * float(row @ direction))
        direction /= root
        residual = sign * (target - row @ self.weights) / root
        # In place: with very many targets a second matrix would cost more than the sums.
        blas.dger(1.0, residual, direction, a=self.weights.T, overwrite_a=1)
        blas.dsyr(-sign, direction, a=self._inverse, overwrite_a=1)
        return direction, residual
