"""Active learning: which inputs to label next. Pure functions from a pool of unlabelled inputs to a few, with reasons.

Uncertain and diverse suggestions share a step: from many inputs that are worth a label it chooses the few that best
represent the others (facility location), weighted by their worth. So the suggestions are not ten near copies.
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
"""Inputs of a pool that are compared with each other, per strategy."""
_FINALISTS = 4
"""Likely positives that compete for each rare suggestion."""
_COPY = 0.98
"""From this cosine on two inputs are near copies, such as pictures of one burst."""


@dataclass(frozen=True)
class Pool:
    """Unlabelled inputs to choose from, in random order."""

    space: Space
    vectors: FloatArray
    """(m, dim) raw unit length."""
    values: FloatArray
    """(m, C) probabilities."""
    positives: Rows
    """(C,) yes labels of each concept, at least one."""
    labelled: FloatArray
    """(L, dim) prepared: labelled inputs that suggestions are kept away from."""
    exclusive: bool
    """Whether at most one concept is true of an input."""
    positive_share: float
    """Share of the labelled inputs that are labelled yes for some concept."""


@dataclass(frozen=True)
class Pick:
    """One row of a pool, and why."""

    row: int
    strategy: Strategy
    column: int | None
    """Its concept's column; None for a diverse pick."""


def suggest(pool: Pool, n: int, strategy: Strategy = Strategy.AUTO, column: int | None = None) -> list[Pick]:
    """At most n picks. column: only for this concept. Without any labelled concept all picks are diverse."""
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
        picks.add_diverse(n - len(picks.chosen))
    return picks.chosen


def uncertainty(values: FloatArray, *, exclusive: bool, positive_share: float) -> tuple[FloatArray, Rows]:
    """The model's uncertainty, (m,) in [0, 1], and its concept's column, (m,); values (m, C), C at least 1.

    For exclusive concepts it is the margin between the best two (Scheffer et al., IDA 2001), for others the distance of
    the nearest value from a half. Where no concept is recognised, one may have been missed: the more labelled inputs
    show some concept (positive_share), the more likely.
    """
    if exclusive and values.shape[1] > 1:
        best = np.partition(values, -2, axis=1)[:, -2:]
        return 1 - (best[:, 1] - best[:, 0]), values.argmax(axis=1)
    uncertain = 1 - np.abs(2 * values - 1)
    missed = positive_share * (1 - values.max(axis=1))
    return np.maximum(uncertain.max(axis=1), missed).astype(np.float32), uncertain.argmax(axis=1)


def representatives(similarities: FloatArray, covered: FloatArray, weights: FloatArray, n: int) -> Rows:
    """The n inputs that together best represent all m, chosen greedily (facility location, Wei et al., ICML 2015).

    similarities (m, m) in [0, 1]: how well each represents each; covered (m,) in [0, 1]: how well each is represented
    already; weights (m,). Each step takes the input that raises the weighted sum of the best similarities most.
    """
    covered, free = covered.copy(), np.ones(len(similarities), dtype=np.bool_)
    chosen = np.empty(min(n, len(similarities)), dtype=np.int64)
    for step in range(len(chosen)):
        gains = weights @ np.maximum(similarities - covered[:, None], 0)
        chosen[step] = np.where(free, gains, -1).argmax()
        free[chosen[step]] = False
        covered = np.maximum(covered, similarities[:, chosen[step]])
    return chosen


def distinct_rows(rows: FloatArray, n: int) -> Rows:
    """The first n rows (m, dim) that are no near copies of earlier ones; copies only where there are too few others."""
    near = rows @ rows.T > _COPY
    chosen: list[int] = []
    for row in range(len(rows)):
        if len(chosen) < n and not near[row, chosen].any():
            chosen.append(row)
    rest = np.setdiff1d(np.arange(len(rows)), chosen)
    return np.concatenate([np.array(chosen, dtype=np.int64), rest[: n - len(chosen)]])


