"""What the README shows works as it stands there."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from pictures import png

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(language: str, after: str) -> str:
    """The first code block of a language behind a heading."""
    found = re.search(rf"### {after}\n.*?```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`pictures` with a folder for each kind of bird, and `new.jpg`, which is one more of the first."""
    for name, kind in (("robin", "discs"), ("wren", "stripes")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for seed in range(5):
            (tmp_path / "pictures" / name / f"{seed}.png").write_bytes(png(kind, seed))
    (tmp_path / "new.jpg").write_bytes(png("discs", 99))
    return tmp_path


def shell(folder: Path, script: str, **extra: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment: Mapping[str, str] = os.environ | {"PATH": path, "TENSHOT_DATA": "data", **extra}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_python_snippet(folder: Path) -> None:
    given = "from pathlib import Path\n" + "".join(
        f"{name}s = sorted(Path('pictures/{name}').iterdir())\n" for name in ("robin", "wren")
    )
    done = subprocess.run(
        [sys.executable, "-c", given + block("python", "In Python")], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0].split()
    assert first[0] == "robin"
    assert float(first[1]) > 0.5
    assert "Neighbour(" in done.stdout


def test_the_shell_snippet(folder: Path) -> None:
    said = shell(folder, block("bash", "From a shell"))
    assert "API key" in said
    assert "robin/0.png" in said
    assert "accuracy" in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_http_snippet(folder: Path) -> None:
    script = block("bash", "Over HTTP")
    start, requests = script.split("\n", 1)
    assert start.startswith("tenshot serve &")
    made = shell(folder, "tenshot apps create birds --json")
    [key] = re.findall(r'"api_key": "(\w+)"', made)
    tenshot = str(Path(sys.executable).with_name("tenshot"))
    with subprocess.Popen(
        [tenshot, "--data", "data", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr
            address, deadline = "", time.monotonic() + 60
            while not address and time.monotonic() < deadline:
                address = "".join(re.findall(r"listens on http://(\S+)", server.stderr.readline()))
            said = shell(folder, requests.replace("localhost:8000", address), KEY=key)
        finally:
            server.terminate()
    assert said.count('"code":10000') >= 3
    assert '"outputs"' in said


def test_every_picture_and_file_that_it_names_is_there() -> None:
    named = re.findall(r"\]\((?!http)([^)#]+)\)", README) + re.findall(r"`((?:tests|docs)/[\w./]+)`", README)
    assert named
    assert all((ROOT / name).exists() for name in named), named
    assert max(map(len, README.splitlines())) <= 150


def test_the_page_for_who_comes_from_clarifai_names_every_limit_of_the_clients() -> None:
    page = (ROOT / "docs" / "clarifai.md").read_text()
    for limit in tomllib.loads((ROOT / "tests" / "clients" / "limits.toml").read_text())["limit"]:
        cells = (limit["client"], limit["what"], limit["why"], limit.get("instead", ""))
        assert f"| {' | '.join(cells)} |" in page
