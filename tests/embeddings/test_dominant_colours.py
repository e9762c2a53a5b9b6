"""The colours of a picture, their shares and their W3C names."""

import numpy as np
import pytest
from PIL import Image
from PIL.ImageColor import colormap

from tenshot.embeddings.pictures.colours import _w3c, dominant_colours, to_lab


def halves(left: str, right: str, share: float = 0.5) -> Image.Image:
    picture = Image.new("RGB", (200, 100), right)
    picture.paste(left, (0, 0, int(200 * share), 100))
    return picture


def test_two_colours_are_found_with_their_shares_and_names() -> None:
    first, second = dominant_colours(halves("tomato", "darkslategray", 0.75))
    assert (first.name, first.name_hex, first.hex) == ("Tomato", "#ff6347", "#ff6347")
    assert (second.name, second.name_hex) == ("DarkSlateGray", "#2f4f4f")
    assert first.share == pytest.approx(0.75, abs=0.02)
    assert first.share + second.share == pytest.approx(1)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 20)])
def test_one_colour_is_all_there_is(size: tuple[int, int]) -> None:
    [only] = dominant_colours(Image.new("RGB", size, "#4169e1"))
    assert (only.name, only.hex, only.share) == ("RoyalBlue", "#4169e1", 1.0)


def test_noise_gives_at_most_as_many_as_asked_and_always_the_same() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8))
    found = dominant_colours(noise, most=5)
    assert len(found) <= 5
    assert found == dominant_colours(noise, most=5)
    assert sum(colour.share for colour in found) <= 1
    assert [colour.share for colour in found] == sorted((colour.share for colour in found), reverse=True)


def test_a_grey_ramp_is_named_by_greys() -> None:
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (50, 1))).convert("RGB")
    names = {colour.name for colour in dominant_colours(ramp)}
    assert all("Gray" in name or name in ("Black", "Silver", "Gainsboro", "WhiteSmoke", "White") for name in names)
    assert len(names) >= 4


def test_every_w3c_name_is_written_in_words() -> None:
    names, hexes, _ = _w3c()
    assert len(names) == len(set(hexes)) == len({value.lower() for value in map(str, colormap.values())})
    assert all(name.lower() in colormap and name != name.lower() for name in names)
    assert {"LightGoldenrodYellow", "MediumAquamarine", "BlanchedAlmond", "DarkOliveGreen", "PapayaWhip"} <= {
        name.replace("GoldenRod", "Goldenrod").replace("AquaMarine", "Aquamarine") for name in names
    }


def test_lab_is_that_of_the_standard() -> None:
    red, white, black = to_lab(np.array([[255, 0, 0], [255, 255, 255], [0, 0, 0]], dtype=np.float64))
    assert red == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert white == pytest.approx([100, 0, 0], abs=0.05)
    assert black == pytest.approx([0, 0, 0], abs=0.05)


def test_a_share_is_of_all_pixels_however_few_colours_are_asked_for() -> None:
    picture = halves("red", "blue", 0.75)
    [only] = dominant_colours(picture, most=1)
    assert only.share == pytest.approx(0.75, abs=0.02)
