"""How good a model is, from leave-one-out probabilities. Pure functions on arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.cancellation import check_cancelled
from ..records import THRESHOLD
from .reports import Bin, ConceptQuality, Curve, Evaluation, Judged, Reliability, ThresholdChoice

WANTED_PRECISION = 0.9
_MOST_POINTS = 101
"""Points that are kept of a curve, evenly spread."""
_BINS = 10
_EXACT = 1 << 16
"""Rows per step: few enough that float32 counts exactly, and that they take little memory."""

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
    """probabilities (n, C); truth (n, C): 1 labelled yes, -1 no, 0 not labelled; input_ids: of the first rows.

    thresholds (C,), 0.5 by default. exclusive: at most one concept is true of an input. An input that is labelled only
    for other concepts counts as a no, since its labels don't include this one.
    """
    positive = truth == 1
    single = positive.sum(axis=1) == 1
    best = probabilities.argmax(axis=1) if probabilities.size else np.zeros(len(truth), dtype=np.int64)
    actual = positive.argmax(axis=1) if positive.size else best
    confusion = np.zeros((len(concept_ids), len(concept_ids)), dtype=np.int64)
    np.add.at(confusion, (actual[single], best[single]), 1)
    return Evaluation(
        model_id=model_id,
        inputs=len(truth),
        accuracy=float(np.mean(best[single] == actual[single])) if single.any() else None,
        wanted_precision=wanted_precision,
        reliability=_top_reliability(probabilities[single], best[single] == actual[single])
        if exclusive
        else reliability(probabilities.ravel(), positive.ravel()),
        concepts=tuple(
            _quality(concept, probabilities[:, column], positive[:, column], threshold, wanted_precision)
            for column, (concept, threshold) in enumerate(
                zip(concept_ids, thresholds or [THRESHOLD] * len(concept_ids), strict=True)
            )
        ),
        confusion=confusion.tolist(),
        cooccurrence=_cooccurrence(positive),
        judged=tuple(
            Judged(id, values, labels)
            for id, values, labels in zip(input_ids, probabilities.tolist(), truth.tolist(), strict=False)
        ),
    )


def _cooccurrence(positive: Bools) -> list[list[int]]:
    """(C, C): how many inputs show both; shown (n, C).

    In float32, since NumPy multiplies integers without BLAS, 400 times slower; counts below 2**24 are exact.
    """
    total = np.zeros((positive.shape[1], positive.shape[1]), dtype=np.int64)
    for start in range(0, len(positive), _EXACT):
        block = positive[start : start + _EXACT].astype(np.float32)
        total += (block.T @ block).astype(np.int64)
    counts: list[list[int]] = total.tolist()
    return counts


def roc_auc(values: Floats, positive: Bools) -> float | None:
    """The chance that a positive ranks above a negative, ties count half (Mann-Whitney); None without both kinds."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    # The mean rank of equal values. Without scipy.stats, whose import takes almost a second.
    _, groups, equal = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(equal) - (equal - 1) / 2)[groups]
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def roc_curve(values: Floats, positive: Bools) -> Curve:
    """x: share of the negatives at or above the threshold, y: share of the positives. From (0, 0) to (1, 1)."""
    thresholds, right, wrong = _steps(values, positive)
    return _curve(wrong / max(int((~positive).sum()), 1), right / max(int(positive.sum()), 1), thresholds)


def precision_recall_curve(values: Floats, positive: Bools) -> Curve:
    """x: recall, y: precision, at every threshold that a value sets; from high thresholds to low ones."""
    thresholds, right, wrong = (column[1:] for column in _steps(values, positive))
    return _curve(right / max(int(positive.sum()), 1), right / (right + wrong), thresholds)


def average_precision(values: Floats, positive: Bools) -> float | None:
    """Mean of the precision at each positive, by rank; ties share a rank. None without positives.

    >>> average_precision(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
    0.8333333333333333
    """
    if not positive.any():
        return None
    _, right, wrong = (column[1:] for column in _steps(values, positive))
    return float(np.sum(np.diff(right, prepend=0) * right / (right + wrong)) / positive.sum())


def reliability(values: Floats, positive: Bools) -> Reliability:
    """Values (n,) compared with the outcomes, in ten bins of equal width (Guo et al., ICML 2017, section 2)."""
    if not len(values):
        return Reliability(None, ())
    bins = np.minimum((values * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    predicted = np.bincount(bins, values, minlength=_BINS) / np.maximum(counts, 1)
    true = np.bincount(bins, positive, minlength=_BINS) / np.maximum(counts, 1)
    return Reliability(
        expected_calibration_error=float(counts @ np.abs(predicted - true) / len(values)),
        bins=tuple(
            Bin(b / _BINS, (b + 1) / _BINS, int(counts[b]), float(predicted[b]), float(true[b]))
            for b in np.flatnonzero(counts).tolist()
        ),
    )


def choose_threshold(values: Floats, positive: Bools, precision: float) -> ThresholdChoice | None:
    """The lowest threshold with at least this precision, and so with the highest recall; None if there is none.

    It lies in the middle between the last value above it and the next one, so that rounding can't move either across
    it. It is in single precision, as the values are that it will be compared with.
    """
    thresholds, right, wrong = (column[1:] for column in _steps(values, positive))
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
        recall=float(right[last] / positive.sum()),
    )


def _top_reliability(values: Floats, right: Bools) -> Reliability:
    """Only of the best concept of each input, as is usual for exclusive concepts; values (n, C), right (n,)."""
    return reliability(values.max(axis=1, initial=0), right) if values.size else Reliability(None, ())


def _quality(concept: str, values: Floats, positive: Bools, threshold: float, precision: float) -> ConceptQuality:
    check_cancelled()
    decided = values.astype(np.float32) >= np.float32(threshold)
    right = int((decided & positive).sum())
    positives = int(positive.sum())
    return ConceptQuality(
        concept_id=concept,
        positives=positives,
        negatives=len(positive) - positives,
        threshold=threshold,
        precision=right / int(decided.sum()) if decided.any() else None,
        recall=right / positives if positives else None,
        f1=2 * right / (int(decided.sum()) + positives) if positives or decided.any() else None,
        roc_auc=roc_auc(values, positive),
        average_precision=average_precision(values, positive),
        roc=roc_curve(values, positive),
        precision_recall=precision_recall_curve(values, positive),
        reliability=reliability(values, positive),
        choice=choose_threshold(values, positive, precision),
    )


def _steps(values: Floats, positive: Bools) -> tuple[Floats, Floats, Floats]:
    """Thresholds, descending from above all values, and how many positives and negatives are at or above each."""
    order = np.argsort(-values, kind="stable")
    ranked, hits = values[order], positive[order]
    # Equal values share a step: the last one of a run.
    ends = np.flatnonzero(np.diff(ranked, append=-np.inf))
    right = np.cumsum(hits)[ends]
    thresholds = np.concatenate([[1.0], ranked[ends]])
    return thresholds, np.concatenate([[0.0], right]), np.concatenate([[0.0], ends + 1 - right])


def _curve(x: Floats, y: Floats, thresholds: Floats) -> Curve:
    chosen = np.unique(np.linspace(0, max(len(x) - 1, 0), min(len(x), _MOST_POINTS)).astype(np.int64))
    return Curve(x[chosen].tolist(), y[chosen].tolist(), thresholds[chosen].tolist())
