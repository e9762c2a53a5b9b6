"""One independent concept: its positives and negatives against the app's background (scoring recipe, section 5)."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray
from .calibration import NO_CONTRAST, Logistic, fit_logistic, untaught
from .examples import Array, Examples, similarity_kernel
from .landmarks import LANDMARKS
from .ridge import FEW, LABEL_NOISE, KernelRidge
from .text_prior import TextPrior

_TYPICAL = 0.95
"""This quantile of the background is taken for what a held-out image of a concept would score, where none can tell."""


def background_noise(positives: int) -> float:
    """How little the background is believed, as a share of its size: it may hide positives, so less with few labels."""
    return max(0.05 / math.sqrt(max(positives, 1)), 0.01)


@dataclass(frozen=True)
class Votes:
    """score(q) = sum_i votes_i k(q, x_i) + sum_j background_j k(q, b_j), and what makes a probability of it."""

    rows: NDArray[np.int64]
    """(n,) rows of the examples."""
    votes: Array
    """(n,)"""
    signs: Array
    """(n,): 1 for yes, -1 for no."""
    background: Array
    """(m,), zero for images that have a label of their own."""
    curve: Logistic
    low_confidence: bool
    text: FloatArray | None = None
    """(dim,): what the name adds to the score, of a raw vector."""

    @cached_property
    def voters(self) -> tuple[NDArray[np.int64], Array]:
        """Rows and votes of those that vote."""
        voting = np.flatnonzero(self.votes)
        return self.rows[voting], self.votes[voting]


def share_of(curve: Logistic, text: TextPrior | None) -> FloatArray | None:
    """(dim,) the name's direction, scaled to be added to the scores that the curve is for."""
    return None if text is None else text.directions[:, 0] * np.float32(curve.text_share / curve.slope)


def untaught_votes(examples: Examples, text: TextPrior) -> Votes | None:
    """Of a concept without a positive label, by its name alone; None without a background to compare with."""
    background = examples.background
    if not len(background):
        return None
    curve = untaught(text.of(background.keys.tolist())[:, 0])
    none = np.empty(0)
    return Votes(none.astype(np.int64), none, none, np.zeros(len(background)), curve, True, text=share_of(curve, text))


def calibrated(
    examples: Examples,
    labels: Mapping[int, bool],
    scores: Mapping[int, float],
    background: Mapping[int, float],
    text: TextPrior | None,
    union: Collection[int] | None,
) -> Logistic:
    """The curve for leave-one-out scores of labelled inputs, or of some of them, and of the background, by key.

    union: positives that are the only ones of a concept that this one stands for among others: so the others can't be
    expected to recognise them.
    """
    alone = sorted(scores.keys() & set(union or ())) if background else []
    scores = {**scores, **_stand_ins(examples, alone, background)}
    keys = sorted(scores)
    yes, no = [key for key in keys if labels[key]], [key for key in keys if not labels[key]]
    return fit_logistic(
        np.array([scores[key] for key in yes]),
        np.array([scores[key] for key in no]),
        np.fromiter(background.values(), dtype=np.float64, count=len(background)),
        (text.of(yes)[:, 0], text.of(no)[:, 0], text.of(background)[:, 0]) if text else None,
        rare=union is None,
    )


def _stand_ins(examples: Examples, keys: Sequence[int], background: Mapping[int, float]) -> dict[int, float]:
    """What an image like each of these might score: the background has some that are near it."""
    if not keys:
        return {}
    others = [examples.background.position[key] for key in background]
    near = examples.background.rows[others] @ examples.vectors(keys).T
    place = int(_TYPICAL * (len(near) - 1))
    typical = np.fromiter(background.values(), dtype=np.float64)[np.argpartition(near, place, axis=0)[place]]
    return dict(zip(keys, typical.tolist(), strict=True))


