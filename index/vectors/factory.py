"""The vector indexes of a data folder: opened by the engine that the settings name, brought up to date from SQL."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...embeddings.base.embedder import Recipe
from ..bounds import has_direction
from ..catalog import Catalog
from ..errors import BadRequest, StoreDamaged
from ..filters import Filter
from ..records import AppRecord, FloatArray, KeyArray
from ..storage.files import is_app_id
from .collection import Collection
from .exact import ExactIndex
from .protocol import SavedFacts, Source, VectorIndex
from .segments import rescore
from .segments.devices import Devices
from .segments.snapshot import Snapshots, remove_snapshots, saved_facts
from .settings import CollectionSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """What an engine is given beside the vectors' source."""

    folder: Path
    """The index's own, in the data folder; not made yet, perhaps. What lies there may be deleted at any time."""
    dim: int
    origin: str
    """Whose vectors these are, made anew when a database is restored: what was saved under another is not used."""
    settings: CollectionSettings
    devices: Devices | None = None
    """The GPUs, shared by all indexes of the folder."""


Engine = Callable[[Place, Source], VectorIndex]
"""Opens an index with all that the source holds."""


def _segments(place: Place, source: Source) -> VectorIndex:
    return Collection(
        place.dim,
        place.settings.sizes,
        snapshots=Snapshots(place.folder, place.dim, place.origin),
        source=source,
        devices=place.devices,
        threads=place.settings.threads,
    )


def _exact(place: Place, source: Source) -> VectorIndex:
    return ExactIndex(place.dim, source)


ENGINES: Mapping[str, Engine] = {"segments": _segments, "exact": _exact}
"""By the name that `CollectionSettings.engine` gives."""


def prepare() -> None:
    """Has compiled what searches need, so that nobody waits for it: two seconds once on each machine."""
    rescore.prepare()


class CatalogSource:
    """A `Source` of one app's vectors under one base workflow."""

    def __init__(self, catalog: Catalog, app_id: str, workflow: str) -> None:
        self._catalog, self._app, self._workflow = catalog, app_id, workflow
        self._left_out: set[int] = set()

    def seq(self) -> int:
        return self._catalog.vectors.seq(self._app)

    def vectors(self, after: int | None) -> Iterator[tuple[KeyArray, FloatArray]]:
        for keys, vectors in self._catalog.vectors.scan(self._app, self._workflow, after):
            good = has_direction(np.linalg.norm(vectors, axis=1))
            self._left_out.update(keys[~good].tolist())
            yield keys[good], vectors[good]

    def removed(self, after: int) -> KeyArray:
        return self._catalog.vectors.removed(self._app, after)

    def forget_removed(self, until: int) -> None:
        self._catalog.vectors.forget_removed(self._app, until)

    def keys(self) -> KeyArray:
        keys = self._catalog.vectors.keys(self._app, self._workflow)
        return np.setdiff1d(keys, list(self._left_out), assume_unique=True)

    def of(self, keys: KeyArray) -> dict[int, FloatArray]:
        return self._catalog.vectors.of(keys, self._workflow)

    def matching(self, where: Filter, make: Callable[[KeyArray], T]) -> T:
        return self._catalog.inputs.matching(self._app, where, make)


class Collections:
    """Where the collections of one data folder are kept."""

    def __init__(self, folder: Path, catalog: Catalog, settings: CollectionSettings | None = None) -> None:
        self._folder = folder
        self._catalog = catalog
        self._settings = settings or CollectionSettings()
        if self._settings.engine not in ENGINES:
            raise BadRequest(f"a vector engine is one of {', '.join(ENGINES)}, not {self._settings.engine!r}")
        self._engine = ENGINES[self._settings.engine]
        self._mutex = threading.Lock()
        self._devices: Devices | None = None

    def open(self, record: AppRecord) -> VectorIndex:
        """The app's index, with all that SQL holds. Raises StoreDamaged for an app whose id tenshot never gave."""
        folder = self._folder_of(record.id)
        origin = hashlib.sha256(json.dumps([record.id, record.epoch, record.recipe], sort_keys=True).encode())
        source = CatalogSource(self._catalog, record.id, Recipe(**record.recipe).workflow)
        with self._mutex:
            self._devices = self._devices or Devices(self._settings.devices)
        return self._engine(Place(folder, record.dim, origin.hexdigest(), self._settings, self._devices), source)

    def saved(self, app_id: str) -> SavedFacts | None:
        """What an app's newest snapshot says of itself, without opening it."""
        return saved_facts(self._folder_of(app_id)) if is_app_id(app_id) else None

    def delete(self, app_id: str) -> None:
        """Forgets an app's snapshots."""
        if is_app_id(app_id):
            remove_snapshots(self._folder_of(app_id))

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

    def _folder_of(self, app_id: str) -> Path:
        """An app's folder. Raises StoreDamaged for what can't be an app's id: no other path is ever made of it."""
        if not is_app_id(app_id):
            raise StoreDamaged(f"the database has an app with the id {app_id!r}, which tenshot never gave")
        return self._folder / app_id
