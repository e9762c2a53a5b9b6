"""What to label next."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..analysis import active_learning
from ..analysis.reports import Strategy, Suggestion
from ..bounds import check_count
from ..errors import BadRequest, ConceptNotFound
from ..records import KeyArray, Model
from ..scoring.examples import BACKGROUND_SIZE
from ..scoring.predictor import Predictor
from .predictors import model_of, predictor_of
from .scorers import evenly
from .state import AppState

_POOL = 4096
"""Unlabelled inputs that suggestions are chosen from, at most; with many labels fewer, for each costs more then."""
_POOL_KERNEL = 1 << 22
_TAUGHT = 2048
"""Labelled inputs that a suggestion is kept away from."""
_RARE = 8
"""Concepts whose likely positives are looked for in the whole app."""
_RARE_NEAREST = 256
_TINY = 1e-6


def suggest(
    state: AppState,
    model: Model | str | None = None,
    n: int = 10,
    *,
    strategy: Strategy | str = Strategy.AUTO,
    concept: str | None = None,
) -> list[Suggestion]:
    """At most n inputs to label next, best first; none that has a label for one of the model's concepts.

    concept: about this one alone. Raises ConceptNotFound or BadRequest.
    """
    model = model_of(state, model)
    chosen = _strategy(strategy)
    check_count(n, "n", active_learning.MOST)
    if concept is not None and concept not in model.concept_ids:
        raise ConceptNotFound(f"model {model.id!r} has no concept {concept!r}")
    labelled = state.teacher.labelled_keys(model.concept_ids)
    predictor = predictor_of(state, model)
    concept_ids = predictor.concept_ids
    if concept is not None and concept not in concept_ids:
        # Nothing is known of it yet but its name.
        chosen, concept = Strategy.DIVERSE, None
    positives = np.asarray((predictor.positive > 0).sum(axis=0), dtype=np.int64).ravel()
    rare = [concept_ids[column] for column in np.argsort(positives, kind="stable")[:_RARE]]
    keys, pool = _pool(state, model, predictor, positives, labelled, rare if concept is None else [concept])
    picks = active_learning.suggest(pool, n, chosen, None if concept is None else concept_ids.index(concept))
    names = state.catalog.inputs.ids(keys[[pick.row for pick in picks]])
    return [
        Suggestion(
            input_id=names[key],
            strategy=pick.strategy,
            concept_id=None if pick.column is None else concept_ids[pick.column],
            value=None if pick.column is None else float(pool.values[pick.row, pick.column]),
        )
        for pick in picks
        if (key := int(keys[pick.row])) in names
    ]


def _pool(
    state: AppState,
    model: Model,
    predictor: Predictor,
    positives: NDArray[np.int64],
    labelled: KeyArray,
    rare: Sequence[str],
) -> tuple[KeyArray, active_learning.Pool]:
    """Unlabelled inputs to choose from: all, or a sample that changes with the labels, and with them those that
    are nearest to what the rare concepts look like.
    """
    rng = np.random.default_rng(len(labelled))
    room = int(np.clip(_POOL_KERNEL // (len(predictor.keys) + BACKGROUND_SIZE), _POOL // 8, _POOL))
    drawn = state.collection.sample(room + len(labelled) + 1, seed=len(labelled))
    keys = rng.permutation(np.setdiff1d(drawn, labelled, assume_unique=True))
    if len(keys) > room:
        near = _nearest_to(state, rare, labelled)
        keys = rng.permutation(np.union1d(keys[:room], near))
    keys, vectors = state.teacher.present(keys)
    _, taught = state.teacher.present(evenly(labelled, _TAUGHT))
    return keys, active_learning.Pool(
        space=predictor.space,
        vectors=vectors,
        values=predictor.values(vectors),
        positives=positives,
        labelled=predictor.space.prepare(taught),
        exclusive=model.mutually_exclusive,
        positive_share=int((predictor.positive > 0).sum(axis=1).astype(bool).sum()) / max(len(labelled), 1),
    )


def _nearest_to(state: AppState, concepts: Sequence[str], labelled: KeyArray) -> KeyArray:
    """Of the inputs that are not labelled, those nearest to the mean of each concept's positives."""
    means = []
    for labels in state.teacher.labels_of(concepts).values():
        positives = np.array(sorted(key for key, value in labels.items() if value), dtype=np.int64)
        _, vectors = state.teacher.present(evenly(positives, _TAUGHT))
        if len(vectors):
            means.append(vectors.mean(axis=0))
    usable = [mean for mean in means if np.linalg.norm(mean) > _TINY]
    if not usable:
        return labelled[:0]
    # The labelled ones are among the nearest: as many more are asked for as it takes.
    k, index = 2 * _RARE_NEAREST, state.collection
    while True:
        keys, _ = index.search(np.stack(usable), k)
        free = [row[(row >= 0) & ~np.isin(row, labelled)][:_RARE_NEAREST] for row in keys]
        if k >= len(index) or all(len(row) == _RARE_NEAREST for row in free):
            return np.unique(np.concatenate(free))
        k *= 2


def _strategy(name: Strategy | str) -> Strategy:
    try:
        return Strategy(name)
    except ValueError:
        strategies = ", ".join(Strategy)
        raise BadRequest(f"a strategy is one of {strategies}, not {name!r}") from None
