import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pictures import KINDS, png

from tenshot.tools.cli import main

TENSHOT = str(Path(sys.executable).with_name("tenshot"))


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def tenshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """The command, in this process, on a data folder of its own."""

    def run(*arguments: object, expect: int = 0) -> Said:
        capsys.readouterr()
        code = 0
        try:
            main(["--data", str(tmp_path / "data"), *map(str, arguments)])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        assert code == expect, said.err
        if expect == 1:
            assert len(said.err.strip().splitlines()) == 1, said.err
        return Said(code, said.out, said.err)

    return run


@pytest.fixture
def launched(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """The command in a process of its own, on the same data folder as `tenshot`."""

    def start(*arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [TENSHOT, "--data", str(tmp_path / "data"), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            # Whoever runs the tests in the background of a script has it ignored, and so would the command.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return start


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of folders: four drawn pictures of each kind."""
    for kind in KINDS:
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for seed in range(4):
            (tmp_path / "pictures" / kind / f"{seed}.png").write_bytes(png(kind, seed))
    return tmp_path / "pictures"
