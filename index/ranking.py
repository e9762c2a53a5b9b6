"""Ranking an app's inputs by several terms at once: a vector to be near to, a concept to show, or the opposite."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .collection import Collection
from .errors import BadRequest
from .records import FloatArray, KeyArray
from .scoring.predictor import Predictor

_CHUNK = 4096


@dataclass(frozen=True)
class Term:
    """One wish: exactly one of vector (dim,) unit length and concept is set; negate asks for the opposite."""

    vector: FloatArray | None = None
    concept: str | None = None
    negate: bool = False


@dataclass(frozen=True)
class Ranking:
    """What terms are judged by."""

    collection: Collection
    predictor: Predictor


def rank(ranking: Ranking, terms: Sequence[Term], keys: KeyArray, k: int) -> tuple[KeyArray, NDArray[np.float64]]:
    """The best k of the keys (ascending), with their scores in [0, 1]: the mean over the terms.

    A vector's term scores (1 + cosine) / 2, a concept's its probability. Without terms every key scores 1 and the order
    is that of the keys. A concept that nobody has taught matches nothing.
    """
    for term in terms:
        if (term.vector is None) == (term.concept is None):
            raise BadRequest("a term is either a vector or a concept")
    keys = keys[ranking.collection.contains(keys)]
    if not terms:
        return keys[:k], np.ones(len(keys[:k]))
    if any(term.concept is not None and term.concept not in ranking.predictor.concept_ids for term in terms):
        return keys[:0], np.empty(0)
    chunks = [_scores(ranking, terms, keys[i : i + _CHUNK]) for i in range(0, len(keys), _CHUNK)]
    scores = np.concatenate([np.empty(0), *chunks])
    best = np.argsort(-scores, kind="stable")[:k]
    return keys[best], scores[best]


def _scores(ranking: Ranking, terms: Sequence[Term], keys: KeyArray) -> NDArray[np.float64]:
    vectors = ranking.collection.get(keys)
    wishes = []
    values = ranking.predictor.values(vectors) if any(term.concept is not None for term in terms) else None
    for term in terms:
        if term.vector is not None:
            score = (1 + (vectors @ term.vector).astype(np.float64)) / 2
        else:
            assert values is not None
            assert term.concept is not None
            score = values[:, ranking.predictor.concept_ids.index(term.concept)].astype(np.float64)
        wishes.append(1 - score if term.negate else score)
    return np.asarray(np.clip(np.mean(wishes, axis=0), 0, 1), dtype=np.float64)
