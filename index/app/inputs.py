"""An app's inputs: looking them up, changing, labelling and deleting them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...embeddings.pictures.images import ImageError, sniffed_type
from ...embeddings.pictures.thumbnails import thumbnail as small
from ..bounds import page_bounds
from ..errors import InputNotFound
from ..ingest.validation import check_concepts, check_geo, check_metadata, check_regions
from ..records import Crop, Input, InputChange, InputStatus, LabelSource, Patch, StoredPicture
from .embedding import file_of, no_input
from .state import Current


def label(
    app: Current, id: str, concepts: Mapping[str, bool | None], *, source: LabelSource = LabelSource.USER
) -> None:
    """Says what an input shows (True), doesn't (False), or takes that back (None). The next prediction knows it."""
    label_many(app, {id: concepts}, source=source)


def label_many(
    app: Current, labels: Mapping[str, Mapping[str, bool | None]], *, source: LabelSource = LabelSource.USER
) -> None:
    """Labels of several inputs in one transaction: all of them or, with an unknown input, none."""
    labels = {id: check_concepts(concepts) for id, concepts in labels.items()}
    with app.writing() as state:
        state.teach(app.catalog.labels.set(app.id, labels, source))


def update_many(app: Current, changes: Sequence[InputChange], source: LabelSource = LabelSource.USER) -> list[Input]:
    """New metadata, place and labels of several inputs in one transaction: all of them or none."""

    def unconditional(change: InputChange) -> Patch:
        return lambda _there: change

    return patch_many(app, [(change.id, unconditional(change)) for change in changes], source)


def patch_many(
    app: Current, patches: Sequence[tuple[str, Patch]], source: LabelSource = LabelSource.USER
) -> list[Input]:
    """The same, where what an input becomes depends on what it is; of patches of one input each sees the earlier.

    Returns the inputs as they are after all of it. Raises InputNotFound or BadRequest.
    """

    def checked(patch: Patch, stored: Input) -> InputChange:
        change = patch(stored)
        change = replace(change, concepts=check_concepts(change.concepts))
        check_metadata(change.metadata)
        check_geo(change.geo)
        check_regions(change.regions)
        return change

    with app.writing() as state:
        labels, inputs = app.catalog.inputs.update(
            app.id, [(id, partial(checked, patch)) for id, patch in patches], source
        )
        state.teach(labels)
    return [inputs[id] for id, _ in patches]


def delete(app: Current, ids: str | Iterable[str]) -> int:
    """Deletes inputs with their pictures, vectors and labels; unknown ids don't count. How many there were.

    Many of them go in steps, each whole, between which others write.
    """
    return _delete(app, [ids] if isinstance(ids, str) else list(ids))


def delete_all(app: Current) -> int:
    """Deletes every input that the app has when it begins, in steps; concepts and models stay."""
    return sum(_delete(app, ids) for ids in app.catalog.inputs.all_ids(app.id))


def input(app: Current, id: str) -> Input:
    """Raises InputNotFound."""
    records = inputs_by_id(app, [id])
    if id not in records:
        raise no_input(id)
    return records[id]


def inputs_by_id(app: Current, ids: Iterable[str]) -> dict[str, Input]:
    """Those that exist."""
    records = app.catalog.inputs.get(app.id, list(ids))
    _wait_until_found(app, records.values())
    return records


def inputs(
    app: Current,
    page: int = 1,
    per_page: int = 100,
    status: InputStatus | None = None,
    *,
    newest_first: bool = False,
) -> list[Input]:
    """One page, in the order in which they were added; pages count from 1, past the end they are empty."""
    records = app.catalog.inputs.page(app.id, *page_bounds(page, per_page), status, newest_first=newest_first)
    _wait_until_found(app, records)
    return records


def existing(app: Current, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are taken."""
    return app.catalog.inputs.existing_ids(app.id, ids)


def with_pictures(app: Current, hashes: Sequence[str]) -> dict[str, str]:
    """sha256 -> id of the oldest input that has this picture, whole."""
    return app.catalog.inputs.with_pictures(app.id, hashes)


def counts(app: Current) -> Mapping[InputStatus, int]:
    """How many inputs there are of each status."""
    return app.catalog.inputs.counts(app.id)


def picture(app: Current, id: str) -> bytes:
    """The picture's file as it was added. Raises InputNotFound also where there is only a vector."""
    return file_of(app.blobs, input(app, id))


def picture_by_hash(app: Current, sha256: str) -> StoredPicture:
    """The picture's file, and its type by its first bytes, for who knows its hash. Raises InputNotFound."""
    if app.catalog.inputs.media_type(app.id, sha256) is None:
        raise InputNotFound(f"no picture {sha256}")
    data = app.blobs.get(sha256)
    try:
        return StoredPicture(data, sniffed_type(data))
    except ImageError as error:
        raise InputNotFound(f"{sha256} is no picture") from error


def thumbnail(app: Current, sha256: str, crop: Crop | None = None) -> bytes:
    """A small WebP of a picture, for who knows its hash; of a part of it if crop is given.

    Raises InputNotFound or ImageError.
    """
    if app.catalog.inputs.media_type(app.id, sha256) is None:
        raise InputNotFound(f"no picture {sha256}")
    opener = app.resources.opener
    # Only whole pictures are kept small: of parts there is no end.
    if crop:
        return small(app.blobs.get(sha256), crop, opener=opener)
    return app.blobs.thumbnail(sha256, partial(small, opener=opener))


def _wait_until_found(app: Current, inputs: Iterable[Input]) -> None:
    if state := app.peek():
        state.wait_until_found(inputs)


def _delete(app: Current, ids: Sequence[str]) -> int:
    count = 0
    while ids:
        with app.writing() as state:
            deleted = app.catalog.inputs.delete(app.id, ids)
            state.collection.delete(deleted.keys, deleted.seq)
            state.teacher.forget(deleted.keys.tolist())
        app.blobs.delete_unused(deleted.hashes, app.catalog.unused_blobs)
        count, ids = count + len(deleted.keys), deleted.rest
    return count
