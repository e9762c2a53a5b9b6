"""Adding inputs: pictures, vectors, and pictures that come later.

Writes go in one order: picture bytes, one SQL transaction, the collection, the labels in memory, the answer. Readers
never wait for writers, and no lock is held while a model runs.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np

from ...runtime.parallel import ahead, batches
from ..errors import BadRequest
from ..ingest.batch import Batch
from ..ingest.validation import check_concepts, check_id, check_metadata, check_vectors, failure_of
from ..records import (
    AddRequest,
    AddResult,
    Crop,
    Failure,
    Geo,
    Input,
    InputStatus,
    LabelSource,
    NewInput,
    Picture,
    Progress,
)
from .state import AppState, Current

_BATCH = 32
"""Pictures that `add_many` decodes, embeds and commits together."""


def add(
    app: Current,
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
    [result] = add_many(app, [request])
    if result.error:
        raise result.error
    assert result.input
    return result.input


def add_many(
    app: Current,
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
    return _Unread(_added(app, requests, progress, later))


def add_vectors(
    app: Current,
    vectors: object,
    ids: Sequence[str] | None = None,
    concepts: Sequence[Mapping[str, bool]] | None = None,
    metadata: Sequence[Mapping[str, Any] | None] | None = None,
) -> list[Input]:
    """Stores vectors of this app's base workflow that were made elsewhere, (n, dim); all of them or none.

    ids, concepts, metadata: n each. Raises BadVector, InputExists or BadRequest.
    """
    rows = check_vectors(vectors, app.recipe.dim, ids)
    for name, values in (("ids", ids), ("concepts", concepts), ("metadata", metadata)):
        if values is not None and len(values) != len(rows):
            raise BadRequest(f"{len(values)} {name} were given for {len(rows)} vectors")
    new = []
    for i, row in enumerate(rows):
        labels = check_concepts(concepts[i] if concepts else {})
        facts = metadata[i] if metadata else None
        check_metadata(facts)
        input_id = check_id(ids[i], "input id") if ids else uuid4().hex
        new.append(NewInput(id=input_id, vector=row, concepts=labels, metadata=facts))
    with app.writing() as state:
        check_vectors(rows, state.dim, ids)  # again, for the base workflow may have been changed
        return _store(state, new)


def pending(app: Current) -> list[str]:
    """Ids of the inputs that wait for their picture, oldest first."""
    return [id for _, id, _ in app.catalog.inputs.pending(app.id)]


def pending_keys(app: Current, keys: Sequence[int]) -> set[int]:
    """Those of the keys whose inputs wait for their picture."""
    return app.catalog.inputs.pending_keys(keys)


def arrived(app: Current, id: str, picture: Picture, *, key: int | None = None) -> None:
    """The picture of a pending input: it becomes ready, or failed if the picture can't be used.

    Nothing happens if nothing waits under this id any more, or it is another input by now than the one of `key`.
    """
    waiting = _waiting(app, id, key)
    if waiting is None:
        return
    state = app.take()
    batch = Batch([AddRequest(picture, id, url=waiting.url, crop=waiting.crop)], state.dim, state.picture_embedder())
    batch.embed()
    if batch.errors:
        never_arrived(app, id, failure_of(batch.errors[0]), str(batch.errors[0]), key=waiting.key)
        return
    [new] = batch.new_inputs()
    with app.writers, app.blobs.deletion_paused():
        current = app.recipe == batch.picture_embedder.recipe
        if current:
            app.blobs.put_many(batch.pictures())
            with app.writing() as state:
                if app.catalog.inputs.complete(app.id, waiting.key, new):
                    _remember(state, list(app.catalog.inputs.get(app.id, [id]).values()), [new])
    if not current:  # the base workflow was changed while the model ran
        arrived(app, id, picture, key=waiting.key)


def never_arrived(app: Current, id: str, failure: Failure, reason: str, *, key: int | None = None) -> None:
    """The picture of a pending input can't be had: it is kept as failed, with the reason. See `arrived` for key."""
    waiting = _waiting(app, id, key)
    if waiting is not None:
        with app.writers:
            app.catalog.inputs.fail(app.id, waiting.key, failure, reason)


def _waiting(app: Current, id: str, key: int | None) -> Input | None:
    """The pending input of this id, if it is the one of `key`."""
    record = app.catalog.inputs.get(app.id, [id]).get(id)
    if record is None or record.status is not InputStatus.PENDING or key not in (None, record.key):
        return None
    return record


def _added(
    app: Current, requests: Iterable[AddRequest], progress: Callable[[Progress], None] | None, later: bool
) -> Iterator[AddResult]:
    total = len(requests) if isinstance(requests, Sequence) else None
    done, failed = 0, 0
    for batch in ahead(partial(_batch, app, later=later), batches(requests, _BATCH)):
        results = _add_batch(app, batch)
        done, failed = done + len(results), failed + sum(result.error is not None for result in results)
        if progress:
            progress(Progress(done, failed, total))
        yield from results


def _batch(app: Current, requests: Sequence[AddRequest], *, later: bool) -> Batch:
    state = app.take()
    return Batch(requests, state.dim, state.picture_embedder(), later=later)


def _add_batch(app: Current, batch: Batch) -> list[AddResult]:
    # Before the model runs, so that no time goes into what can't be stored; and again under the lock.
    _refuse_taken(app, batch)
    batch.embed()
    app.blobs.put_many(batch.pictures())
    with app.writers:
        if app.recipe == batch.picture_embedder.recipe:
            _refuse_taken(app, batch)
            with app.blobs.deletion_paused():
                # Once more, for another app may have deleted the same picture since.
                app.blobs.put_many(batch.pictures())
                with app.writing() as state:
                    return batch.results(_store(state, batch.new_inputs()))
    # The base workflow was changed while the model ran.
    return _add_batch(app, _batch(app, batch.requests, later=batch.later))


def _refuse_taken(app: Current, batch: Batch) -> None:
    ids, urls = batch.ids_and_urls()
    inputs = app.catalog.inputs
    batch.refuse_taken(inputs.existing_ids(app.id, ids), inputs.existing_urls(app.id, urls))


def _store(state: AppState, new: Sequence[NewInput]) -> list[Input]:
    """The caller is writing."""
    if not new:
        return []
    inputs = state.catalog.inputs.add(state.id, new)
    _remember(state, inputs, new)
    return inputs


def _remember(state: AppState, inputs: Sequence[Input], new: Sequence[NewInput]) -> None:
    """Those that are ready can be found, and their labels teach."""
    vectors = {
        record.key: prepared.vector for record, prepared in zip(inputs, new, strict=True) if prepared.vector is not None
    }
    if vectors:
        seq = max(record.seq for record in inputs)
        state.collection.upsert(np.fromiter(vectors, dtype=np.int64), np.stack(list(vectors.values())), seq)
    state.teach(
        (record.key, concept, value)
        for record in inputs
        if record.key in vectors
        for concept, value in record.concepts.items()
    )


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
