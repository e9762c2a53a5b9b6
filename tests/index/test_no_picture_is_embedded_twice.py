from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tenshot import AddRequest
from tenshot.embeddings.base.embedder import FloatArray, Pixels, Recipe
from tenshot.embeddings.pictures.images import Decoded, ImageError, open_image
from tenshot.index.app import App
from tenshot.index.ingest.picture_embedder import VectorCache
from tenshot.index.store import Store

RECIPE = Recipe("general", "timm:x", "pypi:x", 2, nonnegative=True)


def file(colour: str) -> bytes:
    content = BytesIO()
    Image.new("RGB", (300, 200), colour).save(content, "PNG")
    return content.getvalue()


class Counted:
    """Opens pictures, and counts them: what isn't opened can't be embedded."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, source: bytes, /, **wanted: Any) -> Decoded:
        self.count += 1
        return open_image(source, **wanted)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[int], tuple[App, Counted]]]:
    with ExitStack() as stack:

        def open_app(cached: int) -> tuple[App, Counted]:
            opener = Counted()
            store = stack.enter_context(Store.open(tmp_path / "data", opener=opener, cached_vectors=cached))
            return store.create_app("app", workflow="general-fast"), opener

        yield open_app


def test_the_same_file_is_opened_once_for_predictions_and_searches(
    opened: Callable[[int], tuple[App, Counted]],
) -> None:
    app, pictures = opened(10)
    red, blue = file("red"), file("blue")
    first = app.embed([red, blue])
    assert pictures.count == 2
    np.testing.assert_array_equal(app.embed([blue, red]), first[::-1])
    app.predict(red)
    app.search(image=blue)
    assert pictures.count == 2
    # Added, it is checked once more, but has the vector that it had.
    app.add(red, "red", {"red": True})
    np.testing.assert_array_equal(app.vectors(["red"])[0], first[0])


def test_the_same_file_several_times_in_one_batch_is_embedded_once(
    opened: Callable[[int], tuple[App, Counted]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = opened(0)
    counts: list[int] = []
    embed = app.base_workflow().embed_pixels

    def counted(pixels: Sequence[Pixels]) -> FloatArray:
        counts.append(len(pixels))
        return embed(pixels)

    monkeypatch.setattr(app.base_workflow(), "embed_pixels", counted)
    red, blue = file("red"), file("blue")
    requests = [AddRequest(red, "a"), AddRequest(blue, "b"), AddRequest(red, "c")]
    added = app.add_many([*requests, AddRequest(red, "d", crop=(0.0, 0.0, 0.5, 0.5))])
    assert [one.error for one in added] == [None] * 4
    assert counts == [3]
    vectors = app.vectors(["a", "b", "c", "d"])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_another_part_or_another_file_is_another_picture(opened: Callable[[int], tuple[App, Counted]]) -> None:
    app, pictures = opened(10)
    red, corner = file("red"), (0.0, 0.0, 0.5, 0.5)
    app.embed([red, red], [None, corner])
    app.embed([red], [corner])
    assert pictures.count == 2
    app.embed([red + b"."])
    assert pictures.count == 3


def test_none_is_kept_where_the_setting_says_so(opened: Callable[[int], tuple[App, Counted]]) -> None:
    app, pictures = opened(0)
    app.embed([file("red")])
    app.embed([file("red")])
    assert pictures.count == 2


def test_a_stored_picture_is_not_opened_again_nor_the_part_of_it_that_is_stored(
    opened: Callable[[int], tuple[App, Counted]],
) -> None:
    app, pictures = opened(0)  # nothing in memory: what is known, SQL knows
    red, corner = file("red"), (0.0, 0.0, 0.5, 0.5)
    app.add(red, "red")
    app.add(red, "corner", crop=corner)
    assert pictures.count == 2
    np.testing.assert_array_equal(app.embed([red, red], [None, corner]), app.vectors(["red", "corner"]))
    assert [hit.input_id for hit in app.search(image=red, k=1)] == ["red"]
    assert pictures.count == 2
    app.embed([red], [(0.5, 0.5, 1.0, 1.0)])
    assert pictures.count == 3
    app.delete("red")
    app.embed([red])
    assert pictures.count == 4


def test_vectors_and_classes_are_of_one_look(opened: Callable[[int], tuple[App, Counted]]) -> None:
    app, pictures = opened(10)
    red, blue = file("red"), file("blue")
    [classes] = app.classify_each([red], [None], app.recipe)
    [vector] = app.embed([red])
    assert pictures.count == 1
    assert np.shape(classes) == (1000,)
    app.embed([blue])
    [found] = app.classify_each([blue], [None], app.recipe)
    assert pictures.count == 2
    assert np.sum(found) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vector), 1, atol=1e-5)


def test_classes_of_a_stored_picture_are_computed_once(opened: Callable[[int], tuple[App, Counted]]) -> None:
    app, pictures = opened(10)
    red = file("red")
    app.add(red, "red")
    [first] = app.classify_each([red], [None], app.recipe)
    [again] = app.classify_each([red], [None], app.recipe)
    assert pictures.count == 2
    np.testing.assert_array_equal(first, again)


def test_a_bad_picture_stops_none_of_the_others(opened: Callable[[int], tuple[App, Counted]]) -> None:
    app, pictures = opened(10)
    red = file("red")
    bad, good, missing, same = app.embed_each([b"nothing", red, Path("nowhere.png"), red], [None] * 4)
    assert isinstance(bad, ImageError)
    assert isinstance(missing, ImageError)
    np.testing.assert_array_equal(good, same)
    assert pictures.count == 2


def test_what_was_asked_for_longest_ago_goes_first() -> None:
    cache = VectorCache(2)
    keys = [(name, None) for name in "abc"]
    for number, key in enumerate(keys[:2]):
        cache.put(RECIPE, key, np.full(2, number, dtype=np.float32))
    assert list(cache.get(RECIPE, keys)) == keys[:2]
    cache.get(RECIPE, keys[:1])
    cache.put(RECIPE, keys[2], np.zeros(2, dtype=np.float32))
    assert list(cache.get(RECIPE, keys)) == [keys[0], keys[2]]
    assert cache.get(Recipe("clip", "x", "y", 2, nonnegative=False), keys) == {}
