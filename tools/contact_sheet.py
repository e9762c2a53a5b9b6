"""A picture of visual searches that a person can judge at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_TILE, _GAP, _CAPTION, _TITLE, _MARGIN = 128, 12, 22, 64, 24
_INK, _FAINT, _PAPER = (32, 36, 42), (120, 126, 134), (250, 250, 248)
_RIGHT, _WRONG, _QUERY = (38, 132, 80), (196, 62, 52), (48, 84, 168)


@dataclass(frozen=True)
class Tile:
    """A picture with what stands below it; right says whether it is a good hit, None for a query."""

    image: Image.Image
    caption: str
    right: bool | None = None


def contact_sheet(title: str, rows: Sequence[Sequence[Tile]], path: Path) -> None:
    """Writes a PNG: each row a query and its hits, best first; a hit's sign and colour say whether it is right."""
    columns = max(len(row) for row in rows)
    width = 2 * _MARGIN + columns * (_TILE + _GAP) + _GAP
    height = _TITLE + len(rows) * (_TILE + _CAPTION + _GAP) + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, 18), title, fill=_INK, font=ImageFont.load_default(size=20))
    for number, row in enumerate(rows):
        top = _TITLE + number * (_TILE + _CAPTION + _GAP)
        for place, tile in enumerate(row):
            # A gap sets the query apart from its hits.
            left = _MARGIN + place * (_TILE + _GAP) + (2 * _GAP if place else 0)
            _draw(sheet, pen, tile, left, top)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _draw(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    colour = _QUERY if tile.right is None else _RIGHT if tile.right else _WRONG
    picture = tile.image.convert("RGB").copy()
    picture.thumbnail((_TILE, _TILE))
    corner = (left + (_TILE - picture.width) // 2, top + (_TILE - picture.height) // 2)
    pen.rectangle([left - 3, top - 3, left + _TILE + 2, top + _TILE + 2], outline=colour, width=3)
    sheet.paste(picture, corner)
    font = ImageFont.load_default(size=14)
    pen.text((left, top + _TILE + 5), tile.caption, fill=_INK if tile.right is not None else _FAINT, font=font)
    if tile.right is not None:
        _sign(pen, left + _TILE - 16, top + _TILE + 7, colour, right=tile.right)


def _sign(pen: ImageDraw.ImageDraw, x: int, y: int, colour: tuple[int, int, int], *, right: bool) -> None:
    if right:
        pen.line([(x, y + 6), (x + 4, y + 10), (x + 12, y + 1)], fill=colour, width=3)
    else:
        pen.line([(x, y), (x + 10, y + 10)], fill=colour, width=3)
        pen.line([(x, y + 10), (x + 10, y)], fill=colour, width=3)
