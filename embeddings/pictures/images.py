"""Picture bytes -> an upright RGB image, or an `ImageError` that says why not.

ImageError
├── ImageNotFound        no such file, or not a file that can be read
├── UnsupportedFormat    not one of JPEG, PNG, WebP, GIF, BMP, TIFF
├── UndecodableImage     one of them, but broken
│   └── TruncatedImage   it ends too early
├── EmptyImage           no bytes, or no pixels
├── ImageTooLarge        more pixels than allowed
└── BadCrop              an invalid crop box
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from ...errors import TenshotError
from .shrinking import Shrink, shrunk

ImageSource = str | PathLike[str] | bytes | Image.Image
Box = tuple[float, float, float, float]
"""(top, left, bottom, right) as fractions of the height and the width, in [0, 1]."""

MAX_PIXELS = 100_000_000


class ImageError(TenshotError):
    """A picture that can't be used. The message is one line, fit for a user."""


class ImageNotFound(ImageError):
    pass


class UnsupportedFormat(ImageError):
    pass


class UndecodableImage(ImageError):
    pass


class TruncatedImage(UndecodableImage):
    pass


class EmptyImage(ImageError):
    pass


class ImageTooLarge(ImageError):
    pass


class BadCrop(ImageError):
    pass


@dataclass(frozen=True)
class Decoded:
    image: Image.Image
    """Upright RGB, shares nothing with its source."""
    media_type: str | None
    """Determined from the content, e.g. `image/jpeg`; None for a PIL image that was not read from a file."""


class Opener(Protocol):
    """A function that decodes a picture's bytes as `open_image` does, here or in another process."""

    def __call__(
        self, source: bytes, /, *, least_side: int | None = None, box: Box | None = None, shrink: Shrink | None = None
    ) -> Decoded: ...


def open_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    least_side: int | None = None,
    box: Box | None = None,
    shrink: Shrink | None = None,
    admit: Callable[[int], None] | None = None,
) -> Decoded:
    """The picture as RGB, upright as its EXIF says, transparent parts white; the first frame if there are many.

    max_pixels: checked by the header, before any pixel is decoded. least_side: pixels of the shorter side that are
    enough, so that a larger JPEG is decoded at a half, a quarter or an eighth of its size, in half the time. box: only
    this part of the upright picture. shrink: the caller's next step, done here if the picture is large. admit: called
    with the number of pixels before they are decoded.
    """
    if isinstance(source, Image.Image):
        media_type = source.get_format_mimetype() if isinstance(source, ImageFile.ImageFile) else None
        return Decoded(_part(_decode(source, max_pixels), box, shrink), media_type)
    content = source if isinstance(source, bytes) else read_file(source)
    sniffed, plugin = _sniff(content)
    try:
        picture = plugin(BytesIO(content))
    except Exception as error:  # Pillow's plugins raise a dozen types on hostile bytes
        raise _undecodable(error) from error
    return Decoded(_part(_decode(picture, max_pixels, least_side, admit), box, shrink), sniffed)


def sniffed_type(content: bytes | bytearray) -> str:
    """Media type by the first bytes, e.g. `image/jpeg`. Raises UnsupportedFormat or EmptyImage."""
    return _sniff(content)[0]


def crop(image: Image.Image, box: Box) -> Image.Image:
    """The part of the image inside the box, on whole pixels and never less than one. Raises BadCrop."""
    check_box(box)
    top, left, bottom, right = box
    rows, columns = _span(top, bottom, image.height), _span(left, right, image.width)
    # Not `Image.crop`, which warns at a process-wide pixel limit that isn't ours.
    return Image.fromarray(np.asarray(image)[rows, columns])


def check_box(box: Box) -> None:
    """Raises BadCrop."""
    top, left, bottom, right = box
    # A NaN fails every comparison and so is refused as well.
    if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
        raise BadCrop(f"a crop is (top, left, bottom, right) with 0 <= top < bottom <= 1, same for left, right: {box}")


def _span(start: float, stop: float, length: int) -> slice:
    first = min(round(start * length), length - 1)
    return slice(first, max(round(stop * length), first + 1))


def read_file(path: str | PathLike[str]) -> bytes:
    """The bytes of a picture's file. Raises ImageNotFound."""
    try:
        path = Path(fspath(path))
        if not path.is_file():
            raise ImageNotFound(f"{path} is {'not a file' if path.exists() else 'missing'}")
        return path.read_bytes()
    except (OSError, ValueError, TypeError) as error:  # ValueError: a NUL inside the path; TypeError: no path
        raise ImageNotFound(f"{path!r} can't be read: {error}") from error


