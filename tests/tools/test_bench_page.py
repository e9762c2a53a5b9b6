"""The bench of the page on a few keys, in Chromium where there is one; and the pictures that it is about."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tenshot.tools.bench.synthetic_pictures import KINDS, SIDE, draw_picture, draw_pictures

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_keys_and_bare_requests_are_timed(launched: Callable[..., Any]) -> None:
    # In a process of its own: Playwright wants a thread without an event loop, and other tests may have one.
    said, complaints = launched("bench", "page", "--repeats", 3, "--each", 12, "--json").communicate(timeout=300)
    assert said, complaints
    waits = json.loads(said)
    assert [one["screen"] for one in waits] == ["1280 x 800", "2560 x 1300"]
    assert waits[0]["pictures"] < waits[1]["pictures"]
    for one in waits:
        assert 0 < one["key_ms"] <= one["slowest_ms"]
        assert one["ratio"] == pytest.approx(one["key_ms"] / one["http_ms"])


def test_a_scene_is_the_same_for_the_same_seed_and_like_no_other() -> None:
    drawn = list(draw_pictures(4))
    assert len({image.tobytes() for _, _, image in drawn}) == len(drawn) == 4 * len(KINDS)
    assert sorted({kind for _, kind, _ in drawn}) == sorted(KINDS)
    assert draw_picture("fish", 3).tobytes() == draw_picture("fish", 3).tobytes()
    assert draw_picture("fish", 3).size == (SIDE, SIDE)
