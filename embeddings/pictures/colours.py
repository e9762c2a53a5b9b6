"""The dominant colours of a picture, with the W3C's names of colours (CSS Color Module Level 4)."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling
from PIL.ImageColor import colormap, getrgb

from .shrinking import Within

Floats = NDArray[np.float64]

SHRINK = Within(96, Resampling.BOX)
"""The first step, before colours are counted."""
_BITS = 5
_SAME = 14.0
"""Delta E (CIE 1976) below which two shades count as one colour."""
_LEAST = 0.005
"""The least share of a colour that is listed."""

_WORDS = """
alice antique aqua marine azure beige bisque black blanched almond blue violet brown burly wood cadet chartreuse
chocolate coral cornflower cornsilk crimson cyan dark deep pink sky dim dodger fire brick floral forest fuchsia
gainsboro ghost golden gold rod gray green grey honeydew hot indian indigo ivory khaki lavender blush lawn lemon
chiffon light lime linen magenta maroon medium midnight mint cream misty rose moccasin navajo navy old lace olive
drab orange red orchid pale papaya whip peach puff peru plum powder purple rebecca rosy royal saddle salmon sandy
sea shell sienna silver slate snow spring steel tan teal thistle tomato turquoise wheat white smoke yellow
""".split()  # noqa: SIM905 a table of words


@dataclass(frozen=True)
class Colour:
    hex: str
    """`#rrggbb`, the mean of its pixels."""
    share: float
    """Of the picture's pixels, (0, 1]."""
    name: str
    """The nearest colour of the W3C, in its spelling: `DarkSlateGray`."""
    name_hex: str
    """The hex of the named colour."""


def dominant_colours(image: Image, most: int = 10) -> list[Colour]:
    """At most `most` colours of an upright RGB picture, largest share first, without rare ones.

    Shades are counted on a grid of 32 levels per channel. The most common shade absorbs all that look the same (Delta E
    in CIELAB), then the most common of the remaining ones does so, and so on.
    """
    small = SHRINK.of(image.convert("RGB"))
    pixels = np.asarray(small, dtype=np.int64).reshape(-1, 3)
    cells = (pixels >> (8 - _BITS)) @ [1 << 2 * _BITS, 1 << _BITS, 1]
    _, shade, counts = np.unique(cells, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(shade, pixels[:, channel]) for channel in range(3)], axis=1) / counts[:, None]
    lab = to_lab(means)
    remaining = counts.astype(np.float64)
    clusters: list[tuple[float, Floats]] = []
    while remaining.any() and len(clusters) < 4 * most:
        near = np.linalg.norm(lab - lab[remaining.argmax()], axis=1) < _SAME
        weights = np.where(near, remaining, 0)
        clusters.append((float(weights.sum()), weights @ means / weights.sum()))
        remaining[near] = 0
    common = [(count, mean) for count, mean in clusters if count >= _LEAST * len(pixels)]
    largest = sorted(common, key=lambda cluster: -cluster[0])[:most]
    return [Colour(_hex(mean), count / len(pixels), *_named(mean)) for count, mean in largest]


def to_lab(rgb: Floats) -> Floats:
    """(n, 3) sRGB in 0..255 -> (n, 3) CIE 1976 L*a*b* under D65 (IEC 61966-2-1, CIE 15)."""
    share = rgb / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]).T
    ratio = xyz / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _named(mean: Floats) -> tuple[str, str]:
    """Name and hex of the nearest W3C colour."""
    names, hexes, lab = _w3c()
    nearest = int(np.linalg.norm(lab - to_lab(mean[None]), axis=1).argmin())
    return names[nearest], hexes[nearest]


@cache
def _w3c() -> tuple[list[str], list[str], Floats]:
    # Of synonyms (gray and grey, cyan and aqua, magenta and fuchsia) the first in the alphabet stays.
    names = {getrgb(name)[:3]: name for name in sorted(colormap, reverse=True)}
    rgb = np.array(list(names), dtype=np.float64)
    return [_camel(name) for name in names.values()], [_hex(row) for row in rgb], to_lab(rgb)


def _camel(name: str) -> str:
    """`darkslategray` -> `DarkSlateGray`: takes the longest word first whose rest is made of words too."""
    if not name:
        return ""
    for word in sorted(_WORDS, key=len, reverse=True):
        if name.startswith(word):
            rest = _camel(name[len(word) :])
            if rest or name == word:
                return word.capitalize() + rest
    return ""


def _hex(rgb: Floats) -> str:
    red, green, blue = np.rint(rgb).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
