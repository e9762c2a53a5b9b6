"""What to label next. Pure functions on arrays: a pool of unlabelled inputs in, a few of them out, each with a reason.

Uncertain and diverse ones share a step: of many inputs that are worth a label, the few are taken that stand for the
others best (facility location), each weighing as much as it is worth. So nobody is asked ten times the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray
from ..scoring.space import Space
from .reports import Strategy

Rows = NDArray[np.int64]

MOST = 200
"""Suggestions in one answer."""
FEW = 5
"""A concept with fewer yes labels is rare."""
_MAP = 512
"""Of the inputs of a pool so many are mapped for each reason to be chosen: who stands for whom."""
_FINALISTS = 4
"""Likely positives among which each is chosen."""
_COPY = 0.98
"""Cosine from which on two inputs are copies of each other, such as pictures of one burst."""


@dataclass(frozen=True)
class Pool:
    """Unlabelled inputs to choose from, in random order."""

    space: Space
    vectors: FloatArray
    """(m, dim) raw unit length."""
    values: FloatArray
    """(m, C) probabilities."""
    positives: Rows
    """(C,) yes labels that each concept has, at least one."""
    taught: FloatArray
    """(L, dim) prepared: labelled inputs that suggestions are kept away from."""
    exclusive: bool
    """Whether at most one concept is true of an input."""
    shown: float
    """Share of the labelled inputs that are labelled yes for some concept."""


@dataclass(frozen=True)
class Pick:
    """One row of a pool, and why."""

    row: int
    strategy: Strategy
    column: int | None
    """The concept that it is about."""


def suggest(pool: Pool, n: int, strategy: Strategy = Strategy.AUTO, column: int | None = None) -> list[Pick]:
    """At most n picks. column: about this concept alone. Without any labelled concept all picks are diverse."""
    n = min(n, len(pool.vectors))
    picks = _Picks(pool, column)
    if pool.values.shape[1]:
        rare, diverse = _shares(pool.positives, n, column) if strategy is Strategy.AUTO else (0, 0)
        if strategy is Strategy.RARE:
            rare = n
        elif strategy is Strategy.DIVERSE:
            diverse = n
        picks.add_rare(rare)
        picks.add_uncertain(n - rare - diverse)
    if column is None or strategy is Strategy.DIVERSE:
        picks.add_diverse(n - len(picks.found))
    return picks.found


def uncertainty(values: FloatArray, *, exclusive: bool, shown: float) -> tuple[FloatArray, Rows]:
    """How little the model can tell, (m,) in [0, 1], and about which concept, (m,); values (m, C), C at least 1.

    Of exclusive concepts the margin between the best two counts (Scheffer et al., IDA 2001), of others the value that
    is nearest to a half. Where nothing is recognised, something may have been missed: the more so, the more of the
    labelled inputs show anything (shown, a share).
    """
    if exclusive and values.shape[1] > 1:
        best = np.partition(values, -2, axis=1)[:, -2:]
        return 1 - (best[:, 1] - best[:, 0]), values.argmax(axis=1)
    doubt = 1 - np.abs(2 * values - 1)
    missed = shown * (1 - values.max(axis=1))
    return np.maximum(doubt.max(axis=1), missed).astype(np.float32), doubt.argmax(axis=1)


def representatives(similarities: FloatArray, covered: FloatArray, weights: FloatArray, n: int) -> Rows:
    """The n inputs that together stand best for all m, greedily (facility location, Wei et al., ICML 2015).

    similarities (m, m) and covered (m,) in [0, 1]: how much each stands for each, and what is known already for each;
    weights (m,). Each step takes the input that raises the weighted sum of the best similarities most.
    """
    covered, free = covered.copy(), np.ones(len(similarities), dtype=np.bool_)
    chosen = np.empty(min(n, len(similarities)), dtype=np.int64)
    for step in range(len(chosen)):
        gains = weights @ np.maximum(similarities - covered[:, None], 0)
        chosen[step] = np.where(free, gains, -1).argmax()
        free[chosen[step]] = False
        covered = np.maximum(covered, similarities[:, chosen[step]])
    return chosen


def apart(rows: FloatArray, n: int) -> Rows:
    """The first n rows (m, dim) that are no near copies of an earlier one; copies only where there are too few."""
    near = rows @ rows.T > _COPY
    chosen: list[int] = []
    for place in range(len(rows)):
        if len(chosen) < n and not near[place, chosen].any():
            chosen.append(place)
    rest = np.setdiff1d(np.arange(len(rows)), chosen)
    return np.concatenate([np.array(chosen, dtype=np.int64), rest[: n - len(chosen)]])


def closeness(cosines: FloatArray) -> FloatArray:
    """How much one input stands for another, [0, 1]: the square counts near ones more; opposite ones don't at all."""
    return np.asarray(np.clip(cosines, 0, 1) ** 2, dtype=np.float32)


