"""Pictures as a model looks at them: the model library's own resize and crop, and no numbers of ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms.functional import InterpolationMode

from . import resizing
from .base import Pixels

_FINER = 2.5
"""How many times finer than the model's pixels a picture's should be before it is resized. Measured on photographs of
3 megapixels: decoded at 2.3 times, their vectors have a cosine of at least 0.9985 to those from full size, at 2.6
times of 0.999 or more.
"""

_LONGEST = 50
"""Longer side by shorter side, beyond which only the middle is resized where only the middle is seen: resized by its
shorter side, a line of 30,000 pixels would have billions.
"""

Geometry = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Preprocessing:
    """Upright RGB images of any size -> pixels of one size, and the numbers that the model normalises them by."""

    geometry: Geometry
    size: tuple[int, int]
    """Height and width of what comes out."""
    least_side: int
    """As in `Embedder`."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Of each channel, for values in [0, 1]."""
    sees_middle: bool = False
    """Whether a picture is resized by its shorter side and then cropped to its middle."""
    bicubic: int | tuple[int, int] | None = None
    """Of the shorter side, or height and width: where the geometry is a bicubic resize to this, and then a crop to the
    middle if that is smaller. None: it is something else.
    """

    def __call__(self, image: Image.Image) -> Pixels:
        if self.sees_middle and max(image.size) > _LONGEST * min(image.size):
            image = _middle(image)
        if self.bicubic and resizing.is_possible(image, resized := _resized(image, self.bicubic)):
            return resizing.resized_middle(image, resized, self.size)
        return np.ascontiguousarray(np.asarray(self.geometry(image)).transpose(2, 0, 1))

    @classmethod
    def of(cls, transform: transforms.Compose) -> "Preprocessing":
        """What a library's evaluation transform does. It ends by making a tensor in [0, 1] and normalising that."""
        *steps, _, normalize = transform.transforms
        assert isinstance(normalize, transforms.Normalize), transform
        geometry = transforms.Compose(steps)
        width, height = geometry(Image.new("RGB", (640, 480))).size
        resized = [step.size for step in steps if isinstance(step, transforms.Resize)]
        shorter = resized[0] if resized and isinstance(resized[0], int) else max(width, height)
        return cls(
            geometry,
            (height, width),
            int(_FINER * shorter),
            tuple(float(value) for value in normalize.mean),
            tuple(float(value) for value in normalize.std),
            sees_middle=bool(resized)
            and isinstance(resized[0], int)
            and any(isinstance(step, transforms.CenterCrop) for step in steps),
            bicubic=_bicubic(steps, (height, width)),
        )


def _bicubic(steps: Sequence[object], seen: tuple[int, int]) -> int | tuple[int, int] | None:
    """As in `Preprocessing`. What is no module of torch's makes RGB of pictures, which they are already."""
    match [step for step in steps if isinstance(step, nn.Module)]:
        case [transforms.Resize() as resize] | [transforms.Resize() as resize, transforms.CenterCrop()]:
            plain = resize.interpolation is InterpolationMode.BICUBIC and resize.max_size is None
            if plain and isinstance(resize.size, int) and resize.size >= max(seen):
                return resize.size
            if plain and tuple(resize.size) == seen:
                return seen
    return None


def _resized(image: Image.Image, to: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width, as torchvision's Resize rounds."""
    if isinstance(to, tuple):
        return to
    longer = int(to * max(image.size) / min(image.size))
    return (to, longer) if image.height <= image.width else (longer, to)


def _middle(image: Image.Image) -> Image.Image:
    """Of a very long picture, the part round its centre that is as long as is allowed."""
    most = _LONGEST * min(image.size)
    width, height = min(image.width, most), min(image.height, most)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    # Not `Image.crop`: that warns by a process-wide pixel limit, which is not ours.
    return Image.fromarray(np.asarray(image)[top : top + height, left : left + width])
