"""What a state of a collection is to become in the background: which segments, when, and compaction. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from ..settings import Sizes
from . import tuning
from .keymap import KeyMap
from .planner import still_finds
from .rows import Rows
from .segment import Segment
from .state import State


class Task(Enum):
    """What is due, and takes its time. Beside it new rows are sealed, which doesn't: see `sealed`."""

    COMPACT = "compact"
    """Dead rows go, slots are renumbered."""
    CODE = "code"
    """A large collection without any codes gets flat ones, a moment's work, to be searched by until BUILD is done."""
    BUILD = "build"
    """One segment over all, trained anew."""
    MERGE = "merge"
    """The first segment takes in the others, untrained."""
    CHECK = "check"
    """Whether a loaded snapshot is what SQL says."""
    SAVE = "save"
    """A new snapshot."""
    PLACE = "place"
    """The first segment's rows go onto a GPU."""
    SEAL = "seal"
    """New rows get codes."""
    REBUILD = "rebuild"
    """All anew from SQL, since a snapshot proved to be damaged."""


def due(state: State, sizes: Sizes) -> Iterator[Task]:
    """What makes searches faster, the most useful first."""
    rows, first = state.rows, state.segments[0] if state.segments else None
    if rows.dead > sizes.dead and rows.dead > tuning.DEAD_SHARE * rows.size:
        yield Task.COMPACT
    if first is None:
        if rows.size > max(sizes.exact, state.exact_until):
            yield Task.BUILD if rows.size < sizes.flat_first else Task.CODE
    elif state.sealed >= 2 * first.trained_on or first.stop < sizes.lists <= state.sealed:
        yield Task.BUILD
    elif state.sealed - first.stop > max(first.stop // tuning.MERGE_SHARE, sizes.merge):
        yield Task.MERGE


def seal_due(state: State, sizes: Sizes) -> bool:
    """Whether the tail is so long that a scan of it takes its time, and there are codes to seal it with."""
    return bool(state.segments) and state.rows.size - state.sealed > sizes.tail


def border(state: State, *, tail: bool = False) -> int:
    """Up to which slot CODE, BUILD, and MERGE take rows in: what is sealed, or the tail too where nothing is.

    A bitmap over all slots can be cut at whole bytes only.
    """
    return state.rows.size // 8 * 8 if tail or not state.segments else state.sealed


def segments_after(state: State, task: Task, stop: int, sizes: Sizes, threads: int) -> tuple[Segment, ...] | None:
    """The segment over slots 0..stop-1 that CODE, BUILD or MERGE leads to; None where codes are no gain."""
    rows = state.rows
    if task is Task.MERGE:
        grown = state.segments[0].extended(rows, stop, threads)
        if still_finds(replace(state, segments=(grown,)), state.segments[0].stop, stop):
            return (grown,)
    # Trained anew, also where the new rows are unlike those that the first segment was calibrated on.
    with_lists = task is not Task.CODE and stop >= sizes.lists
    segment = Segment.build(rows, 0, stop, with_lists=with_lists, threads=threads)
    if segment is None:
        return None
    return (replace(segment, trained_on=0) if task is Task.CODE else segment,)


def sealed(state: State, taken: int) -> Segment | None:
    """A segment that ends with the last rows, by the first one's codes; None where its parameters don't suit them.

    It is the last one grown, unless that is being taken in: what is below slot `taken` is.
    """
    rows, first, last = state.rows, state.segments[0], state.segments[-1]
    stop = rows.size // 8 * 8
    # The parameters are known to do for as many rows as the first one has.
    grow = last is not first and last.start >= taken and stop - last.start <= first.stop
    start = last.start if grow else last.stop
    grown = last.extended(rows, stop, 1) if grow else first.encode(rows, start, stop)
    kept = state.segments[:-1] if grow else state.segments
    return grown if still_finds(replace(state, segments=(*kept, grown)), state.sealed, stop) else None


def with_sealed(state: State, grown: Segment, taken: int) -> State:
    """With what `sealed` made of an earlier state; without, if its rows went elsewhere meanwhile."""
    kept = tuple(segment for segment in state.segments if segment.stop <= grown.start)
    fits = kept and kept[-1].stop == grown.start and grown.stop > state.sealed
    # Nothing may lie across the border of what is being taken in.
    return replace(state, segments=(*kept, grown)) if fits and not grown.start < taken < grown.stop else state


def with_first(state: State, first: tuple[Segment, ...]) -> State:
    """With what CODE, BUILD or MERGE made; rows sealed since stay so."""
    since = (segment for segment in state.segments if first and segment.start >= first[0].stop)
    return replace(state, segments=(*first, *since))


def compacted(state: State) -> State:
    """The live rows only, in new buffers, in the order of their slots; no segments."""
    slots = state.rows.live_slots()
    rows = Rows.empty(state.rows.dim, max(len(slots) + len(slots) // 8, 256))
    for start in range(0, len(slots), 65_536):
        chosen = slots[start : start + 65_536]
        rows = rows.append(state.rows.keys[chosen], state.rows.take(chosen))
    return replace(state, rows=rows, keymap=KeyMap().grown(rows), segments=(), generation=state.generation + 1)


def caught_up(before: State, after: State, fresh: State) -> State:
    """What was compacted of an earlier state, with what has changed until a later one."""
    lost = before.rows.live_mask() & ~after.rows.live_mask()[: before.rows.size]
    new = after.rows.live_slots(before.rows.size)
    fresh = fresh.deleted(before.rows.keys[lost]).upserted(after.rows.keys[new], after.rows.take(new))
    return replace(fresh, seq=after.seq, writes=after.writes)
