"""What an app is at one moment, and the one reference to it.

A request takes one `AppState` at its start and uses nothing else, so no answer mixes two base workflows, and none fails
because they were changed. Writers replace the state under their lock; who still reads the old one goes on with it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from ...embeddings.base.batcher import Batcher
from ...embeddings.base.embedder import Recipe
from ...embeddings.pictures.images import Opener, open_image
from ..catalog import Catalog
from ..errors import StoreClosed, TenshotError
from ..ingest.picture_embedder import PictureEmbedder, VectorCache
from ..records import AppRecord, Input, InputStatus, WorkflowChange
from ..scoring.predictor import Predictor
from ..storage.blobs import Blobs
from ..vectors.protocol import VectorIndex
from .concept_texts import Names
from .ranking import Probabilities
from .scorers import LabelChange, Teacher

_FROZEN = 16
"""Predictors of frozen versions that stay in memory."""


@dataclass(frozen=True)
class Resources:
    """What all apps of a store share."""

    catalog: Catalog
    blobs: Blobs
    collections: Callable[[AppRecord], VectorIndex]
    """Opens what SQL holds of an app's vectors."""
    embedders: Callable[[Recipe], Batcher]
    """Opens a base workflow. Raises WorkflowError."""
    opener: Opener = open_image
    """Opens the bytes of a picture."""
    cache: VectorCache = field(default_factory=VectorCache)
    """Vectors of pictures that were only predicted."""


@dataclass(frozen=True, eq=False)
class AppState:
    """All that predictions, searches and judgements are made of."""

    record: AppRecord
    recipe: Recipe
    resources: Resources
    collection: VectorIndex
    teacher: Teacher
    frozen: Callable[[str], Predictor]
    """The predictor of a frozen version, by its sha256."""
    thresholds: Mapping[str, Mapping[str, float]]
    """Model id -> concept id -> threshold."""
    changes: Sequence[WorkflowChange]
    """Of the base workflow, those that are done."""
    writers: threading.RLock
    """Held by who writes the app, whatever its state."""
    probabilities: Probabilities = field(default_factory=Probabilities)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def dim(self) -> int:
        return self.recipe.dim

    @property
    def catalog(self) -> Catalog:
        return self.resources.catalog

    @property
    def blobs(self) -> Blobs:
        return self.resources.blobs

    @property
    def embedder(self) -> Batcher:
        """The opened base workflow. Raises WorkflowError."""
        return self.resources.embedders(self.recipe)

    def picture_embedder(self, recipe: Recipe | None = None) -> PictureEmbedder:
        """How pictures are seen, or would be with another base workflow."""
        shared = self.resources
        return PictureEmbedder(
            recipe or self.recipe, shared.embedders, shared.opener, shared.cache, shared.catalog.vectors.of_pictures
        )

    def wait_until_found(self, inputs: Iterable[Input]) -> None:
        """SQL says that an input is ready a moment before searches find it: who reads that waits for the moment."""
        newest = max((record.seq for record in inputs if record.status is InputStatus.READY), default=0)
        if newest > self.collection.applied:
            with self.writers:
                pass

    def teach(self, changes: Iterable[tuple[int, str, bool | None]]) -> None:
        """Labels (key, concept id, value). Those of inputs that wait for their picture teach when it has arrived."""
        labels = [LabelChange(*change) for change in changes]
        ready = self.collection.contains(np.array([label.key for label in labels], dtype=np.int64))
        self.teacher.apply(label for label, there in zip(labels, ready.tolist(), strict=True) if there)


