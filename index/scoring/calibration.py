"""Leave-one-out scores -> probabilities: one temperature for exclusive concepts, a logistic curve for each other one.

Everything is a deterministic function of the scores, so the same labels give the same probabilities in any order and
after a restart; and it is fitted when labels change, never on the batch that is asked about.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Array = NDArray[np.float64]

DEFAULT_TEMPERATURE = 16.0
TEXT_SHARE = 0.5
"""Of the log-odds by words, beside labels that can't be judged by each other yet; without any labels it is all."""
_TEXT_SHARES = (0.0, 0.25, 0.5, 1.0)
_TEXT_PRIOR = 4.0
_LOG_TEMPERATURES = (np.log(1.5), np.log(60))
_SLOPE, _SLOPE_SPREAD = 12.0, 6.0
_NEWTON_STEPS = 15
_HIGH = 0.98
"""This quantile of the background's scores stands in for positives where there are few."""
_PSEUDO_POSITIVES, _PSEUDO_BACKGROUND = 8, 100
"""For so many beside a large background, for half as many beside one of the second size."""
_LEAST_SLOPE = 0.1
_MOST_HIDDEN = 0.999
"""No image of the background is so surely a positive that it counts for nothing: there might be no other."""
_BELIEVED = 20
"""With so many positives a curve's own opinion of the background is taken for true when it is fitted again."""


@dataclass(frozen=True)
class Temperature:
    """probabilities = softmax(value * scores)"""

    value: float
    loss: float
    """What is left of the log loss, over all images, the prior's part included."""
    text_share: float = 0.0
    """probabilities = softmax(value * scores + text_share * log-odds by words)"""


def fit_temperature(scores: Array, targets: Array, text: Array | None = None) -> Temperature:
    """For scores (n, C) leave-one-out, targets (n, C) rows that sum to one; text (n, C): log-odds by words.

    The least total log loss plus 10 (ln(T / 16) / 0.7)^2 / 2, a prior that holds T near 16 while there are few labels,
    and 4 (share - 0.5)^2, which does the same for the share of the words.
    """
    if text is None:
        return _tempered(scores, targets, np.zeros_like(scores), 0.0)
    fits = [_tempered(scores, targets, text, share) for share in (_TEXT_SHARES if len(scores) else [TEXT_SHARE])]
    return min(fits, key=lambda fit: fit.loss)


def _tempered(scores: Array, targets: Array, text: Array, share: float) -> Temperature:
    if not len(scores):
        return Temperature(DEFAULT_TEMPERATURE, 0.0, share)
    below = scores - scores.max(axis=1, keepdims=True)
    said = share * (text - text.max(axis=1, keepdims=True))
    wanted, told = float(np.sum(targets * below)), float(np.sum(targets * said))
    held = _TEXT_PRIOR * (share - TEXT_SHARE) ** 2 if text.any() else 0.0
    prior, log_t = 10 / 0.7**2, np.log(DEFAULT_TEMPERATURE)
    for _ in range(_NEWTON_STEPS):
        t, away = np.exp(log_t), log_t - np.log(DEFAULT_TEMPERATURE)
        weights = np.exp(t * below + said)
        sums = weights.sum(axis=1, keepdims=True)
        means = (weights * below).sum(axis=1, keepdims=True) / sums
        spread = float((weights * (below - means) ** 2 / sums).sum())
        loss = float(np.log(sums).sum() - t * wanted - told + prior * away**2 / 2) + held
        slope = t * (float(means.sum()) - wanted)
        # The curvature in log T, its one part that may be negative left out: steps fall short, never over.
        step = (slope + prior * away) / (t**2 * spread + max(slope, 0) + prior)
        log_t = float(np.clip(log_t - step, *_LOG_TEMPERATURES))
        if abs(step) < 1e-4:
            break
    return Temperature(float(np.exp(log_t)), loss, share)


