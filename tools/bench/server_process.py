"""`tenshot serve` in a process of its own, for measuring it and for pictures of its page."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..console import fail

_SECONDS = 120


@dataclass(frozen=True)
class Served:
    """A running server."""

    host: str
    port: int
    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Asks it to stop (SIGTERM), and waits; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)


@contextmanager
def serving(data: Path) -> Iterator[Served]:
    """A server on the folder, with defaults; it is stopped afterwards, if it runs still."""
    command = [sys.executable, "-c", "from tenshot.tools.cli import main; main()", "--data", str(data)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENSHOT_")}
    running = subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stderr
        said = ""
        for line in running.stderr:
            said += line
            if found := re.search(r"listens on http://([\d.]+):(\d+)", line):
                yield Served(found[1], int(found[2]), running)
                return
        fail(f"the server did not start: {said}")
    finally:
        if running.poll() is None:
            running.terminate()
        running.communicate(timeout=_SECONDS)
