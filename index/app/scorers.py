"""What an app has been taught, in memory: its labels, its space, and a scorer for every model that is asked."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..records import BUILT_IN_MODEL, FloatArray, KeyArray, Model, SpaceRecord
from ..scoring.examples import BACKGROUND_SIZE, Array, Background, Examples, Texts
from ..scoring.independent import IndependentScorer
from ..scoring.predictor import Predictor
from ..scoring.scorer import Scorer, scorer_of
from ..scoring.space import Space
from ..vectors.protocol import VectorIndex
from .concept_texts import Names

LeaveOneOut = Callable[[Model, KeyArray], tuple[tuple[str, ...], Array]]
"""Of a model and the keys (n,) of labelled inputs: concept ids, and (n, C) probabilities by the model without each."""

_GROWTH = 1.25
"""The space is renewed when the app has grown by this much since."""
_MEAN_SAMPLE = 20_000
"""The mean is taken over at most this many vectors."""
_SLOW_RENEWAL = 1_000
"""From this many labels on, a new space is prepared off the request path while the old one serves."""


@dataclass(frozen=True)
class LabelChange:
    """One label made, changed, or (value None) removed."""

    key: int
    concept_id: str
    value: bool | None


@dataclass
class _Taught:
    """One model's scorer, and the label changes that it has not taken in yet."""

    model: Model
    examples: Examples
    scorer: Scorer | None = None
    """None until somebody asks, and after a failure: whoever asks next starts from the labels."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: list[LabelChange] = field(default_factory=list)
    predictor: Predictor | None = None
    texts: Texts = field(default_factory=dict)


@dataclass
class _Epoch:
    """Everything that depends on one snapshot of the space."""

    record: SpaceRecord
    examples: Examples
    taught: dict[str, _Taught] = field(default_factory=dict)


class Teacher:
    """Label changes go in as they are committed; predictors come out that know all of them.

    A scorer takes changes in when its model is next asked, so teaching costs nothing for models that nobody asks, and a
    bulk of labels is one solution instead of many updates.
    """

    def __init__(
        self, collection: VectorIndex, power: float | None, labels: Mapping[str, Mapping[int, bool]], names: Names
    ) -> None:
        """power: of the power transform; None: decide by the data. labels: concept id -> input key -> yes or no."""
        self.names = names
        self._collection = collection
        self._power = power
        self._labels: dict[str, dict[int, bool]] = {concept: dict(values) for concept, values in labels.items()}
        self._mutex = threading.Lock()
        self._renewing = threading.Lock()
        self._epoch: _Epoch | None = None
        self._next: _Epoch | None = None
        self._background_lost = False
        self.kept_space: SpaceRecord | None = None
        """The snapshot that SQL has."""

    @property
    def space(self) -> SpaceRecord | None:
        """The snapshot in use, to be kept: after a restart it gives the same numbers."""
        return self._epoch.record if self._epoch else None

    def resume(self, record: SpaceRecord) -> None:
        """Goes on with a snapshot from an earlier run."""
        self.kept_space = record
        self._publish(self._epoch_of(record))

    def concept_ids(self) -> list[str]:
        """Concepts that have labels, in the order in which they were first used."""
        with self._mutex:
            return [concept for concept, labels in self._labels.items() if labels]

    def labelled_keys(self, concept_ids: Iterable[str]) -> KeyArray:
        """(n,) ascending: inputs with a label for any of these concepts."""
        with self._mutex:
            keys = {key for concept in concept_ids for key in self._labels.get(concept, ())}
        return np.array(sorted(keys), dtype=np.int64)

    def labels_of(self, concept_ids: Iterable[str]) -> dict[str, dict[int, bool]]:
        """Concept id -> input key -> yes or no."""
        with self._mutex:
            return {concept: dict(self._labels.get(concept, ())) for concept in concept_ids}

    def apply(self, changes: Iterable[LabelChange]) -> None:
        """The catalog has committed these."""
        changes = list(changes)
        with self._mutex:
            for change in changes:
                labels = self._labels.setdefault(change.concept_id, {})
                if change.value is None:
                    labels.pop(change.key, None)
                else:
                    labels[change.key] = change.value
            for epoch in (self._epoch, self._next):
                for taught in epoch.taught.values() if epoch else ():
                    taught.pending.extend(changes)

    def forget(self, keys: Iterable[int]) -> None:
        """These inputs are gone, and with them their labels."""
        removed = set(keys)
        with self._mutex:
            changes = [
                LabelChange(key, concept, None)
                for concept, labels in self._labels.items()
                for key in removed & labels.keys()
            ]
        self.apply(changes)
        if self._epoch and not removed.isdisjoint(self._epoch.examples.background.position):
            self._background_lost = True

    def drop(self, model_id: str) -> None:
        """The model has changed or is gone."""
        with self._mutex:
            for epoch in (self._epoch, self._next):
                if epoch:
                    epoch.taught.pop(model_id, None)

    def is_ready(self, model: Model) -> bool:
        """Whether `predictor` only has to hand out what it has: no label is new, and no name unread."""
        epoch = self._epoch
        if epoch is None or self._stale(epoch) or (taught := epoch.taught.get(model.id)) is None:
            return False
        if taught.predictor is None or taught.pending or taught.lock.locked():
            return False
        return (taught.model == model or model.id == BUILT_IN_MODEL) and self.names.are_read(model.concept_ids)

    def predictor(self, model: Model) -> Predictor:
        """What the model knows now, every committed label included."""
        texts = self.names.said(model.concept_ids)
        taught = self._taught(self._current_epoch(), model)
        with taught.lock:
            return self._catch_up(taught, texts)

    def leave_one_out(self, model: Model, keys: KeyArray) -> tuple[tuple[str, ...], Array]:
        """Concept ids and (n, C) probabilities, each labelled input judged by the model without it."""
        texts = self.names.said(model.concept_ids)
        taught = self._taught(self._current_epoch(), model)
        with taught.lock:
            predictor = self._catch_up(taught, texts)
            assert taught.scorer
            left_out = taught.scorer.leave_one_out(keys)
        # What takes long is done on copies, while others label and predict.
        return predictor.concept_ids, _rounded(left_out())

    def leave_one_out_with(self, labels: Mapping[str, Mapping[int, bool]]) -> LeaveOneOut:
        """The same for a model taught with other labels than the present ones."""

        def judge(model: Model, keys: KeyArray) -> tuple[tuple[str, ...], Array]:
            known = self._current_epoch().examples
            # Examples of its own: others would be scored along, and these would stay.
            examples = Examples(known.space, known.background, known.fetch)
            scorer = _scorer(examples, model, tuple(labels), labels)
            scorer.read(self.names.said(labels))
            if model.mutually_exclusive and model.closed_environment and not _any_taught(labels, keys):
                # Without a background there is nothing to leave out.
                predictor = scorer.predictor()
                return predictor.concept_ids, predictor.values(_vectors(self._collection, keys)).astype(np.float64)
            return scorer.predictor().concept_ids, _rounded(scorer.leave_one_out(keys)())

        return judge

    def present(self, keys: KeyArray) -> tuple[KeyArray, FloatArray]:
        """Those of the keys that are there, and their vectors; others may be deleted at any moment."""
        return self._collection.present(keys)

    def _catch_up(self, taught: _Taught, texts: Texts) -> Predictor:
        """The caller holds the model's lock, and nothing that other models need."""
        try:
            return self._take_in(taught, texts)
        except BaseException:
            # Half of the changes may be in.
            taught.scorer = None
            raise

    def _take_in(self, taught: _Taught, texts: Texts) -> Predictor:
        if taught.scorer is None:
            taught.predictor, taught.texts = None, {}
            taught.scorer = self._scorer(taught)
        with self._mutex:
            pending, taught.pending = taught.pending, []
        for change in pending:
            if taught.model.id == BUILT_IN_MODEL and isinstance(taught.scorer, IndependentScorer):
                taught.scorer.add_concept(change.concept_id)
            taught.scorer.set(change.key, change.concept_id, change.value)
        if read := not _same(texts, taught.texts):
            taught.scorer.read(texts)
            taught.texts = texts
        if pending or read or taught.predictor is None:
            taught.predictor = taught.scorer.predictor().after(taught.predictor)
        return taught.predictor

    def _taught(self, epoch: _Epoch, model: Model) -> _Taught:
        with self._mutex:
            taught = epoch.taught.get(model.id)
            if taught is None or (taught.model != model and model.id != BUILT_IN_MODEL):
                taught = epoch.taught[model.id] = _Taught(model, epoch.examples)
        return taught

    def _scorer(self, taught: _Taught) -> Scorer:
        """One that knows the labels of this moment."""
        model = taught.model
        with self._mutex:
            concepts = list(self._labels) if model.id == BUILT_IN_MODEL else model.concept_ids
            labels = {concept: dict(self._labels.get(concept, ())) for concept in concepts}
            taught.pending = []
        return _scorer(taught.examples, model, list(labels), labels)

    def _current_epoch(self) -> _Epoch:
        epoch = self._epoch
        if epoch and not self._stale(epoch):
            return epoch
        if epoch and self._count_labels() >= _SLOW_RENEWAL:
            if self._renewing.acquire(blocking=False):
                threading.Thread(target=self._renew_aside, args=(epoch,), name="tenshot-space", daemon=True).start()
            return epoch
        with self._renewing:
            if self._epoch is None or self._stale(self._epoch):
                self._publish(self._fresh_epoch())
            assert self._epoch
            return self._epoch

    def _count_labels(self) -> int:
        with self._mutex:
            return sum(map(len, self._labels.values()))

    def _renew_aside(self, old: _Epoch) -> None:
        try:
            fresh = self._next = self._fresh_epoch()
            for taught in list(old.taught.values()):
                with (renewed := self._taught(fresh, taught.model)).lock:
                    self._catch_up(renewed, taught.texts)
            self._publish(fresh)
        finally:
            self._next = None
            self._renewing.release()

    def _publish(self, epoch: _Epoch) -> None:
        with self._mutex:
            self._epoch, self._next = epoch, None
        # Deletions since it was begun; later ones come by `forget`.
        if not self._collection.contains(epoch.record.background).all():
            self._background_lost = True

    def _stale(self, epoch: _Epoch) -> bool:
        return self._background_lost or len(self._collection) >= max(
            _GROWTH * epoch.record.count, epoch.record.count + 1
        )

    def _fresh_epoch(self) -> _Epoch:
        self._background_lost = False
        seq, count = self._collection.applied, len(self._collection)
        _, vectors = self.present(self._collection.sample(_MEAN_SAMPLE))
        space = Space.fit(vectors, self._choose_power(vectors))
        return self._epoch_of(
            SpaceRecord(
                seq=seq,
                count=count,
                power=space.power,
                mean=space.mean,
                background=self._collection.sample(BACKGROUND_SIZE),
            )
        )

    def _epoch_of(self, record: SpaceRecord) -> _Epoch:
        present, vectors = self.present(record.background)
        space = Space(record.mean, record.power).smoothed(vectors)
        return _Epoch(
            record, Examples(space, Background(present, space.prepare(vectors)), partial(_vectors, self._collection))
        )

    def _choose_power(self, vectors: FloatArray) -> float:
        if self._power is not None:
            return self._power
        return 0.5 if vectors.size and vectors.min() >= 0 else 1.0