# The plugins are called directly, since `Image.open` warns and raises at a process-wide limit. WebP, TIFF and odd GIFs
# still raise beyond twice that limit (179 megapixels by default), which `_undecodable` reports as ImageTooLarge.
_PLUGINS: tuple[tuple[str, tuple[bytes, ...], type[ImageFile.ImageFile]], ...] = (
    ("image/jpeg", (b"\xff\xd8\xff",), JpegImageFile),
    ("image/png", (b"\x89PNG\r\n\x1a\n",), PngImageFile),
    ("image/gif", (b"GIF87a", b"GIF89a"), GifImageFile),
    ("image/bmp", (b"BM",), BmpImageFile),
    ("image/tiff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImageFile),
)


_FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF"
# Of ISO media files (ISO/IEC 14496-12); others are videos.
_BRANDS = {
    "a HEIC or HEIF picture, as iPhones take them": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"),
    "an AVIF picture": (b"avif", b"avis"),
    "a Canon raw picture (CR3)": (b"crx ",),
}
# By the start of the file in lower case.
_OTHERS = (
    (b"%pdf", "a PDF document"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"\x1a\x65\xdf\xa3", "a video (WebM or Matroska)"),
    (b"\0\0\0\x0cjp  ", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cjxl ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"8bps", "a Photoshop file"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    *((b"p%d\n" % number, "a PNM picture") for number in range(1, 7)),
    (b"data:image/", "base64 text"),
)


def _sniff(content: bytes | bytearray) -> tuple[str, type[ImageFile.ImageFile]]:
    if not content:
        raise EmptyImage("the picture has no bytes")
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp", WebPImageFile
    for media_type, signatures, plugin in _PLUGINS:
        if content.startswith(signatures):
            return media_type, plugin
    raise UnsupportedFormat(f"not a picture in one of {_FORMATS}{_named(content)}")


def _named(content: bytes | bytearray) -> str:
    """What the content is instead, as far as its first bytes tell, and what to do."""
    start = bytes(content[:1024])
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    if brand:
        name = next((name for name, brands in _BRANDS.items() if brand in brands), "a video (MP4 or QuickTime)")
    else:
        text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        is_svg = text.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in text
        name = "an SVG drawing" if is_svg else next((name for sign, name in _OTHERS if text.startswith(sign)), "")
        if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
            name = "a video (AVI)"
    if not name:
        return ""
    advice = "send single frames of it" if "video" in name else "send the picture as JPEG or PNG"
    return f": this is {name}; {advice}"


def _part(image: Image.Image, box: Box | None, shrink: Shrink | None) -> Image.Image:
    try:
        return shrunk(crop(image, box) if box else image, shrink)
    except MemoryError as error:
        raise _undecodable(error) from error


def _decode(
    picture: Image.Image,
    max_pixels: int,
    least_side: int | None = None,
    admit: Callable[[int], None] | None = None,
) -> Image.Image:
    width, height = picture.size
    if width < 1 or height < 1:
        raise EmptyImage(f"the picture is {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageTooLarge(f"the picture is {width} x {height} pixels, more than the {max_pixels:,} allowed")
    try:
        if least_side is not None and isinstance(picture, JpegImageFile):
            _decode_smaller(picture, least_side)
        if admit is not None:
            admit(picture.width * picture.height)
        picture.load()
        return _to_rgb(_turn_upright(picture))
    except Exception as error:
        raise _undecodable(error) from error


def _decode_smaller(picture: JpegImageFile, least_side: int) -> None:
    """Sets libjpeg's strongest reduction that leaves the shorter side long enough.

    Only where it divides both sides: otherwise the last row and column are less than a pixel, which stretches all
    others a little, and some models notice (cosines down to 0.982 on photographs, instead of 0.998).
    """
    for scale in (8, 4, 2):
        width, height = picture.size
        if width % scale == height % scale == 0 and min(width, height) // scale >= least_side:
            picture.draft(None, (width // scale, height // scale))
            return


def _undecodable(error: Exception) -> ImageError:
    if isinstance(error, Image.DecompressionBombError):
        return ImageTooLarge(str(error))
    if isinstance(error, MemoryError):
        return ImageTooLarge("the picture needs too much memory")
    if isinstance(error, EOFError) or "truncated" in str(error).lower():
        return TruncatedImage("the picture ends too early; it may be a partial download")
    return UndecodableImage(f"the picture is broken: {error}")


def _turn_upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block doesn't make the picture unusable
        return picture.copy()


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _scale_to_8_bits(picture).convert("RGB")
    if picture.has_transparency_data:
        opaque = picture.convert("RGBA")
        white = Image.new("RGBA", opaque.size, "white")
        return Image.alpha_composite(white, opaque).convert("RGB")
    # `_turn_upright` has already copied it.
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _scale_to_8_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floats -> 8 bits: by the type's range if that is certain, else by the values' range."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float32), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if picture.mode.startswith("I;16") or (picture.mode == "I" and low >= 0 and 255 < high <= 65535):
        low, high = 0, 65535
    elif low >= 0 and high <= 1 and picture.mode == "F":
        low, high = 0, 1
    elif low >= 0 and high <= 255:
        low, high = 0, 255
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(np.rint(scaled).astype(np.uint8))
