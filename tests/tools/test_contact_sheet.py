"""A contact sheet tells right from wrong by colour and by sign, whatever pictures it is given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tenshot.tools.demo.contact_sheet import Tile, contact_sheet

GREEN, RED, BLUE = (26, 127, 75), (196, 54, 44), (44, 82, 170)
GREY = Image.new("RGB", (40, 40), (128, 128, 128))


def drawn(tmp_path: Path, rows: Sequence[Sequence[Tile]], title: str = "Search") -> NDArray[np.uint8]:
    path = tmp_path / "new" / "sheet.png"
    contact_sheet(title, rows, path)
    with Image.open(path) as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")
        return np.asarray(sheet)


def count(sheet: NDArray[np.uint8], colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=2).sum())


def test_a_right_hit_is_green_a_wrong_one_red_and_the_query_blue(tmp_path: Path) -> None:
    query, right, wrong = Tile(GREY, "robin"), Tile(GREY, "0.91", True), Tile(GREY, "0.85", False)
    both = drawn(tmp_path, [[query, right, wrong]])
    assert min(count(both, GREEN), count(both, RED), count(both, BLUE)) > 1000
    only_right = drawn(tmp_path, [[query, right, right]])
    assert count(only_right, RED) == 0
    assert count(only_right, GREEN) > 1.9 * count(both, GREEN)


def test_without_colours_the_sign_still_tells(tmp_path: Path) -> None:
    query = Tile(GREY, "robin")
    right, wrong = (drawn(tmp_path, [[query, Tile(GREY, "0.9", good)]]) for good in (True, False))
    ink = [(sheet == colour).all(axis=2) for sheet, colour in ((right, GREEN), (wrong, RED))]
    assert (ink[0] != ink[1]).sum() > 20


def test_rows_and_columns_make_it_larger_and_rows_may_differ_in_length(tmp_path: Path) -> None:
    tile = Tile(GREY, "0.9", True)
    small = drawn(tmp_path, [[tile] * 5])
    large = drawn(tmp_path, [[tile] * 7, [tile] * 2])
    assert large.shape[0] > small.shape[0]
    assert large.shape[1] > small.shape[1]


def test_a_title_is_never_cut_off(tmp_path: Path) -> None:
    sheet = drawn(tmp_path, [[Tile(GREY, "a")]], title="A long title " * 8)
    right_margin = sheet[:, -30:]
    assert (right_margin == right_margin[0, 0]).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (900, 3), (2000, 1500)])
@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_any_picture_and_caption_fits(tmp_path: Path, size: tuple[int, int], mode: str) -> None:
    odd = Tile(Image.new(mode, size), "a caption that is far longer than its picture is wide", False)
    assert drawn(tmp_path, [[odd, odd]]).shape == drawn(tmp_path, [[Tile(GREY, "a", True)] * 2]).shape


def test_no_rows_still_make_a_picture(tmp_path: Path) -> None:
    assert drawn(tmp_path, []).size > 0