def _vectors(collection: VectorIndex, keys: KeyArray) -> FloatArray:
    """(n, dim), zeros for inputs that are gone and whose labels are about to be forgotten."""
    present, vectors = collection.present(keys)
    rows = np.zeros((len(keys), collection.dim), dtype=np.float32)
    rows[np.isin(keys, present)] = vectors
    return rows


def _scorer(
    examples: Examples, model: Model, concept_ids: Sequence[str], labels: Mapping[str, Mapping[int, bool]]
) -> Scorer:
    return scorer_of(
        examples,
        concept_ids,
        labels,
        mutually_exclusive=model.mutually_exclusive,
        closed_environment=model.closed_environment,
    )


def _rounded(probabilities: Array) -> Array:
    """In single precision, as predictions are: a threshold that is chosen here is held against those."""
    return probabilities.astype(np.float32).astype(np.float64)


def _same(texts: Texts, others: Texts) -> bool:
    return texts.keys() == others.keys() and all(direction is others[concept] for concept, direction in texts.items())


def _any_taught(labels: Mapping[str, Mapping[int, bool]], keys: KeyArray) -> bool:
    return any(not values.keys().isdisjoint(keys.tolist()) for values in labels.values())


def evenly(keys: KeyArray, most: int) -> KeyArray:
    """At most so many of the keys, evenly spread over them, so that early and late inputs count alike."""
    if len(keys) <= most:
        return keys
    return keys[np.linspace(0, len(keys) - 1, most).astype(np.int64)]
