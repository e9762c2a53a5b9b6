"""What looks after a collection in the background: sealing, compaction, snapshots, and checking them.

A thread of its own that lives while something is due, and another that seals new rows meanwhile, so that no search has
to scan many. They work on a state that they took, and put what they made into the state of the moment under the write
lock, which they hold for milliseconds.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from ..records import FloatArray, KeyArray
from . import sealing
from .devices import Devices
from .native import give_back_memory
from .rows import unit_rows
from .sealing import Sizes, Task
from .segment import Segment
from .snapshot import DamagedSnapshot, Snapshots
from .state import State

_log = logging.getLogger("tenshot.index")
# One collection at a time is sealed, whatever the number of collections.
_turn = threading.Lock()
_SHARE = 50
"""A snapshot is written when so many-th of the rows have changed."""
_PATIENCE = 10
"""Seconds that closing waits for codes in the making; they are made again."""
_LOOKS, _PAUSE = 5, 0.3


class Source(Protocol):
    """The truth that a collection is made of and held against."""

    def seq(self) -> int:
        """The number of the last change."""

    def vectors(self, after: int | None) -> Iterator[tuple[KeyArray, FloatArray]]:
        """Keys (m,) and vectors (m, dim) at a time: all, or those of later changes."""

    def removed(self, after: int) -> KeyArray:
        """Keys that later changes deleted."""

    def forget_removed(self, until: int) -> None:
        """Nobody will ask for deletions up to this change."""

    def keys(self) -> KeyArray:
        """(n,) ascending."""

    def sample(self, keys: KeyArray) -> dict[int, FloatArray]:
        """key -> vector (dim,) of those of the keys that exist."""


class Current:
    """The state of the moment. Readers take it, writers put another in its place while they hold the lock."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.lock = threading.Lock()


