"""Shrinks large pictures where they are decoded, so that no other code holds all their pixels.

The result is exactly that of the caller's own next step; doing that step again changes nothing.
"""

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from PIL import Image

LARGE = 1 << 22
"""Pixels beyond which a picture is shrunk; most photographs for a model are already decoded to fewer."""

_LONGEST = 50
"""The aspect ratio beyond which only the center is resized, if the rest is cropped anyway: a line of 30,000 pixels,
resized by its shorter side, would have billions.
"""


@dataclass(frozen=True)
class Within:
    """Limits the longer side to so many pixels, as Pillow's `thumbnail` does."""

    side: int
    resample: Image.Resampling

    def of(self, image: Image.Image) -> Image.Image:
        """Changes the image in place, and returns it."""
        image.thumbnail((self.side, self.side), Image.Resampling(self.resample))
        return image


@dataclass(frozen=True)
class Resized:
    """Resizes as torchvision's `Resize` does with Pillow's images."""

    to: int | tuple[int, int]
    """Pixels of the shorter side, or height and width."""
    resample: Image.Resampling
    crops_center: bool
    """Whether only the center is used afterwards, so that of a very long picture no more is resized."""

    def size(self, image: Image.Image) -> tuple[int, int]:
        """Height and width of the resized image, with torchvision's rounding."""
        if not isinstance(self.to, int):
            height, width = self.to
            return height, width
        longer = int(self.to * max(image.size) / min(image.size))
        return (self.to, longer) if image.height <= image.width else (longer, self.to)

    def center(self, image: Image.Image) -> Image.Image:
        """The central part of a very long picture, as long as is allowed; other pictures unchanged."""
        most = _LONGEST * min(image.size)
        if not self.crops_center or max(image.size) <= most:
            return image
        width, height = min(image.width, most), min(image.height, most)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        # Not `Image.crop`: that warns by a process-wide pixel limit, which is not ours.
        return Image.fromarray(np.asarray(image)[top : top + height, left : left + width])

    def of(self, image: Image.Image) -> Image.Image:
        """Resizes the image, if that makes it smaller."""
        image = self.center(image)
        height, width = self.size(image)
        if height * width >= image.height * image.width:
            return image
        return image.resize((width, height), Image.Resampling(self.resample))


Shrink = Within | Resized
_KINDS: dict[str, type[Shrink]] = {kind.__name__: kind for kind in (Within, Resized)}


def shrunk(image: Image.Image, shrink: Shrink | None) -> Image.Image:
    """Shrinks a large image; returns others unchanged."""
    return image if shrink is None or image.width * image.height <= LARGE else shrink.of(image)


def shrink_to_json(shrink: Shrink | None) -> list[Any] | None:
    """JSON for another process."""
    return None if shrink is None else [type(shrink).__name__, *astuple(shrink)]


def shrink_from_json(plain: list[Any] | None) -> Shrink | None:
    return None if plain is None else _KINDS[plain[0]](*plain[1:])
