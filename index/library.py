"""Library: an app's inputs, labels and concepts. Add, label, change, delete, look up.

Writes hold the lock and go in one order: picture bytes, one SQL transaction, the collection, the labels in memory, the
answer. Reads never wait for that lock, and it is not held while a model runs.
"""

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np

from ..embeddings.base import Recipe
from ..embeddings.batcher import Batcher
from ..embeddings.images import ImageError, Opener, open_image, sniffed_type
from ..embeddings.parallel import ahead, batches
from ..embeddings.thumbnails import thumbnail
from .batch import Batch
from .blobs import Blobs
from .bounds import check_count, check_text
from .catalog import Catalog
from .collection import Collection, CollectionFacts
from .errors import BadRequest, InputNotFound, InputNotReady, StoreClosed, TenshotError
from .eye import Eye
from .intake import check_concepts, check_geo, check_id, check_metadata, check_regions, check_vectors, failure_of
from .names import Names
from .ranking import Probabilities
from .records import (
    AddRequest,
    AddResult,
    AppRecord,
    Concept,
    Crop,
    Failure,
    Feedback,
    FloatArray,
    Geo,
    Input,
    InputChange,
    InputStatus,
    KeyArray,
    LabelSource,
    NewInput,
    Patch,
    Picture,
    Progress,
    StoredPicture,
)
from .teacher import LabelChange, Teacher
from .vector_cache import VectorCache

_BATCH = 32
"""Pictures that `add_many` decodes, embeds and commits together."""
_MOST_ROWS = 1 << 62
"""What SQL counts to, and more than there are."""


@dataclass(frozen=True)
class Memory:
    """What an app can be searched and judged by without asking SQL."""

    collection: Collection
    teacher: Teacher
    probabilities: Probabilities = field(default_factory=Probabilities)


