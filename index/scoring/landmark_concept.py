"""One independent concept with more labels than a kernel matrix should hold."""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from .calibration import NO_CONTRAST
from .concept import Votes, background_noise, calibrated, share_of
from .examples import Examples
from .landmarks import FEW_LEFT, LANDMARKS, LandmarkFit
from .ridge import FEW, LABEL_NOISE
from .text_prior import TextPrior

_YES, _NO = np.ones(1), np.zeros(1)


class LandmarkConceptScorer:
    """Answers as a `ConceptScorer` does, in time that doesn't grow with the labels."""

    labels: dict[int, bool]
    _positives: int
    _noise: float
    _fit: LandmarkFit

    def __init__(self, examples: Examples, labels: Mapping[int, bool]) -> None:
        """labels: input key -> yes or no; at least one yes."""
        self._examples = examples
        self._background = examples.background
        self._build(dict(labels))

    @property
    def few(self) -> int:
        """More changes than this are cheaper to take in by one fresh solution."""
        return max(FEW, len(self.labels) // 16)

    @property
    def fits(self) -> bool:
        """Whether there are labels enough for this form."""
        return len(self.labels) > FEW_LEFT

    @property
    def low_confidence(self) -> bool:
        """Nothing to compare the positives with."""
        return self._positives == len(self.labels) and not self._others

    def set(self, key: int, value: bool | None) -> None:
        """Takes in, changes or (None) forgets one label. At least one yes must remain."""
        old = self.labels.get(key)
        if old is value:
            return
        positives = self._positives + (value is True) - (old is True)
        if background_noise(positives) != self._noise:
            labels = {**self.labels, key: value}
            self._build({key: value for key, value in labels.items() if value is not None})
            return
        self._positives = positives
        if value is None:
            del self.labels[key]
            self._fit.set(key, None)
        else:
            self.labels[key] = value
            self._fit.set(key, _YES if value else _NO, 0 if value else 1)

    def votes(self, text: TextPrior | None = None, union: Collection[int] | None = None) -> Votes:
        """What a predictor needs of this concept, whose name says this; union: see `calibrated`."""
        curve = NO_CONTRAST
        if not self.low_confidence:
            subset = self._fit.subset
            scores = dict(zip(subset, self._fit.left_out(subset)[:, 0].tolist(), strict=True))
            curve = calibrated(self._examples, self.labels, scores, self.background_leave_one_out(), text, union)
        rows, groups = self._fit.taught
        voters, votes = self._fit.voters
        each = np.zeros(len(self._examples))
        each[voters] = votes[:, 0]
        return Votes(
            rows=rows,
            votes=each[rows],
            signs=np.where(groups == 0, 1.0, -1.0),
            background=self._fit.background_votes[:, 0],
            curve=curve,
            low_confidence=self.low_confidence,
            text=share_of(curve, text),
        )

    def leave_one_out(self) -> Callable[[], dict[int, float]]:
        """Input key -> score by the others, for each labelled input; see `Later`."""
        keys, later = list(self.labels), self._fit.leave_one_out(self.labels)
        return lambda: dict(zip(keys, later()[:, 0].tolist(), strict=True))

    def background_leave_one_out(self) -> dict[int, float]:
        """Input key -> score by the others, for each background image that has no label of its own."""
        others = self._others
        return dict(zip(others, self._fit.left_out(others)[:, 0].tolist(), strict=True))

    @property
    def _others(self) -> list[int]:
        """Keys of the background without a label of their own."""
        return [key for key in self._background.position if key not in self.labels]

    def _build(self, labels: dict[int, bool]) -> None:
        # In the order of keys, so that the same labels give the same numbers whatever order they came in.
        self.labels, keys = labels, sorted(labels)
        self._positives = sum(labels.values())
        self._noise = background_noise(self._positives)
        self._fit = LandmarkFit(
            self._examples,
            keys,
            np.array([[labels[key]] for key in keys], dtype=np.float32),
            [0 if labels[key] else 1 for key in keys],
            subset=LANDMARKS,
            opposed=True,
            background_weight=LABEL_NOISE / (self._noise * max(len(self._background), 1)),
        )
