"""The engine `segments`: an app's vectors in memory, with snapshots on the disk.

Up to some thousand rows every search looks at all of them. Beyond, codes propose candidates (`segments/`), which are
made and renewed in the background while the newest rows are still looked at one by one.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import InputNotFound
from ..filters import Filter
from ..records import FloatArray, KeyArray
from .protocol import CollectionFacts, RowView, Source, checked_rows, checked_search, filterable, sampled
from .segments import merge_policy
from .segments.devices import Devices
from .segments.maintenance import CurrentState, Maintenance, filled, newer
from .segments.planner import nearest
from .segments.scheduler import SearchScheduler
from .segments.snapshot import Snapshots
from .segments.state import KeyFilter, State
from .settings import Sizes


class Collection:
    """A `VectorIndex`, whose docstrings hold here too."""

    def __init__(
        self,
        dim: int,
        sizes: Sizes | None = None,
        *,
        snapshots: Snapshots | None = None,
        source: Source | None = None,
        devices: Devices | None = None,
        threads: int | None = None,
    ) -> None:
        """sizes: when its ways change, None as they were found to be best. threads: searches at once, None: processors.

        devices: the GPUs that it may lie on.
        With snapshots and their source it opens with what the newest snapshot and the source hold, and keeps it so.
        """
        self.dim = dim
        self._sizes = sizes or Sizes()
        self._source = source
        self._current = CurrentState(State.empty(dim))
        self._maintenance = Maintenance(self._current, self._sizes, snapshots, source, devices)
        # Not a method of its own: in a circle of references the rows would wait for the garbage collector.
        self._scheduler = SearchScheduler(
            partial(_search, self._current, self._maintenance), threads or os.cpu_count() or 1
        )
        if snapshots and source:
            self._open(snapshots, source)

    def __len__(self) -> int:
        return self._current.state.rows.count

    def __repr__(self) -> str:
        rows = self._current.state.rows
        return f"Collection({self.kind}, dim={self.dim}, rows={rows.count}, dead={rows.dead})"

    @property
    def kind(self) -> str:
        """`exact`, or the codes in use: `flat`, `ivf-rabitq`, `ivf-pq`."""
        segments = self._current.state.segments
        return segments[0].codes.kind if segments else "exact"

    @property
    def tail(self) -> int:
        state = self._current.state
        return state.rows.size - state.sealed

    def facts(self) -> CollectionFacts:
        state = self._current.state
        resident = state.segments[0].resident if state.segments else None
        there = resident is not None and resident.there
        return CollectionFacts(
            kind=self.kind,
            place="gpu" if there else "cpu",
            rows=state.rows.count,
            dead=state.rows.dead,
            tail=self.tail,
            mapped=len(state.rows.mapped),
            code_bytes=sum(segment.codes.nbytes for segment in state.segments),
            gpu_bytes=resident.nbytes if resident and there else 0,
        )

    @property
    def applied(self) -> int:
        return self._current.state.seq

    def upsert(self, keys: KeyArray, vectors: FloatArray, seq: int | None = None) -> None:
        keys, unit = checked_rows(keys, vectors, self.dim)
        with self._current.lock:
            self._publish(self._current.state.upserted(keys, unit), seq)

    def delete(self, keys: KeyArray | Iterable[int], seq: int | None = None) -> int:
        removed = np.array(keys if isinstance(keys, np.ndarray) else list(keys), dtype=np.int64)
        with self._current.lock:
            before = self._current.state
            after = before.deleted(removed)
            self._publish(after, seq)
            return before.rows.count - after.rows.count

    def catch_up(self) -> None:
        if self._source:
            seq = self._source.seq()
            with self._current.lock:
                state = self._current.state
                self._publish(newer(state, self._source, state.seq), seq)

    def contains(self, keys: KeyArray) -> NDArray[np.bool_]:
        return self._current.state.slots_of(np.asarray(keys, dtype=np.int64)) >= 0

    def get(self, keys: KeyArray) -> FloatArray:
        state = self._current.state
        slots = state.slots_of(np.asarray(keys, dtype=np.int64))
        if len(slots) and slots.min() < 0:
            raise InputNotFound(f"no vector for key {int(np.asarray(keys)[slots < 0][0])}")
        return state.rows.take(slots)

    def present(self, keys: KeyArray) -> tuple[KeyArray, FloatArray]:
        state = self._current.state
        slots = state.slots_of(np.asarray(keys, dtype=np.int64))
        there = slots >= 0
        return keys[there], state.rows.take(slots[there])

    def sample(self, n: int, seed: int = 0) -> KeyArray:
        rows = self._current.state.rows
        return sampled(rows.keys[rows.live_mask()], n, seed)

    def rows(self, where: Filter | None = None) -> RowView:
        # SQL is asked before the state is taken, which holds what SQL said by then.
        matching = self._matching(where)
        state = self._current.state
        if matching is None:
            keys, slots = state.ordered
        else:
            slots = state.slots_of(matching.keys)
            keys, slots = matching.keys[slots >= 0], slots[slots >= 0]
        return RowView(keys, slots, state.generation, state.rows.take)

    def iterate(self, size: int = 4096) -> Iterator[tuple[KeyArray, FloatArray]]:
        return self.rows().batches(size)

    def filter(self, keys: KeyArray) -> KeyFilter:
        """Restricts searches to these keys; unknown ones don't matter, also if they come later."""
        return KeyFilter(np.unique(np.asarray(keys, dtype=np.int64)))

    def search(
        self, queries: FloatArray, k: int, where: Filter | KeyFilter | None = None
    ) -> tuple[KeyArray, FloatArray]:
        # Checked before others are asked with it, so that one wrong query fails nobody else's.
        queries, k = checked_search(queries, k, self.dim, len(self))
        return self._scheduler.search(queries, k, self._matching(where))

    def wait(self) -> None:
        self._maintenance.wait()

    def close(self) -> None:
        """Ends what is done in the background, with a snapshot; nothing may be written afterwards.

        Who still searches gets the rows of this moment: their memory goes with the last who holds the collection.
        """
        self._maintenance.close()

    def _open(self, snapshots: Snapshots, source: Source) -> None:
        # Asked first: what is committed meanwhile is read now, and once more by whoever opens next.
        seq = source.seq()
        state = snapshots.load(seq)
        if state is not None:
            self._maintenance.loaded(state)
            state = newer(state, source, state.seq)
        else:
            # Without a snapshot nobody asks for deletions any more.
            if len(source.removed(0)):
                source.forget_removed(seq)
            state = filled(self._current.state, source)
        with self._current.lock:
            self._publish(state, seq)

    def _matching(self, where: Filter | KeyFilter | None) -> KeyFilter | None:
        if where is None or isinstance(where, KeyFilter):
            return where
        return filterable(self._source).matching(where, _key_filter)

    def _publish(self, state: State, seq: int | None) -> None:
        """The caller holds the write lock."""
        if seq is not None and seq > state.seq:
            state = replace(state, seq=seq)
        # A few dead rows go while the writer waits, rather than in the background.
        if state.rows.size <= self._sizes.inline and merge_policy.Task.COMPACT in merge_policy.due(state, self._sizes):
            state = merge_policy.compacted(state)
        self._current.state = state
        self._maintenance.wake()


def _key_filter(keys: KeyArray) -> KeyFilter:
    return KeyFilter(keys)


def _search(
    current: CurrentState, maintenance: Maintenance, unit: FloatArray, k: int, where: KeyFilter | None
) -> tuple[KeyArray, FloatArray]:
    state = current.state
    answer = nearest(state, unit, k, None if where is None else where.selection(state))
    if state.segments and (resident := state.segments[0].resident) and resident.wanted:
        with current.lock:
            maintenance.wake()
    return answer