def closeness(cosines: FloatArray) -> FloatArray:
    """How well one input represents another, [0, 1]: the squared cosine, zero for opposite ones."""
    return np.asarray(np.clip(cosines, 0, 1) ** 2, dtype=np.float32)


def _shares(positives: Rows, n: int, column: int | None) -> tuple[int, int]:
    """How many of n automatic suggestions are for rare concepts, and how many are diverse; the others are uncertain.

    With few labels diverse inputs help most, with more labels uncertain ones (Hacohen et al., ICML 2022).
    column: only for this concept, so none are diverse.
    """
    usual = np.median(positives)
    behind = (positives < FEW) & (positives <= usual / 3)
    if column is not None:
        return (n // 5 if behind[column] else 0), 0
    return (n // 5 if behind.any() else 0), (n // 3 if usual < FEW else 0)


def quotas(positives: Rows, n: int) -> Rows:
    """(C,): how many of n labels each concept gets, so that those with the fewest catch up; they sum to n."""
    levels, quota = positives.astype(np.int64), np.zeros(len(positives), dtype=np.int64)
    for _ in range(n):
        lowest = int((levels + quota).argmin())
        quota[lowest] += 1
    return quota


class _Picks:
    """The picks so far, each row once."""

    def __init__(self, pool: Pool, column: int | None) -> None:
        self._pool = pool
        self._column = column
        self._covered = pool.labelled
        self._free = np.ones(len(pool.vectors), dtype=np.bool_)
        self.chosen: list[Pick] = []

    def add_rare(self, n: int) -> None:
        """Likely positives of the concepts with the fewest labels."""
        values = self._pool.values
        shares = quotas(self._pool.positives, n) if self._column is None else np.bincount([self._column] * n)
        for column in np.flatnonzero(shares).tolist():
            share = int(shares[column])
            best = self._best(values[:, column], _FINALISTS * share)
            # Being near labelled inputs is no fault here: positives lie near each other.
            indexes = distinct_rows(self._prepared(best), share)
            self._take(best, indexes, self._prepared(best[indexes]), Strategy.RARE, [column] * len(best))

    def add_uncertain(self, n: int) -> None:
        """Inputs that the model is uncertain about, and that represent other uncertain ones."""
        if self._column is None:
            worth, columns = uncertainty(
                self._pool.values, exclusive=self._pool.exclusive, positive_share=self._pool.positive_share
            )
        else:
            worth, _ = uncertainty(self._pool.values[:, [self._column]], exclusive=False, positive_share=0.0)
            columns = np.full(len(worth), self._column)
        best = self._best(worth, max(_MAP, n))
        self._choose(best, worth[best], n, Strategy.UNCERTAIN, columns[best].tolist())

    def add_diverse(self, n: int) -> None:
        """Inputs that represent many others which are unlike all labelled ones. The pool is in random order."""
        rows = np.flatnonzero(self._free)[: max(2 * _MAP, n)]
        worth = np.ones(len(rows), dtype=np.float32)
        self._choose(rows, worth, n, Strategy.DIVERSE, [None] * len(rows))

    def _best(self, worth: FloatArray, n: int) -> Rows:
        """The n free rows with the greatest worth."""
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
        prepared = self._prepared(rows)
        covered = closeness((prepared @ self._covered.T).max(axis=1, initial=0))
        indexes = representatives(closeness(prepared @ prepared.T), covered, weights, n)
        self._take(rows, indexes, prepared[indexes], strategy, columns)

    def _prepared(self, rows: Rows) -> FloatArray:
        """(n, dim) prepared."""
        return self._pool.space.prepare(self._pool.vectors[rows])

    def _take(
        self, rows: Rows, indexes: Rows, prepared: FloatArray, strategy: Strategy, columns: Sequence[int | None]
    ) -> None:
        self._covered = np.concatenate([self._covered, prepared])
        self._free[rows[indexes]] = False
        self.chosen += [Pick(int(rows[index]), strategy, columns[index]) for index in indexes.tolist()]
