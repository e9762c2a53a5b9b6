"""From scores to probabilities: one softmax for concepts of which one is shown, else a logistic curve for each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from .arrays import Arrays
from .calibration import Logistic
from .examples import Array

_LARGEST = 1e9


@dataclass(frozen=True)
class Softmax:
    """softmax(temperature * scores): if any of the concepts is shown, one is."""

    temperature: float

    def probabilities(self, scores: Array) -> Array:
        """(q, C) in [0, 1] of scores (q, C)."""
        # The softmax of no concepts at all is undefined.
        return np.asarray(softmax(self.temperature * scores, axis=1)) if scores.size else scores

    def arrays(self) -> dict[str, Any]:
        """For a file."""
        return {
            "temperature": np.float64(self.temperature),
            "curves": np.empty((0, 2)),
            "mutually_exclusive": np.bool_(True),
        }

    def check(self, concepts: int) -> None:
        """Raises ValueError for what can't be used with so many concepts."""
        if not 0 <= self.temperature <= _LARGEST:
            raise ValueError("its temperature is wrong")


@dataclass(frozen=True)
class Curves:
    """A curve for each concept; at_most_one: the values may sum to less than one (none is shown), never to more."""

    curves: tuple[Logistic, ...]
    at_most_one: bool = False

    def probabilities(self, scores: Array) -> Array:
        """(q, C) in [0, 1] of scores (q, C)."""
        slopes, offsets = self._lines
        odds = expit(slopes * scores + offsets)
        return np.asarray(odds / np.maximum(odds.sum(axis=1, keepdims=True), 1) if self.at_most_one else odds)

    def arrays(self) -> dict[str, Any]:
        """For a file."""
        return {
            "temperature": np.float64(np.nan),
            "curves": np.stack(self._lines, axis=1),
            "mutually_exclusive": np.bool_(self.at_most_one),
        }

    @cached_property
    def _lines(self) -> tuple[Array, Array]:
        """(C,) slopes and (C,) offsets."""
        return np.array([curve.slope for curve in self.curves]), np.array([curve.offset for curve in self.curves])

    def check(self, concepts: int) -> None:
        """Raises ValueError for what can't be used with so many concepts."""
        if len(self.curves) != concepts:
            raise ValueError("it has not a curve for each concept")


Link = Softmax | Curves


def link_of(arrays: Arrays) -> Link:
    """From the arrays of a file."""
    temperature = float(arrays["temperature"])
    if not np.isnan(temperature):
        return Softmax(temperature)
    curves = tuple(Logistic(float(slope), float(offset)) for slope, offset in arrays["curves"])
    return Curves(curves, bool(arrays["mutually_exclusive"]))