class ConceptScorer:
    """Kernel ridge regression of yes (1) and no (0), conditioned on the background.

    The background's block of the kernel matrix is inverted once for all concepts; this one works with what is left,
    k~(a, b) = k(a, b) - k_B(a)^T R k_B(b), on its own labelled images only.
    """

    few = FEW
    labels: dict[int, bool]
    _slot: dict[int, int]
    _rows: NDArray[np.int64]
    _own: NDArray[np.int64]
    _others: NDArray[np.int64]
    _noise: float
    _ridge: KernelRidge
    _projection: Array
    _diagonal: Array

    def __init__(self, examples: Examples, labels: Mapping[int, bool]) -> None:
        """labels: input key -> yes or no; at least one yes."""
        self._examples = examples
        self._background = examples.background
        self._build(dict(labels))

    @property
    def positives(self) -> int:
        return sum(self.labels.values())

    @property
    def fits(self) -> bool:
        """Whether a kernel matrix is right for so many labels."""
        return len(self.labels) <= LANDMARKS

    @property
    def low_confidence(self) -> bool:
        """Nothing to compare the positives with."""
        return not len(self._others) and all(self.labels.values())

    def set(self, key: int, value: bool | None) -> None:
        """Takes in, changes or (None) forgets one label. At least one yes must remain."""
        old = self.labels.get(key)
        if old is value:
            return
        labels = dict(self.labels)
        if value is None:
            del labels[key]
        else:
            labels[key] = value
        place = self._background.position.get(key)
        if background_noise(sum(labels.values())) != self._noise:
            self._build(labels)
        elif value is None:
            self._remove(key)
            if place is not None:
                self._join_background(place)
        elif old is None:
            if place is not None:
                self._leave_background(place)
            self._add(key, value)
        else:
            self._ridge.retarget(self._slot[key], np.array([float(value)]))
        self.labels = labels

    def votes(self, text: TextPrior | None = None, union: Collection[int] | None = None) -> Votes:
        """What a predictor needs of this concept, whose name says this.

        union: the concept stands for several, and these are the positives that are the only ones of theirs.
        """
        slots = np.flatnonzero(self._rows >= 0)
        yes = self._ridge.targets[slots, 0] == 1
        explained = self._explained()
        curve = self._curve(explained, text, union)
        return Votes(
            rows=self._rows[slots],
            votes=self._ridge.alpha[slots, 0],
            signs=np.where(yes, 1.0, -1.0),
            background=-explained,
            curve=curve,
            low_confidence=self.low_confidence,
            text=share_of(curve, text),
        )

    def leave_one_out(self) -> Callable[[], dict[int, float]]:
        """Input key -> score by the others, for each labelled input; see `Later`."""
        scores = self._scores()
        return lambda: scores

    def _scores(self) -> dict[int, float]:
        scores = self._ridge.leave_one_out()[list(self._slot.values()), 0]
        return dict(zip(self._slot, scores.tolist(), strict=True))

    def background_leave_one_out(self) -> dict[int, float]:
        """Input key -> score by the others, for each background image that has no label of its own."""
        return self._background_scores(self._explained())

    def _curve(self, explained: Array, text: TextPrior | None, union: Collection[int] | None) -> Logistic:
        if self.low_confidence:
            return NO_CONTRAST
        return calibrated(self._examples, self.labels, self._scores(), self._background_scores(explained), text, union)

    def _explained(self) -> Array:
        """(m,): how much of each background image's score the labelled ones explain; minus its vote."""
        return np.asarray(self._projection @ self._ridge.alpha[:, 0])

    def near_background(self) -> Array:
        """(m,): what the votes sum up to at each background image, without looking at the images that vote.

        `_explained` is R times that, so R's inverse gives it back; at an image with a label of its own the whole score
        is known, target - noise * vote, and the background's part of it.
        """
        background, others, explained = self._background, self._others, self._explained()
        near = background.kernel @ explained
        near[others] += self._noise * len(background) * explained[others]
        slots = [self._slot[key] for key in background.keys[self._own].tolist()]
        near[self._own] += self._ridge.targets[slots, 0] - LABEL_NOISE * self._ridge.alpha[slots, 0]
        return near

    def _background_scores(self, explained: Array) -> dict[int, float]:
        scores = explained[self._others] / self._diagonal[self._others]
        return dict(zip(self._background.keys[self._others].tolist(), scores.tolist(), strict=True))

    def _build(self, labels: dict[int, bool]) -> None:
        # In the order of keys, so that the same labels give the same numbers whatever order they came in.
        self.labels = labels
        keys = sorted(labels)
        self._rows = self._examples.rows(keys)
        self._slot = {key: i for i, key in enumerate(keys)}
        position = self._background.position
        self._set_own([position[key] for key in keys if key in position])
        self._noise = background_noise(self.positives)
        vectors = self._examples.matrix[self._rows]
        near = similarity_kernel(self._background.rows @ vectors.T)
        projection = self._solve_background(near)
        kernel = similarity_kernel(vectors @ vectors.T) - near.T @ projection
        targets = np.array([[float(labels[key])] for key in keys])
        self._ridge = KernelRidge((kernel + kernel.T) / 2, LABEL_NOISE, targets)
        self._rows = np.pad(self._rows, (0, self._ridge.capacity - len(keys)), constant_values=-1)
        self._projection = np.pad(projection, ((0, 0), (0, self._ridge.capacity - len(keys))))
        spread = projection @ self._ridge.symmetric_inverse()[: len(keys), : len(keys)]
        self._diagonal = self._background_diagonal() + np.einsum("mn,mn->m", spread, projection)

    def _add(self, key: int, value: bool) -> None:
        row = int(self._examples.rows([key])[0])
        vector = self._examples.matrix[row]
        near = similarity_kernel(self._background.rows @ vector)
        projection = self._solve_background(near)
        slots = np.flatnonzero(self._rows >= 0)
        column = -(near @ self._projection)
        column[slots] += similarity_kernel(self._examples.matrix[self._rows[slots]] @ vector)
        self_kernel = float(similarity_kernel(vector @ vector) - near @ projection)
        slot = self._ridge.add(column, self_kernel, np.array([float(value)]))
        grown = self._ridge.capacity - len(self._rows)
        if grown:
            self._rows = np.pad(self._rows, (0, grown), constant_values=-1)
            self._projection = np.pad(self._projection, ((0, 0), (0, grown)))
        self._rows[slot] = row
        self._projection[:, slot] = projection
        self._slot[key] = slot
        self._diagonal += self._share_of_diagonal(slot)

    def _remove(self, key: int) -> None:
        slot = self._slot.pop(key)
        self._diagonal -= self._share_of_diagonal(slot)
        self._ridge.remove(slot)
        self._projection[:, slot] = 0
        self._rows[slot] = -1

    def _set_own(self, places: Sequence[int]) -> None:
        """These of the background have a label of their own."""
        self._own = np.array(sorted(places), dtype=np.int64)
        self._others = np.setdiff1d(np.arange(len(self._background)), self._own)

    def _leave_background(self, place: int) -> None:
        """The image there gets a label of its own: R loses a row and a column, the rest follows by rank one."""
        column = self._resolvent_column(place)
        near = self._projection[place].copy()
        whole = column + self._projection @ self._ridge.solve(near)
        self._diagonal -= whole**2 / whole[place]
        self._ridge.shift(1 / column[place], near)
        self._projection -= np.outer(column / column[place], near)
        self._set_own([*self._own, place])
        self._diagonal[place] = self._projection[place] = 0

    def _join_background(self, place: int) -> None:
        """The same, back: the image there has lost its label."""
        self._set_own([slot for slot in self._own if slot != place])
        column = self._resolvent_column(place)
        slots = np.flatnonzero(self._rows >= 0)
        near = -(self._background.kernel[place] @ self._projection)
        near[slots] += similarity_kernel(self._examples.matrix[self._rows[slots]] @ self._background.rows[place])
        near *= column[place]
        self._projection += np.outer(column / column[place], near)
        self._ridge.shift(-1 / column[place], near)
        whole = column + self._projection @ self._ridge.solve(near)
        self._diagonal += whole**2 / whole[place]

    def _resolvent_column(self, place: int) -> Array:
        """(m,) of R, the images labelled for the concept left out."""
        return self._solve_background(np.eye(1, len(self._background), place)[0])

    def _share_of_diagonal(self, slot: int) -> Array:
        """What one example adds to the background's diagonal of the whole inverse, R + P G P^T; (m,)."""
        column = self._ridge.inverse_column(slot)
        return np.asarray((self._projection @ column) ** 2 / column[slot], dtype=np.float64)

    def _solve_background(self, near: Array) -> Array:
        """R k_B for kernels near (m,) or (m, n) with the background; R without the images labelled for the concept."""
        resolvent = self._background.resolvent(self._noise)
        solved = resolvent @ near
        if len(self._own):
            solved -= resolvent[:, self._own] @ np.linalg.solve(
                resolvent[np.ix_(self._own, self._own)], solved[self._own]
            )
            solved[self._own] = 0
        return solved

    def _background_diagonal(self) -> Array:
        resolvent = self._background.resolvent(self._noise)
        diagonal = resolvent.diagonal().copy()
        if len(self._own):
            columns = resolvent[:, self._own]
            inner = np.linalg.solve(resolvent[np.ix_(self._own, self._own)], columns.T)
            diagonal -= np.einsum("ms,sm->m", columns, inner)
            diagonal[self._own] = 0
        return diagonal
