"""The k nearest rows of a state: which way is cheapest, and a surer way where the cheap one left a doubt.

Every way only proposes slots; all scores are exact ones of the rows, so no answer depends on how it was found.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..records import FloatArray, KeyArray
from . import bits
from .bits import Slots
from .selection import Selection
from .state import State

_SCORES = 1 << 23
"""Scores held at once by a scan, 32 MB."""
_GATHER, _PART = 3_000_000, 50
"""Up to this many components, or this part of all rows, matches are read one by one; beyond, codes are cheaper."""
_TIE = 1e-5
"""Scanned scores that differ by less may be the other way round exactly."""
_SPARE = 32
"""More of the tail's rows than k are scored, so that most ties are settled at once."""
_BOOSTS = (1, 16, 64)
"""Times the usual effort, before every row is looked at."""


def nearest(
    state: State, queries: FloatArray, k: int, selection: Selection | None = None
) -> tuple[KeyArray, FloatArray]:
    """The k nearest of each unit query (q, dim): keys (q, k) padded with -1, cosines (q, k) padded with -inf.

    Best first, equal scores by key; as many as match, up to k.
    """
    rows = state.rows
    matching = rows.count if selection is None else len(selection.slots)
    width = min(k, matching)
    keys = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    if not width or not len(queries):
        return keys, scores
    open_ = np.arange(len(queries))
    if selection is not None and (matching * rows.dim <= _GATHER or matching <= rows.size // _PART):
        chosen = np.broadcast_to(selection.slots, (len(queries), matching))
        keys[:, :width], scores[:, :width], _ = _best(state, queries, chosen, None, width)
        return keys, scores
    if state.segments:
        for boost in _BOOSTS:
            if k * boost * 4 > rows.size:
                break
            asked = queries if boost == 1 else queries[open_]
            proposed = _proposed(state, asked, k, width, selection, matching, boost)
            if proposed is None:
                break
            slots, edge, doubt = proposed
            if slots.shape[1] < width:
                continue
            best, values, unsure = _best(state, asked, slots, edge, width)
            keys[open_, :width], scores[open_, :width] = best, values
            doubt |= unsure
            if boost == 1:
                # Far from everything that may come: estimates tell less apart there than where they were calibrated.
                doubt |= values[:, -1] < state.segments[0].usual(k * rows.size / matching)
            if not doubt.any():
                return keys, scores
            open_ = open_[doubt]
    for query, slots in zip(open_.tolist(), _scanned(state, queries[open_], width, selection), strict=True):
        asked = queries[query : query + 1]
        keys[query, :width], scores[query, :width], _ = _best(state, asked, slots[None], None, width)
    return keys, scores


def _proposed(
    state: State,
    queries: FloatArray,
    k: int,
    width: int,
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
        slots, edge = _tail(state, queries, min(width + _SPARE, tail), selection)
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
    scores[:, _hidden(state, selection, start)] = -np.inf
    if count < scores.shape[1]:
        places = np.argpartition(scores, scores.shape[1] - count, axis=1)[:, -count:]
        found = np.take_along_axis(scores, places, axis=1)
        edge = found <= found.min(axis=1, keepdims=True) + _TIE
    else:
        places = np.broadcast_to(np.arange(rows.size - start), scores.shape)
        found, edge = scores, np.zeros(scores.shape, dtype=np.bool_)
    return np.where(np.isneginf(found), -1, places + start), edge


def _best(
    state: State, queries: FloatArray, slots: Slots, edge: NDArray[np.bool_] | None, width: int
) -> tuple[KeyArray, FloatArray, NDArray[np.bool_]]:
    """Keys and exact scores (q, width), and the queries (q,) that found too few, or whose last others may equal."""
    scores = state.rows.scores(queries, slots)
    each = np.arange(len(queries))[:, None]
    if scores.shape[1] > 4 * width + 64:
        # Ordering a few is cheaper; those that equal the last of them stay in.
        least = -np.partition(-scores, width - 1, axis=1)[:, width - 1]
        kept = scores >= least[:, None]
        most = int(kept.sum(axis=1).max())
        if most <= scores.shape[1] // 2:
            places = np.argpartition(-scores, most - 1, axis=1)[:, :most]
            slots, scores = slots[each, places], scores[each, places]
            edge = None if edge is None else edge[each, places]
    keys = state.rows.keys[slots]
    order = np.lexsort((keys, -scores), axis=1)[:, :width]
    keys, best = keys[each, order], scores[each, order]
    last = best[:, -1:]
    doubt = np.isneginf(last[:, 0])
    if edge is not None:
        doubt |= (edge & (scores >= last - _TIE)).any(axis=1)
    return keys, best, doubt


def _scanned(state: State, queries: FloatArray, k: int, selection: Selection | None) -> Iterator[Slots]:
    """For each query, slots with at least its k best rows, by looking at all."""
    hidden = _hidden(state, selection, 0)
    step = max(_SCORES // state.rows.size, 1)
    for start in range(0, len(queries), step):
        for scores in _products(state, queries[start : start + step], 0):
            scores[hidden] = -np.inf
            yield _at_least_best(scores, k)


def _products(state: State, queries: FloatArray, start: int) -> FloatArray:
    """(q, size - start), rounded as the layout has it."""
    blocks = [queries @ block.T for _, block in state.rows.blocks(start, state.rows.size)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1)


def _hidden(state: State, selection: Selection | None, start: int) -> NDArray[np.bool_]:
    """(size - start,): rows that may not be found."""
    first = start // 8
    allowed = state.rows.live if selection is None else selection.allowed
    return ~bits.mask(allowed[first:], state.rows.size - 8 * first)[start - 8 * first :]


def _at_least_best(scores: FloatArray, k: int) -> Slots:
    """Places of the k largest, and of all that might tie with the last of them: a scan's rounding depends on layout."""
    if k >= len(scores):
        return np.flatnonzero(np.isfinite(scores))
    least = np.partition(scores, len(scores) - k)[len(scores) - k] - _TIE
    return np.flatnonzero(scores >= max(least, np.finfo(np.float32).min))
