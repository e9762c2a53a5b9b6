"""What a state of a collection is to become in the background: which segments, when, and compaction. Pure."""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from .keymap import KeyMap
from .rows import Rows
from .segment import Segment
from .state import State


@dataclass(frozen=True)
class Sizes:
    """Rows at which a collection changes its ways."""

    exact: int = 10_000
    """Up to so many nothing is built: every search looks at all of them."""
    lists: int = 50_000
    """From here on the first segment has inverted lists."""
    tail: int = 1024
    """So many new rows are sealed; a scan of them takes a tenth of a millisecond."""
    merge: int = 4096
    """The second segment goes into the first from so many rows on, and from a 32nd of the first's."""
    dead: int = 1000
    """So many dead rows are cleared away when they are a fifth of all."""
    inline: int = 20_000
    """Up to so many, dead ones go while the writer waits: milliseconds."""
    save: int = 4096
    """So many changes are written into a snapshot, and a 50th of the rows; reading them from SQL takes a moment."""
    save_at_end: int = 1000
    """So many changes are when the collection is closed."""


_MERGE = 32
_DEAD_SHARE = 0.2


class Task(Enum):
    """What is due."""

    COMPACT = "compact"
    """Dead rows go, slots are renumbered."""
    BUILD = "build"
    """One segment over all, trained anew."""
    MERGE = "merge"
    """The first segment takes in the others, untrained."""
    SEAL = "seal"
    """A second segment over what the first doesn't have."""
    CHECK = "check"
    """Whether a loaded snapshot is what SQL says."""
    SAVE = "save"
    """A new snapshot."""
    PLACE = "place"
    """The first segment's rows go onto a GPU."""


def due(state: State, sizes: Sizes) -> Task | None:
    """The most useful thing to do."""
    rows, first = state.rows, state.segments[0] if state.segments else None
    if rows.dead > sizes.dead and rows.dead > _DEAD_SHARE * rows.size:
        return Task.COMPACT
    if rows.size <= max(sizes.exact, state.exact_until):
        return None
    if first is None or rows.size >= 2 * first.trained_on or first.stop < sizes.lists <= rows.size:
        return Task.BUILD
    if rows.size - first.stop > max(first.stop // _MERGE, sizes.merge):
        return Task.MERGE
    return Task.SEAL if rows.size - state.sealed > sizes.tail else None


def segments_after(state: State, task: Task, sizes: Sizes, threads: int) -> tuple[Segment, ...] | None:
    """The segments that BUILD, MERGE or SEAL lead to; None where codes are no gain. Takes its time."""
    # A bitmap over all slots can be cut at whole bytes only.
    rows, stop = state.rows, state.rows.size // 8 * 8
    if task is not Task.BUILD:
        first = state.segments[0]
        grown = first.extended(rows, stop, threads) if task is Task.MERGE else first.beside(rows, stop, threads)
        if grown.still_finds(rows, first.stop):
            return (grown,) if task is Task.MERGE else (first, grown)
    # Trained anew, also where the new rows are unlike those that the first segment was calibrated on.
    made = Segment.build(rows, 0, stop, with_lists=rows.size >= sizes.lists, threads=threads)
    return None if made is None else (made,)


def compacted(state: State) -> tuple[Rows, KeyMap]:
    """The live rows only, in new buffers, in the order of their slots."""
    slots = state.rows.live_slots()
    rows = Rows.empty(state.rows.dim, max(len(slots) + len(slots) // 8, 256))
    for start in range(0, len(slots), 65_536):
        chosen = slots[start : start + 65_536]
        rows = rows.append(state.rows.keys[chosen], state.rows.take(chosen))
    return rows, KeyMap(rows.keys, np.arange(rows.size))


def caught_up(before: State, after: State, rows: Rows, keymap: KeyMap) -> tuple[Rows, KeyMap]:
    """What was made of an earlier state, with what has changed until a later one."""
    lost = before.rows.live_mask() & ~after.rows.live_mask()[: before.rows.size]
    if lost.any():
        gone = np.searchsorted(before.rows.live_slots(), np.flatnonzero(lost))
        keymap = keymap.changed(rows.keys[gone], np.full(len(gone), -1))
        rows = rows.without(gone)
    new = after.rows.live_slots(before.rows.size)
    if len(new):
        start = rows.size
        rows = rows.append(after.rows.keys[new], after.rows.take(new))
        keymap = keymap.changed(after.rows.keys[new], np.arange(start, rows.size))
    return rows, keymap


def without_segments(state: State, tried: int) -> State:
    """Codes over so many rows were no gain: nothing is tried before there are twice as many."""
    return replace(state, segments=(), exact_until=2 * tried)
