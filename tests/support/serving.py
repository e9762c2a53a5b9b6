"""`tenshot serve` in a process of its own."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def serving(launched: Callable[..., Any], *options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, where it listens, and all that it printed before."""
    running = launched("serve", "--port", "0", *options)
    said = ""
    try:
        while not (listens := re.search(r"listens on (http://\S+)", said)):
            line = running.stderr.readline()
            assert line, said
            said += line
        yield running, listens[1], said
    finally:
        running.kill()
        running.communicate()
