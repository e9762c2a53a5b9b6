"""How good an app's models are, by leave-one-out, and which labels look wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ...runtime.cancellation import check_cancelled
from ..analysis import evaluation as measures
from ..analysis import label_issues
from ..analysis import learning_curve as curve
from ..analysis.reports import Doubt, Evaluation, LearningCurve
from ..bounds import check_count
from ..errors import BadRequest, StorageFailed, StoreBusy, StoreClosed, TenshotError
from ..records import THRESHOLD, EvaluationState, KeyArray, Model, ModelVersion, StoredEvaluation
from ..scoring.examples import Array
from .models import set_thresholds
from .predictors import model as model_named
from .predictors import model_of
from .predictors import version as version_named
from .scorers import LeaveOneOut
from .state import AppState, Current

_JUDGED, _JUDGED_VALUES = 1000, 100_000
"""Inputs of an evaluation that are kept one by one, and their values for all concepts: with 100 concepts 1,000, with
2,000 concepts 50."""
MOST = 1000
"""Items in one answer."""
_MOST_DRAWS = 100


def evaluate(
    state: AppState, model: Model | str | None = None, *, precision: float = measures.WANTED_PRECISION
) -> Evaluation:
    """Leave-one-out quality over every input with a label for one of the model's concepts.

    precision: for each concept, the threshold that reaches it is named.
    """
    _check_precision(precision)
    model = model_of(state, model)
    labels = state.teacher.labels_of(model.concept_ids)
    return evaluated(state, model, labels, state.teacher.leave_one_out, state.thresholds.get(model.id, {}), precision)


def evaluate_version(state: AppState, model: str, version: str) -> Evaluation:
    """The same with the labels that the version was frozen with, and kept with it; see `evaluation`."""
    try:
        result = _evaluated_version(state, model, version)
    except Exception as error:
        reason = {"reason": str(error)}
        state.catalog.evaluations.set(state.id, model, version, EvaluationState.FAILED, reason)
        raise
    state.catalog.evaluations.set(state.id, model, version, EvaluationState.DONE, asdict(result))
    return result


def request_evaluation(state: AppState, model: str, version: str) -> datetime:
    """Notes that somebody wants `evaluate_version`; whoever serves the app makes it. The moment of the request."""
    return state.catalog.evaluations.set(state.id, model, version, EvaluationState.QUEUED, None)


def evaluate_requested(state: AppState, model: str, version: str, asked_at: datetime) -> None:
    """Makes what was asked for at that moment, unless it is made, or was asked again since.

    What can't be evaluated is kept as failed, with the reason. Raises StoreBusy, StorageFailed and StoreClosed.
    """
    stored = evaluation(state, model, version)
    if stored is None or (stored.state, stored.created_at) != (EvaluationState.QUEUED, asked_at):
        return
    try:
        result = _evaluated_version(state, model, version)
    except (StoreBusy, StorageFailed, StoreClosed):
        raise
    except TenshotError as error:
        evaluation_failed(state, model, version, asked_at, str(error))
    else:
        state.catalog.evaluations.settle(state.id, model, version, asked_at, EvaluationState.DONE, asdict(result))


def evaluation_failed(state: AppState, model: str, version: str, asked_at: datetime, reason: str) -> None:
    """Keeps why what was asked for at that moment can't be had."""
    state.catalog.evaluations.settle(state.id, model, version, asked_at, EvaluationState.FAILED, {"reason": reason})


def evaluation(state: AppState, model: str, version: str) -> StoredEvaluation | None:
    """What is known of a version's evaluation; None where nobody asked for one. Raises VersionNotFound."""
    return state.catalog.evaluations.get(state.id, model, version)


def learning_curve(state: AppState, model: Model | str | None = None, *, draws: int = curve.DRAWS) -> LearningCurve:
    """How good the model was with 1, 2, 5, ... labels a concept, each the mean of some draws, and what more add."""
    check_count(draws, "draws", _MOST_DRAWS)
    model = model_of(state, model)
    labels = state.teacher.labels_of(model.concept_ids)
    keys = _keys_of(labels)
    concepts = list(labels)

    def judge(taught: Mapping[str, Mapping[int, bool]], others: KeyArray) -> tuple[Sequence[str], Array]:
        check_cancelled()
        return state.teacher.leave_one_out_with(taught)(model, others)

    return curve.learning_curve(model.id, concepts, keys, _truth(concepts, keys, labels), judge, draws)


def choose_thresholds(
    app: Current, model: Model | str | None = None, *, precision: float = measures.WANTED_PRECISION
) -> dict[str, float]:
    """Sets for each concept the lowest threshold whose leave-one-out precision is at least so high.

    Those that were set; a concept for which none is high enough stays as it is.
    """
    state = app.take()
    model = model_of(state, model)
    concepts = evaluate(state, model, precision=precision).concepts
    chosen = {concept.concept_id: concept.choice.threshold for concept in concepts if concept.choice}
    set_thresholds(app, chosen, model)
    return chosen


