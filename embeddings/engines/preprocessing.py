"""Pictures as a model looks at them: the model library's own resize and crop, and no numbers of ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import nn
from torchvision import transforms
from torchvision.transforms.functional import pil_modes_mapping

from ..base.embedder import Pixels
from ..pictures.shrinking import Resized
from . import resizing

_FINER = 2.5
"""How many times finer than the model's pixels a picture's should be before it is resized. Measured on photographs of
3 megapixels: decoded at 2.3 times, their vectors have a cosine of at least 0.9985 to those from full size, at 2.6
times of 0.999 or more.
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
    resize: Resized | None = None
    """What the geometry begins with; None: with something else."""
    is_plain: bool = False
    """Whether that is a bicubic resize, and then comes a crop to the middle if that is smaller, and nothing else."""

    @property
    def sees_middle(self) -> bool:
        """Whether a picture is resized by its shorter side and then cropped to its middle."""
        return self.resize is not None and self.resize.sees_middle

    def __call__(self, image: Image.Image) -> Pixels:
        if self.resize:
            image = self.resize.middle(image)
            if self.is_plain and resizing.is_possible(image, resized := self.resize.size(image)):
                return resizing.resized_middle(image, resized, self.size)
        return np.ascontiguousarray(np.asarray(self.geometry(image)).transpose(2, 0, 1))

    @classmethod
    def of(cls, transform: transforms.Compose) -> "Preprocessing":
        """What a library's evaluation transform does. It ends by making a tensor in [0, 1] and normalising that."""
        *steps, _, normalize = transform.transforms
        assert isinstance(normalize, transforms.Normalize), transform
        geometry = transforms.Compose(steps)
        width, height = geometry(Image.new("RGB", (640, 480))).size
        resize = _resize(steps)
        shorter = resize.to if resize and isinstance(resize.to, int) else max(width, height)
        return cls(
            geometry,
            (height, width),
            int(_FINER * shorter),
            tuple(float(value) for value in normalize.mean),
            tuple(float(value) for value in normalize.std),
            resize=resize,
            is_plain=resize is not None and _is_plain(steps, resize, (height, width)),
        )


def _resize(steps: Sequence[object]) -> Resized | None:
    """As in `Preprocessing`. What is no module of torch's makes RGB of pictures, which they are already."""
    match [step for step in steps if isinstance(step, nn.Module)]:
        case [transforms.Resize() as resize, *others] if resize.max_size is None:
            middle = any(isinstance(step, transforms.CenterCrop) for step in others)
            resample = Image.Resampling(pil_modes_mapping[resize.interpolation])
            if isinstance(resize.size, int):
                return Resized(resize.size, resample, middle)
            if len(resize.size) == 2:
                return Resized((resize.size[0], resize.size[1]), resample, sees_middle=False)
    return None


def _is_plain(steps: Sequence[object], resize: Resized, seen: tuple[int, int]) -> bool:
    """Whether a bicubic resize, and then a crop to the middle if that is smaller, is all that is done."""
    modules = [step for step in steps if isinstance(step, nn.Module)]
    if resize.resample is not Image.Resampling.BICUBIC:
        return False
    if len(modules) != 1 and not (len(modules) == 2 and isinstance(modules[1], transforms.CenterCrop)):
        return False
    return resize.to >= max(seen) if isinstance(resize.to, int) else resize.to == seen
