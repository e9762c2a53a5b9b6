"""Runs `tenshot serve` in its own process, for measurements and for screenshots of its page."""

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
class ServerProcess:
    """A running server."""

    host: str
    port: int
    process: "subprocess.Popen[str]"

    def stop(self) -> int:
        """Sends SIGTERM, and waits; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)


@contextmanager
def running_server(data: Path) -> Iterator[ServerProcess]:
    """A server on the data folder with default settings; it is terminated at the end, if it still runs."""
    command = [sys.executable, "-c", "from tenshot.tools.cli import main; main()", "--data", str(data)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TENSHOT_")}
    running = subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert running.stderr
        output = ""
        for line in running.stderr:
            output += line
            if match := re.search(r"listens on http://([\d.]+):(\d+)", line):
                yield ServerProcess(match[1], int(match[2]), running)
                return
        fail(f"the server did not start: {output}")
    finally:
        if running.poll() is None:
            running.terminate()
        running.communicate(timeout=_SECONDS)
