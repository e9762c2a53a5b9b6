"""`tenshot bench embed`: pictures per second, beside the loop that people would write, in the same run."""

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

from ..console import errors, fail, say, table
from .server_process import serving

_WIDTH, _HEIGHT = 2048, 1536
_CHUNK = 32
_CLIENTS = 16


@dataclass(frozen=True)
class Speed:
    """How fast one way of embedding was."""

    workflow: str
    method: str
    per_second: float
    """Pictures, median of the rounds."""
    ratio: float
    """To the plain loop of the same run; over HTTP to one client."""
    cpu_ms: float | None
    """Computing time of a picture, over all cores and, over HTTP, of client, server and decoders: what other programs
    on the machine disturb least. None where it isn't known.
    """

    @property
    def cores(self) -> float | None:
        """How many it keeps busy. No way can be faster than all cores with this computing time allow."""
        return None if self.cpu_ms is None else self.per_second * self.cpu_ms / 1000


def embed(
    context: typer.Context,
    workflows: Annotated[str, typer.Option(help="Base workflows; `random` is an untrained CLIP.")] = (
        "general,general-fast,random"
    ),
    count: Annotated[int, typer.Option(min=2, help="Pictures of 3 megapixels.")] = 32,
    rounds: Annotated[int, typer.Option(min=1, help="Each method is timed so often, in turns.")] = 3,
    http: Annotated[bool, typer.Option(help="Over HTTP too, by one client and by sixteen.")] = True,
) -> None:
    """Pictures embedded per second, from JPEG files and over HTTP. Example: tenshot bench embed --workflows general"""
    from ...embeddings.models.reference_loop import random_clip
    from ..demo.samples import photographs

    if not photographs():
        fail("the bench makes its pictures of scikit-image's photographs: pip install 'tenshot[demo]'")
    speeds: list[Speed] = []
    with tempfile.TemporaryDirectory() as folder:
        if "random" in workflows:
            # A compiled model of random weights is of no use to anybody later.
            os.environ["TENSHOT_CACHE"] = folder
        files = _pictures(Path(folder), count)
        for name in workflows.split(","):
            workflow = random_clip(Path(folder)) if name == "random" else name
            speeds += [_named(speed, name) for speed in _from_files(workflow, files, rounds)]
            if http:
                speeds += [_named(speed, name) for speed in _over_http(workflow, files, rounds, Path(folder) / "data")]
    rows = [
        [s.workflow, s.method, f"{s.per_second:.1f}", f"{s.ratio:.2f}", _shown(s.cpu_ms, 0), _shown(s.cores, 1)]
        for s in speeds
    ]
    title = f"Pictures per second, {count} JPEG files of 3 megapixels, median of {rounds} rounds"
    columns = ["workflow", "method", "per second", "times", "CPU ms", "cores busy"]
    say(context.obj, [asdict(speed) for speed in speeds], table(title, columns, rows))


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
    took = _in_turns(ways, rounds)
    batcher.close()
    return _speeds(workflow, took, len(files))


def _over_http(workflow: str, files: Sequence[Path], rounds: int, data: Path) -> list[Speed]:
    """The public model that gives embeddings, asked by one client, then by sixteen at a time."""
    from ...api.resources.public_models import EMBEDDING

    # In whole groups of three bytes, so that more can be said behind them.
    contents = [b64encode(file.read_bytes() + bytes(-file.stat().st_size % 3)).decode() for file in files]
    asked = itertools.count()
    errors.print(f"{workflow}: over HTTP")
    key = _key(data, workflow)
    with serving(data) as server:

        def ask(content: str) -> None:
            # Each file is new to the server: it has a number behind its end.
            content += b64encode(next(asked).to_bytes(6)).decode()
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
        took = _in_turns(ways, rounds, partial(_cpu_seconds, server.process.pid))
    one, many_at_once = speeds = _speeds(workflow, took, len(files))
    if one.cores and one.cpu_ms and many_at_once.cpu_ms:
        cores = os.cpu_count() or 1
        most = cores / one.cores * one.cpu_ms / many_at_once.cpu_ms
        errors.print(
            f"{workflow}: one client keeps {one.cores:.1f} of {cores} cores busy: many can be {most:.1f} times as fast"
        )
    return speeds


def _key(data: Path, workflow: str) -> str:
    """Of a new app on the workflow."""
    from ...api.auth.keys import new_key
    from ...index.store import create_app_record, open_catalog

    with open_catalog(data) as catalog:
        name = f"bench-{len(catalog.apps.list())}"
        return new_key(catalog, create_app_record(catalog, name, workflow).id, name).secret


def _cpu_seconds(server: int) -> float:
    """Of this process, and of a server's with its children, the decoders; NaN where there is no /proc."""
    try:
        ticks = 0
        for file in Path("/proc").glob("[0-9]*/stat"):
            # The fields behind the command, from the state (3) on: the parent is 4, user and system time 14 and 15.
            fields = file.read_text().rpartition(")")[2].split()
            if server in (int(file.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
        return time.process_time() + ticks / os.sysconf("SC_CLK_TCK") if ticks else math.nan
    except (OSError, ValueError):  # a process that ended meanwhile, no /proc
        return math.nan


@dataclass(frozen=True)
class _Took:
    seconds: float
    cpu_seconds: float


def _speeds(workflow: str, took: dict[str, _Took], count: int) -> list[Speed]:
    """Beside the first way."""
    first = next(iter(took.values())).seconds
    return [
        Speed(
            workflow,
            way,
            count / one.seconds,
            first / one.seconds,
            None if math.isnan(one.cpu_seconds) else 1000 * one.cpu_seconds / count,
        )
        for way, one in took.items()
    ]


def _in_turns(
    ways: dict[str, Callable[[], object]], rounds: int, cpu_seconds: Callable[[], float] = time.process_time
) -> dict[str, _Took]:
    """Medians for each way; all of them take a turn in each round, so that what disturbs one disturbs all."""
    taken: dict[str, list[_Took]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            start, cpu_start = time.perf_counter(), cpu_seconds()
            run()
            taken[way].append(_Took(time.perf_counter() - start, cpu_seconds() - cpu_start))
    return {
        way: _Took(statistics.median(t.seconds for t in times), statistics.median(t.cpu_seconds for t in times))
        for way, times in taken.items()
    }


def _pictures(folder: Path, count: int) -> list[Path]:
    """JPEG files of 3 megapixels: mosaics of photographs at their own size, so that they are as detailed as those."""
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


def _shown(number: float | None, digits: int) -> str:
    return "-" if number is None else f"{number:.{digits}f}"


def _named(speed: Speed, name: str) -> Speed:
    return replace(speed, workflow=name)
