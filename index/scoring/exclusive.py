"""One joint model of concepts of which every image shows exactly one (scoring recipe, section 3)."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, KeyArray
from .calibration import DEFAULT_TEMPERATURE, Temperature, fit_temperature
from .examples import Array, Examples, Labels, Later, Texts, similarity_kernel
from .landmarks import FEW_LEFT, LANDMARKS, LandmarkFit
from .link import Softmax
from .predictor import Predictor, sparse_columns
from .ridge import FEW, LABEL_NOISE, KernelRidge
from .sample import Sample
from .terms import KernelVotes, TextTerm
from .text_prior import TextPrior

SHARPNESSES = (1.0, 0.25)
"""Of the kernel: one that sees near images, and one that is nearly linear."""
CALIBRATION_SIZE = 256
"""So many images choose the space, the kernel and the temperature."""

F = TypeVar("F", np.float32, np.float64)


class ExclusiveLabels:
    """What each labelled input says of all concepts at once."""

    def __init__(self, concept_ids: Sequence[str], labels: Labels) -> None:
        self.concept_ids = tuple(concept_ids)
        self.column = {concept: column for column, concept in enumerate(self.concept_ids)}
        self._by_key: dict[int, dict[str, bool]] = {}
        self._by_column: list[dict[int, bool]] = [{} for _ in self.concept_ids]
        self._positives = dict.fromkeys(concept_ids, 0)
        for concept in concept_ids:
            for key, value in labels.get(concept, {}).items():
                self.set(key, concept, value)

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        labels = self._by_key.setdefault(key, {})
        self._positives[concept_id] += (value is True) - (labels.get(concept_id) is True)
        of_concept = self._by_column[self.column[concept_id]]
        if value is None:
            labels.pop(concept_id, None)
            of_concept.pop(key, None)
        else:
            labels[concept_id] = of_concept[key] = value
        if not labels:
            del self._by_key[key]

    def active(self, keys: Iterable[int] | None = None) -> NDArray[np.int64]:
        """Numbers of the concepts that have a positive label, on one of these inputs if they are named."""
        if keys is not None:
            return np.array(sorted({self.column[c] for key in keys for c in self._yes(key)}), dtype=np.int64)
        return np.flatnonzero([self._positives[concept] > 0 for concept in self.concept_ids])

    def competing(self, text: TextPrior | None) -> NDArray[np.int64]:
        """The same, or all concepts where their names say something."""
        return np.arange(len(self.concept_ids)) if text else self.active()

    def teaching(self) -> list[int]:
        """Inputs that teach something, ascending: the same order whatever order the labels came in."""
        return [key for key in sorted(self._by_key) if self.teaches(key)]

    def teaches(self, key: int) -> bool:
        """Whether anything is said of it that leaves some concept."""
        labels = self._by_key.get(key, {})
        return bool(labels) and (True in labels.values() or len(labels) < len(self.concept_ids))

    def targets(self, keys: Sequence[int]) -> FloatArray:
        """(n, C + 1) of inputs that teach something: the share of each concept, summing to one, then a one that carries
        the centring.

        Several yeses share; with noes only, the concepts that remain share.
        """
        targets = np.zeros((len(keys), len(self.concept_ids) + 1), dtype=np.float32)
        targets[:, -1] = 1
        for target, key in zip(targets, keys, strict=True):
            if yes := self._yes(key):
                target[[self.column[concept] for concept in yes]] = 1 / len(yes)
            else:
                noes = [self.column[concept] for concept in self._by_key[key]]
                target[:-1] = 1 / (len(self.concept_ids) - len(noes))
                target[noes] = 0
        return targets

    def group(self, key: int) -> int:
        """The number of the first concept that it is said to show; one more for all that show none."""
        return min((self.column[concept] for concept in self._yes(key)), default=len(self.concept_ids))

    def signs(self, column: int) -> dict[int, bool]:
        """What is said of one concept: input key -> yes or no."""
        return self._by_column[column]

    def _yes(self, key: int) -> list[str]:
        return [concept for concept, value in self._by_key.get(key, {}).items() if value]


def centred(outputs: NDArray[F], columns: NDArray[np.int64]) -> NDArray[F]:
    """Solutions for one-hot targets -> for targets minus 1/C: linear, so C may change without solving again."""
    return np.subtract(_chosen(outputs, columns), outputs[:, -1:] / max(len(columns), 1))


def _chosen(matrix: NDArray[F], columns: NDArray[np.int64]) -> NDArray[F]:
    """These of the first columns: a view where it is all of them, since picking them one by one takes long."""
    if len(columns) and len(columns) == columns[-1] + 1:
        return matrix if len(columns) == matrix.shape[1] else matrix[:, : len(columns)]
    return matrix[:, columns]


def temperature(scores: Array, targets: Array, said: Array | None = None) -> Temperature:
    """Fitted on concepts with two images or more: the only image of a concept can't be judged by the others.

    scores, targets, said (log-odds by words): (n, C) of the active concepts.
    """
    if said is not None and not len(scores):
        return Temperature(DEFAULT_TEMPERATURE, 0.0, text_share=1.0)
    judged = targets @ (targets.sum(axis=0) >= 2) > 0.999
    return fit_temperature(scores[judged], targets[judged], None if said is None else said[judged])


def text_prior(concept_ids: Sequence[str], texts: Texts, examples: Examples) -> TextPrior | None:
    """Of all the concepts, which compete; None unless the names of all say something."""
    if not concept_ids or any(concept not in texts for concept in concept_ids):
        return None
    return TextPrior(np.stack([texts[concept] for concept in concept_ids], axis=1), examples.fetch)


def scaled(text: TextPrior, fitted: Temperature) -> FloatArray:
    """(dim, C): directions of names, to be added to the scores before the softmax."""
    return text.directions * np.float32(fitted.text_share / fitted.value)


@dataclass(frozen=True)
class CalibrationSubset:
    """Images that choose the space, the kernel and the temperature."""

    keys: Sequence[int]
    """(n,) ascending."""
    targets: FloatArray
    """(n, C + 1)"""
    active: NDArray[np.int64]
    """Numbers of the concepts that one of them shows."""


class KernelFit:
    """Kernel ridge regression by a kernel matrix of all inputs, which answers as a `LandmarkFit` does."""

    def __init__(self, examples: Examples, keys: Sequence[int], targets: FloatArray, sharpness: float) -> None:
        self._examples = examples
        self._sharpness = sharpness
        self.slot = {key: slot for slot, key in enumerate(keys)}
        vectors = examples.vectors(keys)
        self._ridge = KernelRidge(
            similarity_kernel(vectors @ vectors.T, sharpness), LABEL_NOISE, targets.astype(np.float64)
        )
        self._rows = np.pad(examples.rows(keys), (0, self._ridge.capacity - len(keys)), constant_values=-1)

    @property
    def voters(self) -> tuple[NDArray[np.int64], Array]:
        """Rows (n,) of the examples, and their votes (n, T)."""
        slots = np.flatnonzero(self._rows >= 0)
        return self._rows[slots], self._ridge.alpha[slots]

    def left_out(self, keys: Iterable[int]) -> Array:
        """(n, T): what the others predict."""
        return self._ridge.leave_one_out()[[self.slot[key] for key in keys]]

    def leave_one_out(self, keys: Iterable[int]) -> Later:
        """The same; it takes no long here."""
        scores = self.left_out(keys)
        return lambda: scores

    def set(self, key: int, target: Array | None, group: int = 0) -> None:
        """Takes in, changes or (None) forgets what is taught of one input."""
        slot = self.slot.get(key)
        if slot is None and target is not None:
            self.slot[key] = self._add(key, target)
        elif slot is not None and target is None:
            self._ridge.remove(slot)
            self._rows[slot] = -1
            del self.slot[key]
        elif slot is not None and target is not None:
            self._ridge.retarget(slot, target)

    def _add(self, key: int, target: Array) -> int:
        row = self._examples.rows([key])[0]
        vector = self._examples.matrix[row]
        slots = np.flatnonzero(self._rows >= 0)
        column = np.zeros(self._ridge.capacity)
        column[slots] = similarity_kernel(self._examples.matrix[self._rows[slots]] @ vector, self._sharpness)
        slot = self._ridge.add(column, float(similarity_kernel(vector @ vector, self._sharpness)), target)
        if grown := self._ridge.capacity - len(self._rows):
            self._rows = np.pad(self._rows, (0, grown), constant_values=-1)
        self._rows[slot] = row
        return slot


class ExclusiveFit:
    """The regression on some of the inputs in one space with one kernel, in the form that is right for so many."""

    kernel: KernelFit | LandmarkFit

    def __init__(self, examples: Examples, sharpness: float, labels: ExclusiveLabels, taught: Collection[int]) -> None:
        self.examples = examples
        self.sharpness = sharpness
        self.changed: set[int] = set()
        """Keys that may have other labels since, or that may be taught now or no more."""
        self._labels = labels
        self._text: TextPrior | None = None
        self._temperature: Temperature | None = None
        self._build(taught, LANDMARKS)

    def follow(self, taught: Collection[int]) -> None:
        """Takes in what has changed; these are the inputs that are taught now."""
        keys, large = self.kernel.slot.keys(), isinstance(self.kernel, LandmarkFit)
        most, few = (FEW_LEFT, max(FEW, len(keys) // 16)) if large else (LANDMARKS, FEW)
        changed = sorted(key for key in self.changed if key in keys or key in taught)
        self.changed.clear()
        # More changes than a few are cheaper to take in by one fresh solution.
        if len(changed) > few or (len(taught) > most) is not large:
            self._build(taught, most)
        else:
            for key in changed:
                target = self._labels.targets([key])[0].astype(np.float64) if key in taught else None
                self.kernel.set(key, target, self._labels.group(key))
                self._temperature = None

    def read(self, text: TextPrior | None) -> None:
        """The names of the concepts say this."""
        if text is not self._text:
            self._text, self._temperature = text, None

    def temperature(self, subset: CalibrationSubset, columns: NDArray[np.int64]) -> Temperature:
        """Fitted on the subset, for these concepts; its loss says how well this space and kernel suit the labels."""
        if self._temperature is None:
            self._temperature = temperature(
                centred(self.kernel.left_out(subset.keys), columns),
                _chosen(subset.targets, columns).astype(np.float64),
                None if self._text is None else self._text.of(subset.keys),
            )
        return self._temperature

    def _build(self, taught: Collection[int], most: int) -> None:
        # In the order of keys, so that the same labels give the same numbers whatever order they came in.
        keys, self._temperature = sorted(taught), None
        targets = self._labels.targets(keys)
        if len(keys) <= most:
            self.kernel = KernelFit(self.examples, keys, targets, self.sharpness)
        else:
            groups = [self._labels.group(key) for key in keys]
            self.kernel = LandmarkFit(
                self.examples, keys, targets, groups, subset=CALIBRATION_SIZE, sharpness=self.sharpness
            )


class ExclusiveScorer:
    """The one of a few fits that suits the labels best, chosen by leave-one-out log loss.

    Every fit follows a *calibration subset*: all images that teach something, or with many of them a pseudo-random
    choice, which depends on the keys alone. So the choice, too, is the same whatever order the labels came in, and
    costs little.
    """

    def __init__(self, examples: Examples, concept_ids: Sequence[str], labels: Labels) -> None:
        self._examples = examples
        spaces = dict.fromkeys((examples, examples.plain))
        self._settings = [(space, sharpness) for sharpness in SHARPNESSES for space in spaces]
        self._labels = ExclusiveLabels(concept_ids, labels)
        self._teaching = dict.fromkeys(self._labels.teaching(), 0)
        self._sample = Sample(self._teaching, CALIBRATION_SIZE)
        self._changed: set[int] = set()
        self._subset = CalibrationSubset([], self._labels.targets([]), self._labels.active([]))
        self._fits: list[ExclusiveFit] = []
        """Of the calibration subset alone, one for each setting."""
        self._wholes: list[ExclusiveFit] = []
        """Of all that teach: the last two that were wanted, for two that suit the labels alike may take turns."""
        self._text: TextPrior | None = None
        self._columns: dict[int, tuple[NDArray[np.int64], Array]] = {}
        self._columns_of: Examples | None = None

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id in self._labels.concept_ids:
            self._labels.set(key, concept_id, value)
            self._changed.add(key)
            self._columns.pop(self._labels.column[concept_id], None)

    def read(self, texts: Texts) -> None:
        self._text = text_prior(self._labels.concept_ids, texts, self._examples)

    def predictor(self) -> Predictor:
        fit, fitted = self._refresh()
        columns = self._labels.competing(self._text)
        signs = self._signs(fit.examples, columns)
        keys, rows = fit.examples.all()
        voters, votes = fit.kernel.voters
        # In the order of keys: after a restart the same sums are made.
        order = np.argsort(keys[voters])
        return Predictor(
            space=fit.examples.space,
            concept_ids=tuple(self._labels.concept_ids[column] for column in columns),
            keys=keys,
            rows=rows,
            positive=sparse_columns(signs, len(keys)),
            terms=(
                KernelVotes(rows, voters[order], centred(votes[order], columns), fit.sharpness),
                *([TextTerm(scaled(self._text, fitted))] if self._text else []),
            ),
            link=Softmax(fitted.value),
            low_confidence=np.full(len(columns), len(columns) < 2),
        )

    def leave_one_out(self, keys: KeyArray) -> Later:
        predictor, (fit, _) = self.predictor(), self._refresh()
        columns = self._labels.competing(self._text)
        taught = np.array([key in fit.kernel.slot for key in keys.tolist()], dtype=np.bool_)
        left_out = fit.kernel.leave_one_out(keys[taught].tolist())

        def judged() -> Array:
            scores = np.empty((len(keys), len(predictor.concept_ids)))
            scores[taught] = centred(left_out(), columns)
            scores[~taught] = predictor.scores(fit.examples.vectors(keys[~taught].tolist()))
            return predictor.probabilities(scores + predictor.prior_of(keys, self._examples.fetch))

        return judged

    def _signs(self, examples: Examples, columns: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], Array]]:
        """Of each column: rows (k,) of the examples that have a label, and 1 for yes, -1 for no."""
        if examples is not self._columns_of:
            self._columns, self._columns_of = {}, examples
        for column in columns.tolist():
            if column not in self._columns:
                said = self._labels.signs(column)
                values = np.fromiter(said.values(), dtype=np.bool_, count=len(said))
                self._columns[column] = examples.rows(said), np.where(values, 1.0, -1.0)
        return [self._columns[column] for column in columns.tolist()]

    def _refresh(self) -> tuple[ExclusiveFit, Temperature]:
        """The fit that suits the labels best, all changes taken in, and its temperature."""
        if not self._fits or self._changed:
            self._subset = self._take_in()
        for fit in self._fits:
            fit.read(self._text)
        columns = self._labels.competing(self._text) if self._text else self._subset.active
        best = min(self._fits, key=lambda fit: fit.temperature(self._subset, columns).loss)
        if len(self._teaching) <= CALIBRATION_SIZE:
            return best, best.temperature(self._subset, columns)
        whole = self._whole(best)
        whole.read(self._text)
        return whole, whole.temperature(self._subset, self._labels.competing(self._text))

    def _whole(self, best: ExclusiveFit) -> ExclusiveFit:
        """Of all that teach, in the same space with the same kernel."""
        like = [w for w in self._wholes if w.examples is best.examples and w.sharpness == best.sharpness]
        [whole] = like or [ExclusiveFit(best.examples, best.sharpness, self._labels, self._teaching)]
        whole.follow(self._teaching)
        self._wholes = [*[other for other in self._wholes if other is not whole][-1:], whole]
        return whole

    def _take_in(self) -> CalibrationSubset:
        changed = sorted(self._changed)
        self._changed.clear()
        moved = set(changed)
        for key in changed:
            teaches = self._labels.teaches(key)
            moved.update(*self._sample.set(key, 0 if teaches else None))
            if teaches:
                self._teaching[key] = 0
            else:
                self._teaching.pop(key, None)
        subset = self._sample.chosen
        members = set(subset)
        for fit in self._fits:
            fit.changed |= moved
            fit.follow(members)
        if not self._fits:
            self._fits = [ExclusiveFit(space, sharpness, self._labels, subset) for space, sharpness in self._settings]
        for whole in self._wholes:
            whole.changed.update(changed)
        if self._subset.keys == subset and members.isdisjoint(changed):
            return self._subset
        known = dict(zip(self._subset.keys, self._subset.targets, strict=True))
        new = [key for key in subset if key in moved or key not in known]
        known.update(zip(new, self._labels.targets(new), strict=True))
        targets = np.stack([known[key] for key in subset]) if subset else self._subset.targets[:0]
        return CalibrationSubset(subset, targets, self._labels.active(subset))
