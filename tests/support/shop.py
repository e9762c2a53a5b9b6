"""An app with vectors in SQL and its collection on the disk, without a store round it."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

import numpy as np
from clouds import SMALL

from tenshot.embeddings.workflows import recipe_of
from tenshot.index.catalog import Catalog
from tenshot.index.records import NewInput
from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.factory import Collections
from tenshot.index.vectors.settings import CollectionSettings

APP = "a" * 32
"""The app's id, and the name of its folder."""
EAGER = replace(SMALL, save=200, save_at_end=0)
"""Snapshots as often as there is anything to write."""


class Shop:
    """Writes as the core does: SQL first, then the collection. A context manager."""

    def __init__(self, folder: Path, dim: int = 32, engine: str = "segments") -> None:
        self.folder, self.engine = folder, engine
        folder.mkdir(exist_ok=True)
        self.catalog = Catalog.open(f"sqlite:///{folder / 'tenshot.db'}")
        self.recipe = recipe_of("vectors", dim=dim)
        known = self.catalog.apps.list()
        self.record = known[0] if known else self.catalog.apps.create(APP, "app", asdict(self.recipe), dim)
        self.collection = self.open()

    def open(self) -> Collection:
        self.record = self.catalog.apps.find("app")
        settings = CollectionSettings(engine=self.engine, sizes=EAGER)
        index = Collections(self.folder / "collections", self.catalog, settings).open(self.record)
        # Of whichever engine; most tests look into this one.
        return cast(Collection, index)

    def __enter__(self) -> "Shop":
        return self

    def __exit__(self, *_error: object) -> None:
        self.collection.close()
        self.catalog.close()

    @property
    def snapshots(self) -> list[Path]:
        """Oldest first."""
        return sorted((self.folder / "collections" / APP).glob("snap-*"))

    def add(self, vectors: np.ndarray) -> np.ndarray:
        """The keys (n,) of unit vectors (n, dim)."""
        start = self.catalog.vectors.seq(APP)
        made = self.catalog.inputs.add(APP, [NewInput(f"{start}-{i}", row) for i, row in enumerate(vectors)])
        keys = np.array([one.key for one in made])
        self.collection.upsert(keys, vectors, made[0].seq)
        return keys

    def delete(self, ids: Sequence[str]) -> np.ndarray:
        keys: list[int] = []
        while ids:
            deleted = self.catalog.inputs.delete(APP, ids)
            self.collection.delete(deleted.keys, deleted.seq)
            keys += deleted.keys.tolist()
            ids = deleted.rest
        return np.array(keys, dtype=np.int64)

    def in_sql(self) -> dict[int, np.ndarray]:
        """key -> vector (dim,)."""
        return {
            key: row
            for keys, vectors in self.catalog.vectors.scan(APP, "vectors")
            for key, row in zip(keys.tolist(), vectors, strict=True)
        }

    def check(self) -> None:
        """The collection is what SQL says."""
        truth = self.in_sql()
        keys = self.collection.rows().keys
        assert keys.tolist() == sorted(truth)
        if truth:
            np.testing.assert_allclose(self.collection.get(keys), [truth[key] for key in keys.tolist()], atol=1e-6)
