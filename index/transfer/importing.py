"""Imports an app from a whole export, exactly as it was. Nothing in the archive is trusted.

An import is all or nothing: it fills a hidden app in short steps, and the last one makes it visible. If it is killed,
or the database is busy for too long, importing the same archive under the same name continues it. If it fails or is
refused, nothing remains.

Memory: the largest file of the archive, one batch of rows, 16 bytes per input, and the ids of concepts and models; a
JSON document takes ten times its size while it is read, a predictor three times.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import numpy as np

from ...embeddings.pictures.images import ImageError, sniffed_type
from ..catalog import Catalog
from ..catalog.transfers import KeyMap, StagedApp
from ..errors import BadArchive, BadVector, StorageFailed, StoreBusy
from ..ingest.validation import check_id, check_vectors
from ..ops.deletion import Deletion
from ..records import AppRecord
from ..storage.blobs import Blobs
from .columns import INPUTS, TABLES
from .exporting import image_name, predictor_name
from .manifest import Manifest, manifest_of
from .predictors import checked_predictor
from .rows import RowChecks
from .source import Archive
from .tables import Row, from_parquet

Progress = Callable[[int, int], None]
"""Receives how many inputs are imported, and of how many."""


@dataclass(frozen=True)
class Imported:
    """The result of an import."""

    app: AppRecord
    added: int
    already_there: int
    """Inputs that an interrupted import of the same archive had added."""
    lost: Sequence[str]
    """Ids of inputs whose picture is not in the archive: they are imported without it."""


def import_app(
    catalog: Catalog, blobs: Blobs, archive: Archive, name: str | None = None, progress: Progress | None = None
) -> Imported:
    """Creates the app with all its records. Only one import may run at a time.

    Raises AppExists or BadArchive, and then nothing remains. If it is killed, or raises StoreBusy since others write
    for minutes, the next call with the same archive continues it.
    """
    manifest = manifest_of(archive, [record.recipe for record in catalog.apps.list()])
    name = manifest.name if name is None else check_id(name, "app name")
    filling = catalog.transfers.begin(
        manifest.id, name, archive.digest, recipe=manifest.recipe, created_at=manifest.created_at
    )
    try:
        return _Import(catalog, blobs, archive, manifest, filling).run(name, progress)
    except StoreBusy:
        raise  # the archive is fine: the staged app stays, to be continued
    except Exception:
        # A full disk may leave no room for deleting either: then `tenshot doctor --repair` deletes it.
        with suppress(StorageFailed):
            Deletion(catalog, blobs, filling.app_id).finish()
        raise


@dataclass
class _Import:
    """The import of one archive."""

    catalog: Catalog
    blobs: Blobs
    archive: Archive
    manifest: Manifest
    filling: StagedApp
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.checks = RowChecks(self.manifest.dim, self.manifest.seq)

    def run(self, name: str, progress: Progress | None) -> Imported:
        old, new, added = self._inputs(progress)
        keys = KeyMap.of(old, new)
        # The other tables are small beside pictures, so a continued import writes them again.
        self.filling.clear()
        for table in TABLES:
            for batch in self._batches(table):
                if table == "model_versions":
                    self._versions(batch, keys)
                else:
                    self.filling.add(table, batch, keys)
        self.checks.finish(self.manifest.counts)
        record = self.filling.finish(name, seq=self.manifest.seq, teach_from_feedback=self.manifest.teach_from_feedback)
        return Imported(record, added, len(old) - added, self.lost)

    def _inputs(self, progress: Progress | None) -> "tuple[array[int], array[int], int]":
        """Imports the inputs; their keys in the archive, their keys here, and how many are new."""
        total = self.manifest.counts.get(INPUTS, 0)
        old, new, added = array("q"), array("q"), 0
        for batch in self._batches(INPUTS):
            _check_vectors(batch, self.manifest.dim)
            keys = self.filling.input_keys([row["id"] for row in batch])
            missing = [row for row in batch if row["id"] not in keys]
            self.lost += [row["id"] for row in batch if self._is_lost(row)]
            keys |= self._add(missing)
            added += len(missing)
            old.extend(row["key"] for row in batch)
            new.extend(keys[row["id"]] for row in batch)
            if progress:
                progress(len(old), total)
        if any(len(np.unique(keys)) < len(keys) for keys in (old, new)):
            raise BadArchive("inputs: two of them have one id or number")
        return old, new, added

    def _batches(self, table: str) -> Iterator[list[Row]]:
        """Checked rows, some at a time."""
        for file in self.manifest.files_of(table):
            content = self.archive.read_exported(file, self.manifest.files[file])
            for batch in from_parquet(table, content, self.manifest.dim):
                for row in batch:
                    self.checks.check(table, row)
                yield batch

    def _is_lost(self, row: Row) -> bool:
        return row["sha256"] is not None and image_name(row) not in self.archive

    def _add(self, rows: Sequence[Row]) -> dict[str, int]:
        """Adds pictures, then rows and vectors in one transaction; returns the new keys by id."""
        if not rows:
            return {}
        hashes = [row["sha256"] for row in rows if row["sha256"] is not None]
        with self._kept_or_deleted(hashes):
            types = [None if row["sha256"] is None or self._is_lost(row) else self._keep(row) for row in rows]
            with self.blobs.deletion_paused():
                stored = []
                for row, media_type in zip(rows, types, strict=True):
                    # Another app may have deleted the same picture since.
                    if media_type is not None and row["sha256"] not in self.blobs:
                        self._keep(row)
                    sha256 = row["sha256"] if media_type else None
                    stored.append({**row, "sha256": sha256, "media_type": media_type})
                return self.filling.add_inputs(stored)

    def _keep(self, row: Row) -> str:
        """Stores a row's picture, and returns its media type."""
        name = image_name(row)
        content = self.archive.read_exported(name, row["sha256"])
        try:
            media_type = sniffed_type(content)
        except ImageError as error:
            raise BadArchive(f"{name} is no picture: {error}") from error
        self.blobs.put(content)
        return media_type

    def _versions(self, rows: Sequence[Row], keys: KeyMap) -> None:
        for row in rows:
            sha256 = row["predictor_sha256"]
            if sha256 is None:
                self.filling.add("model_versions", [row], keys)
                continue
            content = self.archive.read_exported(predictor_name(sha256), sha256)
            predictor = checked_predictor(content, self.manifest.dim, row["concept_ids"])
            moved = replace(predictor, keys=keys(predictor.keys)).to_bytes()
            new = hashlib.sha256(moved).hexdigest()
            with self._kept_or_deleted([new]), self.blobs.deletion_paused():
                self.blobs.put(moved)
                self.filling.add("model_versions", [row | {"predictor_sha256": new}], keys)

    @contextmanager
    def _kept_or_deleted(self, hashes: Sequence[str]) -> Iterator[None]:
        """On any failure it deletes the blobs among these hashes that no row names."""
        try:
            yield
        except BaseException:
            self.blobs.delete_unused(hashes, self.catalog.unused_blobs)
            raise


def _check_vectors(rows: Sequence[Row], dim: int) -> None:
    """Vectors are stored unchanged; collections normalise them when they load them. Raises BadArchive."""
    with_vector = [row for row in rows if row["vector"] is not None]
    vectors = np.frombuffer(b"".join(row["vector"] for row in with_vector), dtype="<f4").reshape(-1, dim)
    try:
        check_vectors(vectors, dim, [row["id"] for row in with_vector])
    except BadVector as error:
        raise BadArchive(f"inputs: {error}") from error
