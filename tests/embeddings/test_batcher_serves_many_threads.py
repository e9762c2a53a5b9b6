"""The batcher before a slow fake embedder whose vectors can be worked out in the head."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tenshot.embeddings.base.batcher import Batcher, BatcherClosed
from tenshot.embeddings.base.embedder import Embedder, FloatArray, Pixels, Recipe
from tenshot.errors import Busy


class Widths:
    """A picture's vector is its width, a text's its length. Refuses width 13; its memory holds `capacity` items."""

    recipe = Recipe("widths", "widths", "none", 2, nonnegative=True)
    has_text = True
    text_scale = 10.0
    classes = ()
    least_side = 1

    def __init__(self, capacity: int = 1000) -> None:
        self.capacity = capacity
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.started = threading.Event()
        self.closed = 0
        self.unloaded = threading.Event()
        self.gate.set()

    def prepare(self, image: Image.Image) -> Pixels:
        """Its first row: as long as the picture is wide."""
        return np.asarray(image)[:1].transpose(2, 0, 1)

    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        return self._embed([one.shape[2] for one in pixels])

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        return self._embed([len(text) for text in texts])

    def unload(self) -> None:
        self.unloaded.set()

    def close(self) -> None:
        self.closed += 1

    def _embed(self, values: list[int]) -> FloatArray:
        self.started.set()
        assert self.gate.wait(10)
        if len(values) > self.capacity:
            raise MemoryError
        if 13 in values:
            raise ValueError("unlucky")
        self.batches.append(len(values))
        return np.array([(value, 0) for value in values], dtype=np.float32).reshape(-1, 2)


def picture(width: int) -> Image.Image:
    return Image.new("RGB", (width, 1))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def widths() -> Widths:
    return Widths()


@pytest.fixture
def batcher(widths: Widths) -> Iterator[Batcher]:
    batcher = Batcher(widths, max_batch=8, max_queue=20)
    yield batcher
    widths.gate.set()
    batcher.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(30) as pool:
        yield pool


def test_it_is_an_embedder(batcher: Batcher) -> None:
    embedder: Embedder = batcher
    assert embedder.recipe.workflow == "widths"
    assert embedder.has_text
    np.testing.assert_array_equal(embedder.embed_images([picture(3), picture(5)]), [[3, 0], [5, 0]])
    np.testing.assert_array_equal(embedder.embed_texts(["owl"]), [[3, 0]])
    assert embedder.embed_images([]).shape == (0, 2)


def test_everyone_gets_their_own_in_order(batcher: Batcher, threads: ThreadPoolExecutor) -> None:
    def ask(caller: int) -> FloatArray:
        return batcher.embed_images([picture(100 * caller + i) for i in (1, 2, 3)])

    for caller, vectors in enumerate(threads.map(ask, range(6))):
        np.testing.assert_array_equal(vectors[:, 0], [100 * caller + i for i in (1, 2, 3)])


def test_what_waits_goes_together(batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor) -> None:
    widths.gate.clear()
    calls = [threads.submit(batcher.embed_images, [picture(1)])]
    assert widths.started.wait(10)
    calls += [threads.submit(batcher.embed_images, [picture(i), picture(i)]) for i in range(2, 7)]
    until(lambda: batcher._waiting == 10)
    widths.gate.set()
    for call in calls:
        call.result(10)
    assert widths.batches == [1, 8, 2]


def test_a_call_larger_than_a_batch_is_split(batcher: Batcher, widths: Widths) -> None:
    vectors = batcher.embed_images([picture(20 + i) for i in range(50)])
    np.testing.assert_array_equal(vectors[:, 0], np.arange(20, 70))
    assert widths.batches == [8, 8, 8, 8, 8, 8, 2]


def test_a_long_call_lets_others_go_between_its_batches(
    batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor
) -> None:
    widths.gate.clear()
    long = threads.submit(batcher.embed_texts, ["x" * i for i in range(20, 70)])
    assert widths.started.wait(10)
    other = threads.submit(batcher.embed_texts, ["y" * i for i in range(20, 30)])
    until(lambda: batcher._waiting == 10)
    picture_ = threads.submit(batcher.embed_images, [picture(3)])
    until(lambda: batcher._waiting == 11)
    widths.gate.set()
    assert picture_.result(10)[0, 0] == 3
    np.testing.assert_array_equal(other.result(10)[:, 0], np.arange(20, 30))
    np.testing.assert_array_equal(long.result(10)[:, 0], np.arange(20, 70))
    # After the long call's first batch the other's, then the picture.
    assert widths.batches[:3] == [8, 8, 1]
    assert sum(widths.batches) == 61
    assert len(widths.batches) == 9


def test_a_long_call_that_fails_midway_ends_there(
    batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor
) -> None:
    widths.gate.clear()
    long = threads.submit(batcher.embed_texts, ["x" * i for i in range(50)])
    assert widths.started.wait(10)
    good = threads.submit(batcher.embed_texts, ["y" * 3])
    until(lambda: batcher._waiting == 1)
    widths.gate.set()
    with pytest.raises(ValueError, match="unlucky"):
        long.result(10)
    assert good.result(10)[0, 0] == 3
    assert batcher.embed_texts(["y" * 4])[0, 0] == 4
    assert sum(widths.batches) == 8 + 1 + 1


def test_while_a_long_call_is_under_way_others_may_wait(
    batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor
) -> None:
    widths.gate.clear()
    long = threads.submit(batcher.embed_texts, ["x" * 3] * 50)
    assert widths.started.wait(10)
    others = [threads.submit(batcher.embed_texts, ["y"]) for _ in range(20)]
    until(lambda: batcher.waiting == 20)
    widths.gate.set()
    assert [other.result(10)[0, 0] for other in others] == [1] * 20
    assert long.result(10).shape == (50, 2)


def test_pictures_and_texts_do_not_mix(batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor) -> None:
    widths.gate.clear()
    first = threads.submit(batcher.embed_images, [picture(1)])
    assert widths.started.wait(10)
    image = threads.submit(batcher.embed_images, [picture(2)])
    until(lambda: batcher._waiting == 1)
    text = threads.submit(batcher.embed_texts, ["robin"])
    until(lambda: batcher._waiting == 2)
    widths.gate.set()
    assert [call.result(10)[0, 0] for call in (first, image, text)] == [1, 2, 5]
    assert widths.batches == [1, 1, 1]


def test_one_bad_caller_fails_alone(batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor) -> None:
    widths.gate.clear()
    first = threads.submit(batcher.embed_images, [picture(1)])
    assert widths.started.wait(10)
    good, bad = (threads.submit(batcher.embed_images, [picture(width)]) for width in (12, 13))
    until(lambda: batcher._waiting == 2)
    widths.gate.set()
    first.result(10)
    assert good.result(10)[0, 0] == 12
    with pytest.raises(ValueError, match="unlucky"):
        bad.result(10)
    assert batcher.embed_images([picture(14)])[0, 0] == 14


def test_a_full_queue_refuses(batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor) -> None:
    widths.gate.clear()
    calls = [threads.submit(batcher.embed_images, [picture(1)])]
    assert widths.started.wait(10)
    calls += [threads.submit(batcher.embed_images, [picture(2)] * 30)]
    until(lambda: batcher._waiting == 30)  # larger than the queue, yet nothing else waited
    with pytest.raises(Busy, match="30 pictures or texts wait"):
        batcher.embed_images([picture(3)])
    widths.gate.set()
    for call in calls:
        call.result(10)
    assert batcher.embed_images([picture(3)])[0, 0] == 3


def test_too_little_memory_halves_the_batch() -> None:
    widths = Widths(capacity=3)
    batcher = Batcher(widths)
    vectors = batcher.embed_images([picture(20 + i) for i in range(11)])
    np.testing.assert_array_equal(vectors[:, 0], np.arange(20, 31))
    assert max(widths.batches) <= 3
    widths.capacity = 0
    with pytest.raises(MemoryError):
        batcher.embed_images([picture(20)])
    batcher.close()


def test_close_finishes_what_waits_and_refuses_what_comes(threads: ThreadPoolExecutor, widths: Widths) -> None:
    batcher = Batcher(widths, max_batch=2)
    widths.gate.clear()
    calls = [threads.submit(batcher.embed_images, [picture(20)])]
    assert widths.started.wait(10)
    calls += [threads.submit(batcher.embed_images, [picture(20)]) for _ in range(5)]
    until(lambda: batcher._waiting == 5)
    closing = threads.submit(batcher.close)
    until(lambda: batcher._closed)
    with pytest.raises(BatcherClosed):
        batcher.embed_images([picture(1)])
    widths.gate.set()
    closing.result(10)
    assert [call.result(10)[0, 0] for call in calls] == [20] * 6
    batcher.close()
    assert widths.closed == 1


def test_an_idle_model_is_unloaded_and_answers_again(widths: Widths) -> None:
    batcher = Batcher(widths, idle_s=0.05)
    assert widths.unloaded.wait(10)
    assert batcher.embed_images([picture(3)])[0, 0] == 3
    widths.unloaded.clear()
    assert widths.unloaded.wait(10)
    batcher.close()


def test_a_full_queue_refuses_before_any_picture_is_prepared(
    batcher: Batcher, widths: Widths, threads: ThreadPoolExecutor
) -> None:
    widths.gate.clear()
    calls = [threads.submit(batcher.embed_images, [picture(1)])]
    assert widths.started.wait(10)
    calls += [threads.submit(batcher.embed_images, [picture(2)] * 20)]
    until(lambda: batcher._waiting == 20)
    unpreparable: Any = None
    with pytest.raises(Busy):
        batcher.embed_images([unpreparable, unpreparable])
    widths.gate.set()
    for call in calls:
        call.result(10)


def test_a_model_that_can_not_be_unloaded_answers_all_the_same(
    widths: Widths, monkeypatch: pytest.MonkeyPatch, threads: ThreadPoolExecutor
) -> None:
    def fail() -> None:
        widths.unloaded.set()
        raise RuntimeError("out of luck")

    monkeypatch.setattr(widths, "unload", fail)
    batcher = Batcher(widths, idle_s=0.05)
    assert widths.unloaded.wait(10)
    assert threads.submit(batcher.embed_images, [picture(3)]).result(10)[0, 0] == 3
    batcher.close()
