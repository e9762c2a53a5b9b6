"""How good a model is, from leave-one-out probabilities. Pure functions on arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.cancellation import check_cancelled
from ..records import THRESHOLD
from .reports import Bin, ConceptQuality, Curve, Evaluation, Judged, Reliability, ThresholdChoice

WANTED_PRECISION = 0.9
_MOST_POINTS = 101
"""Of a curve: so many are kept, evenly spread."""
_BINS = 10
_EXACT = 1 << 16
"""Rows of which float32 counts exactly, and which take little memory."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def evaluate(
    model_id: str,
    concept_ids: Sequence[str],
    probabilities: Floats,
    truth: NDArray[np.int8],
    input_ids: Sequence[str] = (),
    *,
    thresholds: Sequence[float] = (),
    wanted_precision: float = WANTED_PRECISION,
    exclusive: bool = False,
) -> Evaluation:
    """probabilities (n, C), truth (n, C): 1 labelled yes, -1 labelled no, 0 not labelled; input_ids of the first ones.

    thresholds (C,), else 0.5 for each. exclusive: at most one concept is true of an input. An input that is labelled
    for other concepts only counts as a no: it was looked at, and this was not said of it.
    """
    shown = truth == 1
    single = shown.sum(axis=1) == 1
    best = probabilities.argmax(axis=1) if probabilities.size else np.zeros(len(truth), dtype=np.int64)
    actual = shown.argmax(axis=1) if shown.size else best
    confusion = np.zeros((len(concept_ids), len(concept_ids)), dtype=np.int64)
    np.add.at(confusion, (actual[single], best[single]), 1)
    return Evaluation(
        model_id=model_id,
        inputs=len(truth),
        accuracy=float(np.mean(best[single] == actual[single])) if single.any() else None,
        wanted_precision=wanted_precision,
        reliability=_top_reliability(probabilities[single], best[single] == actual[single])
        if exclusive
        else reliability(probabilities.ravel(), shown.ravel()),
        concepts=tuple(
            _quality(concept, probabilities[:, column], shown[:, column], threshold, wanted_precision)
            for column, (concept, threshold) in enumerate(
                zip(concept_ids, thresholds or [THRESHOLD] * len(concept_ids), strict=True)
            )
        ),
        confusion=confusion.tolist(),
        cooccurrence=_cooccurrence(shown),
        judged=tuple(
            Judged(id, values, labels)
            for id, values, labels in zip(input_ids, probabilities.tolist(), truth.tolist(), strict=False)
        ),
    )


def _cooccurrence(shown: Bools) -> list[list[int]]:
    """(C, C): how many inputs show both; shown (n, C).

    In float32, for NumPy multiplies integers without BLAS, 400 times as slowly; counts below 2**24 are exact in it.
    """
    total = np.zeros((shown.shape[1], shown.shape[1]), dtype=np.int64)
    for start in range(0, len(shown), _EXACT):
        some = shown[start : start + _EXACT].astype(np.float32)
        total += (some.T @ some).astype(np.int64)
    counts: list[list[int]] = total.tolist()
    return counts


