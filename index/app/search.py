"""Searching an app's inputs: by likeness, by concepts, by filters, and by all of them at once."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.trace import stage
from ..bounds import check_count
from ..ingest.validation import check_vectors
from ..records import Crop, FloatArray, Hit, Input, KeyArray, Matches, Picture, Where
from ..vectors.segments.state import KeyFilter
from . import embedding
from .embedding import query_vector
from .predictors import predictor_for
from .ranking import Ranking, Term
from .ranking import rank as rank_keys
from .state import AppState

_ALL = 1_000_000


def search(
    state: AppState,
    *,
    image: Picture | None = None,
    crop: Crop | None = None,
    text: str | None = None,
    vector: object = None,
    input_id: str | None = None,
    concept: str | None = None,
    k: int = 20,
    where: Where | None = None,
) -> list[Hit]:
    """The k best inputs for one of: a picture, words, a vector, another input (cosine), a concept (probability).

    Where the base workflow has no words, a concept's id or name finds what the concept would.

    With none of these, the inputs that `where` matches, in the order in which they were added, with score 1.
    """
    check_count(k, "k")
    if text is not None and (named := concept_for(state, text)):
        return rank(state, [Term(concept=named)], k, where)
    query = query_vector(state, image=image, crop=crop, text=text, vector=vector, input_id=input_id, concept=concept)
    if query is None:
        return rank(state, [] if concept is None else [Term(concept=concept)], k, where)
    matches = search_vectors(state, query[None], k, where)
    ids, scores = matches.ids[0], matches.scores[0]
    return [Hit(id, score) for id, score in zip(ids, scores[: len(ids)].tolist(), strict=True)]


def concept_for(state: AppState, text: str) -> str | None:
    """The concept of this id or name where the base workflow has no words: then that is all words can find."""
    if embedding.has_text(state):
        return None
    concepts = state.catalog.concepts.page(state.id, 0, _ALL, None)
    return next((concept.id for concept in concepts if text in (concept.id, concept.name)), None)


def search_vectors(state: AppState, vectors: object, k: int = 10, where: Where | None = None) -> Matches:
    """The k nearest inputs of many vectors (n, dim), padded; a k beyond all inputs, and beyond 1,000, is less."""
    queries = check_vectors(vectors, state.dim)
    with stage("search"):
        keys, scores = state.collection.search(queries, k, _matching(state, where))
    wanted = np.unique(keys[keys >= 0])
    ids = state.catalog.inputs.ids(wanted)
    if len(ids) < len(wanted):
        # An input deleted since the collection was asked has no id any more: its score goes with it.
        gone = ~np.isin(keys, np.fromiter(ids, dtype=np.int64, count=len(ids)))
        order = np.argsort(gone, axis=1, kind="stable")
        keys = np.take_along_axis(keys, order, axis=1)
        scores = np.take_along_axis(np.where(gone, -np.inf, scores).astype(scores.dtype), order, axis=1)
    return Matches([[ids[key] for key in row if key in ids] for row in keys.tolist()], scores)


def rank(
    state: AppState, terms: Sequence[Term], k: int = 20, where: Where | None = None, *, offset: int = 0
) -> list[Hit]:
    """The best inputs by several terms at once: mean of the terms' scores, each in [0, 1]; all must be known."""
    ranked, scores = _ranked(state, terms, k, where, offset)
    ids = state.catalog.inputs.ids(ranked)
    return [Hit(ids[key], score) for key, score in zip(ranked.tolist(), scores.tolist(), strict=True) if key in ids]


def rank_inputs(
    state: AppState, terms: Sequence[Term], k: int = 20, where: Where | None = None, *, offset: int = 0
) -> list[tuple[Input, float]]:
    """As `rank`, with all that is known of the inputs."""
    ranked, scores = _ranked(state, terms, k, where, offset)
    return _scored(state.catalog.inputs.by_key(ranked), ranked.tolist(), scores.tolist())


def nearest_inputs(state: AppState, vectors: FloatArray, k: int) -> list[list[tuple[Input, float]]]:
    """For each unit vector (n, dim) what `rank_inputs` gives for it alone."""
    with stage("search"):
        keys, cosines = state.collection.search(vectors, k)
    inputs = state.catalog.inputs.by_key(np.unique(keys[keys >= 0]))
    scores = _in_unit(cosines)
    return [_scored(inputs, *row) for row in zip(keys.tolist(), scores.tolist(), strict=True)]


def _ranked(
    state: AppState, terms: Sequence[Term], k: int, where: Where | None, offset: int
) -> tuple[KeyArray, NDArray[np.float64]]:
    check_count(k, "k")
    check_count(offset, "offset", least=0)
    if len(terms) == 1 and terms[0].vector is not None and not terms[0].negate:
        # The collection finds the nearest without looking at all of them.
        chosen = _matching(state, where)
        # A page far past the end needs no room for what isn't there.
        end = max(min(offset + k, len(state.collection)), 1)
        with stage("search"):
            nearest, cosines = state.collection.search(terms[0].vector[None], end, chosen)
        count = int(np.count_nonzero(nearest[0] >= 0))
        return nearest[0, offset:count], _in_unit(cosines[0, offset:count])
    keys = state.collection.keys() if where is None else state.catalog.inputs.where(state.id, where)
    ranking = Ranking(state.collection, predictor_for(state, None, None), state.probabilities)
    with stage("search"):
        ranked, scores = rank_keys(ranking, terms, keys, offset + k)
    return ranked[offset:], scores[offset:]


def _matching(state: AppState, where: Where | None) -> KeyFilter | None:
    return None if where is None else state.catalog.inputs.matching(state.id, where, state.collection.filter)


def _scored(inputs: Mapping[int, Input], keys: Sequence[int], scores: Sequence[float]) -> list[tuple[Input, float]]:
    """Inputs with their scores; one that was deleted since it was ranked has no record any more."""
    return [(inputs[key], score) for key, score in zip(keys, scores, strict=True) if key in inputs]


def _in_unit(cosines: FloatArray) -> NDArray[np.float64]:
    """Scores in [0, 1], of the same shape."""
    return np.minimum(np.maximum((1 + cosines.astype(np.float64)) / 2, 0), 1)
