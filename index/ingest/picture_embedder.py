"""From a picture's bytes to what a base workflow looks at, and what it makes of it.

The whole picture, maybe huge, is let go at once.
"""

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

from ...embeddings.base.batcher import Batcher
from ...embeddings.base.embedder import Pixels, Recipe
from ...embeddings.pictures.images import ImageError, Opener, crop, open_image, read_file
from ...runtime.parallel import side_by_side
from ...runtime.trace import stage
from ..records import Crop, FloatArray, Picture, PictureKey

MOST_CACHED = 4096
"""Vectors of pictures that nothing stores: 38 MB at 1280 dimensions and a thousand classes."""


class VectorCache:
    """The latest rows of `Embedder.embed_with_classes` of all base workflows: a vector, and behind it the probabilities
    of the classes. By the picture's content and the part that counts. Thread-safe.

    A picture that is predicted again takes 0.2 ms with it, and without it what opening and embedding take: 140 ms in
    the same run.
    """

    def __init__(self, most: int = MOST_CACHED) -> None:
        """most: rows kept; the one that was asked for longest ago goes. 0: none."""
        self._most = most
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[Recipe, PictureKey], FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, recipe: Recipe, pictures: Iterable[PictureKey]) -> dict[PictureKey, FloatArray]:
        """(dim + len(classes),) of those of the pictures that are here."""
        rows = {}
        with self._lock:
            for picture in pictures:
                if (recipe, picture) in self._vectors:
                    self._vectors.move_to_end((recipe, picture))
                    rows[picture] = self._vectors[recipe, picture]
        return rows

    def put(self, recipe: Recipe, picture: PictureKey, vector: FloatArray) -> None:
        """A copy is kept, which is read-only: a row would keep the whole batch that it was made in."""
        kept = vector.copy()
        kept.flags.writeable = False
        with self._lock:
            self._vectors[recipe, picture] = kept
            self._vectors.move_to_end((recipe, picture))
            while len(self._vectors) > self._most:
                self._vectors.popitem(last=False)


@dataclass(frozen=True)
class PictureEmbedder:
    """One base workflow, opened when it is needed, and how the bytes of pictures are opened for it."""

    recipe: Recipe
    embedders: Callable[[Recipe], Batcher]
    opener: Opener = open_image
    cache: VectorCache = field(default_factory=VectorCache)
    stored: Callable[[Mapping[str, Any], Iterable[PictureKey]], dict[PictureKey, FloatArray]] = lambda *_: {}
    """Vectors (dim,) of pictures that inputs of this recipe have, as `Catalog.vectors.of_pictures`."""

    @property
    def embedder(self) -> Batcher:
        """Raises WorkflowError."""
        return self.embedders(self.recipe)

    def preprocess(self, picture: Picture, box: Crop | None = None) -> Pixels:
        """Raises ImageError or WorkflowError."""
        if isinstance(picture, Image.Image):
            return self._prepared(open_image(picture).image, box)
        return self.preprocess_file(picture, box)[2]

    def preprocess_file(self, picture: Picture, box: Crop | None = None) -> tuple[bytes, str | None, Pixels]:
        """The same, with the picture's file and media type. A PIL image becomes a PNG of its upright pixels.

        Of a whole picture no more is decoded than the base workflow needs; the pixels of a crop count as they are.
        """
        if isinstance(picture, Image.Image):
            upright = open_image(picture).image
            file = io.BytesIO()
            upright.save(file, "PNG")
            return file.getvalue(), "image/png", self._prepared(upright, box)
        data = picture if isinstance(picture, bytes) else read_file(picture)
        embedder = self.embedder
        least_side = None if box else embedder.least_side
        decoded = self.opener(data, least_side=least_side, box=box, shrink=embedder.shrink)
        return data, decoded.media_type, embedder.prepare(decoded.image)

    def known_vectors(self, pictures: Iterable[PictureKey]) -> dict[PictureKey, FloatArray]:
        """(dim,) of those of the pictures that were embedded before: lately, or for an input that is stored."""
        keys = set(pictures)
        vectors = {key: row[: self.recipe.dim] for key, row in self.cache.get(self.recipe, keys).items()}
        missing = keys - vectors.keys()
        return vectors | (self.stored(asdict(self.recipe), missing) if missing else {})

    def embed_each(self, pictures: Sequence[tuple[Picture, Crop | None]]) -> list[FloatArray | ImageError]:
        """(dim,) of each picture, all embedded together; or why it can't be used. Raises WorkflowError.

        A file that was embedded before isn't opened again, and one that is asked for twice is once.
        """
        rows = self._rows(pictures, self.known_vectors)
        return [row if isinstance(row, ImageError) else row[: self.recipe.dim] for row in rows]

    def classify_each(self, pictures: Sequence[tuple[Picture, Crop | None]]) -> list[FloatArray | ImageError]:
        """(len(classes),) probabilities of the base workflow's own classes, as `embed_each`.

        A stored vector doesn't tell them: its length, which says how sure the model is, was made 1.
        """
        rows = self._rows(pictures, lambda keys: self.cache.get(self.recipe, keys))
        return [row if isinstance(row, ImageError) else row[self.recipe.dim :] for row in rows]

    def _rows(
        self,
        pictures: Sequence[tuple[Picture, Crop | None]],
        known: Callable[[Iterable[PictureKey]], Mapping[PictureKey, FloatArray]],
    ) -> list[FloatArray | ImageError]:
        """What is known of a picture, else all that the model sees in it, which is kept."""
        with stage("decode"):
            sources = side_by_side(_source, pictures)
            usable = [source for source in sources if isinstance(source, _Source)]
            rows: dict[Hashable, FloatArray] = dict(known(source.key for source in usable if source.key).items())
            new = {source.name: source for source in usable if source.name not in rows}
            opened = dict(zip(new, side_by_side(self._opened, list(new.values())), strict=True))
        pixels = {name: result for name, result in opened.items() if not isinstance(result, ImageError)}
        if pixels:
            with stage("embed"):
                rows |= zip(pixels, self.embedder.embed_with_classes(list(pixels.values())), strict=True)
        for name in pixels:
            if key := new[name].key:
                self.cache.put(self.recipe, key, rows[name])
        errors = {name: result for name, result in opened.items() if isinstance(result, ImageError)}
        return [
            source if isinstance(source, ImageError) else errors.get(source.name) or rows[source.name]
            for source in sources
        ]

    def _opened(self, source: "_Source") -> Pixels | ImageError:
        try:
            return self.preprocess(source.picture, source.box)
        except ImageError as error:
            return error

    def _prepared(self, image: Image.Image, box: Crop | None) -> Pixels:
        return self.embedder.prepare(crop(image, box) if box else image)


@dataclass(frozen=True)
class _Source:
    """A picture that is asked about. Only files have a key."""

    picture: Picture
    box: Crop | None
    key: PictureKey | None = None

    @property
    def name(self) -> Hashable:
        """The same for the same picture."""
        return self.key or id(self)


def _source(cropped: tuple[Picture, Crop | None]) -> _Source | ImageError:
    picture, box = cropped
    if isinstance(picture, Image.Image):
        return _Source(picture, box)
    try:
        data = picture if isinstance(picture, bytes) else read_file(picture)
    except ImageError as error:
        return error
    return _Source(data, box, (hashlib.sha256(data).hexdigest(), box))
