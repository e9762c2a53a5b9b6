"""Review: what an app makes of its models. How good they are, what to label next, what looks wrong, what changed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ..embeddings.cancellation import check_cancelled
from ..embeddings.stages import stage
from . import comparison, doubt, suggestion
from .bounds import check_count
from .errors import BadRequest, ConceptNotFound, StorageFailed, StoreBusy, StoreClosed, TenshotError
from .evaluation import WANTED_PRECISION, evaluate
from .findings import Comparison, Doubt, Evaluation, LearningCurve, Strategy, Suggestion
from .learning import DRAWS, learning_curve
from .models import Models
from .records import (
    THRESHOLD,
    EvaluationState,
    FloatArray,
    KeyArray,
    Model,
    ModelVersion,
    Scores,
    StoredEvaluation,
)
from .scoring.examples import BACKGROUND_SIZE, Array
from .scoring.predictor import Predictor
from .teacher import LeaveOneOut, evenly

CURRENT = "labels"
"""Stands for the labels of this moment where a version is asked for."""
_JUDGED, _JUDGED_VALUES = 1000, 100_000
"""Inputs of an evaluation that are kept one by one, and their values for all concepts: with 100 concepts 1,000, with
2,000 concepts 50."""
_COMPARED = 5000
"""Inputs that two versions are compared on, where none are named."""
_MOST = 1000
"""Items in one answer."""
_MOST_DRAWS = 100
_POOL = 4096
"""Unlabelled inputs that suggestions are chosen from, at most; with many labels fewer, for each costs more then."""
_POOL_KERNEL = 1 << 22
_TAUGHT = 2048
"""Labelled inputs that a suggestion is kept away from."""
_RARE = 8
"""Concepts whose likely positives are looked for in the whole app."""
_RARE_NEAREST = 256
_TINY = 1e-6


class Review(Models):
    """The part of an `App` that judges what was taught."""

    def evaluate(self, model: Model | str | None = None, *, precision: float = WANTED_PRECISION) -> Evaluation:
        """Leave-one-out quality over every input with a label for one of the model's concepts.

        precision: for each concept, the threshold that reaches it is named.
        """
        _check_precision(precision)
        model = self._model(model)
        labels = self._teacher.labels_of(model.concept_ids)
        return self._evaluated(
            model, labels, self._teacher.leave_one_out, self._thresholds.get(model.id, {}), precision
        )

    def evaluate_version(self, model: str, version: str) -> Evaluation:
        """The same with the labels that the version was frozen with, and kept with it; see `evaluation`."""
        try:
            found = self._evaluated_version(model, version)
        except Exception as error:
            reason = {"reason": str(error)}
            self._catalog.evaluations.set(self.id, model, version, EvaluationState.FAILED, reason)
            raise
        self._catalog.evaluations.set(self.id, model, version, EvaluationState.DONE, asdict(found))
        return found

    def request_evaluation(self, model: str, version: str) -> datetime:
        """Notes that somebody wants `evaluate_version`; whoever serves the app makes it. The moment of the request."""
        return self._catalog.evaluations.set(self.id, model, version, EvaluationState.QUEUED, None)

    def evaluate_requested(self, model: str, version: str, asked_at: datetime) -> None:
        """Makes what was asked for at that moment, unless it is made, or was asked again since.

        What can't be evaluated is kept as failed, with the reason. Raises StoreBusy, StorageFailed and StoreClosed.
        """
        stored = self.evaluation(model, version)
        if stored is None or (stored.state, stored.created_at) != (EvaluationState.QUEUED, asked_at):
            return
        try:
            found = self._evaluated_version(model, version)
        except (StoreBusy, StorageFailed, StoreClosed):
            raise
        except TenshotError as error:
            self.evaluation_failed(model, version, asked_at, str(error))
        else:
            self._catalog.evaluations.settle(self.id, model, version, asked_at, EvaluationState.DONE, asdict(found))

    def evaluation_failed(self, model: str, version: str, asked_at: datetime, reason: str) -> None:
        """Keeps why what was asked for at that moment can't be had."""
        self._catalog.evaluations.settle(self.id, model, version, asked_at, EvaluationState.FAILED, {"reason": reason})

    def evaluation(self, model: str, version: str) -> StoredEvaluation | None:
        """What is known of a version's evaluation; None where nobody asked for one. Raises VersionNotFound."""
        return self._catalog.evaluations.get(self.id, model, version)

    def learning_curve(self, model: Model | str | None = None, *, draws: int = DRAWS) -> LearningCurve:
        """How good the model was with 1, 2, 5, ... labels a concept, each the mean of some draws, and what more add."""
        check_count(draws, "draws", _MOST_DRAWS)
        model = self._model(model)
        labels = self._teacher.labels_of(model.concept_ids)
        keys = _keys_of(labels)
        concepts = list(labels)

        def judge(taught: Mapping[str, Mapping[int, bool]], others: KeyArray) -> tuple[Sequence[str], Array]:
            check_cancelled()
            return self._teacher.leave_one_out_with(taught)(model, others)

        return learning_curve(model.id, concepts, keys, _truth(concepts, keys, labels), judge, draws)

    def choose_thresholds(
        self, model: Model | str | None = None, *, precision: float = WANTED_PRECISION
    ) -> dict[str, float]:
        """Sets for each concept the lowest threshold whose leave-one-out precision is at least so high.

        Those that were set; a concept for which none is high enough stays as it is.
        """
        model = self._model(model)
        found = self.evaluate(model, precision=precision)
        chosen = {concept.concept_id: concept.choice.threshold for concept in found.concepts if concept.choice}
        self.set_thresholds(chosen, model)
        return chosen

    def suggest(
        self,
        model: Model | str | None = None,
        n: int = 10,
        *,
        strategy: Strategy | str = Strategy.AUTO,
        concept: str | None = None,
    ) -> list[Suggestion]:
        """At most n inputs to label next, best first; none that has a label for one of the model's concepts.

        concept: about this one alone. Raises ConceptNotFound or BadRequest.
        """
        model = self._model(model)
        wanted = _strategy(strategy)
        check_count(n, "n", suggestion.MOST)
        if concept is not None and concept not in model.concept_ids:
            raise ConceptNotFound(f"model {model.id!r} has no concept {concept!r}")
        labelled = self._teacher.labelled_keys(model.concept_ids)
        predictor = self._predictor(model)
        known = predictor.concept_ids
        if concept is not None and concept not in known:
            # Nothing is known of it yet but its name.
            wanted, concept = Strategy.DIVERSE, None
        positives = np.asarray((predictor.positive > 0).sum(axis=0), dtype=np.int64).ravel()
        rare = [known[column] for column in np.argsort(positives, kind="stable")[:_RARE]]
        keys, pool = self._pool(model, predictor, positives, labelled, rare if concept is None else [concept])
        picks = suggestion.suggest(pool, n, wanted, None if concept is None else known.index(concept))
        names = self._ids(keys[[pick.row for pick in picks]])
        return [
            Suggestion(
                input_id=names[key],
                strategy=pick.strategy,
                concept_id=None if pick.column is None else known[pick.column],
                value=None if pick.column is None else float(pool.values[pick.row, pick.column]),
            )
            for pick in picks
            if (key := int(keys[pick.row])) in names
        ]

    def doubts(self, model: Model | str | None = None, n: int = 100, *, limit: float = doubt.LIMIT) -> list[Doubt]:
        """At most n labels whose leave-one-out probability of being right is below the limit, least probable first."""
        model = self._model(model)
        check_count(n, "n", _MOST)
        if not 0 < limit <= 1:
            raise BadRequest(f"the limit is a probability above 0, not {limit}")
        labels = self._teacher.labels_of(model.concept_ids)
        keys, concepts, probabilities, truth = _judged(model, labels, self._teacher.leave_one_out)
        found = doubt.doubtful_labels(probabilities, truth, limit)
        names = self._ids(keys[found.rows[:n]])
        return [
            Doubt(names[key], concepts[column], bool(truth[row, column] > 0), probability, instead)
            for row, column, probability, instead in zip(
                found.rows[:n].tolist(),
                found.columns.tolist(),
                found.probabilities.tolist(),
                doubt.names(found.instead, concepts),
                strict=False,
            )
            if (key := int(keys[row])) in names
        ]

    def compare(
        self,
        model: str,
        before: str,
        after: str | None = None,
        *,
        inputs: Sequence[str] | None = None,
        n: int = 100,
    ) -> Comparison:
        """What changed between two versions, and how good each is on the labels of today.

        after: None for the labels of this moment. inputs: ids, else up to 5,000 of the app's, evenly spread. Both are
        judged on the same labelled inputs, each by the version's labels without its own. Raises VersionNotFound,
        InputNotFound or InputNotReady.
        """
        check_count(n, "n", _MOST)
        after = None if after == CURRENT else after
        found, versions = self.model(model), [self.version(model, before), after and self.version(model, after)]
        names, vectors = self._compared(inputs)
        old, new = (self.scores(vectors, found, version) for version in (before, after))
        changed = comparison.differences(old, new, names, n)
        judged = [self._judged_today(found, version or None) for version in versions]
        return Comparison(
            model_id=model,
            before=before,
            after=after or CURRENT,
            inputs=len(names),
            changed=changed.changed,
            changes=changed.changes,
            judged=judged[0].inputs,
            quality_before=comparison.quality(judged[0]),
            quality_after=comparison.quality(judged[1]),
            concepts=comparison.concept_changes(judged[0], judged[1], changed.moved),
        )

    def _evaluated_version(self, model: str, version: str) -> Evaluation:
        record = self.version(model, version)
        if not record.frozen:
            return self.evaluate(model)
        labels = self._labels_of(self.model(model), record)
        judge = self._teacher.leave_one_out_with(labels)
        return self._evaluated(self.model(model), labels, judge, record.thresholds)

    def _evaluated(
        self,
        model: Model,
        labels: Mapping[str, Mapping[int, bool]],
        judge: LeaveOneOut,
        thresholds: Mapping[str, float],
        precision: float = WANTED_PRECISION,
    ) -> Evaluation:
        keys, concepts, probabilities, truth = _judged(model, labels, judge)
        first = keys[: min(_JUDGED, _JUDGED_VALUES // max(len(concepts), 1) + 1)]
        names = self._ids(first)
        return evaluate(
            model.id,
            concepts,
            probabilities,
            truth,
            [names.get(key, "") for key in first.tolist()],
            thresholds=[thresholds.get(concept, THRESHOLD) for concept in concepts],
            wanted_precision=precision,
            exclusive=model.mutually_exclusive,
        )

    def _labels_of(self, model: Model, version: ModelVersion | None) -> Mapping[str, Mapping[int, bool]]:
        """What a version predicts by: the labels of its moment, or the present ones."""
        if version is None or version.follows_labels:
            return self._teacher.labels_of(model.concept_ids)
        return self._catalog.labels.at(self.id, version.concept_ids, version.label_seq)

    def _judged_today(self, model: Model, version: ModelVersion | None) -> Evaluation:
        """A version's labels held against the present ones, on all inputs that have one now."""
        check_cancelled()
        judge = self._teacher.leave_one_out_with(self._labels_of(model, version))
        today = self._teacher.labels_of(model.concept_ids)
        shown = tuple(concept for concept, labels in today.items() if any(labels.values()))

        def of_all(model: Model, keys: KeyArray) -> tuple[tuple[str, ...], Array]:
            """The same concepts for every version: one that it doesn't know counts as a no."""
            known, found = judge(model, keys)
            values = np.zeros((len(keys), len(shown)))
            for column, concept in enumerate(shown):
                if concept in known:
                    values[:, column] = found[:, known.index(concept)]
            return shown, values

        if version is None or version.follows_labels:
            return self._evaluated(model, today, of_all, self._thresholds.get(model.id, {}))
        return self._evaluated(model, today, of_all, version.thresholds)

    def scores(self, vectors: FloatArray, model: Model, version: str | None = None) -> Scores:
        """What unit vectors (n, dim) of the app's base workflow show; they are not checked again."""
        with stage("score"):
            predictor = self._predictor_for(model, version)
            concepts = list(predictor.concept_ids)
            return Scores(concepts, predictor.values(vectors), self._thresholds_for(model, version, concepts))

    def _compared(self, inputs: Sequence[str] | None) -> tuple[list[str], FloatArray]:
        """Ids of the inputs to compare versions on, and their vectors (n, dim)."""
        if inputs is not None:
            return list(inputs), self.vectors(inputs)
        keys, vectors = self._teacher.present(evenly(self._collection.keys(), _COMPARED))
        names = self._ids(keys)
        # One that is being deleted has no name any more.
        there = [place for place, key in enumerate(keys.tolist()) if key in names]
        return [names[key] for key in keys[there].tolist()], vectors[there]

    def _pool(
        self, model: Model, predictor: Predictor, positives: NDArray[np.int64], labelled: KeyArray, rare: Sequence[str]
    ) -> tuple[KeyArray, suggestion.Pool]:
        """Unlabelled inputs to choose from: all, or a sample that changes with the labels, and with them those that
        are nearest to what the rare concepts look like.
        """
        free = np.setdiff1d(self._collection.keys(), labelled, assume_unique=True)
        rng = np.random.default_rng(len(labelled))
        room = int(np.clip(_POOL_KERNEL // (len(predictor.keys) + BACKGROUND_SIZE), _POOL // 8, _POOL))
        keys = rng.permutation(free)
        if len(free) > room:
            near = self._nearest_to(rare, free)
            keys = rng.permutation(np.union1d(keys[:room], near))
        keys, vectors = self._teacher.present(keys)
        _, taught = self._teacher.present(evenly(labelled, _TAUGHT))
        return keys, suggestion.Pool(
            space=predictor.space,
            vectors=vectors,
            values=predictor.values(vectors),
            positives=positives,
            taught=predictor.space.prepare(taught),
            exclusive=model.mutually_exclusive,
            shown=int((predictor.positive > 0).sum(axis=1).astype(bool).sum()) / max(len(labelled), 1),
        )

    def _nearest_to(self, concepts: Sequence[str], free: KeyArray) -> KeyArray:
        """Of the free inputs, those nearest to the mean of each concept's positives."""
        means = []
        for labels in self._teacher.labels_of(concepts).values():
            positives = np.array(sorted(key for key, value in labels.items() if value), dtype=np.int64)
            _, vectors = self._teacher.present(evenly(positives, _TAUGHT))
            if len(vectors):
                means.append(vectors.mean(axis=0))
        usable = [mean for mean in means if np.linalg.norm(mean) > _TINY]
        if not usable:
            return free[:0]
        found, _ = self._collection.search(np.stack(usable), _RARE_NEAREST, self._collection.filter(free))
        return np.unique(found[found >= 0])


def _judged(
    model: Model, labels: Mapping[str, Mapping[int, bool]], judge: LeaveOneOut
) -> tuple[KeyArray, tuple[str, ...], Array, NDArray[np.int8]]:
    """Keys (n,) of all labelled inputs, concept ids, leave-one-out probabilities (n, C), and the labels (n, C).

    Of concepts with a positive label: what is known by its name alone has nothing to be held against.
    """
    keys = _keys_of(labels)
    known, probabilities = judge(model, keys)
    taught = [column for column, concept in enumerate(known) if any(labels.get(concept, {}).values())]
    concepts = tuple(known[column] for column in taught)
    return keys, concepts, probabilities[:, taught], _truth(concepts, keys, labels)


def _keys_of(labels: Mapping[str, Mapping[int, bool]]) -> KeyArray:
    """(n,) ascending."""
    given = [np.fromiter(one, dtype=np.int64, count=len(one)) for one in labels.values()]
    return np.unique(np.concatenate([np.empty(0, dtype=np.int64), *given]))


def _truth(concepts: Sequence[str], keys: KeyArray, labels: Mapping[str, Mapping[int, bool]]) -> NDArray[np.int8]:
    """(n, C): 1 labelled yes, -1 no, 0 not labelled; keys are ascending, and hold all that have a label."""
    truth = np.zeros((len(keys), len(concepts)), dtype=np.int8)
    for column, concept in enumerate(concepts):
        given = labels.get(concept, {})
        rows = np.searchsorted(keys, np.fromiter(given, dtype=np.int64, count=len(given)))
        truth[rows, column] = np.where(np.fromiter(given.values(), dtype=np.bool_, count=len(given)), 1, -1)
    return truth


def _strategy(name: Strategy | str) -> Strategy:
    try:
        return Strategy(name)
    except ValueError:
        known = ", ".join(Strategy)
        raise BadRequest(f"a strategy is one of {known}, not {name!r}") from None


def _check_precision(precision: float) -> None:
    if not 0 < precision <= 1:
        raise BadRequest(f"a precision is a number above 0, at most 1, not {precision!r}")
