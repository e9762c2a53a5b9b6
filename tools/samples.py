"""Real pictures in labelled sets, out of what scikit-image and scikit-learn bring along (extra `demo`): no download."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PER_LABEL = 30


@dataclass(frozen=True)
class Sample:
    """One picture of a task."""

    name: str
    """Unique in its task, fit for a file."""
    label: str
    image: Image.Image


@dataclass(frozen=True)
class Task:
    """Pictures to be told apart."""

    id: str
    title: str
    source: str
    """Which package's pictures these are."""
    load: Callable[[], Iterator[Sample]]


def tasks() -> Sequence[Task]:
    """The demo's tasks, always the same pictures in the same order."""
    return (
        Task("digits", "Which handwritten digit is it?", "scikit-learn's 8 x 8 digits", _digits),
        Task("photos", "Which photograph is this piece of?", "scikit-image's and scikit-learn's photographs", _photos),
        Task("textures", "Which surface is it?", "scikit-image's grey textures and pictures", _textures),
    )


def _digits() -> Iterator[Sample]:
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    for digit in range(10):
        for number in np.flatnonzero(digits == digit)[:_PER_LABEL]:
            ink = pixels[number].reshape(8, 8) / 16
            yield Sample(f"digit{number:04d}", str(digit), _enlarged(1 - ink, 128))


def _photos() -> Iterator[Sample]:
    for package, name in (
        ("skimage.data", "astronaut.png"),
        ("skimage.data", "chelsea.png"),
        ("skimage.data", "coffee.png"),
        ("skimage.data", "hubble_deep_field.jpg"),
        ("skimage.data", "ihc.png"),
        ("skimage.data", "motorcycle_left.png"),
        ("sklearn.datasets.images", "china.jpg"),
        ("sklearn.datasets.images", "flower.jpg"),
    ):
        yield from _pieces(package, name, size=48)


def _textures() -> Iterator[Sample]:
    for name in ("brick.png", "coins.png", "grass.png", "gravel.png", "moon.png", "page.png"):
        yield from _pieces("skimage.data", name, size=24)


def _pieces(package: str, name: str, size: int) -> Iterator[Sample]:
    """Square pieces of one picture, which do not overlap, spread over it at random."""
    picture = Image.open(str(files(package) / name)).convert("RGB")
    columns, rows = picture.width // size, picture.height // size
    label = Path(name).stem
    places = np.random.default_rng(0).permutation(columns * rows)[:_PER_LABEL]
    for place in np.sort(places):
        left, top = place % columns * size, place // columns * size
        piece = picture.crop((left, top, left + size, top + size))
        yield Sample(f"{label}{place:04d}", label, piece.resize((128, 128), Image.Resampling.BICUBIC))


def _enlarged(grey: NDArray[np.floating], size: int) -> Image.Image:
    """Grey values in [0, 1] as a picture of size x size."""
    picture = Image.fromarray((np.clip(grey, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    return picture.resize((size, size), Image.Resampling.BICUBIC)
