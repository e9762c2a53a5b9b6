"""From pictures, words and stored inputs to vectors of an app's base workflow."""

import errno
from collections.abc import Iterable, Sequence

import numpy as np

from ...embeddings.base.batcher import Batcher
from ...embeddings.base.embedder import Pixels, Recipe, WorkflowError
from ...embeddings.pictures.images import ImageError
from ...runtime.parallel import side_by_side
from ..bounds import check_text
from ..errors import BadRequest, InputNotFound, InputNotReady, NotFound, NotSupported
from ..ingest.validation import check_vectors as checked
from ..records import Crop, FloatArray, Input, InputStatus, Picture
from ..storage.blobs import Blobs
from .reembedding import Embedded, StoredKey
from .state import AppState


def embed(state: AppState, images: Sequence[Picture], crops: Sequence[Crop | None] | None = None) -> FloatArray:
    """(n, dim) float32 unit vectors of pictures. Raises ImageError, or NotSupported in a `vectors` app."""
    vectors = embed_each(state, images, crops or [None] * len(images))
    for vector in vectors:
        if isinstance(vector, Exception):
            raise vector
    return np.array(vectors, dtype=np.float32).reshape(-1, state.dim)


def embed_each(
    state: AppState, images: Sequence[Picture], crops: Sequence[Crop | None]
) -> list[FloatArray | Exception]:
    """As `embed`, but a picture that can't be used gives its error in its place and stops none of the others."""
    try:
        return list(state.picture_embedder().embed_each(list(zip(images, crops, strict=True))))
    except WorkflowError as error:
        return [NotSupported(str(error)) for _ in images]


def classify_each(
    state: AppState, images: Sequence[Picture], crops: Sequence[Crop | None], recipe: Recipe
) -> list[FloatArray | Exception]:
    """(C,) probabilities of the classes that a base workflow has of its own, be it this app's or not; errors as in
    `embed_each`.
    """
    return list(state.picture_embedder(recipe).classify_each(list(zip(images, crops, strict=True))))


def base_workflow(state: AppState) -> Batcher:
    """The opened model that this app sees with."""
    return state.embedder


def check_vectors(state: AppState, vectors: object) -> FloatArray:
    """(n, dim) float32 of unit length, as this app would use them. Raises BadVector."""
    return checked(vectors, state.dim)


def has_text(state: AppState) -> bool:
    """Whether the base workflow understands words."""
    return state.embedder.has_text


def embed_text(state: AppState, text: str) -> FloatArray:
    """(dim,) unit vector of words, at most 1,000 characters. Raises BadRequest; NotSupported without words."""
    check_text(text, "a text to search by")
    try:
        [vector] = state.embedder.embed_texts([text])
    except WorkflowError as error:
        raise NotSupported(str(error)) from error
    return np.asarray(vector, dtype=np.float32)


def vectors(state: AppState, ids: Sequence[str]) -> FloatArray:
    """(n, dim) float32 unit vectors of inputs. Raises InputNotFound or InputNotReady."""
    records = state.catalog.inputs.get(state.id, list(ids))
    state.wait_until_found(records.values())
    for id in ids:
        if id not in records:
            raise no_input(id)
        if (record := records[id]).status is not InputStatus.READY:
            raise InputNotReady(f"input {id!r} is {record.status.value}: {record.status_reason or 'wait'}")
    keys = np.array([records[id].key for id in ids], dtype=np.int64)
    present, rows = state.collection.present(keys)
    if len(present) < len(keys):  # one was deleted meanwhile
        raise no_input(next(id for id in ids if records[id].key not in present))
    return rows


def query_vector(
    state: AppState,
    *,
    image: Picture | None = None,
    crop: Crop | None = None,
    text: str | None = None,
    vector: object = None,
    input_id: str | None = None,
    concept: str | None = None,
) -> FloatArray | None:
    """(dim,) of the one thing that is asked about; None for a concept, or nothing. Raises BadRequest for several."""
    if sum(part is not None for part in (image, text, vector, input_id, concept)) > 1:
        raise BadRequest("give one of image, text, vector, input_id and concept, not several")
    rows: Sequence[FloatArray] = []
    if image is not None:
        rows = list(embed(state, [image], [crop]))
    elif text is not None:
        rows = [embed_text(state, text)]
    elif vector is not None:
        rows = list(check_vectors(state, [vector]))
    elif input_id is not None:
        rows = list(vectors(state, [input_id]))
    return rows[0] if rows else None


def embed_stored(state: AppState, recipe: Recipe, pictures: Sequence[StoredKey], *, keep: bool = False) -> Embedded:
    """Under any base workflow, without embedding again what some app has embedded.

    keep: in memory, for the next who asks; for vectors that nothing stores.
    """
    picture_embedder = state.picture_embedder(recipe)
    known = picture_embedder.known_vectors((sha256, box) for _, sha256, box in pictures)
    vectors = {key: known[sha256, box] for key, sha256, box in pictures if (sha256, box) in known}
    looks, lost = looked_at(state, recipe, [picture for picture in pictures if picture[0] not in vectors])
    rows: Iterable[FloatArray] = picture_embedder.embedder.embed_with_classes(list(looks.values())) if looks else ()
    named = {key: (sha256, box) for key, sha256, box in pictures}
    for key, row in zip(looks, rows, strict=True):
        if not np.isfinite(row).all():
            lost[key] = "the model gave numbers that are not finite"
            continue
        vectors[key] = row[: recipe.dim]
        if keep:
            picture_embedder.cache.put(recipe, named[key], row)
    return vectors, lost


def looked_at(
    state: AppState, recipe: Recipe, pictures: Sequence[StoredKey]
) -> tuple[dict[int, Pixels], dict[int, str]]:
    """What the base workflow looks at by input key, and why there is nothing to look at for the others."""
    picture_embedder = state.picture_embedder(recipe)

    def look(picture: StoredKey) -> Pixels | str:
        try:
            return picture_embedder.preprocess(state.blobs.get(picture[1]), picture[2])
        except NotFound:
            return "the picture is lost"
        except ImageError as error:
            return str(error)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return "the disk can't read the picture"

    looks = dict(zip([key for key, _, _ in pictures], side_by_side(look, pictures), strict=True))
    lost = {key: look for key, look in looks.items() if isinstance(look, str)}
    return {key: look for key, look in looks.items() if not isinstance(look, str)}, lost


def file_of(blobs: Blobs, record: Input) -> bytes:
    """The picture's file as it was added. Raises InputNotFound where there is only a vector."""
    if record.sha256 is None:
        raise InputNotFound(f"input {record.id!r} has a vector, but no picture")
    return blobs.get(record.sha256)


def no_input(id: str) -> InputNotFound:
    return InputNotFound(f"no input {id!r}")
