"""Pictures as a model looks at them: the model library's own resize and crop, and no numbers of ours."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torchvision import transforms

from .base import Pixels

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

    def __call__(self, image: Image.Image) -> Pixels:
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
        )
