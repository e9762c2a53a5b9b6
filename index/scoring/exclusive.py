"""One joint model of concepts of which every image shows exactly one (scoring recipe, section 3), small and large."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import FloatArray, KeyArray
from .calibration import DEFAULT_TEMPERATURE, Temperature, fit_temperature
from .concept import LABEL_NOISE
from .examples import Array, Examples, Labels, Texts, similarity_kernel
from .large import DUAL_LIMIT, NEIGHBOUR_WEIGHT, LargeFit, Taught, WithoutSelf, log_means, shuffled, spread
from .predictor import LargePart, Predictor
from .ridge import FEW, KernelRidge
from .text_prior import TextPrior

SHARPNESSES = (1.0, 0.25)
"""Of the kernel: one that sees near images, and one that is nearly linear."""
JURY = 256
"""So many images choose the space, the kernel and the temperature."""


T = TypeVar("T", NDArray[np.float32], Array, csc_array)
F = TypeVar("F", np.float32, np.float64)


class ExclusiveLabels:
    """What each labelled input says of all concepts at once."""

    def __init__(self, concept_ids: Sequence[str], labels: Labels) -> None:
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

    def competing(self, text: TextPrior | None) -> NDArray[np.int64]:
        """The same, or all concepts where their names say something."""
        return np.arange(len(self.concept_ids)) if text else self.active()

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


def centred(outputs: NDArray[F], columns: NDArray[np.int64]) -> NDArray[F]:
    """Solutions for one-hot targets -> for targets minus 1/C: linear, so C may change without solving again."""
    return np.subtract(_chosen(outputs, columns), outputs[:, -1:] / max(len(columns), 1))


def _chosen(matrix: T, columns: NDArray[np.int64]) -> T:
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


def texts_of(text: TextPrior | None, fitted: Temperature) -> FloatArray | None:
    """(dim, C): directions of names, scaled to be added to the scores before the softmax."""
    return None if text is None else text.directions * np.float32(fitted.text_share / fitted.value)


class ExclusiveFit:
    """Kernel ridge regression on all images that teach something, in one space with one kernel."""

    def __init__(
        self, examples: Examples, sharpness: float, labels: ExclusiveLabels, targets: Mapping[int, Array]
    ) -> None:
        """targets: input key -> target."""
        self.examples = examples
        self.sharpness = sharpness
        self._labels = labels
        self.slot = {key: slot for slot, key in enumerate(targets)}
        vectors = examples.vectors(targets)
        stacked = np.array(list(targets.values())).reshape(-1, len(labels.concept_ids) + 1)
        self.ridge = KernelRidge(similarity_kernel(vectors @ vectors.T, sharpness), LABEL_NOISE, stacked)
        self.rows = np.pad(examples.rows(targets), (0, self.ridge.capacity - len(targets)), constant_values=-1)
        self.signs = np.zeros((self.ridge.capacity, len(labels.concept_ids)))
        for key, slot in self.slot.items():
            self.signs[slot] = labels.signs(key)
        self._text: TextPrior | None = None
        self._temperature: Temperature | None = None

    def read(self, text: TextPrior | None) -> None:
        """The names of the concepts say this."""
        if text is not self._text:
            self._text, self._temperature = text, None

    def set(self, key: int, target: Array | None) -> None:
        """Takes in, changes or (None) forgets one image."""
        slot = self.slot.get(key)
        if slot is None and target is not None:
            slot = self.slot[key] = self._add(key, target)
        elif slot is not None and target is None:
            self.ridge.remove(slot)
            self.rows[slot] = -1
            del self.slot[key]
        elif slot is not None and target is not None:
            self.ridge.retarget(slot, target)
        if slot is not None:
            self.signs[slot] = self._labels.signs(key)
        self._temperature = None

    @property
    def temperature(self) -> Temperature:
        """Fitted on the jury; its loss says how well this space and kernel suit the labels."""
        if self._temperature is None:
            columns, jury = np.flatnonzero((self.signs[self.slots] > 0).any(axis=0)), _jury(self.slot)
            if self._text:
                columns = np.arange(self.signs.shape[1])
            slots = np.array([self.slot[key] for key in jury], dtype=np.int64)
            self._temperature = temperature(
                centred(self.ridge.leave_one_out()[slots], columns),
                self.ridge.targets[slots][:, columns],
                None if self._text is None else self._text.of(jury),
            )
        return self._temperature

    def like(self, other: "ExclusiveFit") -> bool:
        """Whether both have the same space and kernel."""
        return self.examples is other.examples and self.sharpness == other.sharpness

    @property
    def slots(self) -> NDArray[np.int64]:
        """(n,) those that are taken."""
        return np.flatnonzero(self.rows >= 0)

    def _add(self, key: int, target: Array) -> int:
        row = self.examples.rows([key])[0]
        vector = self.examples.matrix[row]
        taken = self.slots
        column = np.zeros(self.ridge.capacity)
        column[taken] = similarity_kernel(self.examples.matrix[self.rows[taken]] @ vector, self.sharpness)
        slot = self.ridge.add(column, float(similarity_kernel(vector @ vector, self.sharpness)), target)
        if grown := self.ridge.capacity - len(self.rows):
            self.rows = np.pad(self.rows, (0, grown), constant_values=-1)
            self.signs = np.pad(self.signs, ((0, grown), (0, 0)))
        self.rows[slot] = row
        return slot


class ExclusiveScorer:
    """The one of a few fits that suits the labels best, chosen by leave-one-out log loss.

    Every fit follows a *jury*: all images that teach something, or with many of them a pseudo-random choice, which
    depends on the keys alone. So the choice, too, is the same whatever order the labels came in, and costs little.
    """

    def __init__(self, examples: Examples, concept_ids: Sequence[str], labels: Labels) -> None:
        self._examples = examples
        spaces = dict.fromkeys((examples, examples.plain))
        self._settings = [(space, sharpness) for sharpness in SHARPNESSES for space in spaces]
        self._labels = ExclusiveLabels(concept_ids, labels)
        self._targets = self._labels.targets()
        self._changed: set[int] = set()
        self._jury: list[ExclusiveFit] = []
        self._whole: ExclusiveFit | None = None
        self._text: TextPrior | None = None

    @property
    def fits(self) -> bool:
        return len(self._labels) <= DUAL_LIMIT

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id in self._labels.concept_ids:
            self._labels.set(key, concept_id, value)
            self._changed.add(key)

    def read(self, texts: Texts) -> None:
        self._text = text_prior(self._labels.concept_ids, texts, self._examples)

    def predictor(self) -> Predictor:
        fit = self._refresh()
        columns, slots = self._labels.competing(self._text), fit.slots
        keys, rows = fit.examples.all()
        votes = np.zeros((len(keys), len(columns)))
        votes[fit.rows[slots]] = centred(fit.ridge.alpha[slots], columns)
        signs = np.zeros_like(votes)
        signs[fit.rows[slots]] = fit.signs[np.ix_(slots, columns)]
        return Predictor(
            space=fit.examples.space,
            concept_ids=tuple(self._labels.concept_ids[column] for column in columns),
            keys=keys,
            rows=rows,
            votes=csc_array(votes),
            background_rows=rows[:0],
            background_votes=np.empty((0, len(columns))),
            positive=csc_array(signs),
            temperature=fit.temperature.value,
            curves=(),
            mutually_exclusive=True,
            low_confidence=np.full(len(columns), len(columns) < 2),
            sharpness=fit.sharpness,
            texts=texts_of(self._text, fit.temperature),
        )

    def leave_one_out(self, keys: KeyArray) -> Array:
        predictor, fit = self.predictor(), self._refresh()
        taught = np.array([key in fit.slot for key in keys.tolist()], dtype=np.bool_)
        slots = [fit.slot[key] for key in keys[taught].tolist()]
        scores = np.empty((len(keys), len(predictor.concept_ids)))
        scores[taught] = centred(fit.ridge.leave_one_out()[slots], self._labels.competing(self._text))
        scores[~taught] = predictor.scores(fit.examples.vectors(keys[~taught].tolist()))
        return predictor.probabilities(scores + predictor.text_prior_of(keys, self._examples.fetch))

    def _refresh(self) -> ExclusiveFit:
        """The fit that suits the labels best, all changes taken in."""
        if not self._jury or self._changed:
            self._take_in()
        for fit in self._jury:
            fit.read(self._text)
        best = min(self._jury, key=lambda fit: fit.temperature.loss)
        if len(self._targets) <= JURY:
            return best
        if self._whole is None or not self._whole.like(best):
            self._whole = self._build(best.examples, best.sharpness, self._targets)
        self._whole.read(self._text)
        return self._whole

    def _take_in(self) -> None:
        changes = {key: self._labels.target(key) for key in sorted(self._changed)}
        self._changed.clear()
        for key, target in changes.items():
            if target is None:
                self._targets.pop(key, None)
            else:
                self._targets[key] = target
        jury = {key: self._targets[key] for key in _jury(self._targets)}
        if self._jury:
            self._jury = [self._follow(fit, changes, jury) for fit in self._jury]
        else:
            self._jury = [self._build(examples, sharpness, jury) for examples, sharpness in self._settings]
        if self._whole:
            self._whole = self._follow(self._whole, changes, self._targets)

    def _follow(
        self, fit: ExclusiveFit, changes: Mapping[int, Array | None], targets: Mapping[int, Array]
    ) -> ExclusiveFit:
        """The fit of these targets, from one that does not know the changes."""
        changed = (changes.keys() & (fit.slot.keys() | targets.keys())) | (fit.slot.keys() ^ targets.keys())
        if len(changed) > FEW:
            return self._build(fit.examples, fit.sharpness, targets)
        for key in sorted(changed):
            fit.set(key, targets.get(key))
        return fit

    def _build(self, examples: Examples, sharpness: float, targets: Mapping[int, Array]) -> ExclusiveFit:
        # In the order of keys, so that the same labels give the same numbers whatever order they came in.
        return ExclusiveFit(examples, sharpness, self._labels, dict(sorted(targets.items())))


def _jury(keys: Collection[int]) -> list[int]:
    """At most `JURY` of the keys, ascending: the first of a pseudo-random order, which depends on the keys alone."""
    numbers = np.fromiter(keys, dtype=np.int64, count=len(keys))
    return sorted(numbers[np.argsort(shuffled(numbers))[:JURY]].tolist())


def exclusive_scorer(
    examples: Examples, concept_ids: Sequence[str], labels: Labels
) -> "ExclusiveScorer | LargeExclusiveScorer":
    """In the form that is right for so many labels."""
    inputs = len(set().union(*(labels.get(concept, {}) for concept in concept_ids)))
    return (ExclusiveScorer if inputs <= DUAL_LIMIT else LargeExclusiveScorer)(examples, concept_ids, labels)


class LargeExclusiveScorer:
    """The same answers to expect from more labels than a kernel matrix should hold: prototypes fused with kNN."""

    def __init__(self, examples: Examples, concept_ids: Sequence[str], labels: Labels) -> None:
        self._examples = examples = examples.plain
        self._labels = ExclusiveLabels(concept_ids, labels)
        taught = {key: Taught(target, self._labels.group(key)) for key, target in self._labels.targets().items()}
        self._fit = LargeFit(examples, taught, len(concept_ids))
        self._changed: set[int] = set()
        self._text: TextPrior | None = None

    @property
    def fits(self) -> bool:
        return len(self._labels) > DUAL_LIMIT

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id in self._labels.concept_ids:
            self._labels.set(key, concept_id, value)
            self._changed.add(key)

    def read(self, texts: Texts) -> None:
        self._text = text_prior(self._labels.concept_ids, texts, self._examples)

    def predictor(self) -> Predictor:
        self._refresh()
        columns = self._labels.competing(self._text)
        judges = self._fit.judges()
        scores, scales = _fused(judges, columns)
        examples = self._examples
        keys, rows = examples.all()
        cached = self._fit.cached
        weights = centred(self._fit.weights.astype(np.float32), columns)
        weights /= np.float32(scales[0])
        none = csc_array((len(keys), len(columns)))
        said = None if self._text is None else self._text.of(self._fit.judge_keys)
        fitted = temperature(scores, _chosen(judges.targets, columns), said)
        return Predictor(
            space=examples.space,
            concept_ids=tuple(self._labels.concept_ids[column] for column in columns),
            keys=keys,
            rows=rows,
            votes=none,
            background_rows=examples.background.rows[:0],
            background_votes=np.empty((0, len(columns))),
            positive=_chosen(self._fit.shown(len(keys)), columns),
            temperature=fitted.value,
            curves=(),
            mutually_exclusive=True,
            low_confidence=np.full(len(columns), len(columns) < 2),
            large=LargePart(
                columns=np.arange(len(columns)),
                cached=cached.rows,
                cache=cached.vectors,
                prototypes=weights,
                members=_chosen(cached.shares, columns),
                others=csc_array((len(cached.rows), len(columns))),
                neighbour_scale=np.full(len(columns), NEIGHBOUR_WEIGHT / scales[1]),
                contrast=False,
            ),
            texts=texts_of(self._text, fitted),
        )

    def leave_one_out(self, keys: KeyArray) -> Array:
        predictor, columns = self.predictor(), self._labels.competing(self._text)
        taught = np.array([key in self._fit for key in keys.tolist()], dtype=np.bool_)
        scores = np.empty((len(keys), len(predictor.concept_ids)))
        if taught.any():
            without = self._fit.leave_one_out(keys[taught].tolist())
            scores[taught], _ = _fused(without, columns, _fused(self._fit.judges(), columns)[1])
        scores[~taught] = predictor.scores(self._examples.vectors(keys[~taught].tolist()))
        return predictor.probabilities(scores + predictor.text_prior_of(keys, self._examples.fetch))

    def _refresh(self) -> None:
        for key in sorted(self._changed):
            target = self._labels.target(key)
            self._fit.set(key, None if target is None else Taught(target, self._labels.group(key)))
        self._changed.clear()


def _fused(
    without: WithoutSelf, columns: NDArray[np.int64], scales: tuple[float, float] | None = None
) -> tuple[Array, tuple[float, float]]:
    """Scores (n, C), and the spreads of prototype and neighbour outputs; scales: the judges', if not its own."""
    prototype, neighbours = centred(without.prototype, columns), log_means(_chosen(without.neighbours, columns))
    scales = scales or (spread(prototype), spread(neighbours))
    return prototype / scales[0] + neighbours * (NEIGHBOUR_WEIGHT / scales[1]), scales
