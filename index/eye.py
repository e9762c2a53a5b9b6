"""Eye: from a picture's bytes to what a base workflow looks at, and what it makes of it.

The whole picture, maybe huge, is let go at once.
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from PIL import Image

from ..embeddings.base import Pixels, Recipe
from ..embeddings.batcher import Batcher
from ..embeddings.images import ImageError, Opener, crop, open_image, read_file
from ..embeddings.parallel import side_by_side
from ..embeddings.stages import stage
from .records import Crop, FloatArray, Picture, PictureKey
from .vector_cache import VectorCache


@dataclass(frozen=True)
class Eye:
    """One base workflow, opened when it is needed, and how the bytes of pictures are opened for it."""

    recipe: Recipe
    embedders: Callable[[Recipe], Batcher]
    opener: Opener = open_image
    cache: VectorCache = field(default_factory=VectorCache)

    @property
    def embedder(self) -> Batcher:
        """Raises WorkflowError."""
        return self.embedders(self.recipe)

    def look(self, picture: Picture, box: Crop | None = None) -> Pixels:
        """Raises ImageError or WorkflowError."""
        if isinstance(picture, Image.Image):
            return self._prepared(open_image(picture).image, box)
        return self.see(picture, box)[2]

    def see(self, picture: Picture, box: Crop | None = None) -> tuple[bytes, str | None, Pixels]:
        """The same, with the picture's file and media type. A PIL image becomes a PNG of its upright pixels.

        Of a whole picture no more is decoded than the base workflow needs; the pixels of a crop count as they are.
        """
        if isinstance(picture, Image.Image):
            upright = open_image(picture).image
            file = io.BytesIO()
            upright.save(file, "PNG")
            return file.getvalue(), "image/png", self._prepared(upright, box)
        data = picture if isinstance(picture, bytes) else read_file(picture)
        decoded = self.opener(data, least_side=None if box else self.embedder.least_side)
        return data, decoded.media_type, self._prepared(decoded.image, box)

    def embed_each(self, asked: Sequence[tuple[Picture, Crop | None]]) -> list[FloatArray | ImageError]:
        """(dim,) of each picture, all embedded together; or why it can't be used. Raises WorkflowError.

        A file that was embedded lately isn't again, nor one that is asked for twice.
        """
        with stage("decode"):
            looks = side_by_side(self._looked, asked)
        new: dict[object, Pixels] = {}
        for place, look in enumerate(looks):
            if isinstance(look, _Look) and look.pixels is not None:
                new[look.key or place] = look.pixels
        with stage("embed"):
            made = dict(zip(new, self.embedder.embed_pixels(list(new.values())), strict=True)) if new else {}
        vectors: list[FloatArray | ImageError] = []
        for place, look in enumerate(looks):
            if isinstance(look, ImageError):
                vectors.append(look)
            elif look.vector is not None:
                vectors.append(look.vector)
            else:
                vectors.append(vector := made[look.key or place])
                if look.key:
                    self.cache.put(self.recipe, look.key, vector)
        return vectors

    def _looked(self, asked: tuple[Picture, Crop | None]) -> "_Look | ImageError":
        picture, box = asked
        try:
            if isinstance(picture, Image.Image):
                return _Look(pixels=self.look(picture, box))
            data = picture if isinstance(picture, bytes) else read_file(picture)
            key = hashlib.sha256(data).hexdigest(), box
            known = self.cache.get(self.recipe, [key])
            return _Look(key, vector=known[key]) if known else _Look(key, pixels=self.look(data, box))
        except ImageError as error:
            return error

    def _prepared(self, image: Image.Image, box: Crop | None) -> Pixels:
        return self.embedder.prepare(crop(image, box) if box else image)


@dataclass(frozen=True)
class _Look:
    """At one picture: its vector if that is known, else its pixels. Only files have a key."""

    key: PictureKey | None = None
    pixels: Pixels | None = None
    vector: FloatArray | None = None