class Current:
    """The state of an app: one reference, which readers take without waiting for anybody."""

    def __init__(self, record: AppRecord, resources: Resources) -> None:
        self.id, self.name, self.created_at = record.id, record.name, record.created_at
        self.resources = resources
        self.writers = threading.RLock()
        self.used_at = 0.0
        """When anybody asked for the state, by the monotonic clock."""
        self._record = record
        self._behind = False
        """A write was interrupted between SQL and memory."""
        self._closed = False
        # None: nobody has asked for long, or the app is closed. Only changed by writers.
        self._state: AppState | None = self._loaded(record)

    @property
    def catalog(self) -> Catalog:
        return self.resources.catalog

    @property
    def blobs(self) -> Blobs:
        return self.resources.blobs

    @property
    def recipe(self) -> Recipe:
        """The base workflow, also of an app that is not in memory."""
        state = self._state
        return state.recipe if state else Recipe(**self._record.recipe)

    @property
    def is_closed(self) -> bool:
        return self._closed

    def peek(self) -> AppState | None:
        """The state, if it is in memory."""
        return self._state

    def take(self) -> AppState:
        """The state. Where it is not in memory, or a write was interrupted, it is what SQL holds.

        Raises StoreClosed or AppNotFound.
        """
        self.used_at = time.monotonic()
        state = self._state
        if state is None or self._behind:
            with self.writers:
                self.check_open()
                state = self._state
                if state is None:
                    state = self._loaded(self.catalog.apps.get(self.id))
                elif self._behind:
                    state.collection.catch_up()
                    teacher = self._taught(state.collection, state.recipe, state.teacher.names)
                    state = self._resumed(replace(state, teacher=teacher, probabilities=Probabilities()))
                self._state, self._behind = state, False
        return state

    def load(self, record: AppRecord) -> AppState:
        """What SQL holds of the app's vectors under the record's base workflow, its labels and models, in memory."""
        recipe, catalog, blobs = Recipe(**record.recipe), self.catalog, self.blobs
        collection = self.resources.collections(record)
        names = Names(self.id, recipe, catalog, self.resources.embedders)
        return AppState(
            record=record,
            recipe=recipe,
            resources=self.resources,
            collection=collection,
            teacher=self._taught(collection, recipe, names),
            frozen=lru_cache(_FROZEN)(lambda sha256: Predictor.from_bytes(blobs.get(sha256))),
            thresholds=catalog.thresholds.all(self.id),
            changes=catalog.workflow_changes.completed(self.id),
            writers=self.writers,
        )

    def publish(self, state: AppState) -> AppState | None:
        """The caller holds the writers' lock. Returns the state before."""
        before, self._state, self._record = self._state, state, state.record
        return before

    @contextmanager
    def writing(self) -> Iterator[AppState]:
        """Round a write in SQL and what follows in memory: if that doesn't come, who asks next sees to it.

        The state stays the app's until the end.
        """
        with self.writers:
            state = self.take()
            try:
                yield state
            except TenshotError:  # it was refused: SQL holds nothing of it
                raise
            except BaseException:
                self._behind = True
                raise

    def check_open(self) -> None:
        """Raises StoreClosed or AppNotFound."""
        if self._closed:
            self.catalog.apps.get(self.id)  # which knows whether it is the store that was closed, or the app deleted
            raise StoreClosed(f"the app {self.name!r} is closed: open the store again")

    def rest(self) -> bool:
        """Lets the memory go, until somebody asks for it again; False where the app is being written."""
        if not self.writers.acquire(blocking=False):
            return False
        try:
            self._let_go()
        finally:
            self.writers.release()
        return True

    def close(self) -> None:
        """When what is being written is; afterwards everything raises StoreClosed, or AppNotFound if it was deleted.

        May be called again.
        """
        with self.writers:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        """Who reads at this moment goes on with what there is."""
        state, self._state = self._state, None
        if state:
            state.collection.close()

    def _taught(self, collection: VectorIndex, recipe: Recipe, names: Names) -> Teacher:
        power = None if recipe.nonnegative is None else 0.5 if recipe.nonnegative else 1.0
        return Teacher(collection, power, self.catalog.labels.all(self.id).by_concept(), names)

    def _loaded(self, record: AppRecord) -> AppState:
        return self._resumed(self.load(record))

    def _resumed(self, state: AppState) -> AppState:
        """With the space that it had before."""
        if space := self.catalog.space_snapshots.load(self.id):
            state.teacher.resume(space)
        return state
