"""GPUs: the rows of segments lie there in half precision, and a search looks at all of them.

Written against FAISS's documentation of its GPU classes: they can't remove, they let no selector decide, they are not
safe for two threads at once, and they fail with RuntimeError when memory runs out. So: one lock for all of them, more
candidates than asked for where some of the rows may not come, and the processor's codes whenever this says None.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...records import FloatArray
from ..faiss_compat import faiss_on, gpu_count
from ..settings import DeviceSettings
from .bitmap import Slots
from .rows import Rows

_MOST = 2048
"""Candidates that FAISS gives from a GPU."""
_SPARE = 32
"""More than asked for, since half precision may order near equals the other way round."""
_BYTES = 2
_BUDGET = 4 << 30
_AGAIN = 100
"""Searches that find a segment evicted, after which it is brought back."""
_log = logging.getLogger("tenshot.index")

Flat = Callable[[int, int], Any]
"""(dim, device) -> an empty flat index for inner products in half precision on that device."""


class Devices:
    """What lies on the GPUs; the least recently used goes when another needs its room."""

    def __init__(self, settings: DeviceSettings, flat: Flat | None = None) -> None:
        """flat makes the indexes, None: FAISS's GpuIndexFlat."""
        self.count = settings.count if settings.count is not None else gpu_count()
        self._budget = settings.memory_bytes
        self._lock = threading.Lock()
        self._residents: dict[int, Resident] = {}
        """Those that were used last come last."""
        if flat is None and self.count:
            flat = _gpu_flat(settings, self.count)
            self._budget = self._budget or self.count * _BUDGET
        self._flat = flat

    @property
    def used_bytes(self) -> int:
        """By all collections."""
        with self._lock:
            return sum(resident.nbytes for resident in self._residents.values())

    def place(self, rows: Rows, start: int, stop: int, before: "Resident | None" = None) -> "Resident | None":
        """Slots start..stop-1 on the GPUs, in the place of an earlier resident; None: there is no GPU, or no room."""
        if not self.count or self._flat is None:
            return None
        needed = (stop - start) * rows.dim * _BYTES
        with self._lock:
            if before is not None:
                self._evict(before)
            if needed > self._budget:
                return None
            while sum(resident.nbytes for resident in self._residents.values()) + needed > self._budget:
                self._evict(next(iter(self._residents.values())))
            resident = Resident(self, start, stop, needed)
            try:
                resident.index = self._filled(rows, start, stop)
            except RuntimeError as error:
                # What FAISS raises when memory runs out, whatever the budget says.
                _log.warning("no room on the GPU, searching on the processor: %s", str(error).splitlines()[0])
                return None
            self._residents[id(resident)] = resident
            return resident

    def search(self, resident: "Resident", queries: FloatArray, count: int) -> tuple[FloatArray, Slots] | None:
        """Scores and positions (q, count); None where it is not there any more, or memory ran out."""
        with self._lock:
            if resident.index is None:
                resident.missed += 1
                return None
            self._residents[id(resident)] = self._residents.pop(id(resident))
            try:
                scores, positions = resident.index.search(queries, count)
                return scores, positions
            except RuntimeError as error:
                _log.warning("a search failed on the GPU, going on on the processor: %s", str(error).splitlines()[0])
                self._evict(resident)
                return None

    def evict(self, resident: "Resident") -> None:
        """Gives the memory back."""
        with self._lock:
            self._evict(resident)

    def _evict(self, resident: "Resident") -> None:
        resident.index, resident.missed = None, 0
        self._residents.pop(id(resident), None)

    def _filled(self, rows: Rows, start: int, stop: int) -> Any:
        """One index, or one over shards of consecutive rows on several GPUs."""
        assert self._flat is not None
        borders = np.linspace(start, stop, self.count + 1).astype(int)
        parts = [self._flat(rows.dim, device) for device in range(self.count)]
        for part, first, last in zip(parts, borders, borders[1:], strict=False):
            rows.add_to(part, int(first), int(last))
        if len(parts) == 1:
            return parts[0]
        faiss = faiss_on()
        # Threads that ask the shards at once, and positions that count through them; it keeps the shards alive.
        shards = faiss.IndexShards(rows.dim, True, True)
        for part in parts:
            shards.add_shard(part)
        return shards


@dataclass(eq=False)
class Resident:
    """A segment's rows on the GPUs, until they are evicted."""

    devices: Devices
    start: int
    stop: int
    nbytes: int
    index: Any = field(default=None, repr=False)
    missed: int = 0
    """Searches since it was evicted."""

    @property
    def there(self) -> bool:
        return self.index is not None

    @property
    def wanted(self) -> bool:
        """Whether it is gone, and was asked for often."""
        return self.missed >= _AGAIN

    def candidates(
        self, queries: FloatArray, k: int, stop: int, share: float, times: int
    ) -> tuple[Slots, FloatArray] | None:
        """Slots below stop and scores (q, c), best first; None: ask the processor's codes.

        share: of the rows that may come; where the others are many, too few of those would be among the candidates.
        """
        count = int((k + _SPARE) * times / share)
        if count > min(_MOST, self.stop - self.start) or share < 0.5:
            return None
        nearest = self.devices.search(self, queries, count)
        if nearest is None:
            return None
        scores, positions = nearest
        slots = np.where(positions < 0, -1, positions + self.start)
        return np.where(slots < stop, slots, -1), scores


def _gpu_flat(settings: DeviceSettings, count: int) -> Flat:
    faiss = faiss_on()
    resources = [faiss.StandardGpuResources() for _ in range(count)]
    for resource in resources:
        resource.setTempMemory(settings.scratch_bytes)

    def flat(dim: int, device: int) -> Any:
        config = faiss.GpuIndexFlatConfig()
        config.device, config.useFloat16 = device, True
        return faiss.GpuIndexFlatIP(resources[device], dim, config)

    return flat
