"""How good a model is, from leave-one-out probabilities. Pure functions on arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from .records import ConceptQuality, Evaluation

_THRESHOLD = 0.5


def evaluate(
    model_id: str, concept_ids: Sequence[str], probabilities: NDArray[np.float64], truth: NDArray[np.int8]
) -> Evaluation:
    """probabilities (n, C), truth (n, C): 1 labelled yes, -1 labelled no, 0 not labelled.

    An input that is labelled for other concepts only counts as a no: it was looked at, and this was not said of it.
    """
    shown = truth == 1
    single = shown.sum(axis=1) == 1
    accuracy = None
    if single.any():
        accuracy = float(np.mean(probabilities[single].argmax(axis=1) == shown[single].argmax(axis=1)))
    return Evaluation(
        model_id=model_id,
        inputs=len(truth),
        accuracy=accuracy,
        concepts=tuple(
            _quality(concept, probabilities[:, column], shown[:, column]) for column, concept in enumerate(concept_ids)
        ),
    )


def roc_auc(values: NDArray[np.float64], shown: NDArray[np.bool_]) -> float | None:
    """The chance that a positive (shown) ranks above a negative, ties half (Mann-Whitney); None without both sides."""
    positives, negatives = int(shown.sum()), int((~shown).sum())
    if not positives or not negatives:
        return None
    ranks = rankdata(values)
    return float((ranks[shown].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _quality(concept: str, values: NDArray[np.float64], shown: NDArray[np.bool_]) -> ConceptQuality:
    said = values >= _THRESHOLD
    right = int((said & shown).sum())
    positives = int(shown.sum())
    return ConceptQuality(
        concept_id=concept,
        positives=positives,
        negatives=len(shown) - positives,
        precision=right / int(said.sum()) if said.any() else None,
        recall=right / positives if positives else None,
        roc_auc=roc_auc(values, shown),
    )
