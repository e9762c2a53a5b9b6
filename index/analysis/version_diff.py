"""Two versions of a model side by side, on the same inputs. Pure functions on arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, Scores
from .reports import Change, ConceptChange, Evaluation, VersionQuality


@dataclass(frozen=True)
class Differences:
    """What two versions say of n inputs."""

    changed: int
    changes: Sequence[Change]
    moved: dict[str, float]
    """Concept id -> mean |difference| of its values, for concepts that both know."""


def differences(before: Scores, after: Scores, input_ids: Sequence[str], most: int) -> Differences:
    """Inputs whose best concept or whose decisions differ, those whose values moved most first; most of them at most.

    A concept that one of the two doesn't know counts as a no with value zero there.
    """
    concepts = list(dict.fromkeys([*before.concept_ids, *after.concept_ids]))
    old, new = _spread(before.values, before, concepts), _spread(after.values, after, concepts)
    said = _spread(before.decisions, before, concepts) > 0
    says = _spread(after.decisions, after, concepts) > 0
    best, now_best = _best(before), _best(after)
    different = (said != says).any(axis=1) | np.array([a != b for a, b in zip(best, now_best, strict=True)], dtype=bool)
    places = np.flatnonzero(different)
    moved = np.abs(new - old)
    order = places[np.argsort(-moved[places].max(axis=1, initial=0), kind="stable")][:most]
    both = set(before.concept_ids) & set(after.concept_ids)
    return Differences(
        changed=len(places),
        changes=tuple(
            Change(
                input_id=input_ids[i],
                best_before=best[i],
                value_before=None if best[i] is None else float(before.values[i].max()),
                best_after=now_best[i],
                value_after=None if now_best[i] is None else float(after.values[i].max()),
                decided={concepts[c]: bool(says[i, c]) for c in np.flatnonzero(said[i] != says[i])},
            )
            for i in order.tolist()
        ),
        moved={
            concept: float(moved[:, c].mean()) for c, concept in enumerate(concepts) if concept in both and len(moved)
        },
    )


def quality(found: Evaluation) -> VersionQuality:
    """The few numbers of an evaluation that versions are told apart by."""
    return VersionQuality(
        accuracy=found.accuracy,
        mean_average_precision=_mean([concept.average_precision for concept in found.concepts]),
        mean_roc_auc=_mean([concept.roc_auc for concept in found.concepts]),
        expected_calibration_error=found.reliability.expected_calibration_error,
    )


def concept_changes(before: Evaluation, after: Evaluation, moved: dict[str, float]) -> tuple[ConceptChange, ...]:
    """Concept by concept, in the order in which the two know them."""
    old = {concept.concept_id: concept.average_precision for concept in before.concepts}
    new = {concept.concept_id: concept.average_precision for concept in after.concepts}
    return tuple(
        ConceptChange(concept, old.get(concept), new.get(concept), moved.get(concept))
        for concept in dict.fromkeys([*old, *new, *moved])
    )


def _spread(array: NDArray[np.generic], scores: Scores, concepts: Sequence[str]) -> FloatArray:
    """(n, U): columns in the order of all concepts, zero where these scores don't know one."""
    wide = np.zeros((len(array), len(concepts)), dtype=np.float32)
    wide[:, [concepts.index(concept) for concept in scores.concept_ids]] = array
    return wide


def _best(scores: Scores) -> list[str | None]:
    if not scores.concept_ids:
        return [None] * len(scores.values)
    return [scores.concept_ids[column] for column in scores.values.argmax(axis=1).tolist()]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
