"""One app's vectors, searchable: the accelerator of what SQL holds.

Everything that is asked goes by key, the int64 of `inputs`. A search sees every write that has returned. Up to some
thousand rows every search looks at all of them; beyond, codes propose candidates (`segments/`), which are made and
renewed in the background while the newest rows are still looked at one by one.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..bounds import check_count
from ..errors import BadRequest, BadVector, InputNotFound
from ..records import FloatArray, KeyArray
from .segments import merge_policy
from .segments.bitmap import Slots
from .segments.devices import Devices
from .segments.maintenance import Current, Keeper, Source, filled, newer
from .segments.merge_policy import Sizes
from .segments.planner import nearest
from .segments.rows import unit_rows
from .segments.scheduler import Gate
from .segments.snapshot import Snapshots
from .segments.state import KeyFilter, State

_PADDED = 1000
"""Neighbours that a query may ask for where there are fewer rows."""
_MOST_SCORES = 1 << 26
"""Neighbours of all queries of one search, of 12 bytes each."""


@dataclass(frozen=True)
class CollectionFacts:
    """What a collection is made of."""

    kind: str
    place: str
    """`gpu` or `cpu`: where most of a search happens."""
    rows: int
    dead: int
    """Deleted, and not cleared away yet."""
    tail: int
    """New, and looked at one by one."""
    mapped: int
    """Read from the snapshot's file, by pages."""
    code_bytes: int
    gpu_bytes: int


class Collection:
    """Rows (key, unit vector), each key once. One writer at a time; readers never wait."""

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
        self._current = Current(State.empty(dim))
        self._keeper = Keeper(self._current, self._sizes, snapshots, source, devices)
        # Not a method of its own: in a circle of references the rows would wait for the garbage collector.
        self._gate = Gate(partial(_search, self._current, self._keeper), threads or os.cpu_count() or 1)
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
        """New rows that every search looks at one by one."""
        state = self._current.state
        return state.rows.size - state.sealed

    def facts(self) -> CollectionFacts:
        """How it is doing, for who runs the service."""
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
    def applied_seq(self) -> int:
        """The app's sequence number up to which this holds what SQL does."""
        return self._current.state.seq

    def upsert(self, keys: KeyArray, vectors: FloatArray, seq: int | None = None) -> None:
        """Stores a vector (n, dim) for each key (n,), in place of the one it had; of a key given twice the last counts.

        Raises BadVector for a wrong shape and for a vector that is zero or not finite, and then stores none.
        """
        keys, unit = np.asarray(keys, dtype=np.int64), unit_rows(vectors, self.dim)
        if keys.shape != (len(unit),):
            raise BadVector(f"{keys.shape} keys were given for {len(unit)} vectors")
        with self._current.lock:
            self._publish(self._current.state.upserted(keys, unit), seq)

    def delete(self, keys: KeyArray | Iterable[int], seq: int | None = None) -> int:
        """Forgets these keys; unknown ones don't count. How many there were."""
        gone = np.array(keys if isinstance(keys, np.ndarray) else list(keys), dtype=np.int64)
        with self._current.lock:
            before = self._current.state
            after = before.deleted(gone)
            self._publish(after, seq)
            return before.rows.count - after.rows.count

    def catch_up(self) -> None:
        """Reads from SQL what was committed there, and didn't come here."""
        if self._source:
            seq = self._source.seq()
            with self._current.lock:
                state = self._current.state
                self._publish(newer(state, self._source, state.seq), seq)

    def keys(self) -> KeyArray:
        """(n,) ascending."""
        return self._current.state.keys

    def contains(self, keys: KeyArray) -> NDArray[np.bool_]:
        """(n,): which of the keys have a row."""
        return self._current.state.slots_of(np.asarray(keys, dtype=np.int64)) >= 0

    def get(self, keys: KeyArray) -> FloatArray:
        """(n, dim): a copy of the vectors of these keys. Raises InputNotFound."""
        state = self._current.state
        slots = state.slots_of(np.asarray(keys, dtype=np.int64))
        if len(slots) and slots.min() < 0:
            raise InputNotFound(f"no vector for key {int(np.asarray(keys)[slots < 0][0])}")
        return state.rows.take(slots)

    def present(self, keys: KeyArray) -> tuple[KeyArray, FloatArray]:
        """Those of the keys that have a row, and a copy of their vectors (n, dim), all of one moment."""
        state, slots = self.located(keys)
        there = slots >= 0
        return keys[there], state.rows.take(slots[there])

    def located(self, keys: KeyArray) -> tuple[State, Slots]:
        """This moment, which later writes leave as it is, and the slots (n,) of the keys in it: -1 for unknown ones."""
        state = self._current.state
        return state, state.slots_of(np.asarray(keys, dtype=np.int64))

    def filter(self, keys: KeyArray) -> KeyFilter:
        """Restricts searches to these keys; unknown ones don't matter, also if they come later."""
        return KeyFilter(np.unique(np.asarray(keys, dtype=np.int64)))

    def search(self, queries: FloatArray, k: int, where: KeyFilter | None = None) -> tuple[KeyArray, FloatArray]:
        """The k nearest rows of each query (q, dim): keys (q, k) padded with -1, cosines (q, k) padded with -inf.

        Best first, equal scores by key. As many as match, up to k. A k of more than there are rows counts as that many,
        or as 1,000: no memory is taken for what isn't there. Raises BadVector, BadRequest for k below 1 and for more
        scores than fit into 768 MB.
        """
        k = min(check_count(k, "k"), max(len(self), _PADDED))
        # Checked before, so that one wrong query fails nobody else's.
        queries = unit_rows(queries, self.dim)
        if len(queries) * k > _MOST_SCORES:
            raise BadRequest(
                f"{len(queries):,} queries with k = {k:,} are too many at once: ask for fewer, or a smaller k"
            )
        return self._gate.search(queries, k, where)

    def wait(self) -> None:
        """Returns when nothing is left to do in the background."""
        self._keeper.wait()

    def close(self) -> None:
        """Ends what is done in the background, with a snapshot; nothing may be written afterwards.

        Who still searches gets the rows of this moment: their memory goes with the last who holds the collection.
        """
        self._keeper.close()

    def _open(self, snapshots: Snapshots, source: Source) -> None:
        # Asked first: what is committed meanwhile is read now, and once more by whoever opens next.
        seq = source.seq()
        state = snapshots.load(seq)
        if state is not None:
            self._keeper.loaded(state)
            state = newer(state, source, state.seq)
        else:
            # Without a snapshot nobody asks for deletions any more.
            if len(source.removed(0)):
                source.forget_removed(seq)
            state = filled(self._current.state, source)
        with self._current.lock:
            self._publish(state, seq)

    def _publish(self, state: State, seq: int | None) -> None:
        """The caller holds the write lock."""
        if seq is not None and seq > state.seq:
            state = replace(state, seq=seq)
        # A few dead rows go while the writer waits, rather than in the background.
        if state.rows.size <= self._sizes.inline and merge_policy.Task.COMPACT in merge_policy.due(state, self._sizes):
            state = merge_policy.compacted(state)
        self._current.state = state
        self._keeper.wake()


def _search(
    current: Current, keeper: Keeper, unit: FloatArray, k: int, where: KeyFilter | None
) -> tuple[KeyArray, FloatArray]:
    state = current.state
    answer = nearest(state, unit, k, None if where is None else where.selection(state))
    if state.segments and (resident := state.segments[0].resident) and resident.wanted:
        with current.lock:
            keeper.wake()
    return answer
