"""Decoding at a scale changes the pixels a little, and the vectors by less than is promised."""

import io

import numpy as np
import pytest
from PIL import Image

from tenshot.embeddings.base.embedder import Embedder
from tenshot.embeddings.engines.engine import LEAST_COSINE, least_cosine
from tenshot.embeddings.pictures.images import ImageTooLarge, TruncatedImage, open_image
from tenshot.tools.demo.samples import photographs


def jpeg(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("size", "least_side", "decoded"),
    [
        ((2048, 1536), 730, (1024, 768)),
        ((4096, 3072), 730, (1024, 768)),
        ((4096, 3072), 300, (512, 384)),
        ((2048, 1536), 769, (2048, 1536)),  # a half would be too small
        ((2047, 1536), 300, (2047, 1536)),  # and here it would not be a half
        ((2050, 1538), 300, (1025, 769)),
        ((40, 30), 300, (40, 30)),
        ((2048, 1536), None, (2048, 1536)),
    ],
)
def test_by_the_largest_scale_that_divides_it(
    size: tuple[int, int], least_side: int | None, decoded: tuple[int, int]
) -> None:
    assert open_image(jpeg(Image.new("RGB", size)), least_side=least_side).image.size == decoded


def test_it_is_turned_upright_all_the_same() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    assert open_image(jpeg(Image.new("RGB", (800, 400)), exif=exif), least_side=100).image.size == (100, 200)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_greys_and_inks_become_rgb(mode: str) -> None:
    opened = open_image(jpeg(Image.new("RGB", (800, 800), "orange").convert(mode)), least_side=100).image
    whole = open_image(jpeg(Image.new("RGB", (800, 800), "orange").convert(mode))).image
    assert (opened.mode, opened.size) == ("RGB", (100, 100))
    assert np.abs(np.asarray(opened).astype(int)[50, 50] - np.asarray(whole)[400, 400]).max() <= 2


def test_limits_and_breaks_are_noticed_as_before() -> None:
    content = jpeg(Image.effect_noise((800, 800), 50).convert("RGB"))
    with pytest.raises(ImageTooLarge):
        open_image(content, max_pixels=800 * 800 - 1, least_side=100)
    with pytest.raises(TruncatedImage):
        open_image(content[: len(content) // 2], least_side=100)


def test_vectors_of_photographs_stay_where_they_were(general: Embedder) -> None:
    """Twelve photographs of 3 megapixels, each a mosaic at the photographs' own size."""
    rng = np.random.default_rng(0)
    tiles = [one.resize((512, 512)) for one in photographs()]
    if not tiles:
        pytest.skip("the extra `demo` is not installed")
    files = []
    for _ in range(12):
        mosaic = Image.new("RGB", (2048, 1536))
        for place in range(12):
            mosaic.paste(tiles[int(rng.integers(len(tiles)))], (place % 4 * 512, place // 4 * 512))
        files.append(jpeg(mosaic))
    whole = general.embed_images([open_image(file).image for file in files])
    scaled = [open_image(file, least_side=general.least_side).image for file in files]
    assert {image.size for image in scaled} == {(1024, 768)}
    assert least_cosine(general.embed_images(scaled), whole) > LEAST_COSINE
