"""`tenshot bench growing`: searches beside a writer, measured against the same collection when idle."""

from collections.abc import Callable
from typing import Any

import pytest

from tenshot.tools.bench.threads import ONE_THREAD


def test_searches_are_measured_while_rows_come_and_when_none_do(
    tenshot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ONE_THREAD:
        monkeypatch.setenv(name, "1")
    options = ("--rows", 11_000, "--more", 3000, "--rate", 20_000, "--dim", 32)
    idle, busy = tenshot("bench", "growing", *options, "--json").json
    assert (idle["state"], busy["state"]) == ("idle", "20000 rows a second")
    assert idle["ratio"] == 1
    assert busy["searches"] > 10
    assert busy["longest_tail"] > 0
    for one in (idle, busy):
        assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"]
        assert one["recall"] >= 0.95


def test_a_set_that_nobody_made_up_is_one_line(tenshot: Callable[..., Any]) -> None:
    assert (
        "--vectors knows easy and hard, not 'app:x'" in tenshot("bench", "growing", "--vectors", "app:x", expect=2).err
    )
