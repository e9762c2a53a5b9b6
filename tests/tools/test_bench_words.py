"""`tenshot bench words`: the default base workflow understands everyday words, on pictures it was not made for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenshot.embeddings.models import words
from tenshot.tools.bench.public_tasks import Unavailable, fetch, public_tasks, user_cache
from tenshot.tools.bench.words import TASK, WORDS


@pytest.mark.skipif(not words.installed(), reason="the extra `words` is not installed")
def test_everyday_words_find_drawings(tenshot: Callable[..., Any]) -> None:
    try:
        fetch(public_tasks()[TASK], user_cache())
    except Unavailable as reason:
        pytest.skip(f"{TASK} can't be had: {reason}")
    [found] = tenshot("bench", "words", "--workflow", "general", "--json").json
    assert len(found["words"]) >= 10
    assert found["mean_average_precision"] >= 0.44
    assert found["chance"] < 0.05
    shown = tenshot("bench", "words", "--workflow", "general")
    assert all(word in shown.out for word in (*WORDS, "by chance"))


def test_what_can_not_be_fetched_is_one_line(
    tenshot: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = tenshot("bench", "words", "--cache", tmp_path / "cache", expect=1)
    assert "tux is not available: apt-get is not installed" in said.err
