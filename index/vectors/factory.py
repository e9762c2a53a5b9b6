"""The collections of a data folder: opened from their snapshots and brought up to date from SQL."""

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...embeddings.base.embedder import Recipe
from ..bounds import has_direction
from ..catalog import Catalog
from ..errors import StoreDamaged
from ..records import AppRecord, FloatArray, KeyArray
from ..storage.files import is_app_id
from .collection import Collection
from .segments.devices import Devices, DeviceSettings
from .segments.merge_policy import Sizes
from .segments.snapshot import SavedFacts, Snapshots, remove_snapshots, saved_facts


class Source:
    """What SQL holds of one app's vectors under one workflow: the truth that a collection is held against."""

    def __init__(self, catalog: Catalog, app_id: str, workflow: str) -> None:
        self._vectors, self._app, self._workflow = catalog.vectors, app_id, workflow
        self._left_out: set[int] = set()

    def seq(self) -> int:
        """The number of the last change."""
        return self._vectors.seq(self._app)

    def vectors(self, after: int | None) -> Iterator[tuple[KeyArray, FloatArray]]:
        """Keys (m,) and vectors (m, dim), all or those of later changes; what has no direction is left out."""
        for keys, vectors in self._vectors.scan(self._app, self._workflow, after):
            good = has_direction(np.linalg.norm(vectors, axis=1))
            self._left_out.update(keys[~good].tolist())
            yield keys[good], vectors[good]

    def removed(self, after: int) -> KeyArray:
        """Keys that later changes deleted."""
        return self._vectors.removed(self._app, after)

    def forget_removed(self, until: int) -> None:
        """Nobody will ask for deletions up to this change."""
        self._vectors.forget_removed(self._app, until)

    def keys(self) -> KeyArray:
        """(n,) ascending."""
        return np.setdiff1d(self._vectors.keys(self._app, self._workflow), list(self._left_out), assume_unique=True)

    def sample(self, keys: KeyArray) -> dict[int, FloatArray]:
        """key -> vector (dim,) of those of the keys that exist."""
        return self._vectors.of(keys, self._workflow)


@dataclass(frozen=True)
class CollectionSettings:
    """What collections may take of the machine."""

    threads: int | None = None
    """Searches of one collection at once; None: one for each processor."""
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    """GPUs, with faiss-gpu."""
    sizes: Sizes = field(default_factory=Sizes)
    """When a collection changes its ways."""
    most_apps: int = 100
    """Apps whose vectors and labels are in memory at once; those that nobody asked for longest are let go."""


class Collections:
    """Where the collections of one data folder are kept."""

    def __init__(self, folder: Path, catalog: Catalog, settings: CollectionSettings | None = None) -> None:
        self._folder = folder
        self._catalog = catalog
        self._settings = settings or CollectionSettings()
        self._mutex = threading.Lock()
        self._devices: Devices | None = None

    def open(self, record: AppRecord) -> Collection:
        """The app's collection, with all that SQL holds. Raises StoreDamaged for an app whose id tenshot never gave."""
        place = self._place(record.id)
        origin = hashlib.sha256(json.dumps([record.id, record.epoch, record.recipe], sort_keys=True).encode())
        snapshots = Snapshots(place, record.dim, origin.hexdigest())
        source = Source(self._catalog, record.id, Recipe(**record.recipe).workflow)
        with self._mutex:
            self._devices = self._devices or Devices(self._settings.devices)
        return Collection(
            record.dim,
            self._settings.sizes,
            snapshots=snapshots,
            source=source,
            devices=self._devices,
            threads=self._settings.threads,
        )

    def saved(self, app_id: str) -> SavedFacts | None:
        """What an app's newest snapshot says of itself, without opening it."""
        return saved_facts(self._place(app_id)) if is_app_id(app_id) else None

    def delete(self, app_id: str) -> None:
        """Forgets an app's snapshots."""
        if is_app_id(app_id):
            remove_snapshots(self._place(app_id))

    def sweep(self, app_ids: Iterable[str]) -> None:
        """Forgets the snapshots of all apps but these. What tenshot didn't make stays."""
        kept = set(app_ids)
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            if path.name not in kept:
                self.delete(path.name)

    def clear(self) -> None:
        """Forgets the snapshots of all apps, none of which is open."""
        self.sweep(())
        with suppress(OSError):
            self._folder.rmdir()

    def _place(self, app_id: str) -> Path:
        """An app's folder. Raises StoreDamaged for what can't be an app's id: no other path is ever made of it."""
        if not is_app_id(app_id):
            raise StoreDamaged(f"the database has an app with the id {app_id!r}, which tenshot never gave")
        return self._folder / app_id
