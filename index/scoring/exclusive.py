"""One joint model of concepts of which every image shows exactly one (scoring recipe, section 3), small and large."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import KeyArray
from .calibration import fit_temperature
from .concept import LABEL_NOISE
from .examples import Array, Examples, similarity_kernel
from .large import DUAL_LIMIT, NEIGHBOUR_WEIGHT, LargeFit, Taught, WithoutSelf, log_means, spread
from .predictor import LargePart, Predictor
from .ridge import KernelRidge

FEW = 16
"""More pending changes than this are cheaper to take in by one fresh solution."""


class ExclusiveLabels:
    """What each labelled input says of all concepts at once."""

    def __init__(self, concept_ids: Sequence[str], labels: Mapping[str, Mapping[int, bool]]) -> None:
        self.concept_ids = tuple(concept_ids)
        self._by_key: dict[int, dict[str, bool]] = {}
        self._positives = dict.fromkeys(concept_ids, 0)
        for concept in concept_ids:
            for key, value in labels.get(concept, {}).items():
                self.set(key, concept, value)

    def __len__(self) -> int:
        """How many inputs have a label."""
        return len(self._by_key)

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        labels = self._by_key.setdefault(key, {})
        self._positives[concept_id] += (value is True) - (labels.get(concept_id) is True)
        if value is None:
            labels.pop(concept_id, None)
        else:
            labels[concept_id] = value
        if not labels:
            del self._by_key[key]

    def active(self) -> NDArray[np.int64]:
        """Numbers of the concepts that have a positive label."""
        return np.flatnonzero([self._positives[concept] > 0 for concept in self.concept_ids])

    def targets(self) -> dict[int, Array]:
        """Every input that teaches something, in the order of keys: the same whatever order the labels came in."""
        return {key: target for key in sorted(self._by_key) if (target := self.target(key)) is not None}

    def target(self, key: int) -> Array | None:
        """(C + 1,): the share of each concept, summing to one, then a one that carries the centring. None: no news.

        Several yeses share; with noes only, the concepts that remain share.
        """
        labels = self._by_key.get(key, {})
        shown = [labels.get(concept) for concept in self.concept_ids]
        chosen = [value is True for value in shown] if True in shown else [value is None for value in shown]
        if not labels or not any(chosen):
            return None
        return np.append(np.array(chosen, dtype=np.float64) / sum(chosen), 1.0)

    def group(self, key: int) -> int:
        """The number of the first concept that it is said to show, -1 for none."""
        labels = self._by_key.get(key, {})
        return next((c for c, concept in enumerate(self.concept_ids) if labels.get(concept)), -1)

    def signs(self, key: int) -> list[float]:
        """(C,): 1 for each concept labelled yes, -1 for no, 0 for neither."""
        labels = self._by_key.get(key, {})
        return [{True: 1.0, False: -1.0, None: 0.0}[labels.get(concept)] for concept in self.concept_ids]


def centred(outputs: Array, columns: NDArray[np.int64]) -> Array:
    """Solutions for one-hot targets -> for targets minus 1/C: linear, so C may change without solving again."""
    return np.asarray(outputs[:, columns] - outputs[:, -1:] / max(len(columns), 1))


def temperature(scores: Array, targets: Array) -> float:
    """Fitted on concepts with two images or more: the only image of a concept can't be judged by the others.

    scores, targets: (n, C) of the active concepts.
    """
    judged = targets @ (targets.sum(axis=0) >= 2) > 0.999
    return fit_temperature(scores[judged], targets[judged])


class ExclusiveScorer:
    """Kernel ridge regression on all labelled images."""

    def __init__(
        self, examples: Examples, concept_ids: Sequence[str], labels: Mapping[str, Mapping[int, bool]]
    ) -> None:
        self._examples = examples
        self._labels = ExclusiveLabels(concept_ids, labels)
        self._ridge: KernelRidge | None = None
        self._slot: dict[int, int] = {}
        self._changed: set[int] = set()

    @property
    def fits(self) -> bool:
        return len(self._labels) <= DUAL_LIMIT

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id in self._labels.concept_ids:
            self._labels.set(key, concept_id, value)
            self._changed.add(key)

    def predictor(self) -> Predictor:
        ridge = self._refresh()
        columns = self._labels.active()
        examples = self._examples
        keys, rows = examples.all()
        slots = np.flatnonzero(self._rows >= 0)
        votes = np.zeros((len(keys), len(columns)))
        votes[self._rows[slots]] = centred(ridge.alpha[slots], columns)
        signs = np.zeros_like(votes)
        signs[self._rows[slots]] = self._signs[np.ix_(slots, columns)]
        return Predictor(
            space=examples.space,
            concept_ids=tuple(self._labels.concept_ids[column] for column in columns),
            keys=keys,
            rows=rows,
            votes=csc_array(votes),
            background_rows=examples.background.rows[:0],
            background_votes=np.empty((0, len(columns))),
            positive=csc_array(signs),
            temperature=temperature(centred(ridge.leave_one_out()[slots], columns), ridge.targets[slots][:, columns]),
            curves=(),
            mutually_exclusive=True,
            low_confidence=np.full(len(columns), len(columns) < 2),
        )

    def leave_one_out(self, keys: KeyArray) -> Array:
        predictor = self.predictor()
        scores = predictor.scores(self._examples.vectors(keys.tolist()))
        without = centred(self._refresh().leave_one_out(), self._labels.active())
        for i, key in enumerate(keys.tolist()):
            if key in self._slot:
                scores[i] = without[self._slot[key]]
        return predictor.probabilities(scores)

    def _refresh(self) -> KernelRidge:
        if self._ridge is None or len(self._changed) > FEW:
            self._ridge = self._build()
        else:
            for key in sorted(self._changed):
                self._follow(self._ridge, key)
        self._changed.clear()
        return self._ridge

    def _build(self) -> KernelRidge:
        targets = self._labels.targets()
        self._slot = {key: slot for slot, key in enumerate(targets)}
        vectors = self._examples.vectors(targets)
        stacked = np.array(list(targets.values())).reshape(-1, len(self._labels.concept_ids) + 1)
        ridge = KernelRidge(similarity_kernel(vectors @ vectors.T), LABEL_NOISE, stacked)
        free = ridge.capacity - len(targets)
        self._rows = np.pad(self._examples.rows(targets), (0, free), constant_values=-1)
        self._signs = np.zeros((ridge.capacity, len(self._labels.concept_ids)))
        for key, slot in self._slot.items():
            self._signs[slot] = self._labels.signs(key)
        return ridge

    def _follow(self, ridge: KernelRidge, key: int) -> None:
        target, slot = self._labels.target(key), self._slot.get(key)
        if slot is None and target is not None:
            slot = self._slot[key] = self._add(ridge, key, target)
        elif slot is not None and target is None:
            ridge.remove(slot)
            self._rows[slot] = -1
            del self._slot[key]
        elif slot is not None and target is not None:
            ridge.retarget(slot, target)
        if slot is not None:
            self._signs[slot] = self._labels.signs(key)

    def _add(self, ridge: KernelRidge, key: int, target: Array) -> int:
        row = self._examples.rows([key])[0]
        vector = self._examples.matrix[row]
        taken = np.flatnonzero(self._rows >= 0)
        column = np.zeros(ridge.capacity)
        column[taken] = similarity_kernel(self._examples.matrix[self._rows[taken]] @ vector)
        slot = ridge.add(column, float(similarity_kernel(vector @ vector)), target)
        if grown := ridge.capacity - len(self._rows):
            self._rows = np.pad(self._rows, (0, grown), constant_values=-1)
            self._signs = np.pad(self._signs, ((0, grown), (0, 0)))
        self._rows[slot] = row
        return slot


class LargeExclusiveScorer:
    """The same answers to expect from more labels than a kernel matrix should hold: prototypes fused with kNN."""

    def __init__(
        self, examples: Examples, concept_ids: Sequence[str], labels: Mapping[str, Mapping[int, bool]]
    ) -> None:
        self._examples = examples
        self._labels = ExclusiveLabels(concept_ids, labels)
        taught = {key: Taught(target, self._labels.group(key)) for key, target in self._labels.targets().items()}
        self._fit = LargeFit(examples, taught, len(concept_ids))
        self._changed: set[int] = set()

    @property
    def fits(self) -> bool:
        return len(self._labels) > DUAL_LIMIT

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id in self._labels.concept_ids:
            self._labels.set(key, concept_id, value)
            self._changed.add(key)

    def predictor(self) -> Predictor:
        self._refresh()
        columns = self._labels.active()
        judges = self._fit.judges()
        scales = _scales(judges, columns)
        scores = _scores(judges, columns, scales)
        examples = self._examples
        keys, rows = examples.all()
        members = self._fit.members(len(keys))[:, columns]
        weights = centred(self._fit.weights, columns)
        none = csc_array((len(keys), len(columns)))
        return Predictor(
            space=examples.space,
            concept_ids=tuple(self._labels.concept_ids[column] for column in columns),
            keys=keys,
            rows=rows,
            votes=none,
            background_rows=examples.background.rows[:0],
            background_votes=np.empty((0, len(columns))),
            positive=members.sign(),
            temperature=temperature(scores, judges.targets[:, columns]),
            curves=(),
            mutually_exclusive=True,
            low_confidence=np.full(len(columns), len(columns) < 2),
            large=LargePart(
                columns=np.arange(len(columns)),
                prototypes=(weights / scales[0]).astype(np.float32),
                members=members,
                others=none,
                neighbour_scale=np.full(len(columns), NEIGHBOUR_WEIGHT / scales[1]),
                contrast=False,
            ),
        )

    def leave_one_out(self, keys: KeyArray) -> Array:
        predictor = self.predictor()
        columns = self._labels.active()
        scores = predictor.scores(self._examples.vectors(keys.tolist()))
        known = [i for i, key in enumerate(keys.tolist()) if key in self._fit]
        without = self._fit.leave_one_out(keys[known].tolist())
        scores[known] = _scores(without, columns, _scales(self._fit.judges(), columns))
        return predictor.probabilities(scores)

    def _refresh(self) -> None:
        for key in sorted(self._changed):
            target = self._labels.target(key)
            self._fit.set(key, None if target is None else Taught(target, self._labels.group(key)))
        self._changed.clear()


def _scales(judges: WithoutSelf, columns: NDArray[np.int64]) -> tuple[float, float]:
    """The spreads of prototype and neighbour outputs over the judges."""
    return spread(centred(judges.prototype, columns)), spread(log_means(judges.neighbours[:, columns]))


def _scores(without: WithoutSelf, columns: NDArray[np.int64], scales: tuple[float, float]) -> Array:
    neighbours = log_means(without.neighbours[:, columns])
    return np.asarray(centred(without.prototype, columns) / scales[0] + NEIGHBOUR_WEIGHT * neighbours / scales[1])
