"""One independent concept with more labels than a kernel matrix should hold: prototype fused with kNN contrast."""

from collections.abc import Collection, Mapping

import numpy as np

from .calibration import NO_CONTRAST, fit_logistic
from .concept import LABEL_NOISE, LargeVotes, Votes, background_noise, share_of
from .examples import Array, Examples
from .large import DUAL_LIMIT, NEIGHBOUR_WEIGHT, LargeFit, Taught, WithoutSelf, log_means
from .text_prior import TextPrior

_YES, _NO = Taught(np.array([1.0]), 0), Taught(np.array([0.0]), 1)


class LargeConceptScorer:
    """Answers as a `ConceptScorer` does, in time and memory that grow with the labels, not with their square.

    The background images are bystanders of the fit: weak negatives, and neighbours on the no side.
    """

    labels: dict[int, bool]

    def __init__(self, examples: Examples, labels: Mapping[int, bool]) -> None:
        """labels: input key -> yes or no; at least one yes."""
        self._examples = examples
        self.labels = dict(labels)
        background = examples.background
        self._fit = LargeFit(
            examples,
            {key: _YES if value else _NO for key, value in labels.items()},
            groups=2,
            bystanders=background.keys.tolist(),
            # As beside many positives, however many there are: among so many labels it decides nothing.
            bystander_weight=LABEL_NOISE / (background_noise(DUAL_LIMIT) * max(len(background), 1)),
            opposed=True,
        )

    @property
    def fits(self) -> bool:
        """Whether there are labels enough for this form."""
        return len(self.labels) > DUAL_LIMIT

    def set(self, key: int, value: bool | None) -> None:
        """Takes in, changes or (None) forgets one label. At least one yes must remain."""
        if self.labels.get(key) is value:
            return
        self._fit.set(key, None if value is None else _YES if value else _NO)
        if value is None:
            del self.labels[key]
        else:
            self.labels[key] = value

    def votes(self, text: TextPrior | None = None, union: Collection[int] | None = None) -> Votes:
        """What a predictor needs of this concept, whose name says this.

        union: the concept stands for several, and these are the only ones of theirs; here they count like others.
        """
        judged = self._fit.judges()
        scales = self._scales(judged)
        scores = self._scores(judged, scales)
        sides = judged.groups == 0, (judged.groups == 1) & ~judged.bystander, judged.bystander
        said = None if text is None else text.of([*self._fit.judge_keys, *self._fit.bystanders])[:, 0]
        rows, groups = self._fit.grouped()
        cached, compared = self._fit.cached, bool(np.any(judged.groups != 0))
        curve = NO_CONTRAST
        if compared:
            curve = fit_logistic(
                scores[sides[0]],
                scores[sides[1]],
                scores[sides[2]],
                None if said is None else (said[sides[0]], said[sides[1]], said[sides[2]]),
                rare=union is None,
            )
        return Votes(
            rows=rows,
            votes=np.zeros(len(rows)),
            signs=np.where(groups == 0, 1.0, -1.0),
            background=np.zeros(len(self._examples.background)),
            curve=curve,
            low_confidence=not compared,
            text=share_of(curve, text),
            large=LargeVotes(
                prototype=self._fit.weights[:, 0] / scales[0],
                cached=cached.rows,
                shares=cached.shares,
                neighbour_scale=NEIGHBOUR_WEIGHT / scales[1],
            ),
        )

    def leave_one_out(self) -> dict[int, float]:
        """Input key -> score by the others, for each labelled input."""
        keys = list(self.labels)
        scores = self._scores(self._fit.leave_one_out(keys), self._scales(self._fit.judges()))
        return dict(zip(keys, scores.tolist(), strict=True))

    def background_leave_one_out(self) -> dict[int, float]:
        """Input key -> score by the others, for each background image that has no label of its own."""
        judged = self._fit.judges()
        scores = self._scores(judged, self._scales(judged))[judged.bystander]
        return dict(zip(self._fit.bystanders, scores.tolist(), strict=True))

    def _scores(self, without: WithoutSelf, scales: tuple[float, float]) -> Array:
        prototype, contrast = without.prototype[:, 0] / scales[0], _contrast(without) / scales[1]
        return np.asarray(prototype + NEIGHBOUR_WEIGHT * contrast)

    def _scales(self, judged: WithoutSelf) -> tuple[float, float]:
        """The spreads of prototype and neighbour outputs over the judges."""
        return _deviation(judged.prototype[:, 0]), _deviation(_contrast(judged))


def _contrast(without: WithoutSelf) -> Array:
    """(n,): how much nearer the yes side is than the no side."""
    logs = log_means(without.neighbours)
    return np.asarray(logs[:, 0] - logs[:, 1])


def _deviation(values: Array) -> float:
    return max(float(values.std()), 1e-6)
