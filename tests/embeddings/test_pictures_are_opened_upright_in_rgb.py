import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tenshot.embeddings.pictures.images import open_image

FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters() -> Image.Image:
    """60 x 40: red, green above blue, white; no two orientations look the same."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30], pixels[:20, 30:] = (255, 0, 0), (0, 255, 0)
    pixels[20:, :30], pixels[20:, 30:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(pixels)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean difference of the channels, of 255."""
    assert one.size == other.size
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


@pytest.mark.parametrize(("kind", "media_type"), FORMATS.items())
def test_every_format_is_known_by_its_content(kind: str, media_type: str, tmp_path: Path) -> None:
    content = encoded(quarters(), kind)
    misnamed = tmp_path / "picture.txt"
    misnamed.write_bytes(content)
    for source in (content, misnamed, str(misnamed)):
        decoded = open_image(source)
        assert decoded.media_type == media_type
        assert decoded.image.mode == "RGB"
        assert difference(decoded.image, quarters()) < 6


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_is_undone(kind: str, orientation: int) -> None:
    turned = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](quarters())
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert difference(open_image(encoded(turned, kind, exif=exif)).image, quarters()) < 6


def test_a_broken_exif_block_does_not_spoil_a_sound_picture() -> None:
    content = encoded(quarters(), "JPEG", exif=b"Exif\0\0garbage that is no TIFF header")
    assert difference(open_image(content).image, quarters()) < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P"])
def test_transparent_parts_become_white(mode: str) -> None:
    clear = Image.new("RGBA", (10, 10), (200, 0, 0, 0))
    clear.paste((0, 0, 0, 255), (0, 0, 5, 10))
    source = clear.convert("L").convert("P").convert("PA") if mode == "PA" else clear.convert(mode)
    if mode == "PA":
        source.putalpha(clear.getchannel("A"))
    kept = source if mode == "PA" else encoded(source, "PNG")
    pixels = np.asarray(open_image(kept).image)
    assert (pixels[:, 5:] == 255).all()
    assert (pixels[:, :5] == 0).all()


def test_half_transparent_black_becomes_grey() -> None:
    pixel = open_image(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG")).image.getpixel((0, 0))
    assert pixel == (127, 127, 127)


@pytest.mark.parametrize(("mode", "colour"), [("RGB", (9, 8, 7)), ("L", 9)])
def test_the_one_transparent_colour_of_a_png_becomes_white(mode: str, colour: Any) -> None:
    image = Image.new(mode, (10, 10), colour)
    image.paste(0, (0, 0, 5, 10))
    pixels = np.asarray(open_image(encoded(image, "PNG", transparency=colour)).image)
    assert (pixels[:, 5:] == 255).all()
    assert (pixels[:, :5] == 0).all()


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("L", "PNG"), ("P", "GIF"), ("YCbCr", "JPEG")]
)
def test_other_colour_modes_look_the_same(mode: str, kind: str) -> None:
    expected = quarters().convert("L").convert("RGB") if mode == "L" else quarters()
    assert difference(open_image(encoded(quarters().convert(mode), kind)).image, expected) < 12


def test_one_bit_is_black_and_white() -> None:
    pixels = np.asarray(open_image(encoded(quarters().convert("1", dither=Image.Dither.NONE), "PNG")).image)
    assert set(np.unique(pixels)) == {0, 255}


def test_grey_of_16_bits_is_scaled_by_its_type() -> None:
    ramp = np.linspace(0, 40000, 100, dtype=np.uint16).reshape(10, 10)
    for kind in ("PNG", "TIFF"):
        pixels = np.asarray(open_image(encoded(Image.fromarray(ramp), kind)).image)
        np.testing.assert_array_equal(pixels[..., 0], np.rint(ramp / 257))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5], [1.0, 0.25]], np.float32), [[0, 128], [255, 64]]),
        (np.array([[0.0, 10.0], [200.0, 255.0]], np.float32), [[0, 10], [200, 255]]),
        (np.array([[-1.0, np.nan], [0.0, 1.0]], np.float32), [[0, 128], [128, 255]]),
        (np.array([[0, 65535], [257, 514]], np.int32), [[0, 255], [1, 2]]),
        (np.array([[0, 2_000_000_000], [0, 1_000_000_000]], np.int32), [[0, 255], [0, 128]]),
        (np.full((2, 2), 7_000_000, np.int32), [[0, 0], [0, 0]]),
    ],
)
def test_numbers_of_32_bits_are_scaled_by_the_range_they_use(values: Any, expected: Any) -> None:
    pixels = np.asarray(open_image(encoded(Image.fromarray(values), "TIFF")).image)
    np.testing.assert_array_equal(pixels[..., 0], expected)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_the_first_of_many_frames_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert difference(open_image(content).image, frames[0]) < 3


def test_a_pil_image_is_taken_as_it_is_and_left_alone() -> None:
    source = quarters()
    decoded = open_image(source)
    assert decoded.media_type is None
    decoded.image.putpixel((0, 0), (1, 2, 3))
    assert source.getpixel((0, 0)) == (255, 0, 0)
    with Image.open(BytesIO(encoded(source, "PNG"))) as opened:
        assert open_image(opened).media_type == "image/png"


def test_text_chunks_and_metadata_are_ignored() -> None:
    notes = PngInfo()
    notes.add_text("comment", "x" * 10_000, zip=True)
    assert difference(open_image(encoded(quarters(), "PNG", pnginfo=notes)).image, quarters()) == 0


def test_no_file_stays_open(tmp_path: Path) -> None:
    paths = []
    for kind in FORMATS:
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(encoded(quarters(), kind))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    kept = [open_image(path) for path in paths]
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert len(kept) == len(FORMATS)
    assert after == before
