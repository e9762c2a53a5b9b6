"""The k nearest rows of a state: which way is cheapest, and a surer way where the cheap one left a doubt.

Every way only proposes slots; all scores are exact ones of the rows, so no answer depends on how it was found.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ...records import FloatArray, KeyArray
from . import bitmap
from .bitmap import Bits, Slots
from .effort import READ, Boost, spread
from .rescore import TIE, Proposal, Rescored
from .selection import Selection
from .state import State

_SCORES = 1 << 23
"""Scores held at once by a scan, 32 MB."""
_GATHER = 4_000_000
"""Up to this many components, matches are read one by one; beyond, where that is cheaper than to scan all codes."""
_CHEAPER = 4
"""Where codes would propose this part of the rows, looking at all rows is no more work."""
_USUAL, _SURER, _THOROUGH = Boost(), Boost(4, 4), Boost(1 << 16, 16)
"""Who is in doubt is asked again, and goes through all lists at last, before every row is looked at."""
_ROOM = 3.0
"""What was left out is to be so many typical errors of estimates below the k-th score: hardly any is larger."""
_CODES, _CANDIDATE = 100, 2500
"""All lists are worth it where a scan reads more: a row's codes take as long as so many components, and a candidate."""
_AT_ONCE = 64
"""Queries that go through all lists together, since their candidates take memory."""
_CHECKED, _WIDTH, _LOST = 32, 10, 0.85
"""Of rows that came later so many are asked for so many neighbours. Where they find less than this share of them, they
are unlike those that the effort was measured on: that is not the sample's luck."""


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
    if state.segments and k < _WIDTH <= matching:
        # It takes the same effort, and the tenth neighbour tells whether a query is unlike the rows.
        keys, scores = nearest(state, queries, _WIDTH, selection)
        return keys[:, :k], scores[:, :k]
    few = selection is not None and matching * READ <= rows.size
    if selection is not None and (matching * rows.dim <= _GATHER or (few and not _lie_evenly(state, selection))):
        return rows.best(queries, np.broadcast_to(selection.slots, (len(queries), matching)), k)
    found = _found(state, queries, k, selection, matching, _USUAL)
    if found is None:
        every = np.arange(len(queries))
        keys, scores = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
    else:
        keys, scores = found.keys, found.scores
        every = np.flatnonzero(found.doubt() | _unusual(state, scores, rows.size / matching))
        if not len(every):
            return keys, scores
        if not few:
            every = _asked_again(state, queries, k, selection, matching, every, keys, scores)
    if selection is not None and 2 * matching <= rows.size:
        looked_at: Iterator[Slots] = repeat(selection.slots, len(every))
    else:
        looked_at = _scanned(state, queries[every], k, selection)
    for query, slots in zip(every.tolist(), looked_at, strict=True):
        keys[query], scores[query] = rows.best(queries[query : query + 1], slots[None], k)
    return keys, scores


def still_finds(state: State, start: int, stop: int) -> bool:
    """Whether rows start..stop-1, which came after the effort was measured, find their neighbours with it.

    They are those that four times as much finds, in all of the state.
    """
    k, every = _WIDTH, state.rows.count
    queries = state.rows.take(spread(state.rows, start, stop, _CHECKED))
    found = _found(state, queries, k, None, every, _USUAL)
    surely = _found(state, queries, k, None, every, _SURER)
    least = surely.scores if surely else nearest(replace(state, segments=()), queries, k)[1]
    return found is not None and bool((found.scores >= least[:, -1:] - TIE).mean() >= _LOST)


def _lie_evenly(state: State, selection: Selection) -> bool:
    return bool(state.segments) and state.segments[0].leaves_evenly(selection)


def _unusual(state: State, scores: FloatArray, thinned: float) -> NDArray[np.bool_]:
    """(q,): far from everything that may come, or in a crowd: estimates tell less apart there than on the average.

    scores: (q, k) of the best rows; thinned: one of so many may come. Looked at as the tenth too: clusters are
    often smaller than a larger k, and beyond them all is far.
    """
    effort, unusual = state.segments[0].effort, np.zeros(len(scores), dtype=np.bool_)
    for place in {min(scores.shape[1], _WIDTH), scores.shape[1]}:
        usual, crowded = effort.usual_at(place * thinned)
        unusual |= (scores[:, place - 1] < usual) | (scores[:, place - 1] >= crowded)
    return unusual


def _lists_are_worth_it(state: State, k: int, selection: Selection | None, matching: int) -> bool:
    """Whether it takes less time to go through all lists than to look at every row that may come."""
    rows = state.rows
    effort = state.segments[0].effort.at(int(k * rows.size / matching))
    if effort is None:
        return False
    # A filter's rows don't lie together.
    scan = rows.size if selection is None else min(2 * matching, rows.size)
    return scan * rows.dim > rows.size * _CODES + _THOROUGH.more(effort[1], rows.size) * _CANDIDATE


def _asked_again(
    state: State,
    queries: FloatArray,
    k: int,
    selection: Selection | None,
    matching: int,
    places: NDArray[np.intp],
    keys: KeyArray,
    scores: FloatArray,
) -> NDArray[np.intp]:
    """Puts better answers into keys and scores (q, k) of the queries at these places.

    Four times the effort is enough where it finds nothing better and little can be missing; else they go through all
    lists. The places of those that every row has to be looked at for.
    """
    for boost in (_SURER, _THOROUGH) if _lists_are_worth_it(state, k, selection, matching) else (_SURER,):
        unsure = [np.empty(0, dtype=np.intp)]
        for start in range(0, len(places), _AT_ONCE):
            asked = places[start : start + _AT_ONCE]
            found = _found(state, queries[asked], k, selection, matching, boost)
            if found is None:
                return places
            better = (found.scores[:, -1] > scores[asked, -1]) & (boost is _SURER)
            keys[asked], scores[asked] = found.keys, found.scores
            unsure.append(asked[better | found.doubt() | (found.room() < _ROOM)])
        places = np.concatenate(unsure)
    return places


def _found(
    state: State, queries: FloatArray, k: int, selection: Selection | None, matching: int, boost: Boost
) -> Rescored | None:
    """The best of what every segment proposes with so many times the usual effort, and of the tail.

    None where looking at every row is no more work, or where no segment knows how to find so many.
    """
    if not state.segments or k * boost.candidates * _CHEAPER > matching:
        return None
    rows, allowed = state.rows, _allowed(state, selection)
    proposals = list[Proposal]()
    for segment in state.segments:
        proposal = segment.candidates(queries, k, allowed, selection, matching / rows.size, boost)
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
    step = max(_SCORES // state.rows.size, 1)
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
    """Places of the k largest, and of all that might tie with the last of them: a scan's rounding depends on layout."""
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k] - TIE
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))
