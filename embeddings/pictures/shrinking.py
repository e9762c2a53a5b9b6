"""Large pictures made small where they are decoded, so that nobody else holds all their pixels.

To the bit what whoever asks would do with the picture itself: done again to what comes out, it changes nothing.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from PIL import Image

LARGE = 1 << 22
"""Pixels beyond which a picture is shrunk: photographs that a model looks at are decoded to fewer already."""

_LONGEST = 50
"""Longer side by shorter side, beyond which only the middle is resized where only the middle is seen: resized by its
shorter side, a line of 30,000 pixels would have billions.
"""


@dataclass(frozen=True)
class Within:
    """No side is longer than so many pixels, as Pillow's thumbnails are made."""

    side: int
    resample: Image.Resampling

    def of(self, image: Image.Image) -> Image.Image:
        """The very image, changed."""
        image.thumbnail((self.side, self.side), Image.Resampling(self.resample))
        return image


@dataclass(frozen=True)
class Resized:
    """As torchvision's `Resize` does it to Pillow's images."""

    to: int | tuple[int, int]
    """Of the shorter side, or height and width."""
    resample: Image.Resampling
    sees_middle: bool
    """Whether the middle is all that is looked at, so that of a very long picture no more is resized."""

    def size(self, image: Image.Image) -> tuple[int, int]:
        """Height and width of what becomes of an image, as torchvision rounds."""
        if not isinstance(self.to, int):
            height, width = self.to
            return height, width
        longer = int(self.to * max(image.size) / min(image.size))
        return (self.to, longer) if image.height <= image.width else (longer, self.to)

    def middle(self, image: Image.Image) -> Image.Image:
        """Of a very long picture, the part round its centre that is as long as is allowed; others as they are."""
        most = _LONGEST * min(image.size)
        if not self.sees_middle or max(image.size) <= most:
            return image
        width, height = min(image.width, most), min(image.height, most)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        # Not `Image.crop`: that warns by a process-wide pixel limit, which is not ours.
        return Image.fromarray(np.asarray(image)[top : top + height, left : left + width])

    def of(self, image: Image.Image) -> Image.Image:
        """Where that makes it smaller."""
        image = self.middle(image)
        height, width = self.size(image)
        if height * width >= image.height * image.width:
            return image
        return image.resize((width, height), Image.Resampling(self.resample))


Shrink = Within | Resized
_KINDS: dict[str, type[Shrink]] = {kind.__name__: kind for kind in (Within, Resized)}


def shrunk(image: Image.Image, shrink: Shrink | None) -> Image.Image:
    """An image as it is, or a large one as small as is wanted."""
    return image if shrink is None or image.width * image.height <= LARGE else shrink.of(image)


def as_plain(shrink: Shrink | None) -> list[Any] | None:
    """For another process, as JSON has it."""
    return None if shrink is None else [type(shrink).__name__, *astuple(shrink)]


def of_plain(plain: list[Any] | None) -> Shrink | None:
    return None if plain is None else _KINDS[plain[0]](*plain[1:])