def roc_auc(values: Floats, shown: Bools) -> float | None:
    """The chance that a positive (shown) ranks above a negative, ties half (Mann-Whitney); None without both sides."""
    positives, negatives = int(shown.sum()), int((~shown).sum())
    if not positives or not negatives:
        return None
    # The mean rank of equal values. Not by scipy.stats, whose import takes every command almost a second.
    _, place, equal = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(equal) - (equal - 1) / 2)[place]
    return float((ranks[shown].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def roc_curve(values: Floats, shown: Bools) -> Curve:
    """x: share of the negatives at or above the threshold, y: share of the positives. From (0, 0) to (1, 1)."""
    thresholds, right, wrong = _steps(values, shown)
    return _curve(wrong / max(int((~shown).sum()), 1), right / max(int(shown.sum()), 1), thresholds)


def precision_recall_curve(values: Floats, shown: Bools) -> Curve:
    """x: recall, y: precision, at every threshold that a value sets; from high thresholds to low ones."""
    thresholds, right, wrong = (column[1:] for column in _steps(values, shown))
    return _curve(right / max(int(shown.sum()), 1), right / (right + wrong), thresholds)


def average_precision(values: Floats, shown: Bools) -> float | None:
    """Mean of the precision at each positive, by rank; ties share a rank. None without positives.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not shown.any():
        return None
    _, right, wrong = (column[1:] for column in _steps(values, shown))
    return float(np.sum(np.diff(right, prepend=0) * right / (right + wrong)) / shown.sum())


def reliability(values: Floats, shown: Bools) -> Reliability:
    """Values (n,) held against what came true, in ten bins of equal width (Guo et al., ICML 2017, section 2)."""
    if not len(values):
        return Reliability(None, ())
    place = np.minimum((values * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(place, minlength=_BINS)
    said = np.bincount(place, values, minlength=_BINS) / np.maximum(counts, 1)
    true = np.bincount(place, shown, minlength=_BINS) / np.maximum(counts, 1)
    return Reliability(
        expected_calibration_error=float(counts @ np.abs(said - true) / len(values)),
        bins=tuple(
            Bin(b / _BINS, (b + 1) / _BINS, int(counts[b]), float(said[b]), float(true[b]))
            for b in np.flatnonzero(counts).tolist()
        ),
    )


def choose_threshold(values: Floats, shown: Bools, precision: float) -> ThresholdChoice | None:
    """The lowest threshold whose precision is at least so high, and so the highest recall; None if none is.

    It lies in the middle between the last value that it takes in and the next one, so that rounding can't move either;
    in single precision, as values have it that it is held against.
    """
    thresholds, right, wrong = (column[1:] for column in _steps(values, shown))
    reached = right / np.maximum(right + wrong, 1)
    good = np.flatnonzero((reached >= precision) & (right > 0))
    if not len(good):
        return None
    last = good[-1]
    below = thresholds[last + 1] if last + 1 < len(thresholds) else 0.0
    middle = np.float32((thresholds[last] + below) / 2)
    return ThresholdChoice(
        # Between neighbours there is nothing.
        threshold=float(middle if middle > below else np.float32(thresholds[last])),
        precision=float(reached[last]),
        recall=float(right[last] / shown.sum()),
    )


def _top_reliability(values: Floats, right: Bools) -> Reliability:
    """Of the best concept of each input alone, as is usual where one is true; values (n, C), right (n,)."""
    return reliability(values.max(axis=1, initial=0), right) if values.size else Reliability(None, ())


def _quality(concept: str, values: Floats, shown: Bools, threshold: float, wanted: float) -> ConceptQuality:
    check_cancelled()
    said = values.astype(np.float32) >= np.float32(threshold)
    right = int((said & shown).sum())
    positives = int(shown.sum())
    return ConceptQuality(
        concept_id=concept,
        positives=positives,
        negatives=len(shown) - positives,
        threshold=threshold,
        precision=right / int(said.sum()) if said.any() else None,
        recall=right / positives if positives else None,
        f1=2 * right / (int(said.sum()) + positives) if positives or said.any() else None,
        roc_auc=roc_auc(values, shown),
        average_precision=average_precision(values, shown),
        roc=roc_curve(values, shown),
        precision_recall=precision_recall_curve(values, shown),
        reliability=reliability(values, shown),
        choice=choose_threshold(values, shown, wanted),
    )


def _steps(values: Floats, shown: Bools) -> tuple[Floats, Floats, Floats]:
    """Thresholds from above all values downwards, and how many positives and negatives are at or above each."""
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], shown[order]
    # Equal values fall together: only the last of a run is a step.
    ends = np.flatnonzero(np.diff(ranked, append=-np.inf))
    right = np.cumsum(hits)[ends]
    thresholds = np.concatenate([[1.0], ranked[ends]])
    return thresholds, np.concatenate([[0.0], right]), np.concatenate([[0.0], ends + 1 - right])


def _curve(x: Floats, y: Floats, thresholds: Floats) -> Curve:
    chosen = np.unique(np.linspace(0, max(len(x) - 1, 0), min(len(x), _MOST_POINTS)).astype(np.int64))
    return Curve(x[chosen].tolist(), y[chosen].tolist(), thresholds[chosen].tolist())
