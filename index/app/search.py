"""Searching an app's inputs: by likeness, by concepts, by filters, and by all of them at once.

The vector index speaks of cosines, and so do `search_vectors` and a `search` by likeness. All else has matches in
[0, 1], as the HTTP API does: `match_of` is where the one becomes the other.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.trace import stage
from ..bounds import check_count
from ..filters import Filter, parse
from ..ingest.validation import check_vectors
from ..records import Crop, FloatArray, Hit, Input, KeyArray, Matches, Picture, Where
from ..vectors.protocol import match_of
from . import embedding, ranking
from .embedding import query_vector
from .predictors import predictor_for
from .ranking import Term
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
    keys, cosines = _nearest(state, check_vectors(vectors, state.dim), k, where)
    unique = np.unique(keys[keys >= 0])
    ids = state.catalog.inputs.ids(unique)
    if len(ids) < len(unique):
        # An input deleted since the index was asked has no id any more: its score goes with it.
        deleted = ~np.isin(keys, np.fromiter(ids, dtype=np.int64, count=len(ids)))
        order = np.argsort(deleted, axis=1, kind="stable")
        keys = np.take_along_axis(keys, order, axis=1)
        cosines = np.take_along_axis(np.where(deleted, -np.inf, cosines).astype(cosines.dtype), order, axis=1)
    return Matches([[ids[key] for key in row if key in ids] for row in keys.tolist()], cosines)


def rank(
    state: AppState, terms: Sequence[Term], k: int = 20, where: Where | None = None, *, offset: int = 0
) -> list[Hit]:
    """The best inputs by several terms at once; scores are matches in [0, 1], see `ranking.rank`."""
    keys, matches = _ranked(state, terms, k, where, offset)
    ids = state.catalog.inputs.ids(keys)
    return [Hit(ids[key], match) for key, match in zip(keys.tolist(), matches.tolist(), strict=True) if key in ids]


def rank_inputs(
    state: AppState, terms: Sequence[Term], k: int = 20, where: Where | None = None, *, offset: int = 0
) -> list[tuple[Input, float]]:
    """As `rank`, with all that is known of the inputs."""
    keys, matches = _ranked(state, terms, k, where, offset)
    return _matched(state.catalog.inputs.by_key(keys), keys.tolist(), matches.tolist())


def nearest_inputs(state: AppState, vectors: FloatArray, k: int) -> list[list[tuple[Input, float]]]:
    """For each unit vector (n, dim) what `rank_inputs` gives for it alone."""
    keys, cosines = _nearest(state, vectors, k)
    inputs = state.catalog.inputs.by_key(np.unique(keys[keys >= 0]))
    matches = match_of(cosines)
    return [_matched(inputs, *row) for row in zip(keys.tolist(), matches.tolist(), strict=True)]


def _ranked(
    state: AppState, terms: Sequence[Term], k: int, where: Where | None, offset: int
) -> tuple[KeyArray, NDArray[np.float64]]:
    """Keys and matches (m,) of one page."""
    check_count(k, "k")
    check_count(offset, "offset", least=0)
    if len(terms) == 1 and terms[0].vector is not None and terms[0].concept is None and not terms[0].negate:
        # The index finds the nearest without looking at all of them. Past the end no room is needed.
        end = max(min(offset + k, len(state.collection)), 1)
        [keys], [cosines] = _nearest(state, terms[0].vector[None], end, where)
        count = int(np.count_nonzero(keys >= 0))
        return keys[offset:count], match_of(cosines[offset:count])
    rows, predictor = state.collection.rows(_filter(where)), predictor_for(state, None, None)
    with stage("search"):
        keys, matches = ranking.rank(rows, terms, predictor, state.probabilities, offset + k)
    return keys[offset:], matches[offset:]


def _nearest(state: AppState, vectors: FloatArray, k: int, where: Where | None = None) -> tuple[KeyArray, FloatArray]:
    """Keys and cosines (n, k) of the nearest of unit vectors (n, dim), padded as by `VectorIndex.search`."""
    filter = _filter(where)
    with stage("search"):
        return state.collection.search(vectors, k, filter)


def _filter(where: Where | None) -> Filter | None:
    """Raises BadFilter."""
    return None if where is None else parse(where)


def _matched(inputs: Mapping[int, Input], keys: Sequence[int], matches: Sequence[float]) -> list[tuple[Input, float]]:
    """Inputs with their matches; one that was deleted since it was ranked has no record any more."""
    return [(inputs[key], match) for key, match in zip(keys, matches, strict=True) if key in inputs]
