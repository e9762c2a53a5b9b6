"""What changed between two versions of a model."""

from collections.abc import Sequence

import numpy as np

from ...runtime.cancellation import check_cancelled
from ..analysis import version_diff
from ..analysis.reports import Comparison, Evaluation
from ..bounds import check_count
from ..records import FloatArray, KeyArray, Model, ModelVersion
from ..scoring.examples import Array
from .embedding import vectors as vectors_of
from .predictors import model as model_named
from .predictors import scores
from .predictors import version as version_named
from .quality import MOST, evaluated, labels_of
from .state import AppState

CURRENT = "labels"
"""Stands for the labels of this moment where a version is asked for."""
_COMPARED = 5000
"""Inputs that two versions are compared on, where none are named."""


def compare(
    state: AppState,
    model: str,
    before: str,
    after: str | None = None,
    *,
    inputs: Sequence[str] | None = None,
    n: int = 100,
) -> Comparison:
    """What changed between two versions, and how good each is on the labels of today.

    after: None for the labels of this moment. inputs: ids, else up to 5,000 of the app's, drawn at random. Both are
    judged on the same labelled inputs, each by the version's labels without its own. Raises VersionNotFound,
    InputNotFound or InputNotReady.
    """
    check_count(n, "n", MOST)
    after = None if after == CURRENT else after
    record = model_named(state, model)
    versions = [version_named(state, model, before), version_named(state, model, after) if after else None]
    names, vectors = _compared(state, inputs)
    old, new = (scores(state, vectors, record, version) for version in (before, after))
    changed = version_diff.differences(old, new, names, n)
    judged = [_judged_today(state, record, version) for version in versions]
    return Comparison(
        model_id=model,
        before=before,
        after=after or CURRENT,
        inputs=len(names),
        changed=changed.changed,
        changes=changed.changes,
        judged=judged[0].inputs,
        quality_before=version_diff.quality(judged[0]),
        quality_after=version_diff.quality(judged[1]),
        concepts=version_diff.concept_changes(judged[0], judged[1], changed.moved),
    )


def _judged_today(state: AppState, model: Model, version: ModelVersion | None) -> Evaluation:
    """A version's labels held against the present ones, on all inputs that have one now."""
    check_cancelled()
    judge = state.teacher.leave_one_out_with(labels_of(state, model, version))
    today = state.teacher.labels_of(model.concept_ids)
    concepts = tuple(concept for concept, labels in today.items() if any(labels.values()))

    def of_all(model: Model, keys: KeyArray) -> tuple[tuple[str, ...], Array]:
        """The same concepts for every version: one that it doesn't know counts as a no."""
        concept_ids, probabilities = judge(model, keys)
        values = np.zeros((len(keys), len(concepts)))
        for column, concept in enumerate(concepts):
            if concept in concept_ids:
                values[:, column] = probabilities[:, concept_ids.index(concept)]
        return concepts, values

    if version is None or version.follows_labels:
        return evaluated(state, model, today, of_all, state.thresholds.get(model.id, {}))
    return evaluated(state, model, today, of_all, version.thresholds)


def _compared(state: AppState, inputs: Sequence[str] | None) -> tuple[list[str], FloatArray]:
    """Ids of the inputs to compare versions on, and their vectors (n, dim)."""
    if inputs is not None:
        return list(inputs), vectors_of(state, inputs)
    keys, vectors = state.collection.present(state.collection.sample(_COMPARED))
    names = state.catalog.inputs.ids(keys)
    # One that is being deleted has no name any more.
    present = [place for place, key in enumerate(keys.tolist()) if key in names]
    return [names[key] for key in keys[present].tolist()], vectors[present]
