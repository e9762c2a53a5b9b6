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
from ..vectors.collection import Collection
from ..vectors.segments.bitmap import Slots
from ..vectors.segments.state import State

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
    """What one predictor makes of a collection's rows for the concepts that were asked lately. Thread-safe.

    Each row is judged once, for a slot keeps its vector: a further page costs no judging, nor do rows that are deleted,
    and of rows that came only those are judged. Another predictor, as after each label, begins anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._predictor: ReferenceType[Predictor] | None = None
        self._generation = -1
        # (slots,) float32 by concept, NaN where a row was not judged yet. Those who fill one write the same.
        self._columns: OrderedDict[str, FloatArray] = OrderedDict()

    def of(self, predictor: Predictor, concepts: Sequence[str], state: State, slots: Slots) -> FloatArray:
        """(n, len(concepts)) of the rows in these slots (n,)."""
        columns = self._kept(predictor, concepts, state)
        numbers = [predictor.concept_ids.index(concept) for concept in concepts]
        unknown = np.zeros(len(slots), dtype=np.bool_)
        for column in columns:
            unknown |= np.isnan(column[slots])
        new = slots[unknown]
        for start in range(0, len(new), _CHUNK):
            some = new[start : start + _CHUNK]
            values = predictor.values(state.rows.take(some))
            for column, number in zip(columns, numbers, strict=True):
                column[some] = values[:, number]
        return np.stack([column[slots] for column in columns], axis=1)

    def _kept(self, predictor: Predictor, concepts: Sequence[str], state: State) -> list[FloatArray]:
        """The columns of these concepts, each with room for all slots of the state."""
        with self._lock:
            known = self._predictor() if self._predictor else None
            if known is not predictor or self._generation != state.generation:
                self._columns.clear()
                self._predictor, self._generation = ref(predictor), state.generation
            for concept in concepts:
                column = self._columns.pop(concept, np.empty(0, dtype=np.float32))
                if lacking := max(state.rows.size - len(column), 0):
                    # An eighth to spare, so that a row that comes seldom moves the others.
                    room = np.full(lacking + state.rows.size // 8, np.nan, dtype=np.float32)
                    column = np.concatenate([column, room])
                self._columns[concept] = column
            columns = [self._columns[concept] for concept in concepts]
            while len(self._columns) > _MOST_CONCEPTS:
                self._columns.popitem(last=False)
            return columns


@dataclass(frozen=True)
class Ranking:
    """What terms are judged by."""

    collection: Collection
    predictor: Predictor
    probabilities: Probabilities


def rank(ranking: Ranking, terms: Sequence[Term], keys: KeyArray, k: int) -> tuple[KeyArray, NDArray[np.float64]]:
    """The best k of the keys (ascending), with their scores in [0, 1]: the mean over the terms.

    A vector's term scores (1 + cosine) / 2, a concept's its probability. Without terms every key scores 1 and the order
    is that of the keys. A concept that nobody has taught matches nothing. Keys without a row don't count.
    """
    for term in terms:
        if (term.vector is None) == (term.concept is None):
            raise BadRequest("a term is either a vector or a concept")
    # One moment for all: inputs may be deleted all the while.
    state, slots = ranking.collection.located(keys)
    keys, slots = keys[slots >= 0], slots[slots >= 0]
    if not terms:
        return keys[:k], np.ones(len(keys[:k]))
    concepts = list(dict.fromkeys(term.concept for term in terms if term.concept is not None))
    if not set(concepts) <= set(ranking.predictor.concept_ids):
        return keys[:0], np.empty(0)
    wishes = _near(state, slots, [term for term in terms if term.vector is not None])
    if concepts:
        values = ranking.probabilities.of(ranking.predictor, concepts, state, slots).astype(np.float64)
        for term in terms:
            if term.concept is not None:
                value = values[:, concepts.index(term.concept)]
                wishes += 1 - value if term.negate else value
    scores = np.clip(wishes / len(terms), 0, 1)
    best = np.argsort(-scores, kind="stable")[:k]
    return keys[best], scores[best]


def _near(state: State, slots: Slots, terms: Sequence[Term]) -> NDArray[np.float64]:
    """(n,) the sum of what the vectors' terms score for the rows in these slots."""
    wishes = np.zeros(len(slots))
    for start in range(0, len(slots) if terms else 0, _CHUNK):
        rows = state.rows.take(slots[start : start + _CHUNK])
        for term in terms:
            assert term.vector is not None
            score = (1 + (rows @ term.vector).astype(np.float64)) / 2
            wishes[start : start + len(rows)] += 1 - score if term.negate else score
    return wishes