def _shares(positives: Rows, n: int, column: int | None) -> tuple[int, int]:
    """How many of n automatic suggestions are for rare concepts, and how many diverse; the others are uncertain.

    With few labels it pays to see what there is, later to ask where the model can't tell (Hacohen et al., ICML 2022).
    column: about this concept alone, so none are diverse.
    """
    usual = np.median(positives)
    behind = (positives < FEW) & (positives <= usual / 3)
    if column is not None:
        return (n // 5 if behind[column] else 0), 0
    return (n // 5 if behind.any() else 0), (n // 3 if usual < FEW else 0)


def quotas(positives: Rows, n: int) -> Rows:
    """(C,): how many of n labels go to each concept so that those with the fewest catch up; they sum to n."""
    levels, given = positives.astype(np.int64), np.zeros(len(positives), dtype=np.int64)
    for _ in range(n):
        lowest = int((levels + given).argmin())
        given[lowest] += 1
    return given


class _Picks:
    """What was chosen so far, each row once."""

    def __init__(self, pool: Pool, column: int | None) -> None:
        self._pool = pool
        self._column = column
        self._known = pool.taught
        self._free = np.ones(len(pool.vectors), dtype=np.bool_)
        self.found: list[Pick] = []

    def add_rare(self, n: int) -> None:
        """Likely positives of the concepts with the fewest labels."""
        values = self._pool.values
        shares = quotas(self._pool.positives, n) if self._column is None else np.bincount([self._column] * n)
        for column in np.flatnonzero(shares).tolist():
            share = int(shares[column])
            best = self._best(values[:, column], _FINALISTS * share)
            # Being near what is known is no fault here: where one positive is, the others are.
            chosen = apart(self._mapped(best), share)
            self._take(best, chosen, self._mapped(best[chosen]), Strategy.RARE, [column] * len(best))

    def add_uncertain(self, n: int) -> None:
        """Inputs of which the model can't tell what they show, and that stand for others like that."""
        if self._column is None:
            doubt, columns = uncertainty(self._pool.values, exclusive=self._pool.exclusive, shown=self._pool.shown)
        else:
            doubt, _ = uncertainty(self._pool.values[:, [self._column]], exclusive=False, shown=0.0)
            columns = np.full(len(doubt), self._column)
        best = self._best(doubt, max(_MAP, n))
        self._choose(best, doubt[best], n, Strategy.UNCERTAIN, columns[best].tolist())

    def add_diverse(self, n: int) -> None:
        """Inputs that stand for many which are unlike everything labelled. The pool is in random order."""
        some = np.flatnonzero(self._free)[: max(2 * _MAP, n)]
        worth = np.ones(len(some), dtype=np.float32)
        self._choose(some, worth, n, Strategy.DIVERSE, [None] * len(some))

    def _best(self, worth: FloatArray, n: int) -> Rows:
        """The n free rows of most worth."""
        free = np.flatnonzero(self._free)
        return free[np.argsort(-worth[free], kind="stable")[:n]]

    def _choose(
        self,
        rows: Rows,
        weights: FloatArray,
        n: int,
        strategy: Strategy,
        columns: Sequence[int | None],
    ) -> None:
        if n < 1 or not len(rows):
            return
        mapped = self._mapped(rows)
        covered = closeness((mapped @ self._known.T).max(axis=1, initial=0))
        chosen = representatives(closeness(mapped @ mapped.T), covered, weights, n)
        self._take(rows, chosen, mapped[chosen], strategy, columns)

    def _mapped(self, rows: Rows) -> FloatArray:
        """(n, dim) prepared."""
        return self._pool.space.prepare(self._pool.vectors[rows])

    def _take(
        self, rows: Rows, chosen: Rows, mapped: FloatArray, strategy: Strategy, columns: Sequence[int | None]
    ) -> None:
        self._known = np.concatenate([self._known, mapped])
        self._free[rows[chosen]] = False
        self.found += [Pick(int(rows[place]), strategy, columns[place]) for place in chosen.tolist()]
