"""A live server, pictures on a web server beside it, and the official clients, installed once under `.cache/`."""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from pictures import KINDS, png

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"
# What pip picks by itself beside this old client does not work with it: see limits.toml.
PYTHON_PINS = ("clarifai==2.6.2", "protobuf==3.19.6", "googleapis-common-protos==1.56.4")
NODE_PINS = ("clarifai@2.9.1",)
SEEDS = range(6)
INSTALL_SECONDS = 400
RUN_SECONDS = 600


@dataclass(frozen=True)
class World:
    """What a script of a client is told, as JSON in its first argument."""

    server: str
    admin: str
    pictures: str
    """Where the pictures are served; a picture is `{pictures}/{kind}-{seed}.png`."""
    folder: str
    """The same files."""


@dataclass(frozen=True)
class Report:
    """What a script answers, as JSON on stdout."""

    cases: dict[str, str]
    """Case -> "ok", or what went wrong with the last requests and answers."""
    methods: list[str]
    """Every public method of the client, found by looking into it."""
    called: list[str]


@pytest.fixture(scope="session")
def limits() -> Callable[[str], list[dict[str, Any]]]:
    """What a client cannot do, from limits.toml."""
    known = tomllib.loads((HERE / "limits.toml").read_text())["limit"]
    return lambda client: [limit for limit in known if limit["client"] == client]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eighteen drawn pictures, half of one, and a text; what else is asked for is a 404."""
    folder = tmp_path_factory.mktemp("pictures")
    for kind in KINDS:
        for seed in SEEDS:
            (folder / f"{kind}-{seed}.png").write_bytes(png(kind, seed))
    whole = png("discs", 99)
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.txt").write_text("This is no picture.\n")
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def picture_url(pictures: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(pictures))) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def world(pictures: Path, picture_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """`tenshot serve`, as a user starts it."""
    folder = tmp_path_factory.mktemp("served")
    command = [str(Path(sys.executable).with_name("tenshot")), "--data", str(folder / "data"), "serve"]
    with (folder / "log").open("w") as log:
        running = subprocess.Popen(
            [*command, "--port", "0", "--allow-private-urls"], stdout=log, stderr=log, env=_environment(folder)
        )
    try:
        server, admin = _announced(running, folder / "log")
        yield World(server, admin, picture_url, str(pictures))
    finally:
        running.terminate()
        running.wait(timeout=60)


@pytest.fixture(scope="session")
def python_report(world: World, client_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The cases of `python_client/`, run once."""
    return _run([client_python, HERE / "python_client" / "run.py"], world, tmp_path_factory.mktemp("python-client"))


@pytest.fixture(scope="session")
def node_report(world: World, client_node: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The cases of `node_client/`, run once."""
    environment = {"NODE_PATH": str(client_node / "node_modules")}
    script = [_node("node"), HERE / "node_client" / "run.js"]
    return _run(script, world, tmp_path_factory.mktemp("node-client"), environment)


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The interpreter of a virtual environment with the official Python client."""
    folder = CACHE / "clarifai-python"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"]
    _install(
        folder,
        f"{sys.version} {PYTHON_PINS}",
        [sys.executable, "-m", "venv", folder],
        [*pip, *PYTHON_PINS],
        [python, "-c", "import clarifai.rest.client"],
    )
    return python


@pytest.fixture(scope="session")
def client_node() -> Path:
    """The folder in which the official npm client is installed."""
    folder = CACHE / "clarifai-node"
    npm = [_node("npm"), "install", "--prefix", folder, "--silent", "--no-audit", "--no-fund", "--prefer-offline"]
    # Where nothing can be reached it would wait ten seconds for each of forty packages.
    npm += ["--fetch-retries", "1", "--fetch-retry-mintimeout", "500", "--fetch-retry-maxtimeout", "500"]
    load = [_node("node"), "-e", "require(process.argv[1])", folder / "node_modules" / "clarifai"]
    _install(folder, f"{NODE_PINS}", [*npm, *NODE_PINS], load)
    return folder


def _node(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"the npm client needs {name} on the PATH")
    return found


def _install(folder: Path, wanted: str, *commands: list[Any]) -> None:
    """Fills a folder once. A marker is written last: without it, or for other pins, it is made anew."""
    marker = folder / ".ready"
    CACHE.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if marker.exists() and marker.read_text() == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for command in commands:
            try:
                done = subprocess.run(
                    list(map(str, command)), capture_output=True, text=True, timeout=INSTALL_SECONDS, cwd=folder
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                pytest.skip(f"{folder.name} can't be installed: {error}")
            if done.returncode != 0:
                said = (done.stderr or done.stdout).strip().splitlines()
                pytest.skip(f"{folder.name} can't be installed: {said[-1] if said else done.returncode}")
        marker.write_text(wanted)


def _environment(home: Path, **extra: str) -> dict[str, str]:
    """This process's, without settings of the user or a client's configuration file."""
    kept = {name: value for name, value in os.environ.items() if not re.match("(?i)TENSHOT_|CLARIFAI_|API_END", name)}
    return kept | {"HOME": str(home), "COLUMNS": "200"} | extra


def _announced(running: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """The address that the server prints, and the admin key in the file that it names."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        said = log.read_text()
        address, admin = re.search(r"listens on (http://\S+)", said), re.search(r"admin key: written to (\S+),", said)
        if address and admin:
            return address[1], Path(admin[1]).read_text().strip()
        time.sleep(0.05)
    raise RuntimeError(f"tenshot serve did not start:\n{log.read_text()}")


def _run(command: list[Any], world: World, home: Path, extra: dict[str, str] | None = None) -> Report:
    done = subprocess.run(
        [*map(str, command), json.dumps(asdict(world))],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        env=_environment(home, **(extra or {})),
    )
    if done.returncode != 0:
        pytest.fail(f"the script itself failed:\n{done.stderr[-6000:]}", pytrace=False)
    return Report(**json.loads(done.stdout))
