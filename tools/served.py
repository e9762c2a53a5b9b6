"""`tenshot serve` in a process of its own, for measuring it and for taking pictures of its page."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .console import fail

_END_SECONDS = 120


@contextmanager
def served(data: Path) -> Iterator[tuple[str, int]]:
    """Where a server on the folder listens, (host, port); it ends with the context."""
    command = [sys.executable, "-c", "from tenshot.tools.cli import main; main()", "--data", str(data)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENSHOT_")}
    running = subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stderr
        said = ""
        for line in running.stderr:
            said += line
            if found := re.search(r"listens on http://([\d.]+):(\d+)", line):
                yield found[1], int(found[2])
                return
        fail(f"the server did not start: {said}")
    finally:
        running.terminate()
        running.communicate(timeout=_END_SECONDS)