def doubts(
    state: AppState, model: Model | str | None = None, n: int = 100, *, limit: float = label_issues.LIMIT
) -> list[Doubt]:
    """At most n labels whose leave-one-out probability of being right is below the limit, least probable first."""
    model = model_of(state, model)
    check_count(n, "n", MOST)
    if not 0 < limit <= 1:
        raise BadRequest(f"the limit is a probability above 0, not {limit}")
    labels = state.teacher.labels_of(model.concept_ids)
    keys, concepts, probabilities, truth = _judged(model, labels, state.teacher.leave_one_out)
    doubtful = label_issues.doubtful_labels(probabilities, truth, limit)
    names = state.catalog.inputs.ids(keys[doubtful.rows[:n]])
    return [
        Doubt(names[key], concepts[column], bool(truth[row, column] > 0), probability, instead)
        for row, column, probability, instead in zip(
            doubtful.rows[:n].tolist(),
            doubtful.columns.tolist(),
            doubtful.probabilities.tolist(),
            label_issues.names(doubtful.instead, concepts),
            strict=False,
        )
        if (key := int(keys[row])) in names
    ]


def evaluated(
    state: AppState,
    model: Model,
    labels: Mapping[str, Mapping[int, bool]],
    judge: LeaveOneOut,
    thresholds: Mapping[str, float],
    precision: float = measures.WANTED_PRECISION,
) -> Evaluation:
    """What a judge says of a model's labels, held against them."""
    keys, concepts, probabilities, truth = _judged(model, labels, judge)
    first = keys[: min(_JUDGED, _JUDGED_VALUES // max(len(concepts), 1) + 1)]
    names = state.catalog.inputs.ids(first)
    return measures.evaluate(
        model.id,
        concepts,
        probabilities,
        truth,
        [names.get(key, "") for key in first.tolist()],
        thresholds=[thresholds.get(concept, THRESHOLD) for concept in concepts],
        wanted_precision=precision,
        exclusive=model.mutually_exclusive,
    )


def labels_of(state: AppState, model: Model, version: ModelVersion | None) -> Mapping[str, Mapping[int, bool]]:
    """What a version predicts by: the labels of its moment, or the present ones."""
    if version is None or version.follows_labels:
        return state.teacher.labels_of(model.concept_ids)
    return state.catalog.labels.at(state.id, version.concept_ids, version.label_seq)


def _evaluated_version(state: AppState, model: str, version: str) -> Evaluation:
    record = version_named(state, model, version)
    if not record.frozen:
        return evaluate(state, model)
    labels = labels_of(state, model_named(state, model), record)
    judge = state.teacher.leave_one_out_with(labels)
    return evaluated(state, model_named(state, model), labels, judge, record.thresholds)


def _judged(
    model: Model, labels: Mapping[str, Mapping[int, bool]], judge: LeaveOneOut
) -> tuple[KeyArray, tuple[str, ...], Array, NDArray[np.int8]]:
    """Keys (n,) of all labelled inputs, concept ids, leave-one-out probabilities (n, C), and the labels (n, C).

    Of concepts with a positive label: what is known by its name alone has nothing to be held against.
    """
    keys = _keys_of(labels)
    concept_ids, probabilities = judge(model, keys)
    taught = [column for column, concept in enumerate(concept_ids) if any(labels.get(concept, {}).values())]
    concepts = tuple(concept_ids[column] for column in taught)
    return keys, concepts, probabilities[:, taught], _truth(concepts, keys, labels)


def _keys_of(labels: Mapping[str, Mapping[int, bool]]) -> KeyArray:
    """(n,) ascending."""
    keys = [np.fromiter(of_concept, dtype=np.int64, count=len(of_concept)) for of_concept in labels.values()]
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *keys]))


def _truth(concepts: Sequence[str], keys: KeyArray, labels: Mapping[str, Mapping[int, bool]]) -> NDArray[np.int8]:
    """(n, C): 1 labelled yes, -1 no, 0 not labelled; keys are ascending, and hold all that have a label."""
    truth = np.zeros((len(keys), len(concepts)), dtype=np.int8)
    for column, concept in enumerate(concepts):
        values = labels.get(concept, {})
        rows = np.searchsorted(keys, np.fromiter(values, dtype=np.int64, count=len(values)))
        truth[rows, column] = np.where(np.fromiter(values.values(), dtype=np.bool_, count=len(values)), 1, -1)
    return truth


def _check_precision(precision: float) -> None:
    if not 0 < precision <= 1:
        raise BadRequest(f"a precision is a number above 0, at most 1, not {precision!r}")
