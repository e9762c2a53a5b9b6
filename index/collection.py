"""One app's vectors, searchable: the accelerator of what SQL holds.

Everything that is asked goes by key, the int64 of `inputs`. A search sees every write that has returned. Up to some
thousand rows every search looks at all of them; beyond, codes propose candidates (`segments/`), which are made and
renewed in the background while the newest rows are still looked at one by one.
"""

import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .errors import BadRequest, BadVector, InputNotFound
from .records import FloatArray, KeyArray
from .segments import sealing
from .segments.bits import Slots
from .segments.keymap import KeyMap
from .segments.planner import nearest
from .segments.rows import Rows
from .segments.sealing import Sizes, Task
from .segments.state import KeyFilter, State

_ZERO = 1e-12
_log = logging.getLogger("tenshot.index")
# One collection at a time is sealed, whatever the number of collections.
_sealing_turn = threading.Lock()


class Collection:
    """Rows (key, unit vector), each key once. One writer at a time; readers never wait."""

    def __init__(self, dim: int, sizes: Sizes | None = None) -> None:
        """sizes: when its ways change, None as they were found to be best."""
        self.dim = dim
        self._sizes = sizes or Sizes()
        self._state = State.empty(dim)
        self._write = threading.Lock()
        self._sealer: threading.Thread | None = None
        self._closed = False

    def __len__(self) -> int:
        return self._state.rows.count

    def __repr__(self) -> str:
        rows = self._state.rows
        return f"Collection({self.kind}, dim={self.dim}, rows={rows.count}, dead={rows.dead})"

    @property
    def kind(self) -> str:
        """`exact`, or the codes in use: `flat`, `ivf-rabitq`, `ivf-pq`."""
        segments = self._state.segments
        return segments[0].kind if segments else "exact"

    @property
    def applied_seq(self) -> int:
        """The app's sequence number up to which this holds what SQL does."""
        return self._state.seq

    def upsert(self, keys: KeyArray, vectors: FloatArray, seq: int | None = None) -> None:
        """Stores a vector (n, dim) for each key (n,), in place of the one it had; of a key given twice the last counts.

        Raises BadVector for a wrong shape and for a vector that is zero or not finite, and then stores none.
        """
        keys, unit = np.asarray(keys, dtype=np.int64), self._unit(vectors)
        if keys.shape != (len(unit),):
            raise BadVector(f"{keys.shape} keys were given for {len(unit)} vectors")
        if len(keys) > 1:
            # The first of the reversed is the last.
            _, last = np.unique(keys[::-1], return_index=True)
            places = np.sort(len(keys) - 1 - last)
            keys, unit = keys[places], unit[places]
        with self._write:
            state = self._state
            rows = state.rows
            old = self._known_slots(state, keys)
            known = old >= 0
            if known.any():
                # The same vector again is no change.
                same = known.copy()
                same[known] = (rows.take(old[known]) == unit[known]).all(axis=1)
                keys, unit, old = keys[~same], unit[~same], old[~same]
            start = rows.size
            rows = rows.append(keys, unit)
            if (old >= 0).any():
                rows = rows.without(old[old >= 0])
            self._publish(state, rows, state.keymap.changed(keys, np.arange(start, rows.size)), seq)

    def delete(self, keys: KeyArray | Iterable[int], seq: int | None = None) -> int:
        """Forgets these keys; unknown ones don't count. How many there were."""
        wanted = np.unique(np.array(keys if isinstance(keys, np.ndarray) else list(keys), dtype=np.int64))
        with self._write:
            state = self._state
            slots = self._known_slots(state, wanted)
            gone = wanted[slots >= 0]
            if len(gone):
                keymap = state.keymap.changed(gone, np.full(len(gone), -1))
                self._publish(state, state.rows.without(slots[slots >= 0]), keymap, seq)
            return len(gone)

    def keys(self) -> KeyArray:
        """(n,) ascending."""
        return self._state.keys

    def contains(self, keys: KeyArray) -> NDArray[np.bool_]:
        """(n,): which of the keys have a row."""
        return self._found(np.asarray(keys, dtype=np.int64))[1] >= 0

    def get(self, keys: KeyArray) -> FloatArray:
        """(n, dim): a copy of the vectors of these keys. Raises InputNotFound."""
        state, slots = self._found(np.asarray(keys, dtype=np.int64))
        if len(slots) and slots.min() < 0:
            raise InputNotFound(f"no vector for key {int(np.asarray(keys)[slots < 0][0])}")
        return state.rows.take(slots)

    def filter(self, keys: KeyArray) -> KeyFilter:
        """Restricts searches to these keys; unknown ones don't matter, also if they come later."""
        return KeyFilter(np.unique(np.asarray(keys, dtype=np.int64)))

    def search(self, queries: FloatArray, k: int, where: KeyFilter | None = None) -> tuple[KeyArray, FloatArray]:
        """The k nearest rows of each query (q, dim): keys (q, k) padded with -1, cosines (q, k) padded with -inf.

        Best first, equal scores by key. As many as match, up to k. Raises BadVector, BadRequest for k below 1.
        """
        if k < 1:
            raise BadRequest(f"k must be 1 or more, not {k}")
        unit = self._unit(queries)
        while True:
            state = self._state
            selection = None if where is None else where.selection(state)
            if where is None or selection is not None:
                return nearest(state, unit, k, selection)

    def close(self) -> None:
        """Lets the memory go; nothing may be asked afterwards."""
        self._closed = True
        self.wait()
        with self._write:
            self._state = State.empty(self.dim)

    # In the background

    def wait(self) -> None:
        """Returns when nothing is being sealed."""
        while (sealer := self._sealer) is not None:
            sealer.join()

    def _publish(self, before: State, rows: Rows, keymap: KeyMap, seq: int | None) -> None:
        """The caller holds the write lock."""
        state = replace(before, rows=rows, keymap=keymap, seq=before.seq if seq is None else seq)
        task = sealing.due(state, self._sizes)
        if task is Task.COMPACT and rows.size <= self._sizes.inline:
            state = replace(state, segments=())
            rows, keymap = sealing.compacted(state)
            state = replace(state, rows=rows, keymap=keymap)
            task = sealing.due(state, self._sizes)
        self._state = state
        if task and self._sealer is None and not self._closed:
            self._sealer = threading.Thread(target=self._seal, name="tenshot-seal", daemon=True)
            self._sealer.start()

    def _seal(self) -> None:
        _yield_to_others()
        while True:
            with self._write:
                state = self._state
                task = None if self._closed else sealing.due(state, self._sizes)
                if task is None:
                    self._sealer = None
                    return
            try:
                with _sealing_turn:
                    self._do(task, state)
            except Exception:
                # Searches stay right without: they look at every row of the tail.
                _log.exception("sealing %r failed; it is tried again when the collection has doubled", self)
                with self._write:
                    self._state = sealing.without_segments(self._state, state.rows.size)

    def _do(self, task: Task, state: State) -> None:
        threads = max((os.cpu_count() or 1) - 1, 1)
        if task is Task.COMPACT:
            rows, keymap = sealing.compacted(state)
            fresh = State(rows, keymap, seq=state.seq)
            if (then := sealing.due(fresh, self._sizes)) is not None:
                fresh = replace(fresh, segments=sealing.segments_after(fresh, then, self._sizes, threads) or ())
            with self._write:
                rows, keymap = sealing.caught_up(state, self._state, rows, keymap)
                self._state = replace(self._state, rows=rows, keymap=keymap, segments=fresh.segments)
            return
        segments = sealing.segments_after(state, task, self._sizes, threads)
        with self._write:
            if segments is None:
                self._state = sealing.without_segments(self._state, state.rows.size)
            else:
                self._state = replace(self._state, segments=segments)

    def _found(self, keys: KeyArray) -> tuple[State, Slots]:
        """A state, and the slots (n,) that the keys have in it."""
        while True:
            state = self._state
            slots = state.slots_of(keys)
            if slots is not None:
                return state, slots

    def _known_slots(self, state: State, keys: KeyArray) -> Slots:
        """For the writer, whose state is the last one."""
        slots = state.slots_of(keys)
        assert slots is not None
        return slots

    def _unit(self, vectors: FloatArray) -> FloatArray:
        array = np.ascontiguousarray(vectors, dtype=np.float32)
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise BadVector(f"vectors must have the shape (n, {self.dim}), not {array.shape}")
        norms = np.linalg.norm(array, axis=1)
        bad = np.flatnonzero(~(np.isfinite(norms) & (norms > _ZERO)))
        if len(bad):
            raise BadVector(f"vector {bad[0]} is zero or not finite")
        # Unit vectors come back bit by bit, so that storing what was read changes nothing.
        return np.where(np.abs(norms - 1) < 1e-6, 1, 1 / norms).astype(np.float32)[:, None] * array


def _yield_to_others() -> None:
    """The calling thread, and what FAISS starts for it, takes what searches leave of the processors."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
