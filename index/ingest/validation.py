"""From what a caller hands in to what can be stored: bytes, hash, upright pixels, checked vectors. Pure."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import numpy as np

from ...embeddings.base.embedder import Pixels
from ...embeddings.pictures.images import ImageNotFound, ImageTooLarge, UnsupportedFormat, check_box
from ..bounds import MOST_CONTAINERS, MOST_JSON, has_direction
from ..errors import BadRequest, BadVector
from ..records import AddRequest, Crop, Failure, FloatArray, Geo, LabelSource
from .picture_embedder import PictureEmbedder

_MAX_ID = 200
_MOST_LEVELS = 100
_FAILURES = {UnsupportedFormat: Failure.FORMAT, ImageTooLarge: Failure.SIZE, ImageNotFound: Failure.FETCH}


@dataclass(frozen=True)
class Prepared:
    """A request whose picture was decoded, or whose vector was checked; not embedded yet."""

    request: AddRequest
    id: str
    data: bytes | None = None
    """The picture's file, as it came."""
    sha256: str | None = None
    media_type: str | None = None
    pixels: Pixels | None = None
    """As the base workflow looks at them, so that no whole picture is kept longer than it takes to prepare it."""
    vector: FloatArray | None = None
    """(dim,) of unit length, where one came instead of a picture."""


def prepare(request: AddRequest, dim: int, picture_embedder: PictureEmbedder, *, later: bool = False) -> Prepared:
    """Checks everything about one request that needs no database. later: the picture behind its URL comes another time.

    Raises ImageError for the picture, BadVector for the vector, BadRequest for the rest; WorkflowError where the base
    workflow has no use for pictures.
    """
    input_id = uuid4().hex if request.id is None else check_id(request.id, "input id")
    request = replace(request, concepts=check_concepts(request.concepts))
    check_metadata(request.metadata)
    check_geo(request.geo)
    check_regions(request.regions)
    check_url(request.url)
    if not isinstance(request.source, LabelSource):
        raise BadRequest(f"the source of labels is one of {', '.join(LabelSource)}, not {request.source!r}")
    if request.vector is not None:
        if request.image is not None:
            raise BadRequest(f"input {input_id!r} has a picture and a vector: give one of them")
        return Prepared(request, input_id, vector=check_vectors([request.vector], dim, [input_id])[0])
    if later and request.image is None and request.url is not None:
        check_crop(request.crop)
        return Prepared(request, input_id)
    if request.image is None:
        raise BadRequest(f"input {input_id!r} has neither a picture nor a vector")
    data, media_type, pixels = picture_embedder.preprocess_file(request.image, request.crop)
    return Prepared(
        request,
        input_id,
        data=data,
        sha256=hashlib.sha256(data).hexdigest(),
        media_type=media_type,
        pixels=pixels,
    )


def check_id(value: object, what: str) -> str:
    """An id of the user's: any printable text, slashes and other scripts included."""
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"{what} must be a text that isn't empty, not {value!r}")
    if len(value) > _MAX_ID:
        raise BadRequest(f"{what} is longer than {_MAX_ID} characters")
    if not value.isprintable():
        raise BadRequest(f"{what} {value!r} has characters that can't be printed")
    return value


def check_concepts(concepts: Mapping[str, bool | None]) -> dict[str, Any]:
    """The labels as Python's own values: those of NumPy, as comparisons of arrays give, are equal but not the same."""
    if not isinstance(concepts, Mapping):
        raise BadRequest(f"concepts must be a mapping of concept id to True or False, not {concepts!r}")
    for concept, value in concepts.items():
        check_id(concept, "concept id")
        if value is not None and not isinstance(value, bool | np.bool_):
            raise BadRequest(f"the label of concept {concept!r} must be True, False or None, not {value!r}")
    return {concept: None if value is None else bool(value) for concept, value in concepts.items()}


def check_metadata(metadata: Mapping[str, Any] | None) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        raise BadRequest(f"metadata must be a mapping, not {type(metadata).__name__}")
    _check_json(metadata, "metadata")


def check_regions(regions: Sequence[Mapping[str, Any]] | None) -> None:
    if regions is None:
        return
    if not isinstance(regions, Sequence) or not all(isinstance(region, Mapping) for region in regions):
        raise BadRequest("regions must be a list of mappings")
    _check_json([dict(region) for region in regions], "regions")


def check_url(url: str | None) -> None:
    if url is not None and not (isinstance(url, str) and url.isprintable()):
        raise BadRequest("a URL must be a text of characters that can be printed")


def _check_json(value: object, what: str) -> None:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        # Encoded too: a lone surrogate is a text that no answer could carry.
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRequest(f"{what} must be plain JSON: {error}") from error
    if size > MOST_JSON:
        raise BadRequest(f"{what} must be at most {MOST_JSON:,} bytes of JSON, not {size:,}")
    if text.count("[") + text.count("{") > MOST_CONTAINERS:
        raise BadRequest(f"{what} must have at most {MOST_CONTAINERS:,} lists and objects")
    # Deeper ones could be stored, but not be written by everything that reads them again.
    level: list[Any] = [value]
    depth = 0
    while level:
        depth += 1
        if depth > _MOST_LEVELS:
            raise BadRequest(f"{what} must be plain JSON of at most {_MOST_LEVELS} levels")
        inner = (item.values() if isinstance(item, Mapping) else item for item in level if _holds(item))
        level = [item for values in inner for item in values if _holds(item)]


def _holds(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple)


def check_geo(geo: Geo | None) -> None:
    if geo is None:
        return
    if not isinstance(geo, Geo) or not all(isinstance(n, int | float | np.number) for n in vars(geo).values()):
        raise BadRequest(f"a place is a Geo of two numbers, not {geo!r}")
    if not (-180 <= geo.longitude <= 180 and -90 <= geo.latitude <= 90):
        raise BadRequest(f"no such place: longitude {geo.longitude}, latitude {geo.latitude}")


def check_crop(box: Crop | None) -> None:
    """Raises BadCrop, as the picture would when it is there."""
    if box is not None:
        check_box(box)


def failure_of(error: Exception) -> Failure:
    """What kind of failure an error about a picture is."""
    return next((kind for cause, kind in _FAILURES.items() if isinstance(error, cause)), Failure.CONTENT)


def check_vectors(vectors: object, dim: int, names: Sequence[str] | None = None) -> FloatArray:
    """(n, dim) float32 of unit length. Raises BadVector that names the first bad row."""
    try:
        # Too large for float32 becomes infinite here.
        with np.errstate(over="ignore"):
            array = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadVector(f"vectors must be numbers of shape (n, {dim}): {error}") from error
    if array.ndim != 2 or array.shape[1] != dim:
        raise BadVector(f"vectors must have the shape (n, {dim}), not {array.shape}")
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(array, axis=1)
    bad = np.flatnonzero(~has_direction(norms))
    if len(bad):
        # A direction all the same, where the numbers are within float32 and only the length is not.
        rows = array[bad].astype(np.float64)
        largest = np.abs(rows).max(axis=1, initial=0)
        beyond = np.isfinite(largest) & (largest > 1)
        rows = rows[beyond] / largest[beyond, None]
        array, norms = array.copy(), norms.copy()
        array[bad[beyond]], norms[bad[beyond]] = rows, np.linalg.norm(rows, axis=1)
        bad = bad[~beyond]
    if len(bad):
        name = names[bad[0]] if names else f"row {bad[0]}"
        raise BadVector(f"the vector of {name} is zero or not finite in single precision")
    return np.asarray(array / norms[:, None], dtype=np.float32)
