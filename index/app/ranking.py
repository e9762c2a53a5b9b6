"""Ranking an app's inputs by several terms at once: a vector to be near to, a concept to show, or the opposite."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import ReferenceType, ref

import numpy as np
from numpy.typing import NDArray

from ..errors import BadRequest
from ..records import FloatArray, KeyArray
from ..scoring.predictor import Predictor
from ..vectors.protocol import RowView, match_of

_CHUNK = 4096
_MOST_CONCEPTS = 16
"""Concepts whose probabilities are kept, 4 bytes a row each."""


@dataclass(frozen=True)
class Term:
    """One wish: exactly one of vector (dim,) unit length and concept is set; negate asks for the opposite."""

    vector: FloatArray | None = None
    concept: str | None = None
    negate: bool = False


class Probabilities:
    """What one predictor makes of an index's rows for the concepts that were asked lately. Thread-safe.

    Each row is judged once, for a position keeps its vector: a further page costs no judging, nor do rows that are
    deleted, and of rows that came only those are judged. Another predictor, as after each label, begins anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._predictor: ReferenceType[Predictor] | None = None
        self._numbering = -1
        # float32 by concept and position, NaN where a row was not judged yet. Those who fill one write the same.
        self._columns: OrderedDict[str, FloatArray] = OrderedDict()

    def of(self, predictor: Predictor, concepts: Sequence[str], rows: RowView) -> FloatArray:
        """(n, len(concepts)) of the rows (n,)."""
        columns, positions = self._kept(predictor, concepts, rows), rows.positions
        numbers = [predictor.concept_ids.index(concept) for concept in concepts]
        unknown = np.zeros(len(positions), dtype=np.bool_)
        for column in columns:
            unknown |= np.isnan(column[positions])
        new = positions[unknown]
        for start in range(0, len(new), _CHUNK):
            some = new[start : start + _CHUNK]
            values = predictor.values(rows.take(some))
            for column, number in zip(columns, numbers, strict=True):
                column[some] = values[:, number]
        return np.stack([column[positions] for column in columns], axis=1)

    def _kept(self, predictor: Predictor, concepts: Sequence[str], rows: RowView) -> list[FloatArray]:
        """The columns of these concepts, each with room for all positions."""
        size = int(rows.positions.max(initial=-1)) + 1
        with self._lock:
            last = self._predictor() if self._predictor else None
            if last is not predictor or self._numbering != rows.numbering:
                self._columns.clear()
                self._predictor, self._numbering = ref(predictor), rows.numbering
            for concept in concepts:
                column = self._columns.pop(concept, np.empty(0, dtype=np.float32))
                if lacking := max(size - len(column), 0):
                    # An eighth to spare, so that a row that comes seldom moves the others.
                    room = np.full(lacking + size // 8, np.nan, dtype=np.float32)
                    column = np.concatenate([column, room])
                self._columns[concept] = column
            columns = [self._columns[concept] for concept in concepts]
            while len(self._columns) > _MOST_CONCEPTS:
                self._columns.popitem(last=False)
            return columns


def rank(
    rows: RowView, terms: Sequence[Term], predictor: Predictor, probabilities: Probabilities, k: int
) -> tuple[KeyArray, NDArray[np.float64]]:
    """The keys of the best k of the rows, and their matches in [0, 1]: the mean over the terms, equal ones by key.

    A vector's term gives `match_of` its cosine, a concept's its probability, a negated one what these lack of 1.
    Without terms every row has 1. A concept that nobody has taught matches nothing. Raises BadRequest for a term that
    is neither a vector nor a concept, or both.
    """
    if any((term.vector is None) == (term.concept is None) for term in terms):
        raise BadRequest("a term is either a vector or a concept")
    if not terms:
        return rows.keys[:k], np.ones(len(rows.keys[:k]))
    concepts = list(dict.fromkeys(term.concept for term in terms if term.concept is not None))
    if not set(concepts) <= set(predictor.concept_ids):
        return rows.keys[:0], np.empty(0)
    total = np.zeros(len(rows.keys))
    vectors = [(term.vector, term.negate) for term in terms if term.vector is not None]
    for start in range(0, len(total) if vectors else 0, _CHUNK):
        chunk = rows.take(rows.positions[start : start + _CHUNK])
        for vector, negate in vectors:
            match = match_of(chunk @ vector)
            total[start : start + len(chunk)] += 1 - match if negate else match
    if concepts:
        values = probabilities.of(predictor, concepts, rows).astype(np.float64)
        for term in terms:
            if term.concept is not None:
                value = values[:, concepts.index(term.concept)]
                total += 1 - value if term.negate else value
    matches = np.clip(total / len(terms), 0, 1)
    best = np.argsort(-matches, kind="stable")[:k]
    return rows.keys[best], matches[best]
