"""Eye: from a picture's bytes to what a base workflow looks at. The whole picture, maybe huge, is let go at once."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from ..embeddings.base import Pixels, Recipe
from ..embeddings.batcher import Batcher
from ..embeddings.images import Opener, crop, open_image, read_file
from .records import Crop, Picture


@dataclass(frozen=True)
class Eye:
    """One base workflow, opened when it is needed, and how the bytes of pictures are opened for it."""

    recipe: Recipe
    embedders: Callable[[Recipe], Batcher]
    opener: Opener = open_image

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

    def _prepared(self, image: Image.Image, box: Crop | None) -> Pixels:
        return self.embedder.prepare(crop(image, box) if box else image)
