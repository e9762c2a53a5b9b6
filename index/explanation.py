"""Why a concept got its value. Pure functions on a predictor."""

from collections.abc import Callable

import numpy as np

from .errors import ConceptNotFound
from .records import Explanation, FloatArray, KeyArray, Neighbour
from .scoring.examples import similarity_kernel
from .scoring.predictor import Predictor


def explain(
    predictor: Predictor,
    concept_id: str,
    vector: FloatArray,
    neighbours: int,
    ids_of: Callable[[KeyArray], dict[int, str]],
) -> Explanation:
    """Takes the score of one raw unit vector (dim,) apart; ids_of names the inputs of keys."""
    if concept_id not in predictor.concept_ids:
        raise ConceptNotFound(f"the model has no labels for the concept {concept_id!r}")
    column = predictor.concept_ids.index(concept_id)
    prepared = predictor.space.prepare(vector[None])
    scores = predictor.scores(prepared)
    parts = predictor.parts(prepared)
    similarities = predictor.rows @ prepared[0]
    all_votes = predictor.votes[:, [column]].toarray()[:, 0] * similarity_kernel(similarities)
    signs = predictor.positive[:, [column]].toarray()[:, 0]
    total = float(np.abs(all_votes).sum()) or 1.0
    labelled = np.flatnonzero(signs)
    nearest = labelled[np.argsort(-similarities[labelled], kind="stable")[:neighbours]]
    names = ids_of(predictor.keys[nearest])
    return Explanation(
        concept_id=concept_id,
        value=float(predictor.probabilities(scores)[0, column]),
        score=float(scores[0, column]),
        prototype=float(parts.prototype[0, column]),
        neighbours=float(parts.neighbours[0, column]),
        background=float(parts.background[0, column]),
        prototype_similarity=float(predictor.prototypes[column] @ prepared[0]),
        nearest=tuple(
            Neighbour(
                input_id=names[int(predictor.keys[row])],
                label=bool(signs[row] > 0),
                similarity=float(np.clip(similarities[row], -1, 1)),
                vote=float(all_votes[row]),
                share=float(abs(all_votes[row]) / total),
            )
            for row in nearest
            if int(predictor.keys[row]) in names
        ),
        positives=int((signs > 0).sum()),
        negatives=int((signs < 0).sum()),
        low_confidence=bool(predictor.low_confidence[column]),
    )
