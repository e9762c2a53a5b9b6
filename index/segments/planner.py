"""The k nearest rows of a state: which way is cheapest, and a surer way where the cheap one left a doubt.

Every way only proposes slots; all scores are exact ones of the rows, so no answer depends on how it was found.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, KeyArray
from . import bits
from .bits import Bits, Slots
from .calibration import READ, Boost, spread
from .rescoring import TIE, Proposal
from .selection import Selection
from .state import State

_SCORES = 1 << 23
"""Scores held at once by a scan, 32 MB."""
_GATHER = 4_000_000
"""Up to this many components, matches are read one by one; beyond, where that is cheaper than to scan all codes."""
_CHEAPER = 4
"""Where codes would propose this part of the rows, looking at all rows is no more work."""
_USUAL, _BOOSTS = Boost(), (Boost(4, 4), Boost(16, 16), Boost(256, 32))
"""For who is asked again, before every row is looked at."""
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
    few = selection is not None and matching * READ <= rows.size
    if selection is not None and (matching * rows.dim <= _GATHER or (few and not _lie_evenly(state, selection))):
        return rows.best(queries, np.broadcast_to(selection.slots, (len(queries), matching)), k)
    found = _found(state, queries, k, selection, matching, _USUAL)
    if found is None:
        every = np.arange(len(queries))
        keys, scores = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
    else:
        keys, scores, doubt = found
        # Far from everything that may come, or in a crowd: estimates tell less apart there than on the average.
        usual, crowded = state.segments[0].effort.usual_at(k * rows.size / matching)
        last = scores[:, -1]
        doubt |= (last < usual) | (last >= crowded)
        if not np.count_nonzero(doubt):
            return keys, scores
        if few:
            every = np.flatnonzero(doubt)
        else:
            every = _asked_again(state, queries, k, selection, matching, doubt, keys, scores)
    if selection is not None and 2 * matching <= rows.size:
        looked_at: Iterator[Slots] = repeat(selection.slots, len(every))
    else:
        looked_at = _scanned(state, queries[every], k, selection)
    for query, slots in zip(every.tolist(), looked_at, strict=True):
        keys[query], scores[query] = rows.best(queries[query : query + 1], slots[None], k)
    return keys, scores


def still_finds(state: State, start: int, stop: int) -> bool:
    """Whether rows start..stop-1, which came after the effort was measured, find their neighbours with it.

    They are those that four times as much finds, in all of the state; what its margin passes over counts too.
    """
    k, every = _WIDTH, state.rows.count
    queries = state.rows.take(spread(state.rows, start, stop, _CHECKED))
    unhurried = replace(state, segments=tuple(one.unhurried() for one in state.segments))
    found = _found(state, queries, k, None, every, _USUAL)
    surely = _found(unhurried, queries, k, None, every, _BOOSTS[0])
    least = surely[1] if surely else nearest(replace(state, segments=()), queries, k)[1]
    return found is not None and bool((found[1] >= least[:, -1:] - TIE).mean() >= _LOST)


def _lie_evenly(state: State, selection: Selection) -> bool:
    return bool(state.segments) and state.segments[0].leaves_evenly(selection)


def _asked_again(
    state: State,
    queries: FloatArray,
    k: int,
    selection: Selection | None,
    matching: int,
    doubted: NDArray[np.bool_],
    keys: KeyArray,
    scores: FloatArray,
) -> NDArray[np.intp]:
    """Puts better answers into keys and scores (q, k) of the queries (q,) in doubt, as long as more effort finds more.

    The places of those that every row has to be looked at for.
    """
    asked = np.flatnonzero(doubted)
    unsure = np.ones(len(asked), dtype=np.bool_)
    for boost in _BOOSTS:
        found = _found(state, queries[asked], k, selection, matching, boost)
        if found is None:
            # The few that a filter leaves are soon read.
            return asked if selection is not None else asked[unsure]
        better = found[1][:, -1] > scores[asked, -1]
        keys[asked], scores[asked], unsure = found
        asked, unsure = asked[better | unsure], unsure[better | unsure]
        if not len(asked):
            break
    return asked[unsure]


def _found(
    state: State, queries: FloatArray, k: int, selection: Selection | None, matching: int, boost: Boost
) -> tuple[KeyArray, FloatArray, NDArray[np.bool_]] | None:
    """Keys and exact scores (q, k) by so many times the usual effort, and which queries (q,) leave a doubt.

    None where looking at every row is no more work, or where no segment knows how to find so many.
    """
    if not state.segments or k * boost.candidates * _CHEAPER > matching:
        return None
    proposed = _proposed(state, queries, k, selection, matching, boost)
    if proposed is None or sum(one.slots.shape[1] for one in proposed[0]) < k:
        return None
    proposals, short = proposed
    # Also where a selector was given: some engines ignore it and don't say so.
    keys, scores, unsure = state.rows.best_proposed(queries, proposals, _allowed(state, selection), k)
    return keys, scores, short | unsure


def _proposed(
    state: State, queries: FloatArray, k: int, selection: Selection | None, matching: int, boost: Boost
) -> tuple[list[Proposal], NDArray[np.bool_]] | None:
    """By every segment, and of the tail; the queries (q,) for which a segment saw too little.

    None where no segment knows how to find so many.
    """
    rows, allowed = state.rows, _allowed(state, selection)
    proposals, doubt = list[Proposal](), np.zeros(len(queries), dtype=np.bool_)
    for segment in state.segments:
        found = segment.candidates(queries, k, allowed, selection, matching / rows.size, boost)
        if found is None:
            return None
        proposals.append(found[0])
        doubt |= found[1]
    if rows.size > state.sealed:
        proposals.append(_tail(state, queries))
    return proposals, doubt


def _allowed(state: State, selection: Selection | None) -> Bits | None:
    """A bitmap of the slots that may come; None: all may."""
    if selection is not None:
        return selection.allowed
    return state.rows.live if state.rows.dead else None


def _tail(state: State, queries: FloatArray) -> Proposal:
    """All rows behind the segments, by a scan."""
    scores = _products(state, queries, state.sealed)
    slots = np.broadcast_to(np.arange(state.sealed, state.rows.size), scores.shape)
    return Proposal(slots, scores, TIE, complete=True)


def _scanned(state: State, queries: FloatArray, k: int, selection: Selection | None) -> Iterator[Slots]:
    """For each query, slots with at least its k best rows, by looking at all."""
    hidden = _hidden(state, selection)
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


def _hidden(state: State, selection: Selection | None) -> NDArray[np.bool_] | None:
    """(size,): rows that may not be found; None where all may."""
    allowed = _allowed(state, selection)
    return None if allowed is None else ~bits.mask(allowed, state.rows.size)


def _at_least_best(scores: FloatArray, k: int) -> Slots:
    """Places of the k largest, and of all that might tie with the last of them: a scan's rounding depends on layout."""
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k] - TIE
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))