@dataclass(frozen=True)
class Logistic:
    """probability = 1 / (1 + exp(-(slope * score + offset + text_share * log-odds by words)))"""

    slope: float
    offset: float
    text_share: float = 0.0


NO_CONTRAST = Logistic(_SLOPE, -_SLOPE * 0.7)
"""For a concept with nothing to compare with: no negatives, no background."""


def untaught(background_text: Array) -> Logistic:
    """The curve of a concept that only its name tells of; log-odds by words (m,) of the background, at least one.

    One in twenty is taken to show it rather than not (recipe, section 6).
    """
    return Logistic(_SLOPE, -float(np.quantile(background_text, 0.95)), 1.0)


def fit_logistic(
    positives: Array,
    negatives: Array,
    background: Array,
    text: tuple[Array, Array, Array] | None = None,
    *,
    rare: bool = True,
) -> Logistic:
    """The curve for one concept from its leave-one-out scores; at least one positive and one of the others.

    text: the log-odds by words of the same images; the share of them that suits the labels best is chosen.
    rare: the concept is one of very many; else an image is as likely as not to show it.

    Platt's smoothed targets (Platt 1999), those of the noes nearer to zero with more positives; both sides weigh
    10 + P/2; a normal prior on slope and offset; a high score of the background as some more positives, for a few
    scores of one's own are noise; and a shift for how rare the concept is in the background (Saerens et al. 2002),
    damped to 0.35, for that is a guess.

    The background hides positives, which would hold all values down. So each of its images counts for less the likelier
    it is to be one; not with few labels, for then one curve would only talk itself into more of them.

    Where a higher score does not mean yes, as of labels that contradict each other, all get the labels' base rate.
    """
    shares: tuple[float, ...] = (0.0,) if text is None else _TEXT_SHARES
    if text is not None and len(positives) < 2:
        # A single positive can't say how far its name is right.
        shares = (TEXT_SHARE,)
    said = text or (np.zeros_like(positives), np.zeros_like(negatives), np.zeros_like(background))
    none = np.zeros_like(background)
    pseudo = _PSEUDO_POSITIVES * len(background) / (len(background) + _PSEUDO_BACKGROUND) if rare else 0.0
    fits = [_fitted(positives, negatives, background, said, share, none, pseudo) for share in shares]
    fit = min(fits, key=lambda candidate: candidate.loss + _TEXT_PRIOR * (candidate.text_share - TEXT_SHARE) ** 2)
    if not len(background):
        return Logistic(fit.slope, fit.offset, fit.text_share)
    believed = np.minimum(min(len(positives) / _BELIEVED, 1) * fit.of(background, said[2]), _MOST_HIDDEN)
    if len(positives) > 1:
        fit = _fitted(positives, negatives, background, said, fit.text_share, believed, pseudo)
    shift = 0.35 * float(logit(_share_of_positives(fit.of(background, said[2])))) if rare else 0.0
    return Logistic(fit.slope, fit.offset + shift, fit.text_share)


@dataclass(frozen=True)
class _Fit:
    slope: float
    offset: float
    text_share: float
    loss: float
    """Penalised."""

    def of(self, scores: Array, text: Array) -> Array:
        """Probabilities."""
        return np.asarray(expit(self.slope * scores + self.offset + self.text_share * text))


