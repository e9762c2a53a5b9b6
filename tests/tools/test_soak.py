"""Many clients at once, and SIGTERM among them. Ten minutes of it: make soak."""

from collections.abc import Callable
from typing import Any


def test_a_mixed_load_has_no_errors_and_a_stop_among_it_loses_nothing(tenshot: Callable[..., Any]) -> None:
    found = tenshot("bench", "soak", "--seconds", 12, "--clients", 24, "--json").json
    assert (found["failed"], found["lost"], found["exit_code"]) == ([], [], 0)
    assert found["requests"] > 50
    assert found["acknowledged"] > 0
    # The first predictions read the concepts' names, which takes seconds on a busy machine.
    assert {one["call"] for one in found["calls"] if one["count"]} >= {"add a picture", "label", "predict an input"}
    assert found["health_p99_ms"] > 0
