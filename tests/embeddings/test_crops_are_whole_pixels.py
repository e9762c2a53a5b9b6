import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tenshot.embeddings.pictures.images import BadCrop, crop

NUMBERED = Image.fromarray(np.arange(10 * 20 * 3, dtype=np.uint8).reshape(10, 20, 3))


def test_a_box_is_top_left_bottom_right() -> None:
    part = crop(NUMBERED, (0.2, 0.5, 0.7, 0.75))
    np.testing.assert_array_equal(np.asarray(part), np.asarray(NUMBERED)[2:7, 10:15])


def test_the_whole_is_the_whole() -> None:
    np.testing.assert_array_equal(np.asarray(crop(NUMBERED, (0, 0, 1, 1))), np.asarray(NUMBERED))


@given(*[st.floats(0, 1) for _ in range(4)])
def test_any_true_box_has_a_pixel(a: float, b: float, c: float, d: float) -> None:
    if a != b and c != d:
        part = crop(NUMBERED, (min(a, b), min(c, d), max(a, b), max(c, d)))
        assert 1 <= part.width <= 20
        assert 1 <= part.height <= 10


@pytest.mark.parametrize(
    "box",
    [(0.5, 0, 0.5, 1), (0.6, 0, 0.5, 1), (0, 0.9, 1, 0.1), (-0.1, 0, 1, 1), (0, 0, 1.1, 1), (0, math.nan, 1, 1)],
)
def test_a_box_that_is_none_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(BadCrop, match="top < bottom"):
        crop(NUMBERED, box)
