"""Pictures drawn on the spot: stripes in a direction and discs in a colour, no two alike."""

import io

import numpy as np
from PIL import Image, ImageDraw

KINDS = ("stripes", "discs", "checks")


def draw(kind: str, seed: int, size: int = 96) -> Image.Image:
    """One RGB picture of a kind; the same seed draws the same one."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    image = Image.new("RGB", (size, size), tuple(rng.integers(180, 256, 3).tolist()))
    pen = ImageDraw.Draw(image)
    step = int(rng.integers(10, 18))
    colour = tuple(rng.integers(0, 120, 3).tolist())
    if kind == "stripes":
        for x in range(-size, size, step):
            pen.line([(x, 0), (x + size, size)], fill=colour, width=step // 3)
    elif kind == "discs":
        for _ in range(12):
            x, y = rng.integers(0, size, 2).tolist()
            pen.ellipse([x - step, y - step, x + step, y + step], fill=colour)
    else:
        for x in range(0, size, step):
            for y in range((x // step % 2) * step, size, 2 * step):
                pen.rectangle([x, y, x + step, y + step], fill=colour)
    return image


def png(kind: str, seed: int, size: int = 96) -> bytes:
    """The same picture as a PNG file."""
    out = io.BytesIO()
    draw(kind, seed, size).save(out, "PNG")
    return out.getvalue()
