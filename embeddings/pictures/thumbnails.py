"""Thumbnails: small pictures for people to look at."""

from io import BytesIO

from PIL import Image

from .images import Box, Opener, open_image
from .shrinking import Within

SIDE = 320
"""Most pixels of the longer side: a cell of a grid on a dense screen."""
MEDIA_TYPE = "image/webp"
_QUALITY = 80
_SHRINK = Within(SIDE, Image.Resampling.LANCZOS)


def thumbnail(data: bytes, box: Box | None = None, *, opener: Opener = open_image) -> bytes:
    """A WebP file of the picture, or of its part inside the box, upright. Raises ImageError."""
    # A box keeps only a part of the picture, so it has to be decoded at full resolution.
    image = _SHRINK.of(opener(data, least_side=None if box else SIDE, box=box, shrink=_SHRINK).image)
    file = BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=4)
    return file.getvalue()
