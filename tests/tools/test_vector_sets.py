"""`tenshot bench index --vectors pictures`: crops of packaged pictures, embedded once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tenshot.embeddings.workflows import open_embedder, recipe_of
from tenshot.tools.bench import picture_vectors
from tenshot.tools.bench.public_tasks import public_tasks
from tenshot.tools.bench.vector_sets import FILTERS, packaged_pictures, picture_vector_set, random_crops
from tenshot.tools.demo.samples import tasks, write_folders
from tenshot.tools.picture_folders import PictureFile

FAST = "general-fast"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where the demo's pictures lie as if they were those that are fetched."""
    for public, packaged in zip(public_tasks(), tasks(), strict=False):
        write_folders(packaged, tmp_path / "cache" / "pictures" / public)
    return tmp_path / "cache"


def test_the_index_bench_takes_crops_of_packaged_pictures(
    launched: Callable[..., Any], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "index", "--vectors", f"pictures:{FAST}", "--rows", 1000, "--queries", 80, "--peers", "tenshot"]
    said, complaints = launched(*map(str, command), "--cache", cache).communicate(timeout=300)
    assert "pictures, general-fast" in said, complaints
    assert "embedding" in complaints
    made = picture_vector_set(FAST, 1000, 80, cache)
    assert "embedding" not in capsys.readouterr().err
    assert (made.rows.shape, made.queries.shape) == ((1000, 1280), (80, 1280))
    assert list(made.filters) == list(FILTERS)
    assert 0 < made.filters["correlated 1 %"].sum() < 50

    # What the model makes of the same pixels, the plain way.
    embedder = open_embedder(recipe_of(FAST))
    crops = random_crops(packaged_pictures(cache), 83)[77:]
    plain = embedder.embed_images([_pixels(one) for one in crops])
    embedder.close()
    np.testing.assert_allclose(np.concatenate([made.queries[77:], made.rows[:3]]), plain, atol=1e-5)


def test_an_interrupted_run_goes_on_where_it_stopped(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_vectors, "_FILE_VECTORS", 16)
    fewer = picture_vector_set(FAST, 24, 8, cache)
    kept = {file: file.stat().st_mtime_ns for file in (cache / "vectors").iterdir()}
    more = picture_vector_set(FAST, 40, 8, cache)
    assert len(kept) == 2
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    assert len(list((cache / "vectors").iterdir())) == 3
    np.testing.assert_array_equal(more.rows[:24], fewer.rows)
    np.testing.assert_array_equal(more.queries, fewer.queries)


def test_other_pictures_have_other_vectors(cache: Path) -> None:
    before = picture_vector_set(FAST, 8, 8, cache)
    for one in packaged_pictures(cache):
        with Image.open(one.path) as picture:
            picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(one.path)
    assert not np.allclose(picture_vector_set(FAST, 8, 8, cache).rows, before.rows, atol=0.01)


def test_pictures_that_cannot_be_fetched_are_named(
    tenshot: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = tenshot("bench", "index", "--vectors", "pictures", "--cache", tmp_path / "cache", expect=1)
    assert "Debian's tuxpaint-stamps-default" in said.err
    assert "can't be fetched: apt-get is not installed" in said.err


@given(st.lists(st.tuples(st.integers(6, 40), st.integers(6, 40)), min_size=1, max_size=4), st.integers(1, 150))
def test_no_crop_comes_twice(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]], count: int
) -> None:
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for number, size in enumerate(sizes):
        Image.new("L", size).save(folder / f"{number}.png")
        found.append(PictureFile(f"{number}.png", folder / f"{number}.png", {}))
    crops = random_crops(found, count)
    boxes = []
    for one in crops:
        assert one.crop
        width, height = sizes[found.index(PictureFile(one.file, one.path, {}))]
        top, left, bottom, right = np.multiply(one.crop, [height, width, height, width])
        assert 0 <= top < bottom <= height
        assert 0 <= left < right <= width
        assert 3 * (bottom - top) >= height - 1e-6
        assert 3 * (right - left) >= width - 1e-6
        boxes.append((one.file, *np.rint([top, left, bottom, right]).tolist()))
        np.testing.assert_allclose(boxes[-1][1:], [top, left, bottom, right], atol=1e-6)
    assert len(set(boxes)) == count
    assert random_crops(found, count + 20)[:count] == crops


def _pixels(one: PictureFile) -> Image.Image:
    assert one.crop
    with Image.open(one.path) as picture:
        top, left, bottom, right = one.crop
        box = (left * picture.width, top * picture.height, right * picture.width, bottom * picture.height)
        return picture.convert("RGB").crop(tuple(map(round, box)))
