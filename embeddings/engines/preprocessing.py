"""Preprocessing: the resize and crop of the model's own library, with no numbers of ours."""

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
"""The resolution of a picture before it is resized, as a multiple of the model's. Measured on photographs of 3
megapixels: decoded at 2.3 times, their vectors have a cosine of at least 0.9985 to those from full size, at 2.6 times
of at least 0.999.
"""

Geometry = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True)
class Preprocessing:
    """Turns upright RGB images of any size into pixels of one size; also holds the model's normalisation."""

    geometry: Geometry
    size: tuple[int, int]
    """Height and width of the output."""
    least_side: int
    """As in `Embedder`."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Per channel, for values in [0, 1]."""
    resize: Resized | None = None
    """The first step of the geometry; None: it is no resize."""
    is_bicubic: bool = False
    """Whether the geometry is a bicubic resize, then at most a center crop, and nothing else."""

    @property
    def crops_center(self) -> bool:
        """Whether a picture is resized by its shorter side and then cropped to its center."""
        return self.resize is not None and self.resize.crops_center

    def __call__(self, image: Image.Image) -> Pixels:
        if self.resize:
            image = self.resize.center(image)
            if self.is_bicubic and resizing.is_possible(image, resized := self.resize.size(image)):
                return resizing.resize_and_crop(image, resized, self.size)
        return np.ascontiguousarray(np.asarray(self.geometry(image)).transpose(2, 0, 1))

    @classmethod
    def from_transform(cls, transform: transforms.Compose) -> "Preprocessing":
        """From a library's evaluation transform, which ends with making a tensor in [0, 1] and normalising it."""
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
            is_bicubic=resize is not None and _is_bicubic(steps, resize, (height, width)),
        )


def _resize(steps: Sequence[object]) -> Resized | None:
    """As in `Preprocessing`. Steps that are no torch modules only convert to RGB, which pictures are already."""
    match [step for step in steps if isinstance(step, nn.Module)]:
        case [transforms.Resize() as resize, *others] if resize.max_size is None:
            middle = any(isinstance(step, transforms.CenterCrop) for step in others)
            resample = Image.Resampling(pil_modes_mapping[resize.interpolation])
            if isinstance(resize.size, int):
                return Resized(resize.size, resample, middle)
            if len(resize.size) == 2:
                return Resized((resize.size[0], resize.size[1]), resample, crops_center=False)
    return None


def _is_bicubic(steps: Sequence[object], resize: Resized, cropped: tuple[int, int]) -> bool:
    """Whether the steps are a bicubic resize, then at most a center crop, and nothing else."""
    modules = [step for step in steps if isinstance(step, nn.Module)]
    if resize.resample is not Image.Resampling.BICUBIC:
        return False
    if len(modules) != 1 and not (len(modules) == 2 and isinstance(modules[1], transforms.CenterCrop)):
        return False
    return resize.to >= max(cropped) if isinstance(resize.to, int) else resize.to == cropped
