"""What looks after a collection in the background: sealing, compaction, snapshots, and checking them.

One thread of the process does what takes its time, and another seals new rows meanwhile, so that no search has to scan
many. They work on a state that they took, and put what they made into the state of the moment under the write lock,
which they hold for milliseconds. What fails is tried again later, and keeps nothing else from being done.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from ..faiss_compat import give_back_memory
from ..protocol import Source, unit_rows
from ..settings import Sizes
from . import merge_policy, tuning
from .devices import Devices
from .merge_policy import Task
from .segment import Segment
from .snapshot import DamagedSnapshot, Snapshots
from .state import State
from .worker import Worker

_log = logging.getLogger("tenshot.index")
_worker, _sealer = Worker("tenshot-maintenance", patient=True), Worker("tenshot-sealer")
_PATIENCE = 10
"""Seconds that closing waits for codes in the making; they are made again."""
_LOOKS, _PAUSE = 5, 0.3
_MAKING = (Task.CODE, Task.BUILD, Task.MERGE)


class CurrentState:
    """The state of the moment. Readers take it, writers put another in its place while they hold the lock."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.lock = threading.Lock()


class Maintenance:
    """Of one collection."""

    def __init__(
        self,
        current: CurrentState,
        sizes: Sizes,
        snapshots: Snapshots | None = None,
        source: Source | None = None,
        devices: Devices | None = None,
    ) -> None:
        """snapshots and source: of a collection that can be opened again; else it lives in memory alone."""
        self._current = current
        self._sizes = sizes
        self._snapshots = snapshots
        self._source = source
        self._devices = devices if devices and devices.count else None
        self._not_placed: Segment | None = None
        """There was no room for it on a GPU."""
        self._unchecked = False
        self._damage = ""
        """What is wrong with the snapshot that the rows come from."""
        self._stopped = False
        self._task: Task | None = None
        self._taken = 0
        """The slots below are being made into the first segment."""
        self._unlike = False
        """The tail is unlike the other rows: it can't be sealed, all has to be trained anew."""
        self._saved_rows, self._saved_writes = 0, 0
        self._put_off: dict[Task, tuple[float, int]] = {}
        """What failed is tried again at that time (monotonic), or from so many writes on."""

    def loaded(self, state: State) -> None:
        """The state comes from a snapshot that was not read in full yet."""
        self._unchecked = True
        self._saved_rows = state.rows.size

    def wake(self) -> None:
        """Sees to what is due; the caller holds the write lock."""
        if self._stopped:
            return
        if self._seal_due():
            _sealer.want(self._seal)
        if self._due() is not None:
            _worker.want(self._work)
        elif self._put_off:
            _worker.want(self._work, min(at for at, _ in self._put_off.values()) - time.monotonic())

    def wait(self) -> None:
        """Returns when nothing is due any more but what failed."""
        # The sealer wants the worker before it is done, so whoever looks at it in between sees one of them.
        while _worker.busy(self._work) or _sealer.busy(self._seal) or _worker.busy(self._work):
            _worker.wait(self._work)
            self.wait_sealed()

    def wait_sealed(self) -> None:
        """Returns when no new rows are to be sealed, whatever else is."""
        _sealer.wait(self._seal)

    def close(self) -> None:
        """Finishes what is being done, and writes a snapshot if much would have to be read again without."""
        self._stopped = True
        _worker.drop(self._work)
        _sealer.drop(self._seal)
        _sealer.wait(self._seal, _PATIENCE)
        while not _worker.wait(self._work, _PATIENCE) and self._task in (Task.SAVE, Task.CHECK):
            pass
        self._let_go(self._current.state, ())
        if self._snapshots and not self._damage and self._changes() > self._sizes.save_at_end:
            try:
                self._save(self._current.state)
            except Exception as error:  # the next who opens it reads more from SQL
                _log.warning("no snapshot was written at the end: %s", error)

    def _due(self) -> Task | None:
        return None if self._stopped else next((task for task in self._tasks() if self._may(task)), None)

    def _tasks(self) -> Iterator[Task]:
        """What is to be done, the most useful first."""
        if self._damage:
            yield Task.REBUILD
        elif self._unchecked:
            yield Task.CHECK
        yield from merge_policy.due(self._current.state, self._sizes)
        if self._unlike:
            yield Task.BUILD
        if self._seal_due():
            # What is written then will be worth more.
            return
        if self._to_place() is not None:
            yield Task.PLACE
        much = max(self._sizes.save, self._saved_rows // tuning.SAVE_SHARE)
        if self._snapshots and not self._damage and self._changes() > much:
            yield Task.SAVE

    def _may(self, task: Task) -> bool:
        """Unless it failed a moment ago."""
        at, writes = self._put_off.get(task, (0.0, 0))
        return time.monotonic() >= at or self._current.state.writes >= writes > 0

    def _seal_due(self) -> bool:
        due = not self._unlike and merge_policy.seal_due(self._current.state, self._sizes)
        return due and not self._stopped and self._may(Task.SEAL)

    def _to_place(self) -> Segment | None:
        """The first segment, if it should lie on a GPU and doesn't."""
        segments = self._current.state.segments
        if not self._devices or not segments or segments[0] is self._not_placed:
            return None
        resident = segments[0].resident
        return segments[0] if resident is None or resident.wanted else None

    def _changes(self) -> int:
        """Rows added and deleted since the last snapshot."""
        return self._current.state.writes - self._saved_writes

    def _work(self) -> None:
        """Does one thing that is due."""
        with self._current.lock:
            state, self._task = self._current.state, self._due()
            task = self._task
            if task in _MAKING:
                self._taken = merge_policy.border(state, tail=self._unlike)
        if task is None:
            return
        self._try(task, partial(self._do, task, state))
        del state
        with self._current.lock:
            self._task, self._taken = None, 0
            if task in (Task.BUILD, Task.COMPACT):
                self._unlike = False
            self.wake()
        if task in (*_MAKING, Task.COMPACT):
            give_back_memory()

    def _try(self, task: Task, do: Callable[[], None]) -> None:
        try:
            do()
            self._put_off.pop(task, None)
        except DamagedSnapshot as error:
            assert self._snapshots
            self._damage = str(error)
            _log.warning("a snapshot in %s is damaged (%s): its collection is rebuilt", self._snapshots.folder, error)
        except Exception as error:
            # Searches stay right without: they look at every row that no segment has.
            _log.warning("%s failed and is put off: %r", task.value, error)
            state = self._current.state
            writes = state.writes + max(self._sizes.save, state.rows.size // tuning.SAVE_SHARE)
            self._put_off[task] = time.monotonic() + self._sizes.again_s, writes

    def _do(self, task: Task, state: State) -> None:
        if task is Task.CHECK:
            self._check()
        elif task is Task.REBUILD:
            self._rebuild()
        elif task is Task.SAVE:
            self._save(state)
        elif task is Task.COMPACT:
            self._compact(state)
        elif task is Task.PLACE:
            self._place(state)
        else:
            self._make_first(task, state)

    def _make_first(self, task: Task, state: State) -> None:
        segments = merge_policy.segments_after(state, task, self._taken, self._sizes, _threads())
        if segments is None:
            # Codes were no gain: nothing is tried before there are twice as many rows.
            self._replace(lambda now: replace(now, segments=(), exact_until=2 * state.rows.size))
        else:
            self._replace(lambda now: merge_policy.with_first(now, segments), since=state)
            self._let_go(state, segments)

    def _seal(self) -> None:
        """Beside what the other thread is about, and not after searches: it takes milliseconds, and shortens theirs."""
        with self._current.lock:
            state, taken = self._current.state, self._taken
            due = self._seal_due()
        if due:
            self._try(Task.SEAL, lambda: self._add_sealed(state, merge_policy.sealed(state, taken)))
        with self._current.lock:
            self.wake()

    def _add_sealed(self, state: State, grown: Segment | None) -> None:
        if grown is None:
            self._unlike = True
        else:
            self._replace(lambda now: merge_policy.with_sealed(now, grown, self._taken), since=state)

    def _compact(self, state: State) -> None:
        fresh = merge_policy.compacted(state)
        segments: tuple[Segment, ...] | None = ()
        if any(merge_policy.due(fresh, self._sizes)):
            segments = merge_policy.segments_after(
                fresh, Task.BUILD, merge_policy.border(fresh), self._sizes, _threads()
            )
        self._replace(
            lambda now: replace(merge_policy.caught_up(state, now, fresh), segments=segments or ()), since=state
        )
        self._let_go(state, ())

    def _let_go(self, state: State, segments: tuple[Segment, ...]) -> None:
        """Of the GPU memory of segments that are no longer there; who still searches them goes on with their codes."""
        for segment in state.segments:
            resident = segment.resident
            if self._devices and resident and all(resident is not other.resident for other in segments):
                self._devices.evict(resident)

    def _replace(self, change: Callable[[State], State], since: State | None = None) -> None:
        """since: only while slots mean what they did then."""
        with self._current.lock:
            now = self._current.state
            if not self._stopped and (since is None or now.generation == since.generation):
                self._current.state = change(now)
                self.wake()

    def _place(self, state: State) -> None:
        """The first segment's rows go onto a GPU; its codes serve until they are there, and when they are not."""
        assert self._devices
        first = state.segments[0]
        resident = self._devices.place(state.rows, first.start, first.stop, first.resident)
        placed = replace(first, resident=resident)
        self._not_placed = placed if resident is None else None
        self._replace(
            lambda now: replace(now, segments=(placed, *now.segments[1:])) if now.segments[0] is first else now,
            since=state,
        )

    # Snapshots

    def _save(self, state: State) -> None:
        assert self._snapshots
        mapped = self._snapshots.save(state)
        self._saved_rows, self._saved_writes = state.rows.size, state.writes
        self._replace(lambda now: replace(now, rows=now.rows.on_file(mapped)), since=state)
        if self._source:
            self._source.forget_removed(self._snapshots.oldest_seq())

    def _check(self) -> None:
        """Raises DamagedSnapshot."""
        assert self._snapshots
        assert self._source
        self._snapshots.check()
        # What is on its way from SQL into the collection differs for a moment.
        differ = None
        for _ in range(_LOOKS):
            differ_now = np.setxor1d(self._current.state.ordered[0], self._source.keys(), assume_unique=True)
            differ = differ_now if differ is None else np.intersect1d(differ, differ_now, assume_unique=True)
            if not len(differ):
                break
            time.sleep(_PAUSE)
        else:
            raise DamagedSnapshot("its keys are not those of the database")
        state = self._current.state
        slots = state.rows.live_slots()
        slots = slots[np.linspace(0, len(slots) - 1, min(1000, len(slots))).astype(np.int64)]
        stored = self._source.of(state.rows.keys[slots])
        rows = zip(state.rows.keys[slots].tolist(), state.rows.take(slots), strict=True)
        if any(key in stored and not np.allclose(row, stored[key], atol=1e-5) for key, row in rows):
            raise DamagedSnapshot("its vectors are not those of the database")
        self._unchecked = False

    def _rebuild(self) -> None:
        """Everything anew from SQL, while the old state serves."""
        assert self._snapshots
        assert self._source
        seq = self._source.seq()
        fresh = filled(State.empty(self._current.state.rows.dim), self._source)
        with self._current.lock:
            fresh = newer(fresh, self._source, seq)
            now = self._current.state
            self._current.state = replace(
                fresh, seq=now.seq, writes=now.writes + fresh.rows.size, generation=now.generation + 1
            )
            self._unchecked, self._damage = False, ""
        self._let_go(now, ())
        self._snapshots.clear()
        self._saved_rows = 0


def newer(state: State, source: Source, seq: int) -> State:
    """A state that holds what SQL did at a change's number, with what SQL holds now."""
    return filled(state, source, seq).deleted(source.removed(seq))


def filled(state: State, source: Source, after: int | None = None) -> State:
    """A state with all vectors that SQL holds, or with those of later changes."""
    for keys, vectors in source.vectors(after):
        state = state.upserted(keys, unit_rows(vectors, state.rows.dim))
    return state


def _threads() -> int:
    """All processors but one, for whoever builds."""
    return max((os.cpu_count() or 1) - 1, 1)
