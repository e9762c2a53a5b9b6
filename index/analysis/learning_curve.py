"""Learning curve: a model's quality with fewer labels, and whether more would help. The model is a callback."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import KeyArray
from .evaluation import Bools, Floats, average_precision
from .reports import LearningCurve, LearningPoint

Judge = Callable[[Mapping[str, Mapping[int, bool]], KeyArray], tuple[Sequence[str], Floats]]
"""Labels (concept id -> input key -> yes or no) and keys (n,) of other inputs -> concept ids and values (n, C)."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200)
DRAWS = 5
_MORE = 10
"""How many more labels per concept `gain` is about."""
_WORTH_WHILE = 0.01
_HELD_OUT = 0.25
_MOST_HELD_OUT = 500
_MOST_TAUGHT = 1000
"""Most inputs that a draw teaches: beyond, curves are flat and fits take long."""


def learning_curve(
    model_id: str, concept_ids: Sequence[str], keys: KeyArray, truth: NDArray[np.int8], judge: Judge, draws: int = DRAWS
) -> LearningCurve:
    """keys (n,) of the labelled inputs; truth (n, C): 1 yes, -1 no, 0 not labelled.

    Each draw holds out a quarter of every concept's yes labels and teaches 1, 2, 5, ... of the others; each set
    contains the one before. All sizes of a draw are judged on the same held-out inputs.
    """
    positives = (truth == 1).sum(axis=0)
    usable = positives >= 2
    present = int(np.median(positives[positives > 0])) if (positives > 0).any() else 0
    sizes = _sizes(positives[usable])
    splits = [_Split(truth, seed) for seed in range(draws)] if sizes else []
    qualities = [[_quality(draw, size, concept_ids, keys, truth, judge) for draw in splits] for size in sizes]
    points = tuple(_point(size, quality) for size, quality in zip(sizes, qualities, strict=True))
    held_out = int(np.mean([len(draw.held_out) for draw in splits])) if splits else 0
    gain = _gain(points, present, held_out)
    helps = None if gain is None else gain >= _WORTH_WHILE
    return LearningCurve(
        model_id=model_id,
        labels=present,
        draws=len(splits),
        held_out=held_out,
        points=points,
        gain=gain,
        more_helps=helps,
        verdict=_verdict(gain, helps, points),
    )


class _Split:
    """Which inputs are held out, and in which order the others are taught."""

    def __init__(self, truth: NDArray[np.int8], seed: int) -> None:
        rng = np.random.default_rng(seed)
        positive = truth == 1
        orders = [rng.permutation(np.flatnonzero(column)) for column in positive.T]
        without = rng.permutation(np.flatnonzero(~positive.any(axis=1)))
        chosen = [order[: _held_out(len(order))] for order in [*orders, without]]
        held = np.unique(np.concatenate(chosen))
        self.held_out = np.sort(rng.permutation(held)[:_MOST_HELD_OUT])
        self._orders = [order[~np.isin(order, held)] for order in orders]
        self._without = without[~np.isin(without, held)]

    def taught(self, size: int) -> NDArray[np.int64]:
        """Rows with `size` yes labels per concept (all, where it has fewer), and the same share of the others."""
        chosen = [order[:size] for order in self._orders]
        share = sum(map(len, chosen)) / max(sum(map(len, self._orders)), 1)
        return np.unique(np.concatenate([*chosen, self._without[: round(share * len(self._without))]]))


@dataclass(frozen=True)
class _Quality:
    accuracy: float | None
    average_precision: float | None


def _held_out(count: int) -> int:
    """How many of a concept's labels are held out; a single one is taught."""
    return 0 if count < 2 else max(1, round(_HELD_OUT * count))


def _sizes(positives: NDArray[np.int64]) -> list[int]:
    """Sizes up to the labels that the median concept can teach, within the bound on taught inputs."""
    if not len(positives):
        return []
    remaining = int(np.median([count - _held_out(int(count)) for count in positives]))
    sizes = [size for size in SIZES if size < remaining] + ([remaining] if remaining <= SIZES[-1] else [])
    return [size for size in sizes if size == 1 or np.minimum(positives, size).sum() <= _MOST_TAUGHT]


def _quality(
    draw: _Split,
    size: int,
    concept_ids: Sequence[str],
    keys: KeyArray,
    truth: NDArray[np.int8],
    judge: Judge,
) -> _Quality:
    rows = draw.taught(size)
    labels = {
        concept: {
            int(key): bool(value > 0) for key, value in zip(keys[rows[column != 0]], column[column != 0], strict=True)
        }
        for concept, column in zip(concept_ids, truth[rows].T, strict=True)
    }
    judged_ids, judged_values = judge(labels, keys[draw.held_out])
    values = np.zeros((len(draw.held_out), len(concept_ids)))
    positions = {concept: position for position, concept in enumerate(concept_ids)}
    values[:, [positions[concept] for concept in judged_ids]] = judged_values
    positive = truth[draw.held_out] == 1
    return _Quality(_accuracy(values, positive), _mean_average_precision(values, positive))


def _accuracy(values: Floats, positive: Bools) -> float | None:
    """Of the inputs that show exactly one concept; None with less than two concepts to choose from."""
    single = positive.sum(axis=1) == 1
    if positive.shape[1] < 2 or not single.any():
        return None
    return float(np.mean(values[single].argmax(axis=1) == positive[single].argmax(axis=1)))


def _mean_average_precision(values: Floats, positive: Bools) -> float | None:
    """Over the concepts that some of the inputs show and some don't."""
    precisions = [
        score
        for column, positive in zip(values.T, positive.T, strict=True)
        if not positive.all() and (score := average_precision(column, positive)) is not None
    ]
    return float(np.mean(precisions)) if precisions else None


def _point(size: int, draws: Sequence[_Quality]) -> LearningPoint:
    accuracies = [draw.accuracy for draw in draws if draw.accuracy is not None]
    precisions = [draw.average_precision for draw in draws if draw.average_precision is not None]
    return LearningPoint(
        labels=size,
        accuracy=float(np.mean(accuracies)) if accuracies else None,
        accuracy_spread=float(np.std(accuracies)) if accuracies else None,
        average_precision=float(np.mean(precisions)) if precisions else None,
    )


def _gain(points: Sequence[LearningPoint], present: int, held_out: int) -> float | None:
    """From a power law of the error, a straight line in logarithms (Cortes et al., NIPS 1993) that never rises."""
    scores = [point.accuracy if point.accuracy is not None else point.average_precision for point in points]
    defined = [(point.labels, score) for point, score in zip(points, scores, strict=True) if score is not None]
    if len(defined) < 2:
        return None
    sizes, qualities = (np.array(column, dtype=np.float64) for column in zip(*defined, strict=True))
    # At least half an error: no error among few inputs doesn't mean an error of zero.
    errors = np.maximum(1 - qualities, 0.5 / max(held_out, 1))
    # Points with more labels say more about the trend.
    slope, level = np.polyfit(np.log(sizes), np.log(errors), 1, w=np.sqrt(sizes))
    now, then = np.exp(level + min(slope, 0.0) * np.log([present, present + _MORE]))
    return float(np.clip(now - then, 0, 1))


def _verdict(gain: float | None, helps: bool | None, points: Sequence[LearningPoint]) -> str:
    if gain is None:
        return "too few labels to tell: concepts need three yes labels or more"
    metric = "accuracy" if points[-1].accuracy is not None else "average precision"
    advice = "label them" if helps else "the present labels are enough"
    return f"ten more labels per concept would add about {100 * gain:.1f} points of {metric}: {advice}"
