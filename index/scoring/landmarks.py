"""What is taught of very many inputs, by key, as a regression seen from landmarks: see `landmark_ridge.py`."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray
from .examples import Array, Examples, Later, similarity_kernel
from .landmark_ridge import LandmarkRidge, padded
from .ridge import LABEL_NOISE
from .sample import Sample

LANDMARKS = 1024
"""Up to so many labelled images all are landmarks, and the kernel matrix is small enough to be used itself."""
FEW_LEFT = LANDMARKS * 3 // 4
"""Below that the small form is taken up again: labels that come and go at the border change no form."""


class LandmarkFit:
    """A `LandmarkRidge` over inputs, by key: exact under every change, whatever the order.

    Landmarks are a sample of what is taught, as many of each group as of the others, and the calibration subset is a
    sample from the other end of the order. A background is examples with the target zero for as long as nothing else is
    said of them; all of it are landmarks, and of the subset.
    """

    def __init__(
        self,
        examples: Examples,
        keys: Sequence[int],
        targets: FloatArray,
        groups: Sequence[int],
        *,
        subset: int,
        opposed: bool = False,
        sharpness: float = 1.0,
        background_weight: float | None = None,
    ) -> None:
        """What is taught: keys (n,), targets (n, T), and which group each is of, from 0, (n,).

        subset: how many calibrate, at most; opposed: as many of each group of them too. background_weight: of each of
        its images; None: not used.
        """
        self._examples = examples
        self._sharpness = sharpness
        self._opposed = opposed
        self._weight = background_weight
        background = examples.background
        self._fixed = background.rows[:0] if background_weight is None else background.rows
        self._position = {} if background_weight is None else background.position
        count = len(self._fixed)
        self.slot = dict(self._position)
        for key in keys:
            self.slot.setdefault(key, len(self.slot))
        slots = [self.slot[key] for key in keys]
        self._sample = Sample(
            {key: group for key, group in zip(keys, groups, strict=True) if key not in self._position},
            LANDMARKS,
            backwards=True,
        )
        self._subset = Sample({key: self._side(group) for key, group in zip(keys, groups, strict=True)}, subset)
        landmarks = self._sample.chosen
        self._landmark = {key: slot for slot, key in enumerate(landmarks, start=count)}
        self._groups = np.full(len(self.slot), -1)
        self._groups[slots] = groups
        self._rows = np.full(len(self.slot), -1)
        self._rows[slots] = examples.rows(keys)
        rows = np.concatenate([self._fixed, examples.matrix[self._rows[count:]]])
        # A landmark is an example: its features are its row of the landmarks' own kernel matrix.
        order = [*range(count), *(self.slot[key] for key in landmarks)]
        vectors = rows[order]
        features = similarity_kernel(rows @ vectors.T, sharpness).astype(np.float32)
        itself = np.full(len(rows), -1)
        itself[order] = np.arange(len(order))
        weights, said = np.ones(len(rows)), np.zeros((len(rows), targets.shape[1]), np.float32)
        weights[:count] = 0 if background_weight is None else background_weight
        weights[slots] = 1
        said[slots] = targets
        self._ridge = LandmarkRidge(features[order].astype(np.float64), features, weights, said, LABEL_NOISE, itself)
        self._vectors = padded(vectors, len(self._ridge.votes))
        self._landmark_rows = np.full(len(self._vectors), -1)
        self._landmark_rows[list(self._landmark.values())] = examples.rows(landmarks)
        self._ridge.calibrate_by(sorted({*range(count), *(self.slot[key] for key in self._subset.chosen)}), [])

    def __contains__(self, key: int) -> bool:
        """Whether it is taught."""
        return key in self.slot and bool(self._groups[self.slot[key]] >= 0)

    def set(self, key: int, target: Array | None, group: int = 0) -> None:
        """Takes in, changes or (None) forgets what is taught of one input."""
        if target is None and key not in self:
            return
        fixed, there = key in self._position, key in self.slot
        told = None if target is None else group
        joins, leaves = self._subset.set(key, None if told is None else self._side(told))
        came, left = (set[int](), set[int]()) if fixed else self._sample.set(key, told)
        self._ridge.calibrate_by([], [self.slot[key] for key in leaves - self._position.keys()])
        for gone in sorted(left):
            self._drop_landmark(gone)
        if target is None and not fixed:
            slot = self.slot.pop(key)
            self._ridge.remove(slot)
            self._rows[slot] = self._groups[slot] = -1
        elif target is None:
            slot = self.slot[key]
            self._ridge.change(slot, np.zeros(self._ridge.votes.shape[1]), self._weight or 0.0)
            self._rows[slot] = self._groups[slot] = -1
        else:
            row = int(self._examples.rows([key])[0])
            if there:
                self._ridge.change(self.slot[key], target, 1.0)
            else:
                vector = self._examples.matrix[row]
                self.slot[key] = self._ridge.add(
                    similarity_kernel(self._vectors @ vector, self._sharpness), target, 1.0
                )
                more = self._ridge.capacity - len(self._rows)
                self._rows, self._groups = (
                    np.pad(of, (0, more), constant_values=-1) for of in (self._rows, self._groups)
                )
            self._rows[self.slot[key]], self._groups[self.slot[key]] = row, group
        for new in sorted(came):
            self._add_landmark(new)
        self._ridge.calibrate_by([self.slot[key] for key in sorted(joins - self._position.keys())], [])

    @property
    def voters(self) -> tuple[NDArray[np.int64], Array]:
        """Rows (m,) of the examples that are landmarks, and their votes (m, T)."""
        slots = np.flatnonzero(self._landmark_rows >= 0)
        return self._landmark_rows[slots], self._ridge.votes[slots]

    @property
    def background_votes(self) -> Array:
        """(b, T), copied."""
        return self._ridge.votes[: len(self._fixed)].copy()

    @property
    def taught(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows (n,) of the examples that are taught, and their groups (n,)."""
        slots = np.flatnonzero(self._groups >= 0)
        return self._rows[slots], self._groups[slots]

    @property
    def subset(self) -> list[int]:
        """Keys, ascending; the background is not among them, but what of it is taught."""
        return self._subset.chosen

    def left_out(self, keys: Iterable[int]) -> Array:
        """(n, T): what the others predict for members of the subset."""
        return self._ridge.left_out([self.slot[key] for key in keys])

    def leave_one_out(self, keys: Iterable[int]) -> Later:
        """(n, T): what the others predict for any that are taught."""
        return self._ridge.leave_one_out(np.array([self.slot[key] for key in keys], dtype=np.int64))

    def _side(self, group: int) -> int:
        return group if self._opposed else 0

    def _add_landmark(self, key: int) -> None:
        """What is taught of it has been taken in."""
        row = self._rows[self.slot[key]]
        vector = self._examples.matrix[row]
        column = np.zeros(self._ridge.capacity)
        column[: len(self._fixed)] = similarity_kernel(self._fixed @ vector, self._sharpness)
        others = len(self._fixed) + np.flatnonzero(self._rows[len(self._fixed) :] >= 0)
        column[others] = similarity_kernel((self._examples.matrix @ vector)[self._rows[others]], self._sharpness)
        near = similarity_kernel(self._vectors @ vector, self._sharpness)
        example = self.slot[key]
        slot = self._landmark[key] = self._ridge.add_landmark(column, near, float(column[example]), example)
        if more := len(self._ridge.votes) - len(self._vectors):
            self._vectors = padded(self._vectors, len(self._ridge.votes))
            self._landmark_rows = np.pad(self._landmark_rows, (0, more), constant_values=-1)
        self._vectors[slot], self._landmark_rows[slot] = vector, row

    def _drop_landmark(self, key: int) -> None:
        slot = self._landmark.pop(key)
        self._ridge.remove_landmark(slot)
        self._vectors[slot], self._landmark_rows[slot] = 0, -1
