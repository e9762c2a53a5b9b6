"""Pictures that mean harm are opened like others or refused in one line, here and in decoders of their own."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from decoding import children
from hostile_pictures import HARMLESS, REFUSED
from hypothesis import given
from hypothesis import strategies as st
from pictures import draw, png

from tenshot.embeddings.pictures.decoders import Decoders
from tenshot.embeddings.pictures.images import (
    ImageError,
    ImageTooLarge,
    Opener,
    TruncatedImage,
    UndecodableImage,
    UnsupportedFormat,
    open_image,
)
from tenshot.errors import Busy


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(1) as running:
        yield running


@pytest.fixture(params=["here", "in a process of its own"])
def opener(request: pytest.FixtureRequest, decoders: Decoders) -> Opener:
    return open_image if request.param == "here" else decoders


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.filterwarnings("ignore:Tag data larger than file")
def test_what_is_a_picture_all_the_same_is_opened_soon(opener: Opener, name: str) -> None:
    start = time.monotonic()
    opened = opener(HARMLESS[name]()).image
    assert opened.mode == "RGB"
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_is_refused_in_one_line(opener: Opener, name: str) -> None:
    start = time.monotonic()
    with pytest.raises(ImageError) as raised:
        opener(REFUSED[name]())
    assert "\n" not in str(raised.value)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("least_side", [None, 20])
def test_a_decoder_gives_what_is_given_here(decoders: Decoders, least_side: int | None) -> None:
    for content in (png("checks", 3), HARMLESS["a JPEG with a ZIP behind it"]()):
        here, there = open_image(content, least_side=least_side), decoders(content, least_side=least_side)
        np.testing.assert_array_equal(np.asarray(here.image), np.asarray(there.image))
        assert here.media_type == there.media_type


def test_errors_keep_their_kind_and_their_words(decoders: Decoders) -> None:
    for content, kind in ((png("discs", 1)[:300], TruncatedImage), (b"nothing", UnsupportedFormat)):
        with pytest.raises(kind) as there:
            decoders(content)
        with pytest.raises(kind) as here:
            open_image(content)
        assert str(there.value) == str(here.value)


def test_a_limit_of_pixels_is_kept() -> None:
    with Decoders(1, max_pixels=96 * 96) as small:
        assert small(png("discs", 1)).image.size == (96, 96)
        with pytest.raises(ImageTooLarge, match="97 x 97"):
            small(png("discs", 1, 97))


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks for processes in /proc")


@pytest.fixture
def victim() -> Iterator[tuple[Decoders, int]]:
    """Decoders of one process that are given two seconds, and that process."""
    before = children()
    with Decoders(1, seconds=2) as decoders:
        decoders(png("discs", 1))
        [process] = children() - before
        yield decoders, process
    assert children() == before


def _while_stopped(decoders: Decoders, process: int, then: Callable[[], None]) -> Exception:
    """What a picture ends with whose decoder hangs, and then this happens."""
    ended: list[Exception] = []

    def decode() -> None:
        try:
            decoders(png("discs", 2))
        except Exception as error:
            ended.append(error)

    os.kill(process, signal.SIGSTOP)
    thread = threading.Thread(target=decode)
    thread.start()
    time.sleep(0.2)
    then()
    thread.join(10)
    [error] = ended
    return error


@needs_proc
def test_a_crash_costs_one_picture(victim: tuple[Decoders, int]) -> None:
    decoders, process = victim
    error = _while_stopped(decoders, process, lambda: os.kill(process, signal.SIGKILL))
    assert isinstance(error, UndecodableImage)
    assert "crashed" in str(error)
    assert decoders(png("discs", 2)).image.size == (96, 96)


@needs_proc
def test_a_hang_costs_one_picture_and_the_time_allowed(victim: tuple[Decoders, int]) -> None:
    decoders, process = victim
    error = _while_stopped(decoders, process, lambda: None)
    assert isinstance(error, UndecodableImage)
    assert "2 seconds" in str(error)
    assert decoders(png("discs", 2)).image.size == (96, 96)
    assert process not in children()


@needs_proc
def test_a_decoder_that_died_between_two_pictures_costs_none(victim: tuple[Decoders, int]) -> None:
    decoders, process = victim
    os.kill(process, signal.SIGKILL)
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert decoders(png("discs", 2)).image.size == (96, 96)


@needs_proc
def test_a_decoder_has_no_secrets_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSHOT_DATABASE_URL", "postgresql://user:secret@db/tenshot")
    before = children()
    with Decoders(1) as decoders:
        decoders(png("discs", 1))
        [process] = children() - before
        assert b"secret" not in Path(f"/proc/{process}/environ").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted where the system lists them")
def test_a_decoder_that_can_not_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def descriptors() -> list[str]:
        return sorted(os.listdir("/proc/self/fd"))

    with Decoders(1) as running:
        before = descriptors()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/nowhere/python")
            for _ in range(3):
                with pytest.raises(Busy, match="no decoder for pictures can be started: No such file or directory"):
                    running(png("discs", 1))
        assert descriptors() == before
        assert running(png("discs", 1)).image.mode == "RGB"


def test_many_threads_share_few_decoders() -> None:
    before = children()
    with Decoders(2) as decoders:
        wanted = {seed: np.asarray(draw("checks", seed)) for seed in range(40)}
        wrong: list[int] = []

        def decode(seeds: range) -> None:
            opened = {seed: np.asarray(decoders(png("checks", seed)).image) for seed in seeds}
            wrong.extend(seed for seed in seeds if not np.array_equal(opened[seed], wanted[seed]))

        threads = [threading.Thread(target=decode, args=(range(first, 40, 8),)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(children() - before) <= 2


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from([name for name in HARMLESS if "frames" not in name and "pages" not in name]), st.data())
def test_no_mutation_of_a_hostile_picture_is_more_than_an_image_error(name: str, data: st.DataObject) -> None:
    content = bytearray(HARMLESS[name]())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, min(len(content) - 1, 4000)))] = data.draw(st.integers(0, 255))
    message, mode = "", None
    try:
        mode = open_image(bytes(content), max_pixels=1 << 22).image.mode
    except ImageError as error:
        message = str(error)
    assert mode == "RGB" or (message and "\n" not in message)
