"""The k nearest rows of a state: which way is cheapest, and a surer way where the cheap one left a doubt.

Every way only proposes slots; all scores are exact ones of the rows, so no answer depends on how it was found.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ...records import FloatArray, KeyArray
from . import bitmap, tuning
from .bitmap import Bits, Slots
from .rescore import TIE, Proposal, Rescored
from .search_parameters import Escalation, spread
from .selection import Selection
from .state import State

_USUAL, _SURER, _THOROUGH = Escalation(), Escalation(*tuning.SURER), Escalation(*tuning.THOROUGH)
"""A query in doubt is asked again, and goes through all lists at last, before every row is looked at."""


def nearest(
    state: State, queries: FloatArray, k: int, selection: Selection | None = None
) -> tuple[KeyArray, FloatArray]:
    """The k nearest of each unit query (q, dim): keys (q, k) padded with -1, cosines (q, k) padded with -inf.

    Best first, equal scores by key; as many as match, up to k.
    """
    rows = state.rows
    matching = rows.count if selection is None else len(selection.slots)
    width = min(k, matching)
    if width < k:
        keys = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        if width:
            keys[:, :width], scores[:, :width] = nearest(state, queries, width, selection)
        return keys, scores
    if state.segments and k < tuning.TENTH <= matching:
        # It takes as long, and the tenth neighbour tells whether a query is unlike the rows.
        keys, scores = nearest(state, queries, tuning.TENTH, selection)
        return keys[:, :k], scores[:, :k]
    few = selection is not None and matching * tuning.READ <= rows.size
    if selection is not None and (
        matching * rows.dim <= tuning.GATHER or (few and not _spreads_evenly(state, selection))
    ):
        return rows.best(queries, np.broadcast_to(selection.slots, (len(queries), matching)), k)
    best = _proposed(state, queries, k, selection, matching, _USUAL)
    if best is None:
        unsure = np.arange(len(queries))
        keys, scores = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
    else:
        keys, scores = best.keys, best.scores
        unsure = np.flatnonzero(best.doubt() | _unusual(state, scores, rows.size / matching))
        if not len(unsure):
            return keys, scores
        if not few:
            unsure = _asked_again(state, queries, k, selection, matching, unsure, keys, scores)
    if selection is not None and 2 * matching <= rows.size:
        looked_at: Iterator[Slots] = repeat(selection.slots, len(unsure))
    else:
        looked_at = _scanned(state, queries[unsure], k, selection)
    for query, slots in zip(unsure.tolist(), looked_at, strict=True):
        keys[query], scores[query] = rows.best(queries[query : query + 1], slots[None], k)
    return keys, scores


def still_finds(state: State, start: int, stop: int) -> bool:
    """Whether rows start..stop-1, which came after the search was calibrated, find their neighbours by its parameters.

    They are those that four times as much finds, in all of the state.
    """
    k, count = tuning.TENTH, state.rows.count
    queries = state.rows.take(spread(state.rows, start, stop, tuning.CHECKED))
    usual = _proposed(state, queries, k, None, count, _USUAL)
    surer = _proposed(state, queries, k, None, count, _SURER)
    least = surer.scores if surer else nearest(replace(state, segments=()), queries, k)[1]
    return usual is not None and bool((usual.scores >= least[:, -1:] - TIE).mean() >= tuning.LOST)


def _spreads_evenly(state: State, selection: Selection) -> bool:
    return bool(state.segments) and state.segments[0].spreads_evenly(selection)


def _unusual(state: State, scores: FloatArray, thinned: float) -> NDArray[np.bool_]:
    """(q,): far from everything that may come, or in a crowd: estimates tell less apart there than on the average.

    scores: (q, k) of the best rows; thinned: one of so many may come. Looked at as the tenth too: clusters are
    often smaller than a larger k, and beyond them all is far.
    """
    parameters, unusual = state.segments[0].parameters, np.zeros(len(scores), dtype=np.bool_)
    for rank in {min(scores.shape[1], tuning.TENTH), scores.shape[1]}:
        usual, crowded = parameters.usual_at(rank * thinned)
        unusual |= (scores[:, rank - 1] < usual) | (scores[:, rank - 1] >= crowded)
    return unusual


def _lists_are_worth_it(state: State, k: int, selection: Selection | None, matching: int) -> bool:
    """Whether it takes less time to go through all lists than to look at every row that may come."""
    rows = state.rows
    breadth = state.segments[0].parameters.at(int(k * rows.size / matching))
    if breadth is None:
        return False
    # A filter's rows don't lie together.
    scan = rows.size if selection is None else min(2 * matching, rows.size)
    candidates = _THOROUGH.more(breadth.candidates, rows.size)
    return scan * rows.dim > rows.size * tuning.SCAN_CODES + candidates * tuning.SCAN_CANDIDATE


def _asked_again(
    state: State,
    queries: FloatArray,
    k: int,
    selection: Selection | None,
    matching: int,
    unsure: NDArray[np.intp],
    keys: KeyArray,
    scores: FloatArray,
) -> NDArray[np.intp]:
    """Puts better answers into keys and scores (q, k) of the queries that are unsure, (m,) numbers.

    Four times as much is enough where it finds nothing better and little can be missing; else they go through all
    lists. The numbers of those that every row has to be looked at for.
    """
    for escalation in (_SURER, _THOROUGH) if _lists_are_worth_it(state, k, selection, matching) else (_SURER,):
        still_unsure = [np.empty(0, dtype=np.intp)]
        for start in range(0, len(unsure), tuning.AT_ONCE):
            rows_asked = unsure[start : start + tuning.AT_ONCE]
            best = _proposed(state, queries[rows_asked], k, selection, matching, escalation)
            if best is None:
                return unsure
            better = (best.scores[:, -1] > scores[rows_asked, -1]) & (escalation is _SURER)
            keys[rows_asked], scores[rows_asked] = best.keys, best.scores
            still_unsure.append(rows_asked[better | best.doubt() | (best.room() < tuning.ROOM)])
        unsure = np.concatenate(still_unsure)
    return unsure


def _proposed(
    state: State, queries: FloatArray, k: int, selection: Selection | None, matching: int, escalation: Escalation
) -> Rescored | None:
    """The best of what every segment proposes when it looks so much farther than usual, and of the tail.

    None where looking at every row is no more work, or where no segment knows how to find so many.
    """
    if not state.segments or k * escalation.candidates * tuning.CHEAPER > matching:
        return None
    rows, allowed = state.rows, _allowed(state, selection)
    proposals = list[Proposal]()
    for segment in state.segments:
        proposal = segment.candidates(queries, k, allowed, selection, matching / rows.size, escalation)
        if proposal is None:
            return None
        proposals.append(proposal)
    if rows.size > state.sealed:
        proposals.append(_tail(state, queries))
    if sum(proposal.slots.shape[1] for proposal in proposals) < k:
        return None
    # Also where a selector was given: some engines ignore it and don't say so.
    return rows.best_proposed(queries, proposals, allowed, k)


def _allowed(state: State, selection: Selection | None) -> Bits | None:
    """A bitmap of the slots that may come; None: all may."""
    if selection is not None:
        return selection.allowed
    return state.rows.live if state.rows.dead else None


def _tail(state: State, queries: FloatArray) -> Proposal:
    """All rows behind the segments, by a scan."""
    scores = _products(state, queries, state.sealed)
    slots = np.broadcast_to(np.arange(state.sealed, state.rows.size), scores.shape)
    return Proposal(slots, scores, complete=True)


def _scanned(state: State, queries: FloatArray, k: int, selection: Selection | None) -> Iterator[Slots]:
    """For each query, slots with at least its k best rows, by looking at all."""
    allowed = _allowed(state, selection)
    hidden = None if allowed is None else ~bitmap.mask(allowed, state.rows.size)
    step = max(tuning.SCANNED_SCORES // state.rows.size, 1)
    for start in range(0, len(queries), step):
        for scores in _products(state, queries[start : start + step], 0):
            if hidden is not None:
                scores[hidden] = -np.inf
            yield _at_least_best(scores, k)


def _products(state: State, queries: FloatArray, start: int) -> FloatArray:
    """(q, size - start), rounded as the layout has it."""
    blocks = [queries @ block.T for _, block in state.rows.blocks(start, state.rows.size)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)


def _at_least_best(scores: FloatArray, k: int) -> Slots:
    """Slots of the k largest of scores (n,), and of all that might tie with the last: rounding depends on layout."""
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k] - TIE
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))
