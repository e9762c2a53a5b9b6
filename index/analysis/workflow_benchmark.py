"""Base workflows side by side: how many labels each needs, and what it costs. Pure functions on vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.cancellation import check_cancelled
from ..records import FloatArray, WorkflowComparison, WorkflowsCompared
from ..scoring.examples import BACKGROUND_SIZE, Background, Examples
from ..scoring.scorer import scorer_of
from ..scoring.space import Space

_MOST_ASKED = 15
"""Of each concept's held-out images."""
_TIE = 0.01
"""Accuracies that differ by less are as good as equal."""

Labels = NDArray[np.int64]


def accuracies(
    vectors: FloatArray, labels: Labels, power: float, shots: Sequence[int], draws: int
) -> tuple[list[float | None], list[float | None]]:
    """Mean accuracy, and half its 95 % interval, after so many labels a concept; None where images are too few.

    vectors (n, dim) unit length, labels (n,) concept numbers, each image showing one. In each draw as many images as
    shots of every concept are taught, chosen by the draw's number alone, so that several workflows get the same ones;
    others are asked.
    """
    space = Space.fit(vectors, power)
    found = [
        [accuracy for draw in range(draws) if (accuracy := _draw(space, vectors, labels, few, draw)) is not None]
        for few in shots
    ]
    means = [float(np.mean(drawn)) if drawn else None for drawn in found]
    halves = [float(1.96 * np.std(drawn) / np.sqrt(len(drawn))) if drawn else None for drawn in found]
    return means, halves


def with_advice(compared: Sequence[WorkflowComparison]) -> WorkflowsCompared:
    """With a recommendation: the most accurate over all shots; of those as good as equal the fastest."""
    best = _recommended(compared)
    return WorkflowsCompared(compared, best.workflow if best else None, _advice(best, compared))


def _recommended(compared: Sequence[WorkflowComparison]) -> WorkflowComparison | None:
    """None where nothing could be judged."""
    judged = [(one.mean_accuracy, one) for one in compared if one.mean_accuracy is not None]
    most = max((mean for mean, _ in judged), default=0.0)
    good = [one for mean, one in judged if mean >= most - _TIE]
    return min(good, key=lambda one: one.ms_per_image, default=None)


def _advice(best: WorkflowComparison | None, compared: Sequence[WorkflowComparison]) -> str:
    """Why, beside the best of the others."""
    if best is None or best.mean_accuracy is None:
        return "Too few labelled inputs to recommend one."
    others = [(one.mean_accuracy, one) for one in compared if one is not best and one.mean_accuracy is not None]
    if not others:
        return f"{best.workflow}: mean accuracy {best.mean_accuracy:.3f}."
    mean, rival = max(others, key=lambda other: other[0])
    relation = "ahead of" if best.mean_accuracy > mean + _TIE else "as good as"
    said = (
        f"Recommended: {best.workflow}, {relation} {rival.workflow} ({best.mean_accuracy:.3f} and {mean:.3f} "
        f"over all), {best.ms_per_image:.0f} ms an image instead of {rival.ms_per_image:.0f}."
    )
    few, many = _labels_for_the_same(best, rival)
    return f"{said} With {few} labels a concept it is where {rival.workflow} is with {many}." if few < many else said


def _labels_for_the_same(best: WorkflowComparison, rival: WorkflowComparison) -> tuple[int, int]:
    """The fewest labels with which best is as accurate as rival is with the most, and those."""
    most, reached = max(_curve(rival))
    return min((few for few, value in _curve(best) if value >= reached), default=most), most


def _curve(one: WorkflowComparison) -> list[tuple[int, float]]:
    """Labels a concept, and the accuracy where it could be judged."""
    return [(few, value) for few, value in zip(one.shots, one.accuracy, strict=True) if value is not None]


def _draw(space: Space, vectors: FloatArray, labels: Labels, shots: int, draw: int) -> float | None:
    check_cancelled()
    counts = np.bincount(labels)
    usable = np.flatnonzero(counts > shots)
    if len(usable) < 2:
        return None
    rng = np.random.default_rng([draw, shots])
    taught: list[int] = []
    asked: list[int] = []
    for concept in usable:
        rows = rng.permutation(np.flatnonzero(labels == concept)).tolist()
        taught += rows[:shots]
        asked += rows[shots : shots + _MOST_ASKED]
    others = np.setdiff1d(np.arange(len(vectors)), [*taught, *asked])[:BACKGROUND_SIZE]
    space = space.smoothed(vectors[others])
    examples = Examples(space, Background(others, space.prepare(vectors[others])), lambda keys: vectors[keys])
    concepts = [str(concept) for concept in usable]
    given = {str(concept): {row: True for row in taught if labels[row] == concept} for concept in usable}
    scorer = scorer_of(examples, concepts, given, mutually_exclusive=True, closed_environment=True)
    predictor = scorer.predictor()
    best = np.array([int(id) for id in predictor.concept_ids])[predictor.values(vectors[asked]).argmax(axis=1)]
    return float(np.mean(best == labels[asked]))
