"""Label issues: labels that a model contradicts when it is taught without them. Pure functions on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LIMIT = 0.2
"""A label is doubtful if its probability of being right is below this."""
_ENOUGH = (2, 3)
"""Yes labels that a concept needs before its no labels and its yes labels are judged: two must remain without one."""


@dataclass(frozen=True)
class DoubtfulLabels:
    """The label of input `rows[i]` for concept `columns[i]` is right with probability `probabilities[i]`; ascending."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    probabilities: Floats
    instead: NDArray[np.int64]
    """The column of a more probable concept, for a yes; -1 where there is none."""


def doubtful_labels(probabilities: Floats, truth: NDArray[np.int8], limit: float = LIMIT) -> DoubtfulLabels:
    """probabilities (n, C) leave-one-out; truth (n, C): 1 yes, -1 no, 0 not labelled.

    The score of a label is the model's own probability of it (self-confidence, Northcutt et al., JAIR 2021).
    """
    positives = (truth == 1).sum(axis=0)
    judged = ((truth == 1) & (positives >= _ENOUGH[1])) | ((truth == -1) & (positives >= _ENOUGH[0]))
    right = np.where(truth == 1, probabilities, 1 - probabilities)
    rows, columns = np.nonzero(judged & (right < limit))
    order = np.lexsort((columns, rows, right[rows, columns]))
    rows, columns = rows[order], columns[order]
    # Another concept is named only where it was not labelled, and is more probable.
    alternatives = np.where(truth[rows] == 0, probabilities[rows], -1.0)
    best = alternatives.argmax(axis=1) if alternatives.size else np.empty(0, dtype=np.int64)
    named = (truth[rows, columns] == 1) & (alternatives[np.arange(len(rows)), best] > right[rows, columns])
    return DoubtfulLabels(rows, columns, right[rows, columns], np.where(named, best, -1))


def names(columns: NDArray[np.int64], concept_ids: Sequence[str]) -> list[str | None]:
    """The concept of each column, None for -1."""
    return [None if column < 0 else concept_ids[column] for column in columns.tolist()]
