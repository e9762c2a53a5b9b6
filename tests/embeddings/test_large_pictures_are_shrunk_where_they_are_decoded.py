"""A large picture leaves its decoder as small as it is wanted, with the very pixels that the whole would give."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decoding import children
from pictures import png
from PIL import Image
from timm.data import create_transform

from tenshot.embeddings.engines.preprocessing import Preprocessing
from tenshot.embeddings.pictures import shrinking
from tenshot.embeddings.pictures.colours import SHRINK, dominant_colours
from tenshot.embeddings.pictures.decoders import Decoders, _PixelBudget
from tenshot.embeddings.pictures.images import BadCrop, Box, ImageError, open_image
from tenshot.embeddings.pictures.shrinking import LARGE, Resized, Within, shrink_from_json, shrink_to_json
from tenshot.embeddings.pictures.thumbnails import thumbnail

SIZES = [(1701, 2600), (2051, 2049), (20_000, 230)]
BOXES: list[Box | None] = [None, (0, 0, 1, 1), (0.01, 0.02, 0.99, 0.97), (0.3, 0.3, 0.5, 0.5)]
TRANSFORMS: dict[str, dict[str, Any]] = {
    "bicubic, cropped": {"input_size": (3, 260, 260), "crop_pct": 0.9, "interpolation": "bicubic"},
    "bilinear, cropped": {"input_size": (3, 224, 224), "crop_pct": 0.875, "interpolation": "bilinear"},
    "bicubic, squashed": {
        "input_size": (3, 224, 224),
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "interpolation": "bicubic",
    },
}


def _png(width: int, height: int) -> bytes:
    rng = np.random.default_rng(width)
    small = Image.fromarray(rng.integers(0, 256, (23, 31, 3), dtype=np.uint8))
    file = io.BytesIO()
    # An upright picture is the turned one of this: EXIF comes before a crop.
    exif = Image.Exif()
    exif[0x0112] = 6
    small.resize((height, width), Image.Resampling.BICUBIC).save(file, "PNG", compress_level=0, exif=exif)
    return file.getvalue()


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(2) as opened:
        yield opened


@pytest.fixture(scope="module", params=SIZES, ids=str)
def picture(request: pytest.FixtureRequest) -> bytes:
    return _png(*request.param)


@pytest.fixture(scope="module", params=TRANSFORMS)
def preprocessing(request: pytest.FixtureRequest) -> Preprocessing:
    return Preprocessing.from_transform(create_transform(**TRANSFORMS[request.param], is_training=False))


@pytest.mark.parametrize("box", BOXES, ids=str)
def test_a_model_looks_at_the_same_pixels(
    decoders: Decoders, picture: bytes, preprocessing: Preprocessing, box: Box | None
) -> None:
    whole = open_image(picture, box=box).image
    small = decoders(picture, box=box, shrink=preprocessing.resize).image
    assert np.array_equal(preprocessing(small), preprocessing(whole))
    if whole.width * whole.height > LARGE:
        assert small.width * small.height < (LARGE if max(whole.size) > 10_000 else LARGE / 4)
    else:
        assert small.size == whole.size


@pytest.mark.parametrize("box", BOXES[:3], ids=str)
def test_a_thumbnail_and_colours_are_the_same(
    decoders: Decoders, picture: bytes, box: Box | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = thumbnail(picture, box, opener=decoders)
    colours = dominant_colours(decoders(picture, box=box, shrink=SHRINK).image)
    with monkeypatch.context() as patched:
        patched.setattr(shrinking, "LARGE", 1 << 40)
        assert shown == thumbnail(picture, box)
        assert colours == dominant_colours(open_image(picture, box=box, shrink=SHRINK).image)


def test_what_is_wanted_travels_as_json() -> None:
    wanted = (None, Within(320, Image.Resampling.LANCZOS), Resized(292, Image.Resampling.BICUBIC, True))
    for shrink in wanted:
        assert shrink_from_json(shrink_to_json(shrink)) == shrink


def test_a_bad_crop_is_told_as_one(decoders: Decoders) -> None:
    with pytest.raises(BadCrop, match=r"0 <= top < bottom <= 1, same for left, right: \(0\.5, 0, 0\.5, 1\)"):
        decoders(_png(8, 8), box=(0.5, 0, 0.5, 1))


def _waiting(wait: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_large_pictures_share_one_room_and_who_came_first_goes_first() -> None:
    room, order, go_on = _PixelBudget(100), list[str](), threading.Event()

    def take(name: str, pixels: int) -> None:
        with room.reserve(pixels):
            order.append(name)
            go_on.wait(20)

    threads = []
    for name, pixels in (("half", 60), ("all", 1000), ("little", 10)):
        threads.append(_waiting(partial(take, name, pixels)))
        time.sleep(0.05)
    assert order == ["half"]
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert order == ["half", "all", "little"]
    with pytest.raises(ZeroDivisionError), room.reserve(100):
        raise ZeroDivisionError
    with room.reserve(100):
        pass


def test_pictures_beyond_the_room_are_decoded_one_after_the_other() -> None:
    """Room for one of them: four at once on four decoders, all of which end."""
    file, done = _png(2600, 1700), list[tuple[int, int]]()
    with Decoders(4, max_pixels=2600 * 1700) as opened:
        threads = [
            _waiting(lambda: done.append(opened(file, shrink=Within(100, Image.Resampling.BOX)).image.size))
            for _ in range(4)
        ]
        for thread in threads:
            thread.join(60)
    assert done == [(100, 65)] * 4


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read where the system tells it")
def test_a_large_picture_leaves_nothing_in_its_decoder() -> None:
    """Else those who decode next have less room than they were given."""
    file = io.BytesIO()
    Image.new("RGB", (5000, 5000), "teal").save(file, "PNG")
    whole = file.getvalue()
    others = set(children())
    with Decoders(1) as running:
        running(png("discs", 1))
        [decoder] = set(children()) - others
        before = _megabytes(decoder)
        for content in (whole, whole + b"x", whole[:-5000]) * 3:
            with suppress(ImageError):
                running(content, shrink=SHRINK)
            assert _megabytes(decoder) < before + 30


def _megabytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1000
