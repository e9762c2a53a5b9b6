"""The difference of two versions of a model on the same inputs. Pure functions on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, Scores
from .reports import Change, ConceptChange, Evaluation, VersionQuality


@dataclass(frozen=True)
class Differences:
    """How the predictions of two versions differ on n inputs."""

    changed: int
    changes: Sequence[Change]
    moved: dict[str, float]
    """Concept id -> mean |difference| of its values, for concepts that both versions have."""


def differences(before: Scores, after: Scores, input_ids: Sequence[str], most: int) -> Differences:
    """Inputs whose best concept or decisions differ, those whose values changed most first; at most `most` of them.

    A concept that one version lacks counts there as a no with value zero.
    """
    concepts = list(dict.fromkeys([*before.concept_ids, *after.concept_ids]))
    old, new = _spread(before.values, before, concepts), _spread(after.values, after, concepts)
    decided_before = _spread(before.decisions, before, concepts) > 0
    decided_after = _spread(after.decisions, after, concepts) > 0
    old_best, new_best = _best(before), _best(after)
    other_best = np.array([a != b for a, b in zip(old_best, new_best, strict=True)], dtype=bool)
    rows = np.flatnonzero((decided_before != decided_after).any(axis=1) | other_best)
    moved = np.abs(new - old)
    order = rows[np.argsort(-moved[rows].max(axis=1, initial=0), kind="stable")][:most]
    both = set(before.concept_ids) & set(after.concept_ids)
    return Differences(
        changed=len(rows),
        changes=tuple(
            Change(
                input_id=input_ids[i],
                best_before=old_best[i],
                value_before=None if old_best[i] is None else float(before.values[i].max()),
                best_after=new_best[i],
                value_after=None if new_best[i] is None else float(after.values[i].max()),
                decided={
                    concepts[c]: bool(decided_after[i, c])
                    for c in np.flatnonzero(decided_before[i] != decided_after[i])
                },
            )
            for i in order.tolist()
        ),
        moved={
            concept: float(moved[:, c].mean()) for c, concept in enumerate(concepts) if concept in both and len(moved)
        },
    )


def quality(evaluation: Evaluation) -> VersionQuality:
    """The few numbers of an evaluation by which versions are compared."""
    return VersionQuality(
        accuracy=evaluation.accuracy,
        mean_average_precision=_mean([concept.average_precision for concept in evaluation.concepts]),
        mean_roc_auc=_mean([concept.roc_auc for concept in evaluation.concepts]),
        expected_calibration_error=evaluation.reliability.expected_calibration_error,
    )


def concept_changes(before: Evaluation, after: Evaluation, moved: dict[str, float]) -> tuple[ConceptChange, ...]:
    """Concept by concept, in the order of the older version."""
    old = {concept.concept_id: concept.average_precision for concept in before.concepts}
    new = {concept.concept_id: concept.average_precision for concept in after.concepts}
    return tuple(
        ConceptChange(concept, old.get(concept), new.get(concept), moved.get(concept))
        for concept in dict.fromkeys([*old, *new, *moved])
    )


def _spread(array: NDArray[np.generic], scores: Scores, concepts: Sequence[str]) -> FloatArray:
    """(n, U): columns in the order of all concepts, zero for a concept that these scores lack."""
    wide = np.zeros((len(array), len(concepts)), dtype=np.float32)
    wide[:, [concepts.index(concept) for concept in scores.concept_ids]] = array
    return wide


def _best(scores: Scores) -> list[str | None]:
    if not scores.concept_ids:
        return [None] * len(scores.values)
    return [scores.concept_ids[column] for column in scores.values.argmax(axis=1).tolist()]


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
