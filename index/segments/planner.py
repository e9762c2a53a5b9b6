"""The k nearest rows of a state: which way is cheapest, and a surer way where the cheap one left a doubt.

Every way only proposes slots; all scores are exact ones of the rows, so no answer depends on how it was found.
"""

from collections.abc import Iterator
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, KeyArray
from . import bits
from .bits import Slots
from .rescoring import TIE
from .selection import Selection
from .state import State

_SCORES = 1 << 23
"""Scores held at once by a scan, 32 MB."""
_GATHER, _PART = 4_000_000, 50
"""Up to this many components, or this part of all rows, matches are read one by one; beyond, codes are cheaper."""
_CHEAPER = 4
"""Where codes would propose this part of the rows, looking at all rows is no more work."""
_SPARE = 32
"""More of the tail's rows than k are scored, so that most ties are settled at once."""
_BOOSTS = (2, 16, 64)
"""Times the usual effort for who is asked again, before every row is looked at."""


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
    if selection is not None and (matching * rows.dim <= _GATHER or matching <= rows.size // _PART):
        chosen = np.broadcast_to(selection.slots, (len(queries), matching))
        return rows.best(queries, chosen, None, k)[:2]
    found = _found(state, queries, k, selection, matching, 1)
    if found is None:
        every = np.arange(len(queries))
        keys, scores = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k), dtype=np.float32)
    else:
        keys, scores, doubt = found
        # Far from everything that may come: estimates tell less apart there than where they were calibrated.
        far = scores[:, -1] < state.segments[0].usual(k * rows.size / matching)
        if not (doubt | far).any():
            return keys, scores
        every = _asked_again(state, queries, k, selection, matching, doubt, far, keys, scores)
    if selection is not None and 2 * matching <= rows.size:
        looked_at: Iterator[Slots] = repeat(selection.slots, len(every))
    else:
        looked_at = _scanned(state, queries[every], k, selection)
    for query, slots in zip(every.tolist(), looked_at, strict=True):
        keys[query], scores[query], _ = rows.best(queries[query : query + 1], slots[None], None, k)
    return keys, scores


def _asked_again(
    state: State,
    queries: FloatArray,
    k: int,
    selection: Selection | None,
    matching: int,
    doubt: NDArray[np.bool_],
    far: NDArray[np.bool_],
    keys: KeyArray,
    scores: FloatArray,
) -> NDArray[np.intp]:
    """Puts better answers into keys and scores (q, k) of the queries (q,) in doubt, with more effort each time.

    The places of those that every row has to be looked at for.
    """
    open_ = np.flatnonzero(doubt | far)
    for boost in _BOOSTS:
        # Who is far off needs more than the least of these.
        asked = open_[~far[open_]] if boost == _BOOSTS[0] else open_
        if not len(asked):
            continue
        found = _found(state, queries[asked], k, selection, matching, boost)
        if found is None:
            break
        keys[asked], scores[asked], unsure = found
        open_ = np.setdiff1d(open_, asked[~unsure], assume_unique=True)
    return open_


def _found(
    state: State, queries: FloatArray, k: int, selection: Selection | None, matching: int, boost: int
) -> tuple[KeyArray, FloatArray, NDArray[np.bool_]] | None:
    """Keys and exact scores (q, k) by so many times the usual effort, and which queries (q,) leave a doubt.

    None where looking at every row is no more work, or where no segment knows how to find so many.
    """
    if not state.segments or k * boost * _CHEAPER > state.rows.size:
        return None
    if boost > 1 and selection is not None:
        effort = state.segments[0].effort_under(k, matching / state.rows.size)
        if effort is None or effort[1] * boost * _CHEAPER > matching:
            return None
    proposed = _proposed(state, queries, k, selection, matching, boost)
    if proposed is None or proposed[0].shape[1] < k:
        return None
    slots, edge, doubt = proposed
    keys, scores, unsure = state.rows.best(queries, slots, edge, k)
    return keys, scores, doubt | unsure


def _proposed(
    state: State,
    queries: FloatArray,
    k: int,
    selection: Selection | None,
    matching: int,
    boost: int,
) -> tuple[Slots, NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Slots (q, c), -1 where there is none; which of them stood last, so that others like them may have been left out.

    And the queries (q,) for which a segment saw too little. None where no segment knows how to find so many.
    """
    rows = state.rows
    allowed = selection.allowed if selection else rows.live if rows.dead else None
    share = matching / rows.size
    parts: list[Slots] = []
    edges: list[NDArray[np.bool_]] = []
    doubt = np.zeros(len(queries), dtype=np.bool_)
    for segment in state.segments:
        found = segment.candidates(queries, k, allowed, selection, share, boost)
        if found is None:
            return None
        slots, estimates, short = found
        doubt |= short
        if allowed is not None:
            # Also where a selector was given: some engines ignore it and don't say so.
            slots = np.where((slots >= 0) & bits.has(allowed, np.maximum(slots, 0)), slots, -1)
        parts.append(slots)
        edges.append(estimates <= estimates[:, -1:])
    tail = rows.size - state.sealed
    if tail:
        slots, edge = _tail(state, queries, min(k + _SPARE, tail), selection)
        parts.append(slots)
        edges.append(edge)
    if len(parts) == 1:
        return parts[0], edges[0], doubt
    return np.concatenate(parts, axis=1), np.concatenate(edges, axis=1), doubt


def _tail(
    state: State, queries: FloatArray, count: int, selection: Selection | None
) -> tuple[Slots, NDArray[np.bool_]]:
    """The best rows behind the segments, from a scan of all of them."""
    rows, start = state.rows, state.sealed
    scores = _products(state, queries, start)
    hidden = _hidden(state, selection, start)
    if hidden is not None:
        scores[:, hidden] = -np.inf
    if count < scores.shape[1]:
        places = np.argpartition(scores, scores.shape[1] - count, axis=1)[:, -count:]
        found = np.take_along_axis(scores, places, axis=1)
        edge = found <= found.min(axis=1, keepdims=True) + TIE
    else:
        places = np.broadcast_to(np.arange(rows.size - start), scores.shape)
        found, edge = scores, np.zeros(scores.shape, dtype=np.bool_)
    return np.where(np.isneginf(found), -1, places + start), edge


def _scanned(state: State, queries: FloatArray, k: int, selection: Selection | None) -> Iterator[Slots]:
    """For each query, slots with at least its k best rows, by looking at all."""
    hidden = _hidden(state, selection, 0)
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


def _hidden(state: State, selection: Selection | None, start: int) -> NDArray[np.bool_] | None:
    """(size - start,): rows that may not be found; None where all may."""
    if selection is None and not state.rows.dead:
        return None
    first = start // 8
    allowed = state.rows.live if selection is None else selection.allowed
    return ~bits.mask(allowed[first:], state.rows.size - 8 * first)[start - 8 * first :]


def _at_least_best(scores: FloatArray, k: int) -> Slots:
    """Places of the k largest, and of all that might tie with the last of them: a scan's rounding depends on layout."""
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k] - TIE
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))