class Keeper:
    """Looks after one collection."""

    def __init__(
        self,
        current: Current,
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
        self._thread: threading.Thread | None = None
        self._unchecked = False
        self._stopped = False
        self._task: Task | None = None
        self._taken = 0
        """The slots below are being made into the first segment."""
        self._sealer: threading.Thread | None = None
        self._unlike = False
        """The tail is unlike the other rows: it can't be sealed, all has to be trained anew."""
        self._saved = (0, 0)
        self._rest = 0
        """Nothing is tried before so many writes; set where something failed."""

    def loaded(self, state: State) -> None:
        """The state comes from a snapshot that was not read in full yet."""
        self._unchecked = True
        self._saved = state.rows.size, state.rows.dead

    def wake(self) -> None:
        """Sees to what is due; the caller holds the write lock."""
        if self._thread is None and self._due() is not None:
            self._thread = threading.Thread(target=self._work, name="tenshot-keeper", daemon=True)
            self._thread.start()
        if self._sealer is None and self._seal_due():
            self._sealer = threading.Thread(target=self._seal, name="tenshot-sealer", daemon=True)
            self._sealer.start()

    def wait(self) -> None:
        """Returns when nothing is due any more."""
        while running := self._running():
            running[0].join()

    def close(self) -> None:
        """Finishes what is being done, and writes a snapshot if much would have to be read again without."""
        self._stopped = True
        for thread in self._running():
            thread.join(_PATIENCE)
            while thread.is_alive() and self._task in (Task.SAVE, Task.CHECK):
                thread.join(_PATIENCE)
        self._let_go(self._current.state, ())
        if self._snapshots and self._changes() > self._sizes.save_at_end:
            try:
                self._save(self._current.state)
            except (OSError, DamagedSnapshot) as error:
                _log.warning("no snapshot was written at the end: %s", error)

    def _running(self) -> list[threading.Thread]:
        # Each starts the other, under the lock: outside of it one may be there that can't be joined yet.
        with self._current.lock:
            return [thread for thread in (self._thread, self._sealer) if thread is not None]

    def _due(self) -> Task | None:
        if self._stopped or self._writes() < self._rest:
            return None
        if self._unchecked:
            return Task.CHECK
        task = sealing.due(self._current.state, self._sizes) or (Task.BUILD if self._unlike else None)
        if task is None and self._seal_due():
            # What is written then will be worth more.
            return None
        if task is None and self._to_place() is not None:
            return Task.PLACE
        if task is None and self._snapshots and self._changes() > max(self._sizes.save, self._saved[0] // _SHARE):
            return Task.SAVE
        return task

    def _seal_due(self) -> bool:
        if self._stopped or self._unlike or self._writes() < self._rest:
            return False
        return sealing.seal_due(self._current.state, self._sizes)

    def _to_place(self) -> Segment | None:
        """The first segment, if it should lie on a GPU and doesn't."""
        segments = self._current.state.segments
        if not self._devices or not segments or segments[0] is self._not_placed:
            return None
        resident = segments[0].resident
        return segments[0] if resident is None or resident.wanted else None

    def _writes(self) -> int:
        """A number that grows with every row added and deleted, until dead ones are cleared away."""
        return self._current.state.rows.size + self._current.state.rows.dead

    def _changes(self) -> int:
        """Rows added and deleted since the last snapshot."""
        rows, (size, dead) = self._current.state.rows, self._saved
        return abs(rows.size - size) + abs(rows.dead - dead)

    def _work(self) -> None:
        # It, and what FAISS starts for it, takes what searches leave of the processors.
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        while True:
            with self._current.lock:
                state, self._task = self._current.state, self._due()
                task = self._task
                if task is None:
                    self._thread = None
                    return
                if task in (Task.CODE, Task.BUILD, Task.MERGE):
                    self._taken = sealing.border(state, tail=self._unlike)
            with _turn:
                self._do(task, state)
            with self._current.lock:
                self._taken = 0
                if task in (Task.BUILD, Task.COMPACT):
                    self._unlike = False
                self.wake()
            del state
            if task in (Task.CODE, Task.BUILD, Task.MERGE, Task.COMPACT):
                give_back_memory()

    def _do(self, task: Task, state: State) -> None:
        try:
            if task is Task.CHECK:
                self._check()
            elif task is Task.SAVE:
                self._save(state)
            elif task is Task.COMPACT:
                self._compact(state)
            elif task is Task.PLACE:
                self._place(state)
            else:
                self._make_first(task, state)
        except DamagedSnapshot as error:
            self._rebuild(str(error))
        except Exception as error:
            self._put_off(task.value, error)
            self._unchecked = False

    def _put_off(self, what: str, error: Exception) -> None:
        """Searches stay right without: they look at every row that no segment has."""
        _log.warning("%s failed and is put off: %r", what, error)
        self._rest = self._writes() + max(self._sizes.save, self._current.state.rows.size // _SHARE)

    def _make_first(self, task: Task, state: State) -> None:
        segments = sealing.segments_after(state, task, self._taken, self._sizes, _threads())
        if segments is None:
            self._replace(lambda now: sealing.without_segments(now, state.rows.size))
        else:
            self._replace(lambda now: sealing.with_first(now, segments), since=state)
            self._let_go(state, segments)

    def _seal(self) -> None:
        """Beside what the other thread is about, and not after searches: it takes milliseconds, and shortens theirs."""
        while True:
            with self._current.lock:
                state, taken = self._current.state, self._taken
                if not self._seal_due():
                    self._sealer = None
                    self.wake()
                    return
            try:
                self._add_sealed(state, sealing.sealed(state, taken))
            except Exception as error:
                self._put_off("seal", error)

    def _add_sealed(self, state: State, grown: Segment | None) -> None:
        if grown is None:
            self._unlike = True
        else:
            self._replace(lambda now: sealing.with_sealed(now, grown, self._taken), since=state)

    def _compact(self, state: State) -> None:
        rows, keymap = sealing.compacted(state)
        fresh = State(rows, keymap, exact_until=state.exact_until)
        segments: tuple[Segment, ...] | None = ()
        if sealing.due(fresh, self._sizes):
            segments = sealing.segments_after(fresh, Task.BUILD, sealing.border(fresh), self._sizes, _threads())
        with self._current.lock:
            now = self._current.state
            if not self._stopped and now.generation == state.generation:
                rows, keymap = sealing.caught_up(state, now, rows, keymap)
                self._current.state = replace(
                    now, rows=rows, keymap=keymap, segments=segments or (), generation=now.generation + 1
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
        self._saved = state.rows.size, state.rows.dead
        self._replace(lambda now: replace(now, rows=now.rows.on_file(mapped)), since=state)
        if self._source:
            self._source.forget_removed(self._snapshots.oldest_seq())

    def _check(self) -> None:
        """Raises DamagedSnapshot."""
        assert self._snapshots
        assert self._source
        try:
            self._snapshots.check()
        except OSError as error:
            raise DamagedSnapshot(str(error)) from error
        self._unchecked = False
        # What is on its way from SQL into the collection differs for a moment.
        differ = None
        for _ in range(_LOOKS):
            found = np.setxor1d(self._current.state.keys, self._source.keys(), assume_unique=True)
            differ = found if differ is None else np.intersect1d(differ, found, assume_unique=True)
            if not len(differ):
                break
            time.sleep(_PAUSE)
        else:
            raise DamagedSnapshot("its keys are not those of the database")
        state = self._current.state
        if not state.rows.count:
            return
        slots = state.rows.live_slots()
        slots = slots[np.linspace(0, len(slots) - 1, min(1000, len(slots))).astype(np.int64)]
        known = self._source.sample(state.rows.keys[slots])
        rows = zip(state.rows.keys[slots].tolist(), state.rows.take(slots), strict=True)
        if any(key in known and not np.allclose(row, known[key], atol=1e-5) for key, row in rows):
            raise DamagedSnapshot("its vectors are not those of the database")

    def _rebuild(self, reason: str) -> None:
        """Everything anew from SQL, while the old state serves."""
        assert self._snapshots
        assert self._source
        _log.warning("a snapshot in %s is damaged (%s): its collection is rebuilt", self._snapshots.folder, reason)
        seq, dim = self._source.seq(), self._current.state.rows.dim
        fresh = State.empty(dim)
        for keys, vectors in self._source.vectors(None):
            fresh = fresh.upserted(keys, unit_rows(vectors, dim))
        with self._current.lock:
            for keys, vectors in self._source.vectors(seq):
                fresh = fresh.upserted(keys, unit_rows(vectors, dim))
            fresh = fresh.deleted(self._source.removed(seq))
            now = self._current.state
            self._current.state = replace(fresh, seq=now.seq, generation=now.generation + 1)
            self._unchecked = False
        self._let_go(now, ())
        self._snapshots.clear()
        self._saved = (0, 0)


def _threads() -> int:
    """All processors but one, for whoever builds."""
    return max((os.cpu_count() or 1) - 1, 1)
