"""Explanations: why concepts got their values. Pure functions on a predictor."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import ConceptNotFound
from ..records import CalibrationBasis, Confidence, Explanation, FloatArray, KeyArray, Neighbour
from ..scoring.examples import Array
from ..scoring.link import Softmax
from ..scoring.predictor import Predictor

_LOW, _MEDIUM = 5, 20


def explain(
    predictor: Predictor,
    concept_ids: Sequence[str],
    vector: FloatArray,
    neighbours: int,
    ids_of: Callable[[KeyArray], dict[int, str]],
) -> list[Explanation]:
    """Splits the scores of one raw unit vector (dim,) into their parts, one explanation per concept.

    ids_of: input keys -> ids; deleted inputs have none, and are left out. Raises ConceptNotFound.
    """
    for concept in concept_ids:
        if concept not in predictor.concept_ids:
            raise ConceptNotFound(f"the model has no labels for the concept {concept!r}")
    if not concept_ids:
        return []
    prepared = predictor.space.prepare(vector[None])
    scores, parts = predictor.scores(prepared)[0], predictor.parts(prepared)
    priors = predictor.prior(vector[None])[0]
    scores += priors
    any_shown = float(predictor.any_shown(vector[None])[0, 0])
    values = predictor.probabilities(scores[None])[0] * any_shown
    similarities = predictor.rows @ prepared[0]
    explained = []
    for concept in concept_ids:
        column = predictor.concept_ids.index(concept)
        signs = predictor.signs_of(column)
        votes = predictor.votes_of(column, similarities)
        voting = votes != 0
        if voting[signs > 0].all():
            voting |= signs != 0
        # Otherwise some of the labelled inputs represent all of them.
        near = _nearest(similarities, np.flatnonzero(voting), neighbours)
        explained.append(
            Explanation(
                concept_id=concept,
                value=float(values[column]),
                any_shown=any_shown,
                score=float(scores[column]),
                prototype=float(parts.prototype[0, column]),
                neighbours=float(parts.neighbours[0, column]),
                background=float(parts.background[0, column]),
                text_prior=float(priors[column]),
                prototype_similarity=float(np.clip(predictor.prototypes[column] @ prepared[0], -1, 1)),
                nearest=_neighbours(predictor, near, similarities, votes, signs, ids_of),
                positives=int((signs > 0).sum()),
                negatives=int((signs < 0).sum()),
                low_confidence=bool(predictor.low_confidence[column]),
                calibration=_basis(predictor, column, signs),
            )
        )
    return explained


def _nearest(similarities: FloatArray, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The most similar of these rows, best first."""
    return rows[np.argsort(-similarities[rows], kind="stable")[:count]]


def _neighbours(
    predictor: Predictor,
    rows: NDArray[np.int64],
    similarities: FloatArray,
    votes: Array,
    signs: Array,
    ids_of: Callable[[KeyArray], dict[int, str]],
) -> tuple[Neighbour, ...]:
    total = float(np.abs(votes).sum()) or 1.0
    keys = predictor.keys[rows]
    names = ids_of(keys)
    positive = predictor.positive[rows].toarray() > 0
    return tuple(
        Neighbour(
            input_id=names[key],
            label=bool(signs[row] > 0),
            concept_ids=tuple(predictor.concept_ids[c] for c in np.flatnonzero(labelled)),
            similarity=float(np.clip(similarities[row], -1, 1)),
            vote=float(votes[row]),
            share=float(abs(votes[row]) / total),
        )
        for row, key, labelled in zip(rows.tolist(), keys.tolist(), positive, strict=True)
        if key in names
    )


def _basis(predictor: Predictor, column: int, signs: Array) -> CalibrationBasis:
    positives = int((signs > 0).sum())
    labels, background = int((signs != 0).sum()), len(predictor.background)
    if isinstance(predictor.link, Softmax):
        # One temperature for all concepts; a concept's only image has no leave-one-out score.
        counts = np.asarray((predictor.positive > 0).sum(axis=0)).ravel()
        labels = int(counts[counts >= 2].sum())
        background = len(predictor.known.background) if predictor.known else 0
    if predictor.low_confidence[column]:
        confidence = Confidence.NONE
    elif positives < _LOW:
        confidence = Confidence.LOW
    else:
        confidence = Confidence.MEDIUM if positives < _MEDIUM else Confidence.HIGH
    return CalibrationBasis(confidence, labels, background)