class Library:
    """The part of an `App` that remembers."""

    def __init__(
        self,
        record: AppRecord,
        catalog: Catalog,
        blobs: Blobs,
        collections: Callable[[AppRecord], Collection],
        embedders: Callable[[Recipe], Batcher],
        opener: Opener = open_image,
        cache: VectorCache | None = None,
    ) -> None:
        """collections opens what SQL holds of an app's vectors; embedders a base workflow, once it is needed; opener
        the bytes of a picture; cache has vectors of pictures that were only predicted.
        """
        self.id, self.name, self.recipe, self.dim = record.id, record.name, Recipe(**record.recipe), record.dim
        self.created_at: datetime = record.created_at
        self._catalog = catalog
        self._blobs = blobs
        self._embedders = embedders
        self._opener = opener
        self._cache = VectorCache() if cache is None else cache
        self._lock = threading.RLock()
        self._collections = collections
        self._space_saved: object = None
        self._behind = False
        """A write was interrupted between SQL and memory."""
        self._closed = False
        self.used_at = 0.0
        """When anybody asked for the memory, by the monotonic clock."""
        # None: nobody has asked for long, or the app is closed. Only changed under the lock.
        self._memory: Memory | None = self._remembered(record)
        self._resume(self._teacher)

    @property
    def _collection(self) -> Collection:
        return self._up_to_date().collection

    @property
    def _teacher(self) -> Teacher:
        return self._up_to_date().teacher

    def _remembered(self, record: AppRecord) -> Memory:
        """What SQL holds of the app, in memory."""
        collection, recipe = self._collections(record), Recipe(**record.recipe)
        names = Names(self.id, recipe, self._catalog, self._embedders)
        return Memory(collection, self._taught(collection, recipe, names))

    def _taught(self, collection: Collection, recipe: Recipe, names: Names) -> Teacher:
        return Teacher(collection, _power(recipe), self._catalog.labels.all(self.id).by_concept(), names)

    def _resume(self, teacher: Teacher) -> None:
        if space := self._catalog.spaces.load(self.id):
            teacher.resume(space)
            self._space_saved = space

    def _up_to_date(self) -> Memory:
        """The memory; where a write was interrupted, with what SQL holds of it. Raises StoreClosed or AppNotFound."""
        self.used_at = time.monotonic()
        memory = self._memory
        if memory is None or self._behind:
            with self._lock:
                self._check_open()
                memory = self._memory
                if memory is None:
                    memory = self._remembered(self._catalog.apps.get(self.id))
                    self._resume(memory.teacher)
                elif self._behind:
                    memory.collection.catch_up()
                    memory = Memory(
                        memory.collection, self._taught(memory.collection, self.recipe, memory.teacher.names)
                    )
                    self._resume(memory.teacher)
                self._memory, self._behind = memory, False
        return memory

    def _check_open(self) -> None:
        if self._closed:
            self._catalog.apps.get(self.id)  # which knows whether it is the store that was closed, or the app deleted
            raise StoreClosed(f"the app {self.name!r} is closed: open the store again")

    @property
    def in_memory(self) -> bool:
        """Whether its vectors and labels are; if not, who asks for them waits until they are read."""
        return self._memory is not None

    def load(self) -> None:
        """Reads them, if they are not in memory. Raises StoreClosed or AppNotFound."""
        self._up_to_date()

    def rest(self) -> bool:
        """Lets the memory go, until somebody asks for it again; False where the app is being written."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._let_go()
        finally:
            self._lock.release()
        return True

    def _let_go(self) -> None:
        """The caller holds the lock. Who reads at this moment goes on with what there is."""
        memory, self._memory = self._memory, None
        if memory:
            memory.collection.close()

    @contextmanager
    def _following(self) -> Iterator[None]:
        """Round a write in SQL and what follows in memory: if that doesn't come, who asks next sees to it."""
        self._up_to_date()
        try:
            yield
        except TenshotError:  # it was refused: SQL holds nothing of it
            raise
        except BaseException:
            self._behind = True
            raise

    def _embedder(self) -> Batcher:
        return self._embedders(self.recipe)

    def eye(self, recipe: Recipe | None = None) -> Eye:
        """How the app sees pictures at this moment, or would with another base workflow."""
        self._check_open()
        return Eye(recipe or self.recipe, self._embedders, self._opener, self._cache, self._catalog.vectors.of_pictures)

    # Adding

    def add(
        self,
        image: Picture,
        id: str | None = None,
        concepts: Mapping[str, bool] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        geo: Geo | None = None,
        url: str | None = None,
        crop: Crop | None = None,
        allow_duplicate_url: bool = False,
        source: LabelSource = LabelSource.USER,
    ) -> Input:
        """Stores, embeds and labels one picture. Raises InputExists, DuplicateUrl, ImageError or BadRequest."""
        request = AddRequest(image, id, concepts or {}, metadata, geo, url, allow_duplicate_url, crop, source=source)
        [result] = self.add_many([request])
        if result.error:
            raise result.error
        assert result.input
        return result.input

    def add_many(
        self,
        requests: Iterable[AddRequest],
        progress: Callable[[Progress], None] | None = None,
        *,
        later: bool = False,
    ) -> Iterator[AddResult]:
        """Adds as the results are read: one result for each request, in order; a bad one doesn't stop the others.

        Requests are taken from the iterable in batches, one batch ahead, so it may be longer than memory: the next
        pictures are decoded while the model looks at these. What a result tells is committed. progress is called after
        each batch. later: a request may have a URL in the place of a picture; its input is pending until `arrived`.
        """
        return _Unread(self._added(requests, progress, later))

    def _added(
        self, requests: Iterable[AddRequest], progress: Callable[[Progress], None] | None, later: bool
    ) -> Iterator[AddResult]:
        total = len(requests) if isinstance(requests, Sequence) else None
        done, failed = 0, 0
        for batch in ahead(partial(self._batch, later=later), batches(requests, _BATCH)):
            results = self._add_batch(batch)
            done, failed = done + len(results), failed + sum(result.error is not None for result in results)
            if progress:
                progress(Progress(done, failed, total))
            yield from results

    def add_vectors(
        self,
        vectors: object,
        ids: Sequence[str] | None = None,
        concepts: Sequence[Mapping[str, bool]] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[Input]:
        """Stores vectors of this app's base workflow that were made elsewhere, (n, dim); all of them or none.

        ids, concepts, metadata: n each. Raises BadVector, InputExists or BadRequest.
        """
        rows = check_vectors(vectors, self.dim, ids)
        for name, given in (("ids", ids), ("concepts", concepts), ("metadata", metadata)):
            if given is not None and len(given) != len(rows):
                raise BadRequest(f"{len(given)} {name} were given for {len(rows)} vectors")
        new = []
        for i, row in enumerate(rows):
            labels = check_concepts(concepts[i] if concepts else {})
            facts = metadata[i] if metadata else None
            check_metadata(facts)
            input_id = check_id(ids[i], "input id") if ids else uuid4().hex
            new.append(NewInput(id=input_id, vector=row, concepts=labels, metadata=facts))
        with self._lock:
            check_vectors(rows, self.dim, ids)  # again, for the base workflow may have been changed
            return self._store(new)

    def pending(self) -> list[str]:
        """Ids of the inputs that wait for their picture, oldest first."""
        return [id for _, id, _ in self._catalog.inputs.pending(self.id)]

    def pending_keys(self, keys: Sequence[int]) -> set[int]:
        """Those of the keys whose inputs wait for their picture."""
        return self._catalog.inputs.pending_keys(keys)

    def arrived(self, id: str, picture: Picture, *, key: int | None = None) -> None:
        """The picture of a pending input: it becomes ready, or failed if the picture can't be used.

        Nothing happens if nothing waits under this id any more, or it is another input by now than the one of `key`.
        """
        waiting = self._waiting(id, key)
        if waiting is None:
            return
        eye = self.eye()
        batch = Batch([AddRequest(picture, id, url=waiting.url, crop=waiting.crop)], self.dim, eye)
        batch.embed()
        if batch.errors:
            self.never_arrived(id, failure_of(batch.errors[0]), str(batch.errors[0]), key=waiting.key)
            return
        [new] = batch.new_inputs()
        with self._lock, self._blobs.kept():
            current = self.recipe is eye.recipe
            if current:
                self._blobs.put_many(batch.pictures())
                with self._following():
                    if self._catalog.inputs.complete(self.id, waiting.key, new):
                        self._remember(list(self.inputs_by_id([id]).values()), [new])
        if not current:  # the base workflow was changed while the model ran
            self.arrived(id, picture, key=waiting.key)

    def never_arrived(self, id: str, failure: Failure, reason: str, *, key: int | None = None) -> None:
        """The picture of a pending input can't be had: it is kept as failed, with the reason. See `arrived` for key."""
        waiting = self._waiting(id, key)
        if waiting is not None:
            with self._lock:
                self._catalog.inputs.fail(self.id, waiting.key, failure, reason)

    def _waiting(self, id: str, key: int | None) -> Input | None:
        """The pending input of this id, if it is the one of `key`."""
        found = self.inputs_by_id([id]).get(id)
        if found is None or found.status is not InputStatus.PENDING or key not in (None, found.key):
            return None
        return found

    def _batch(self, requests: Sequence[AddRequest], *, later: bool) -> Batch:
        return Batch(requests, self.dim, self.eye(), later=later)

    def _add_batch(self, batch: Batch) -> list[AddResult]:
        # Before the model runs, so that no time goes into what can't be stored; and again under the lock.
        self._refuse_taken(batch)
        batch.embed()
        self._blobs.put_many(batch.pictures())
        with self._lock:
            if self.recipe is batch.eye.recipe:
                self._refuse_taken(batch)
                with self._blobs.kept():
                    # Once more, for another app may have deleted the same picture since.
                    self._blobs.put_many(batch.pictures())
                    return batch.results(self._store(batch.new_inputs()))
        # The base workflow was changed while the model ran.
        return self._add_batch(self._batch(batch.requests, later=batch.later))

    def _refuse_taken(self, batch: Batch) -> None:
        ids, urls = batch.ids_and_urls()
        batch.refuse_taken(self._catalog.inputs.taken_ids(self.id, ids), self._catalog.inputs.taken_urls(self.id, urls))

    def _store(self, new: Sequence[NewInput]) -> list[Input]:
        if not new:
            return []
        with self._following():
            inputs = self._catalog.inputs.add(self.id, new)
            self._remember(inputs, new)
        return inputs

    def _remember(self, inputs: Sequence[Input], new: Sequence[NewInput]) -> None:
        """Those that are ready can be found, and their labels teach."""
        vectors = {one.key: made.vector for one, made in zip(inputs, new, strict=True) if made.vector is not None}
        if vectors:
            seq = max(one.seq for one in inputs)
            self._collection.upsert(np.fromiter(vectors, dtype=np.int64), np.stack(list(vectors.values())), seq)
        self._teach(
            (one.key, concept, value) for one in inputs if one.key in vectors for concept, value in one.concepts.items()
        )

    def _teach(self, changes: Iterable[tuple[int, str, bool | None]]) -> None:
        """Labels of inputs that still wait for their picture teach when it has arrived."""
        made = [LabelChange(*change) for change in changes]
        ready = self._collection.contains(np.array([change.key for change in made], dtype=np.int64))
        self._teacher.apply(change for change, there in zip(made, ready.tolist(), strict=True) if there)

    # Labels and other changes

    def label(self, id: str, concepts: Mapping[str, bool | None], *, source: LabelSource = LabelSource.USER) -> None:
        """Says what an input shows (True), doesn't (False), or takes that back (None). The next prediction knows it."""
        self.label_many({id: concepts}, source=source)

    def label_many(
        self, labels: Mapping[str, Mapping[str, bool | None]], *, source: LabelSource = LabelSource.USER
    ) -> None:
        """Labels of several inputs in one transaction: all of them or, with an unknown input, none."""
        labels = {id: check_concepts(concepts) for id, concepts in labels.items()}
        with self._lock, self._following():
            self._teach(self._catalog.labels.set(self.id, labels, source))

    def update_many(self, changes: Sequence[InputChange], source: LabelSource = LabelSource.USER) -> list[Input]:
        """New metadata, place and labels of several inputs in one transaction: all of them or none."""

        def unconditional(change: InputChange) -> Patch:
            return lambda _there: change

        return self.patch_many([(change.id, unconditional(change)) for change in changes], source)

    def patch_many(self, patches: Sequence[tuple[str, Patch]], source: LabelSource = LabelSource.USER) -> list[Input]:
        """The same, where what an input becomes depends on what it is; of patches of one input each sees the earlier.

        Returns the inputs as they are after all of it. Raises InputNotFound or BadRequest.
        """

        def checked(patch: Patch, there: Input) -> InputChange:
            change = patch(there)
            change = replace(change, concepts=check_concepts(change.concepts))
            check_metadata(change.metadata)
            check_geo(change.geo)
            check_regions(change.regions)
            return change

        with self._lock, self._following():
            labels, inputs = self._catalog.inputs.update(
                self.id, [(id, partial(checked, patch)) for id, patch in patches], source
            )
            self._teach(labels)
        return [inputs[id] for id, _ in patches]

    def delete(self, ids: str | Iterable[str]) -> int:
        """Deletes inputs with their pictures, vectors and labels; unknown ids don't count. How many there were.

        Many of them go in steps, each whole, between which others write.
        """
        return self._delete([ids] if isinstance(ids, str) else list(ids))

    def delete_all(self) -> int:
        """Deletes every input that the app has when it begins, in steps; concepts and models stay."""
        return sum(self._delete(ids) for ids in self._catalog.inputs.all_ids(self.id))

    def _delete(self, ids: Sequence[str]) -> int:
        count = 0
        while ids:
            with self._lock, self._following():
                deleted = self._catalog.inputs.delete(self.id, ids)
                self._collection.delete(deleted.keys, deleted.seq)
                self._teacher.forget(deleted.keys.tolist())
            self._blobs.delete_unused(deleted.hashes, self._catalog.unused_blobs)
            count, ids = count + len(deleted.keys), deleted.rest
        return count

    # Looking things up

    def input(self, id: str) -> Input:
        """Raises InputNotFound."""
        found = self.inputs_by_id([id])
        if id not in found:
            raise _no_input(id)
        return found[id]

    def inputs_by_id(self, ids: Iterable[str]) -> dict[str, Input]:
        """Those that exist."""
        found = self._catalog.inputs.get(self.id, list(ids))
        self._wait_until_found(found.values())
        return found

    def picture_by_hash(self, sha256: str) -> StoredPicture:
        """The picture's file, and its type by its first bytes, for who knows its hash. Raises InputNotFound."""
        if self._catalog.inputs.media_type(self.id, sha256) is None:
            raise InputNotFound(f"no picture {sha256}")
        data = self._blobs.get(sha256)
        try:
            return StoredPicture(data, sniffed_type(data))
        except ImageError as error:
            raise InputNotFound(f"{sha256} is no picture") from error

    def thumbnail(self, sha256: str, crop: Crop | None = None) -> bytes:
        """A small WebP of a picture, for who knows its hash; of a part of it if crop is given.

        Raises InputNotFound or ImageError.
        """
        if self._catalog.inputs.media_type(self.id, sha256) is None:
            raise InputNotFound(f"no picture {sha256}")
        # Only whole pictures are kept small: of parts there is no end.
        if crop:
            return thumbnail(self._blobs.get(sha256), crop, opener=self._opener)
        return self._blobs.thumbnail(sha256, partial(thumbnail, opener=self._opener))

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are taken."""
        return self._catalog.inputs.taken_ids(self.id, ids)

    def with_pictures(self, hashes: Sequence[str]) -> dict[str, str]:
        """sha256 -> id of the oldest input that has this picture, whole."""
        return self._catalog.inputs.with_pictures(self.id, hashes)

    def inputs(
        self, page: int = 1, per_page: int = 100, status: InputStatus | None = None, *, newest_first: bool = False
    ) -> list[Input]:
        """One page, in the order in which they were added; pages count from 1, past the end they are empty."""
        found = self._catalog.inputs.page(self.id, *offset(page, per_page), status, newest_first=newest_first)
        self._wait_until_found(found)
        return found

    def _wait_until_found(self, inputs: Iterable[Input]) -> None:
        """SQL says that an input is ready a moment before searches find it: who reads that waits for the moment."""
        newest = max((one.seq for one in inputs if one.status is InputStatus.READY), default=0)
        memory = self._memory
        if memory and newest > memory.collection.applied_seq:
            with self._lock:  # which is held by who writes it
                pass

    def counts(self) -> Mapping[InputStatus, int]:
        return self._catalog.inputs.counts(self.id)

    def picture(self, id: str) -> bytes:
        """The picture's file as it was added. Raises InputNotFound also where there is only a vector."""
        sha256 = self.input(id).sha256
        if sha256 is None:
            raise InputNotFound(f"input {id!r} has a vector, but no picture")
        return self._blobs.get(sha256)

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        """(n, dim) float32 unit vectors of inputs. Raises InputNotFound or InputNotReady."""
        found = self.inputs_by_id(ids)
        for id in ids:
            if id not in found:
                raise _no_input(id)
            if found[id].status is not InputStatus.READY:
                raise InputNotReady(f"input {id!r} is {found[id].status.value}: {found[id].status_reason or 'wait'}")
        keys = np.array([found[id].key for id in ids], dtype=np.int64)
        present, vectors = self._collection.present(keys)
        if len(present) < len(keys):  # one was deleted meanwhile
            raise _no_input(next(id for id in ids if found[id].key not in present))
        return vectors

    def concepts(self, page: int = 1, per_page: int = 1000, name: str | None = None) -> list[Concept]:
        """One page, in the order in which they were made; name may have * for any run of characters."""
        if name is not None:
            check_text(name, "a name to search by")
        return self._catalog.concepts.page(self.id, *offset(page, per_page), name)

    def concepts_by_id(self) -> Mapping[str, Concept]:
        """All of them."""
        return self._catalog.concepts.by_id(self.id)

    def concept_names(self) -> Mapping[str, str]:
        """Id -> name of all concepts."""
        return self._catalog.concepts.names(self.id)

    def label_counts(self) -> Mapping[str, tuple[int, int]]:
        """Concept id -> how many inputs are labelled yes, and no; concepts without labels are left out."""
        return self._catalog.labels.counts(self.id)

    def concept(self, id: str) -> Concept:
        """Raises ConceptNotFound."""
        return self._catalog.concepts.get(self.id, id)

    def create_concepts(self, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
        """Makes concepts of (id, name): all of them or, where an id is taken, none (ConceptExists)."""
        for concept, name in concepts:
            check_id(concept, "concept id")
            check_id(name, "concept name")
        with self._lock:
            return self._catalog.concepts.create(self.id, concepts)

    def rename_concepts(self, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
        """New names for (id, name). Raises ConceptNotFound, and then renames none."""
        for _, name in concepts:
            check_id(name, "concept name")
        with self._lock:
            renamed = self._catalog.concepts.rename(self.id, concepts)
            self._teacher.names.renamed(concept for concept, _ in concepts)
        return renamed

    def keep_feedback(self, kind: str, about: Mapping[str, Any], body: Mapping[str, Any]) -> None:
        """Keeps what a user said of a prediction (kind `model`) or a search hit (`search`)."""
        check_metadata(body)
        self._catalog.feedback.add(self.id, kind, about, body)

    def feedback(self, page: int = 1, per_page: int = 100) -> list[Feedback]:
        """One page, oldest first."""
        return self._catalog.feedback.page(self.id, *offset(page, per_page))

    @property
    def tail(self) -> int:
        """Vectors that every search looks at one by one."""
        return self._collection.tail

    def collection_facts(self) -> CollectionFacts:
        """How the searchable vectors are kept, and where."""
        return self._collection.facts()

    def close(self) -> None:
        """When what is being written is; afterwards everything raises StoreClosed, or AppNotFound if it was deleted.

        May be called again.
        """
        with self._lock:
            self._closed = True
            self._let_go()

    def _ids(self, keys: KeyArray) -> dict[int, str]:
        return self._catalog.inputs.ids(keys)


class _Unread(Iterator[AddResult]):
    """Warns who never asks for anything, and so gets nothing done."""

    def __init__(self, results: Iterator[AddResult]) -> None:
        self._results = results
        self._asked = False

    def __next__(self) -> AddResult:
        self._asked = True
        return next(self._results)

    def __del__(self) -> None:
        if not self._asked:
            message = "add_many added nothing, for nobody read its results: for result in app.add_many(...)"
            warnings.warn(message, ResourceWarning, source=self, stacklevel=2)


def _power(recipe: Recipe) -> float | None:
    return None if recipe.nonnegative is None else 0.5 if recipe.nonnegative else 1.0


def offset(page: int, per_page: int) -> tuple[int, int]:
    """How many items come before a page, and how many it has at most; as SQL can count. Raises BadRequest."""
    page, per_page = check_count(page, "page"), check_count(per_page, "per_page")
    return min((page - 1) * per_page, _MOST_ROWS), min(per_page, _MOST_ROWS)


def _no_input(id: str) -> InputNotFound:
    return InputNotFound(f"no input {id!r}")
