"""Compares base workflows: how many labels each needs, and what it costs. Pure functions on vectors."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...runtime.cancellation import check_cancelled
from ..records import FloatArray, WorkflowComparison, WorkflowsCompared
from ..scoring.examples import BACKGROUND_SIZE, Background, Examples
from ..scoring.scorer import scorer_of
from ..scoring.space import Space

_MOST_TESTED = 15
"""Held-out images of each concept."""
_TIE = 0.01
"""Accuracies that differ by less count as equal."""

Labels = NDArray[np.int64]


def accuracies(
    vectors: FloatArray, labels: Labels, power: float, shots: Sequence[int], draws: int
) -> tuple[list[float | None], list[float | None]]:
    """Mean accuracy, and half its 95 % interval, for each number of labels per concept; None where images are too few.

    vectors (n, dim) unit length; labels (n,) concept numbers, one per image. Each draw teaches `shots` images of every
    concept and tests others. The draw's number alone determines them, so all workflows get the same images.
    """
    space = Space.fit(vectors, power)
    by_shots = [
        [accuracy for draw in range(draws) if (accuracy := _draw(space, vectors, labels, few, draw)) is not None]
        for few in shots
    ]
    means = [float(np.mean(drawn)) if drawn else None for drawn in by_shots]
    halves = [float(1.96 * np.std(drawn) / np.sqrt(len(drawn))) if drawn else None for drawn in by_shots]
    return means, halves


def with_advice(compared: Sequence[WorkflowComparison]) -> WorkflowsCompared:
    """Adds a recommendation: the most accurate over all shots, or the fastest of those that count as equal."""
    best = _recommended(compared)
    return WorkflowsCompared(compared, best.workflow if best else None, _advice(best, compared))


def _recommended(compared: Sequence[WorkflowComparison]) -> WorkflowComparison | None:
    """None where nothing could be judged."""
    judged = [(candidate.mean_accuracy, candidate) for candidate in compared if candidate.mean_accuracy is not None]
    most = max((mean for mean, _ in judged), default=0.0)
    good = [candidate for mean, candidate in judged if mean >= most - _TIE]
    return min(good, key=lambda candidate: candidate.ms_per_image, default=None)


def _advice(best: WorkflowComparison | None, compared: Sequence[WorkflowComparison]) -> str:
    """The reason, compared with the best of the others."""
    if best is None or best.mean_accuracy is None:
        return "Too few labelled inputs to recommend one."
    rivals = [
        (candidate.mean_accuracy, candidate)
        for candidate in compared
        if candidate is not best and candidate.mean_accuracy is not None
    ]
    if not rivals:
        return f"{best.workflow}: mean accuracy {best.mean_accuracy:.3f}."
    mean, rival = max(rivals, key=lambda other: other[0])
    relation = "ahead of" if best.mean_accuracy > mean + _TIE else "as good as"
    advice = (
        f"Recommended: {best.workflow}, {relation} {rival.workflow} ({best.mean_accuracy:.3f} and {mean:.3f} "
        f"over all), {best.ms_per_image:.0f} ms per image instead of {rival.ms_per_image:.0f}."
    )
    few, many = _labels_for_the_same(best, rival)
    if few >= many:
        return advice
    return f"{advice} With {few} labels per concept it is where {rival.workflow} is with {many}."


def _labels_for_the_same(best: WorkflowComparison, rival: WorkflowComparison) -> tuple[int, int]:
    """The fewest labels with which best reaches rival's highest accuracy, and the labels that rival needs for it."""
    most, reached = max(_curve(rival))
    return min((few for few, value in _curve(best) if value >= reached), default=most), most


def _curve(comparison: WorkflowComparison) -> list[tuple[int, float]]:
    """(labels per concept, accuracy) where the accuracy could be measured."""
    return [(few, value) for few, value in zip(comparison.shots, comparison.accuracy, strict=True) if value is not None]


def _draw(space: Space, vectors: FloatArray, labels: Labels, shots: int, draw: int) -> float | None:
    check_cancelled()
    counts = np.bincount(labels)
    usable = np.flatnonzero(counts > shots)
    if len(usable) < 2:
        return None
    rng = np.random.default_rng([draw, shots])
    taught: list[int] = []
    tested: list[int] = []
    for concept in usable:
        rows = rng.permutation(np.flatnonzero(labels == concept)).tolist()
        taught += rows[:shots]
        tested += rows[shots : shots + _MOST_TESTED]
    background = np.setdiff1d(np.arange(len(vectors)), [*taught, *tested])[:BACKGROUND_SIZE]
    space = space.smoothed(vectors[background])
    examples = Examples(space, Background(background, space.prepare(vectors[background])), lambda keys: vectors[keys])
    concepts = [str(concept) for concept in usable]
    taught_labels = {str(concept): {row: True for row in taught if labels[row] == concept} for concept in usable}
    scorer = scorer_of(examples, concepts, taught_labels, mutually_exclusive=True, closed_environment=True)
    predictor = scorer.predictor()
    best = np.array([int(id) for id in predictor.concept_ids])[predictor.values(vectors[tested]).argmax(axis=1)]
    return float(np.mean(best == labels[tested]))
