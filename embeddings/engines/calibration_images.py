"""Photographs to try a model on: those that scikit-image brings, where it is installed."""

from importlib.util import find_spec
from pathlib import Path

from PIL import Image

_NAMES = (
    "astronaut.png chelsea.png coffee.png rocket.jpg motorcycle_left.png ihc.png retina.jpg hubble_deep_field.jpg "
    "color.png brick.png coins.png grass.png gravel.png moon.png camera.png"
)


def photographs() -> list[Image.Image]:
    """RGB, each whole and by its upper left quarter; empty where there are none."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "data"
    found = [Image.open(folder / name).convert("RGB") for name in _NAMES.split() if (folder / name).exists()]
    return found + [one.crop((0, 0, one.width // 2, one.height // 2)) for one in found]
