"""Pictures that mean harm, made on the spot: name -> the file."""

import io
import struct
import zlib
from collections.abc import Callable

from pictures import draw, png
from PIL import Image


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, pixels: bytes = b"") -> bytes:
    """A PNG with a header that says so, then these chunks, then these pixels, packed."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(pixels or bytes(10)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body + chunk(b"IEND", b"")


def _exif(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    """One directory of (tag, type, count, value), and where the next one is said to be."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + struct.pack("<I", following)


def _jpeg(**options: object) -> bytes:
    return _saved(draw("discs", 1), "JPEG", **options)


def _frames(kind: str, count: int) -> bytes:
    # No two the same, or they would be merged.
    frames = [Image.new("RGB", (16, 16), (i % 256, i // 256, 128)) for i in range(count)]
    return _saved(frames[0], kind, save_all=True, append_images=frames[1:])


def _tiff_loop() -> bytes:
    """Its first directory says that the next one is itself."""
    file = bytearray(_saved(draw("discs", 1), "TIFF"))
    start = struct.unpack_from("<I", file, 4)[0]
    count = struct.unpack_from("<H", file, start)[0]
    struct.pack_into("<I", file, start + 2 + 12 * count, start)
    return bytes(file)


_MANY = zlib.compress(bytes(64 << 20))

HARMLESS: dict[str, Callable[[], bytes]] = {
    "a JPEG with a ZIP behind it": lambda: _jpeg() + b"PK\x03\x04" + bytes(2000),
    "a PNG with a page behind it": lambda: png("discs", 1) + b"<html><script>alert(1)</script></html>",
    "a GIF with a script in its comment": lambda: _saved(draw("discs", 1), "GIF", comment=b"*/=alert(1);/*"),
    "a JPEG with a page in its comment": lambda: _jpeg(comment=b"<html><script>alert(1)</script>"),
    "a GIF of 2,000 frames": lambda: _frames("GIF", 2000),
    "a WebP of 300 frames": lambda: _frames("WEBP", 300),
    "a PNG of 300 frames": lambda: _frames("PNG", 300),
    "a TIFF of 300 pages": lambda: _frames("TIFF", 300),
    "a TIFF whose pages go in circles": _tiff_loop,
    "more pixels than the header says": lambda: png_of(8, 8, pixels=bytes(64 << 20)),
    "an EXIF turn that is none": lambda: _jpeg(exif=_exif((0x112, 3, 1, 77))),
    "an EXIF turn of four billion numbers": lambda: _jpeg(exif=_exif((0x112, 3, 0xFFFFFFFF, 8))),
    "EXIF that goes in circles": lambda: _jpeg(exif=_exif((0x8769, 4, 1, 8), (0x112, 3, 1, 6), following=8)),
    "EXIF of nothing but noise": lambda: _jpeg(exif=b"Exif\0\0" + bytes(range(256)) * 8),
    "EXIF with a thumbnail of four gigabytes": lambda: _jpeg(exif=_exif((0x201, 4, 1, 8), (0x202, 4, 1, 0xFFFFFFFF))),
    "an ICC profile of nothing but noise": lambda: _jpeg(icc_profile=bytes(range(256)) * 100),
    "an ICC profile that says four gigabytes": lambda: _jpeg(icc_profile=b"\xff\xff\xff\xffacsp" + bytes(200)),
    "65,000 pixels in a row": lambda: _saved(Image.new("RGB", (65_000, 1)), "JPEG"),
    "65,000 pixels in a column": lambda: _saved(Image.new("RGB", (1, 65_000)), "PNG"),
    "one pixel": lambda: _saved(Image.new("RGB", (1, 1)), "WEBP"),
    "an XMP of a megabyte": lambda: _jpeg(exif=_exif((0x112, 3, 1, 6)), xmp=b"tiff:Orientation='" * 3000),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "a PNG of 60,000 by 60,000": lambda: png_of(60_000, 60_000),
    "a PNG of two billion by two billion": lambda: png_of(2**31 - 1, 2**31 - 1),
    "a GIF of 65,535 by 65,535": lambda: b"GIF89a\xff\xff\xff\xff\0\0\0," + bytes(4) + b"\1\0\1\0\0\2\2D\1\0;",
    "a BMP of two billion by minus two billion": lambda: (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 2**31 - 1, -(2**31) + 1, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
    "a PNG with a text of 64 megabytes": lambda: png_of(8, 8, chunk(b"zTXt", b"a\0\0" + _MANY), pixels=bytes(200)),
    "a PNG with a profile of 64 megabytes": lambda: png_of(8, 8, chunk(b"iCCP", b"a\0\0" + _MANY), pixels=bytes(10)),
    "a PNG of no width": lambda: png_of(0, 8),
    "a PNG that stops after its header": lambda: png("discs", 1)[:40],
    "a page that says it is a picture": lambda: b"<html>GIF89a",
    "an SVG": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) run\n",
}
