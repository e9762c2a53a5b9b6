"""`tenshot bench embed`: pictures per second, compared with a plain loop in the same run."""

import itertools
import json
import math
import os
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Annotated

import typer

from ..console import errors, fail, output, table
from .server_process import running_server

_WIDTH, _HEIGHT = 2048, 1536
_CHUNK = 32
_CLIENTS = 16


@dataclass(frozen=True)
class Speed:
    """The speed of one way of embedding."""

    workflow: str
    method: str
    per_second: float
    """Pictures, median of the rounds."""
    ratio: float
    """Relative to the plain loop of the same run; over HTTP to one client."""
    cpu_ms: float | None
    """CPU time per picture over all cores, over HTTP that of client, server and decoders. Other programs on the machine
    disturb it least. None if it is unknown.
    """

    @property
    def cores(self) -> float | None:
        """How many cores it keeps busy; their number bounds the speed."""
        return None if self.cpu_ms is None else self.per_second * self.cpu_ms / 1000


def embed(
    context: typer.Context,
    workflows: Annotated[str, typer.Option(help="Base workflows; `random` is an untrained CLIP.")] = (
        "general,general-fast,random"
    ),
    count: Annotated[int, typer.Option(min=2, help="Pictures of 3 megapixels.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="How often each method is timed, in turns.")] = 3,
    http: Annotated[bool, typer.Option(help="Measure over HTTP too, with one client and with sixteen.")] = True,
) -> None:
    """Measure pictures per second, from files and over HTTP. Example: tenshot bench embed --workflows general"""
    from ...embeddings.models.reference_loop import random_clip
    from ..demo.samples import photographs

    if not photographs():
        fail("the bench needs scikit-image's photographs: pip install 'tenshot[demo]'")
    speeds: list[Speed] = []
    with tempfile.TemporaryDirectory() as folder:
        if "random" in workflows:
            # A compiled model of random weights is useless later.
            os.environ["TENSHOT_CACHE"] = folder
        files = _pictures(Path(folder), count)
        for name in workflows.split(","):
            workflow = random_clip(Path(folder)) if name == "random" else name
            speeds += [_named(speed, name) for speed in _from_files(workflow, files, rounds)]
            if http:
                speeds += [_named(speed, name) for speed in _over_http(workflow, files, rounds, Path(folder) / "data")]
    rows = [
        [s.workflow, s.method, f"{s.per_second:.1f}", f"{s.ratio:.2f}", _number(s.cpu_ms, 0), _number(s.cores, 1)]
        for s in speeds
    ]
    title = f"Pictures per second, {count} JPEG files of 3 megapixels, median of {rounds} rounds"
    columns = ["workflow", "method", "per second", "times", "CPU ms", "cores busy"]
    output(context.obj, [asdict(speed) for speed in speeds], table(title, columns, rows))


def _from_files(workflow: str, files: Sequence[Path], rounds: int) -> list[Speed]:
    from ...embeddings.base.batcher import Batcher
    from ...embeddings.models.reference_loop import ReferenceLoop
    from ...embeddings.pictures.images import open_image
    from ...embeddings.workflows import open_embedder, recipe_of
    from ...runtime.parallel import side_by_side

    recipe = recipe_of(workflow)
    errors.print(f"{workflow}: loading")
    batcher = Batcher(open_embedder(recipe))
    plain = ReferenceLoop(recipe)

    def ours() -> None:
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            pictures = side_by_side(lambda file: open_image(file, least_side=batcher.least_side).image, chunk)
            batcher.embed_images(pictures)

    decoded = [open_image(file, least_side=batcher.least_side).image for file in files]
    prepared = [batcher.prepare(picture) for picture in decoded]
    ways: dict[str, Callable[[], object]] = {
        "plain loop (torch, one by one)": lambda: plain.run(files, 1),
        "plain loop, batches of 16": lambda: plain.run(files, 16),
        "tenshot, from files": ours,
        "tenshot, decoded pictures": lambda: batcher.embed_images(decoded),
        "the model alone": lambda: batcher.embed_pixels(prepared),
    }
    batcher.embed_pixels(prepared[:1])
    times = _interleaved(ways, rounds)
    batcher.close()
    return _speeds(workflow, times, len(files))


def _over_http(workflow: str, files: Sequence[Path], rounds: int, data: Path) -> list[Speed]:
    """The public model for embeddings, with one client, then with sixteen."""
    from ...api.resources.public_models import EMBEDDING

    # In whole groups of three bytes, so that base64 text can be appended.
    contents = [b64encode(file.read_bytes() + bytes(-file.stat().st_size % 3)).decode() for file in files]
    counter = itertools.count()
    errors.print(f"{workflow}: over HTTP")
    key = _key(data, workflow)
    with running_server(data) as server:

        def ask(content: str) -> None:
            # A number after its end makes each file new to the server.
            content += b64encode(next(counter).to_bytes(6)).decode()
            body = json.dumps({"inputs": [{"data": {"image": {"base64": content}}}]})
            connection = HTTPConnection(server.host, server.port, timeout=120)
            connection.request(
                "POST",
                f"/v2/models/{EMBEDDING.id}/outputs",
                body,
                {"Authorization": f"Key {key}", "Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            answer.read()
            connection.close()
            if answer.status != 200:
                raise OSError(f"the server answered {answer.status}")

        def many() -> None:
            with ThreadPoolExecutor(_CLIENTS) as clients:
                list(clients.map(ask, contents))

        ask(contents[0])
        ways: dict[str, Callable[[], object]] = {
            "HTTP, one client": lambda: list(map(ask, contents)),
            f"HTTP, {_CLIENTS} clients": many,
        }
        times = _interleaved(ways, rounds, partial(_cpu_seconds, server.process.pid))
    single, many_at_once = speeds = _speeds(workflow, times, len(files))
    if single.cores and single.cpu_ms and many_at_once.cpu_ms:
        cores = os.cpu_count() or 1
        most = cores / single.cores * single.cpu_ms / many_at_once.cpu_ms
        errors.print(
            f"{workflow}: one client keeps {single.cores:.1f} of {cores} cores busy; "
            f"many can be {most:.1f} times faster"
        )
    return speeds


def _key(data: Path, workflow: str) -> str:
    """The key of a new app on the workflow."""
    from ...api.auth.keys import new_key
    from ...index.store import create_app_record, open_catalog

    with open_catalog(data) as catalog:
        name = f"bench-{len(catalog.apps.list())}"
        return new_key(catalog, create_app_record(catalog, name, workflow).id, name).secret


def _cpu_seconds(server: int) -> float:
    """CPU seconds of this process, and of a server with its decoders; NaN where there is no /proc."""
    try:
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            # Fields after the command begin with the state (3): 4 is the parent, 14 and 15 are user and system time.
            fields = file.read_text().rpartition(")")[2].split()
            if server in (int(file.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
        return time.process_time() + ticks / os.sysconf("SC_CLK_TCK") if ticks else math.nan
    except (OSError, ValueError):  # a process that ended meanwhile, no /proc
        return math.nan


@dataclass(frozen=True)
class _Time:
    seconds: float
    cpu_seconds: float


def _speeds(workflow: str, times: dict[str, _Time], count: int) -> list[Speed]:
    """Speeds relative to the first way."""
    first = next(iter(times.values())).seconds
    return [
        Speed(
            workflow,
            way,
            count / timing.seconds,
            first / timing.seconds,
            None if math.isnan(timing.cpu_seconds) else 1000 * timing.cpu_seconds / count,
        )
        for way, timing in times.items()
    ]


def _interleaved(
    ways: dict[str, Callable[[], object]], rounds: int, cpu_seconds: Callable[[], float] = time.process_time
) -> dict[str, _Time]:
    """Medians of each way; each round runs all of them, so that disturbances affect all alike."""
    timings: dict[str, list[_Time]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            start, cpu_start = time.perf_counter(), cpu_seconds()
            run()
            timings[way].append(_Time(time.perf_counter() - start, cpu_seconds() - cpu_start))
    return {
        way: _Time(statistics.median(t.seconds for t in times), statistics.median(t.cpu_seconds for t in times))
        for way, times in timings.items()
    }


def _pictures(folder: Path, count: int) -> list[Path]:
    """JPEG files of 3 megapixels: mosaics of unscaled photographs, so that they are as detailed."""
    import numpy as np
    from PIL import Image

    from ..demo.samples import photographs

    rng = np.random.default_rng(0)
    tiles = photographs()
    files = []
    for number in range(count):
        mosaic = Image.new("RGB", (_WIDTH, _HEIGHT))
        for top in range(0, _HEIGHT, 256):
            for left in range(0, _WIDTH, 256):
                tile = tiles[int(rng.integers(len(tiles)))]
                x, y = (int(rng.integers(max(side - 256, 0) + 1)) for side in tile.size)
                mosaic.paste(tile.crop((x, y, x + 256, y + 256)), (left, top))
        files.append(folder / f"{number}.jpg")
        mosaic.save(files[-1], quality=90)
    return files


def _number(number: float | None, digits: int) -> str:
    return "-" if number is None else f"{number:.{digits}f}"


def _named(speed: Speed, name: str) -> Speed:
    return replace(speed, workflow=name)
