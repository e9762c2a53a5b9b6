"""For what becomes true a moment after it was asked for, as on a page that doesn't wait for its server."""

import time
from collections.abc import Callable
from typing import Any

SECONDS = 15


def becomes(found: Callable[[], Any], wanted: Any, seconds: float = SECONDS) -> None:
    """Fails with what is found at last if that is never as wanted."""
    end = time.monotonic() + seconds
    while (now := found()) != wanted and time.monotonic() < end:
        time.sleep(0.02)
    assert now == wanted
