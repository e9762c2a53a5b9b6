import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tenshot.embeddings.pictures.images import (
    EmptyImage,
    ImageError,
    ImageNotFound,
    ImageTooLarge,
    TruncatedImage,
    UndecodableImage,
    UnsupportedFormat,
    open_image,
)

KINDS = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
SIGNATURES = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x10\0\0\0WEBP", b"GIF89a", b"BM", b"II*\0", b"MM\0*"]


def encoded(kind: str) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


SOUND = {kind: encoded(kind) for kind in KINDS}


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to no pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")


def check_opened_or_refused(content: bytes) -> None:
    try:
        message, mode = "", open_image(content, max_pixels=1_000_000).image.mode
    except ImageError as error:
        message, mode = str(error), None
    assert mode == "RGB" or message
    assert "\n" not in message


def test_no_bytes() -> None:
    with pytest.raises(EmptyImage, match="no bytes"):
        open_image(b"")


def test_no_pixels() -> None:
    with pytest.raises(EmptyImage, match="0 x 5"):
        open_image(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("content", [b"hello", b"%PDF-1.7", b"<svg/>", b"\0\0\1\0\1\0", b"%!PS", b"P6 1 1 255 abc"])
def test_other_formats(content: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match="JPEG, PNG, WebP, GIF, BMP, TIFF"):
        open_image(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_a_file_cut_short(kind: str) -> None:
    with pytest.raises(TruncatedImage, match="ends too early"):
        open_image(SOUND[kind][: len(SOUND[kind]) // 2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_short_anywhere_is_an_image_or_an_image_error(kind: str) -> None:
    content = SOUND[kind]
    for length in range(0, len(content), max(1, len(content) // 40)):
        check_opened_or_refused(content[:length])


def test_a_size_beyond_the_limit_is_refused_before_decoding() -> None:
    with pytest.raises(ImageTooLarge, match="60000 x 60000 pixels, more than the 100,000,000 allowed"):
        open_image(png_header(60_000, 60_000))
    with pytest.raises(ImageTooLarge, match="the 3,071 allowed"):
        open_image(SOUND["PNG"], max_pixels=64 * 48 - 1)
    assert open_image(SOUND["PNG"], max_pixels=64 * 48).image.size == (64, 48)
    with pytest.raises(ImageTooLarge):
        open_image(Image.new("RGB", (64, 48)), max_pixels=100)


def test_the_limit_is_not_pillows_global_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for kind in ("JPEG", "PNG", "BMP", "GIF"):
        assert open_image(SOUND[kind]).image.size == (64, 48)
    for kind in ("WEBP", "TIFF"):  # inside these plugins Pillow keeps a limit of its own, far above ours by default
        with pytest.raises(ImageTooLarge):
            open_image(SOUND[kind])


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match=r"robin\.jpg is missing"):
        open_image(tmp_path / "robin.jpg")
    with pytest.raises(ImageNotFound, match="is not a file"):
        open_image(tmp_path)
    for path in ("", "a\0b", "x" * 5000):
        with pytest.raises(ImageNotFound):
            open_image(path)


def test_a_signature_alone() -> None:
    for signature in SIGNATURES:
        with pytest.raises(UndecodableImage):
            open_image(signature)


@given(st.binary(max_size=300))
def test_any_bytes_are_check_opened_or_refused(content: bytes) -> None:
    check_opened_or_refused(content)


@given(st.sampled_from(SIGNATURES), st.binary(max_size=300))
def test_any_bytes_after_a_signature_are_check_opened_or_refused(signature: bytes, content: bytes) -> None:
    check_opened_or_refused(signature + content)


@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=20))
@settings(deadline=None)
def test_a_sound_file_with_changed_bytes_is_check_opened_or_refused(kind: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(SOUND[kind])
    for position, value in changes:
        content[position % len(content)] = value
    check_opened_or_refused(bytes(content))
