"""Draws simple pictures of five kinds of things, all different, so that screenshots need no other pictures."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw

SIDE = 320
_FINE = 3  # The scale of drawing, for smooth edges.
_PAPERS = ("#fdf6e3", "#eaf4f4", "#fbeee6", "#eef3e2", "#f0eafa", "#e6f0fb", "#fff4d6", "#f7e9ee")
_INKS = ("#d1495b", "#edae49", "#00798c", "#30638e", "#6a994e", "#8e5ea2", "#e07a5f", "#3d405b", "#ef8354", "#2a9d8f")

_Point = tuple[float, float]


class _Pen:
    """Draws in units of half the picture's side, with (0, 0) at its centre, slightly rotated and scaled."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.image = Image.new("RGB", (SIDE * _FINE, SIDE * _FINE), str(rng.choice(_PAPERS)))
        self._draw = ImageDraw.Draw(self.image)
        self._turn = float(rng.normal(0, 0.16))
        self._scale = float(rng.uniform(0.8, 1.08))
        self._shift = rng.normal(0, 0.03, 2)
        self.inks = [str(ink) for ink in rng.permutation(_INKS)]

    def shape(self, points: list[_Point], ink: str) -> None:
        self._draw.polygon([self._at(point) for point in points], fill=ink)

    def disc(self, centre: _Point, radius: float, ink: str, flat: float = 1, turn: float = 0) -> None:
        """An ellipse; flat: its height over its width."""
        angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
        self.shape([_turned((radius * math.cos(a), radius * flat * math.sin(a)), turn, centre) for a in angles], ink)

    def _at(self, point: _Point) -> _Point:
        x, y = _turned((point[0] * self._scale, point[1] * self._scale), self._turn, (0, 0))
        half = SIDE * _FINE / 2
        return half * (1 + x + float(self._shift[0])), half * (1 + y + float(self._shift[1]))


def _turned(point: _Point, angle: float, centre: _Point) -> _Point:
    x, y = point
    return (
        centre[0] + x * math.cos(angle) - y * math.sin(angle),
        centre[1] + x * math.sin(angle) + y * math.cos(angle),
    )


def _flower(pen: _Pen) -> None:
    pen.shape([(-0.03, 0), (0.03, 0), (0.05, 0.85), (-0.02, 0.85)], "#588157")
    pen.disc((0.2, 0.55), 0.2, "#6a994e", 0.4, -0.6)
    petals, heart = int(pen.rng.integers(5, 10)), (0.0, -0.18)
    for turn in np.linspace(0, 2 * math.pi, petals, endpoint=False):
        pen.disc(_turned((0.34, 0), turn, heart), 0.24, pen.inks[0], 0.5, turn)
    pen.disc(heart, 0.17, "#edae49" if pen.inks[0] != "#edae49" else "#3d405b")


def _fish(pen: _Pen) -> None:
    way = float(pen.rng.choice((-1, 1)))
    pen.shape([(0.35 * way, 0), (0.78 * way, -0.3), (0.7 * way, 0), (0.78 * way, 0.3)], pen.inks[1])
    pen.shape([(-0.1 * way, -0.2), (0.2 * way, -0.48), (0.25 * way, -0.1)], pen.inks[1])
    pen.disc((-0.1 * way, 0), 0.55, pen.inks[0], float(pen.rng.uniform(0.45, 0.65)))
    for stripe in range(int(pen.rng.integers(0, 4))):
        pen.disc(((0.1 + 0.15 * stripe) * way, 0), 0.05, pen.inks[1], 3.4)
    pen.disc((-0.42 * way, -0.08), 0.08, "white")
    pen.disc((-0.44 * way, -0.08), 0.04, "#222222")


def _house(pen: _Pen) -> None:
    wide, high = float(pen.rng.uniform(0.4, 0.6)), float(pen.rng.uniform(0.0, 0.15))
    pen.shape([(0.2, -0.7), (0.36, -0.7), (0.36, -0.2), (0.2, -0.2)], "#8d6b5b")
    pen.shape([(-wide, -high), (wide, -high), (wide, 0.65), (-wide, 0.65)], pen.inks[0])
    pen.shape([(-wide - 0.12, -high), (0, -0.68), (wide + 0.12, -high)], pen.inks[1])
    pen.shape([(-0.12, 0.2), (0.12, 0.2), (0.12, 0.65), (-0.12, 0.65)], "#4a3f35")
    for x in (-wide + 0.17, wide - 0.17):
        pen.shape([(x - 0.09, 0.06), (x + 0.09, 0.06), (x + 0.09, 0.26), (x - 0.09, 0.26)], "#fff3b0")


def _boat(pen: _Pen) -> None:
    pen.shape([(-2, 0.45), (2, 0.45), (2, 2), (-2, 2)], "#7fb7d6")
    pen.shape([(-0.02, -0.75), (0.02, -0.75), (0.02, 0.3), (-0.02, 0.3)], "#5b4636")
    pen.shape([(0.05, -0.7), (0.05, 0.2), (float(pen.rng.uniform(0.4, 0.65)), 0.2)], pen.inks[0])
    pen.shape([(-0.05, -0.55), (-0.05, 0.2), (-float(pen.rng.uniform(0.25, 0.45)), 0.2)], pen.inks[1])
    pen.shape([(-0.65, 0.28), (0.65, 0.28), (0.45, 0.6), (-0.45, 0.6)], pen.inks[2])


def _tree(pen: _Pen) -> None:
    pen.shape([(-0.08, 0.1), (0.08, 0.1), (0.12, 0.82), (-0.12, 0.82)], "#7f5539")
    green = str(pen.rng.choice(("#588157", "#6a994e", "#3a7d44", "#a3b18a")))
    if pen.rng.random() < 0.5:
        for level in range(3):
            top, half = -0.8 + 0.32 * level, 0.3 + 0.13 * level
            pen.shape([(-half, top + 0.55), (0, top), (half, top + 0.55)], green)
    else:
        for x, y in ((-0.28, -0.05), (0.28, -0.05), (0, -0.4), (0, 0.02)):
            pen.disc((x, y), 0.34, green)


KINDS: dict[str, Callable[[_Pen], None]] = {
    "boat": _boat,
    "fish": _fish,
    "flower": _flower,
    "house": _house,
    "tree": _tree,
}


def draw_picture(kind: str, seed: int) -> Image.Image:
    """One RGB picture of SIDE pixels; the same seed draws the same picture."""
    pen = _Pen(np.random.default_rng([list(KINDS).index(kind), seed]))
    KINDS[kind](pen)
    return pen.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def draw_pictures(each: int) -> Iterator[tuple[str, str, Image.Image]]:
    """(name, kind, picture) of `each` pictures of each kind, shuffled."""
    order = np.random.default_rng(7).permutation(each * len(KINDS))
    for number in order.tolist():
        kind = list(KINDS)[number % len(KINDS)]
        yield f"{kind}-{number // len(KINDS):02d}.png", kind, draw_picture(kind, number // len(KINDS))
