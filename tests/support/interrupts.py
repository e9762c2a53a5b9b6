"""Ctrl-C at any line that one likes."""

import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupted(BaseException):
    """As KeyboardInterrupt, which pytest takes for its own."""


def interrupted(call: Callable[[], object], files: tuple[str, ...], after: int) -> bool:
    """Calls it, and interrupts it after so many lines of files whose paths contain one of these; whether it did.

    Not at a line that takes a lock or gives it back: Python looks for signals before and after, never in between.
    """
    loaded = [module.__file__ or "" for module in list(sys.modules.values()) if hasattr(module, "__file__")]
    for part in files:
        assert any(part in path for path in loaded), f"no file {part} is in use"
    left = after

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        path = frame.f_code.co_filename
        if not any(part in path for part in files):
            return None
        if event == "line" and not linecache.getline(path, frame.f_lineno).strip().startswith("with "):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False
