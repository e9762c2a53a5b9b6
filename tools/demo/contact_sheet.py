"""A contact sheet of visual searches, which a person can judge at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_TILE, _FRAME, _BADGE, _CAPTION = 144, 4, 26, 30
_GAP, _ROW_GAP, _QUERY_GAP, _MARGIN, _TITLE = 16, 18, 48, 32, 76
_INK, _RULE = (32, 36, 42), (222, 224, 226)
_PAPER, _MAT = (250, 250, 248), (236, 237, 238)
_RIGHT, _WRONG, _QUERY = (26, 127, 75), (196, 54, 44), (44, 82, 170)

_Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """A picture with its caption; right: whether it is a good hit, None for a query."""

    image: Image.Image
    caption: str
    right: bool | None = None


def contact_sheet(title: str, rows: Sequence[Sequence[Tile]], path: Path) -> None:
    """Writes a PNG: each row a query and its hits, best first; a hit's colour and sign say whether it is right."""
    columns = max((len(row) for row in rows), default=1)
    width = max(_left(columns) - _GAP + _MARGIN, round(_font(24).getlength(title)) + 2 * _MARGIN)
    height = _top(len(rows)) - _ROW_GAP + _MARGIN
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _TITLE // 2), title, fill=_INK, font=_font(24), anchor="lm")
    for number, row in enumerate(rows):
        for column, tile in enumerate(row):
            _draw(sheet, pen, tile, _left(column), _top(number))
    if rows:
        rule = _left(1) - (_QUERY_GAP + _GAP) // 2
        pen.line([(rule, _TITLE), (rule, height - _MARGIN)], fill=_RULE, width=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def _left(column: int) -> int:
    """The left edge of a column; a wider gap separates the query from its hits."""
    return _MARGIN + column * (_TILE + _GAP) + (_QUERY_GAP if column else 0)


def _top(number: int) -> int:
    return _TITLE + number * (_TILE + _CAPTION + _ROW_GAP)


def _draw(sheet: Image.Image, pen: ImageDraw.ImageDraw, tile: Tile, left: int, top: int) -> None:
    colour = _QUERY if tile.right is None else _RIGHT if tile.right else _WRONG
    right, bottom = left + _TILE - 1, top + _TILE - 1
    pen.rounded_rectangle([left, top, right, bottom], radius=_FRAME, fill=_MAT, outline=colour, width=_FRAME)
    picture = _fitted(tile.image, _TILE - 2 * _FRAME)
    sheet.paste(picture, (left + (_TILE - picture.width) // 2, top + (_TILE - picture.height) // 2))
    if tile.right is not None:
        _badge(sheet, right - _BADGE - 1, top + 2, colour, right=tile.right)
    ink, size = (_QUERY, 18) if tile.right is None else (_INK, 17)
    caption = _shortened(tile.caption, _font(size), _TILE)
    pen.text((left + _TILE // 2, bottom + 5), caption, fill=ink, font=_font(size), anchor="ma")


def _badge(sheet: Image.Image, left: int, top: int, colour: _Colour, *, right: bool) -> None:
    """A disc with a tick or a cross, so that colours are not needed; drawn four times larger for smooth edges."""
    side = 4 * _BADGE
    disc = Image.new("RGBA", (side, side), (*colour, 0))
    pen = ImageDraw.Draw(disc)
    pen.ellipse([0, 0, side - 1, side - 1], fill=_PAPER)
    pen.ellipse([8, 8, side - 9, side - 9], fill=colour)
    strokes = ([(28, 54), (46, 72), (78, 36)],) if right else ([(34, 34), (70, 70)], [(70, 34), (34, 70)])
    for stroke in strokes:
        pen.line(stroke, fill=_PAPER, width=11, joint="curve")
    disc = disc.resize((_BADGE, _BADGE), Image.Resampling.LANCZOS)
    sheet.paste(disc, (left, top), disc)


def _fitted(image: Image.Image, side: int) -> Image.Image:
    """The whole picture, scaled to fit into a square."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