def _fitted(
    positives: Array,
    negatives: Array,
    background: Array,
    text: tuple[Array, Array, Array],
    text_share: float,
    hidden: Array,
    pseudo: float,
) -> _Fit:
    """hidden (m,): the probability that an image of the background is a positive; pseudo: so many positives more."""
    others = np.concatenate([negatives, background])
    count, weight = len(positives), 10 + len(positives) / 2
    if count > 1:
        positive_scores = np.append(positives, np.quantile(background, [_HIGH])) if pseudo else positives
        believed = np.ones(len(positive_scores))
        believed[count:] = pseudo
        shown = np.append(text[0], np.full(len(believed) - count, np.median(text[0])))
    else:
        # The only positive's leave-one-out score says nothing, for no positive is left.
        positive_scores, believed = np.quantile(others, [_HIGH]), np.ones(1)
        shown = text[0] if count else np.median(np.concatenate(text), keepdims=True)
    trusted = np.concatenate([np.ones(len(negatives)), 1 - hidden])
    weights = np.concatenate([weight * believed / believed.sum(), weight * trusted / trusted.sum()])
    high, low = (count + 1) / (count + 2), 1 / (weight * (1 + count / 5) + 2)
    targets = np.concatenate([np.full(len(positive_scores), high), np.full(len(others), low)])
    said = text_share * np.concatenate([shown, *text[1:]])
    middle = (np.median(positive_scores) + np.median(others)) / 2
    between = (np.median(said[: len(shown)]) + np.median(said[len(shown) :])) / 2
    scores = np.concatenate([positive_scores, others])
    slope, offset, loss = _newton(scores, targets, weights, said, _SLOPE, -_SLOPE * float(middle) - float(between))
    if slope > _LEAST_SLOPE:
        return _Fit(slope, offset, text_share, loss)
    # A curve that falls with the score would turn the ranking round. One that is as good as level says what the sides
    # weigh, and the more surely it would fall, how many labels say yes.
    noes = len(negatives) or float(trusted.sum())
    share = weights / weights.sum()
    falls = min((_LEAST_SLOPE - slope) / _SLOPE_SPREAD, 1.0)
    level = (1 - falls) * logit(share @ targets) + falls * logit((count + 1) / (count + noes + 2))
    return _Fit(_LEAST_SLOPE, float(level - share @ (_LEAST_SLOPE * scores + said)), text_share, loss)


def _newton(
    scores: Array, targets: Array, weights: Array, said: Array, slope: float, offset: float
) -> tuple[float, float, float]:
    """Penalised maximum likelihood by Newton's method with step halving (plain Newton diverges at five positives).

    said: what is added to the log-odds as it is. Slope, offset and what is left of the loss.
    """
    start = (slope, offset)
    precision = _SLOPE_SPREAD**-2

    def loss(slope: float, offset: float) -> float:
        z = slope * scores + offset + said
        # log(1 + e^z) - target z, without overflow
        losses = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) - targets * z
        return float(weights @ losses) + precision * ((slope - start[0]) ** 2 + (offset - start[1]) ** 2) / 2

    best = loss(slope, offset)
    for _ in range(_NEWTON_STEPS):
        p = expit(slope * scores + offset + said)
        pull, curvature = weights * (p - targets), weights * p * (1 - p)
        gradient = (
            float(pull @ scores) + precision * (slope - start[0]),
            float(pull.sum()) + precision * (offset - start[1]),
        )
        weighted = curvature * scores
        h11, h12, h22 = float(weighted @ scores) + precision, float(weighted.sum()), float(curvature.sum()) + precision
        determinant = h11 * h22 - h12 * h12
        step = (
            (h22 * gradient[0] - h12 * gradient[1]) / determinant,
            (h11 * gradient[1] - h12 * gradient[0]) / determinant,
        )
        size = 1.0
        while size > 1e-3 and (lower := loss(slope - size * step[0], offset - size * step[1])) > best:
            size /= 2
        if size <= 1e-3 or best - lower < 1e-6:
            break
        slope, offset, best = slope - size * step[0], offset - size * step[1], lower
    return slope, offset, best


def _share_of_positives(probabilities: Array) -> float:
    """How much of the background shows the concept: expectation-maximisation, with 20 pseudo-images at 10 %."""
    odds = probabilities / np.maximum(1 - probabilities, 1e-12)
    share = 0.1
    for _ in range(20):
        expected = share * odds / (share * odds + 1 - share)
        last, share = share, min(max((float(expected.sum()) + 2) / (len(odds) + 20), 0.05), 0.5)
        if abs(share - last) < 1e-6:
            break
    return share
