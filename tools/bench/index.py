"""`tenshot bench index`: recall, speed and memory of the collection beside other vector stores, in one run."""

import gc
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ..console import errors, fail, say, table
from ..demo.chart import speed_chart
from .competitor import NotOffered, Peer
from .competitors import PEERS
from .threads import start_over_on_one_thread

if TYPE_CHECKING:
    from .vector_sets import VectorSet

_K = 10
_ENOUGH = 0.95
_TUNING = 64
"""Queries that a peer's effort is chosen by; others are measured."""
_BATCH = 64
_PASSES = 3
_PATIENCE = 20.0
"""Seconds after which one measurement ends."""


@dataclass(frozen=True)
class Speed:
    """Of one query: recall@10, and queries a second by the clock and by processor time (all threads of the process)."""

    recall: float
    per_second: float
    per_cpu_second: float
    effort: int


@dataclass
class Measured:
    """One store on one set."""

    vectors: str
    rows: int
    dim: int
    peer: str
    build_s: float = 0
    build_cpu_s: float = 0
    memory_mb: float = 0
    """Of the process, more than before, the rows included."""
    speeds: dict[str, Speed | None] = field(default_factory=dict)
    """`one query`, `batch of 64`, and one query under each filter; None: not offered."""
    milliseconds: dict[str, float | None] = field(default_factory=dict)
    """p50 and p95 of adding one row so that the next search finds it, and of deleting one; of opening again."""
    note: str = ""


def index(
    context: typer.Context,
    vectors: Annotated[
        str,
        typer.Option(
            help="Sets: easy, hard (made up); pictures, or pictures:WORKFLOW (crops of packaged pictures, embedded); "
            "app:NAME (an app's own)."
        ),
    ] = "easy,hard",
    rows: Annotated[int, typer.Option(min=1000, help="Rows of a set that is not an app's own.")] = 100_000,
    dim: Annotated[int, typer.Option(min=2, help="Vector length of a made-up set.")] = 512,
    peers: Annotated[str, typer.Option(help=f"Of {', '.join(PEERS)}; or all.")] = "all",
    queries: Annotated[int, typer.Option(min=_TUNING + 10, help="Queries, of which 64 only choose efforts.")] = 320,
    chart: Annotated[Path | None, typer.Option(help="An SVG of recall and speed.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where fetched pictures and their vectors stay; else in the user's cache.")
    ] = None,
) -> None:
    """Vector search beside other stores, one core. Example: tenshot bench index --rows 20000 --peers tenshot,usearch"""
    from .public_tasks import user_cache
    from .vector_sets import PICTURES, vector_set

    chosen = list(PEERS) if peers == "all" else peers.split(",")
    for name in chosen:
        if name not in PEERS:
            raise typer.BadParameter(f"--peers knows {', '.join(PEERS)}, not {name!r}")
    kept, sources = cache or user_cache(), vectors.split(",")
    for source in sources:
        if source.startswith(PICTURES):
            # Embedded on all cores, before the process starts over without the model's threads and memory.
            vector_set(context.obj, source, rows, dim, queries, kept)
    start_over_on_one_thread()
    results = []
    for source in sources:
        made = vector_set(context.obj, source, rows, dim, queries, kept)
        truth = {name: _truth(made, allowed) for name, allowed in {"": None, **made.filters}.items()}
        for name in chosen:
            errors.print(f"{made.name}, {len(made.rows)} x {made.rows.shape[1]}: {name} ...")
            with tempfile.TemporaryDirectory() as folder:
                results.append(_apart(partial(_measure, name, made, truth, Path(folder) / "rows")))
            errors.print(results[-1])
    if chart:
        speed_chart(
            f"One query at a time, recall@{_K}, {results[0].rows} x {results[0].dim}",
            {(one.peer, one.vectors): (s.recall, s.per_cpu_second) for one in results if (s := one.speeds.get("one"))},
            chart,
        )
    say(context.obj, [asdict(one) for one in results], _tables(results))


def _truth(made: "VectorSet", allowed: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """(q, k) the exact scores of the k best rows that may come."""
    best = np.full((len(made.queries), _K), -np.inf, dtype=np.float32)
    for start in range(0, len(made.rows), 65_536):
        scores = made.queries @ made.rows[start : start + 65_536].T
        if allowed is not None:
            scores[:, ~allowed[start : start + 65_536]] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = -np.partition(-both, _K - 1, axis=1)[:, :_K]
    return -np.sort(-best, axis=1)


def _measure(name: str, made: "VectorSet", truth: dict[str, NDArray[np.float32]], folder: Path) -> Measured:
    dim = made.rows.shape[1]
    measured = Measured(made.name, len(made.rows), dim, name)
    try:
        peer = PEERS[name](dim, folder)
    except ImportError as error:
        measured.note = f"not installed: {error.name}"
        return measured
    try:
        before = _resident()
        start, cpu = time.perf_counter(), time.process_time()
        peer.build(made.rows, made.filters)
        measured.build_s, measured.build_cpu_s = time.perf_counter() - start, time.process_time() - cpu
        measured.memory_mb = (_resident() - before) / 1e6
        measured.speeds["one"] = _speed(peer, made, truth[""], None, 1)
        effort = measured.speeds["one"].effort if measured.speeds["one"] else peer.efforts[-1]
        measured.speeds[f"batch {_BATCH}"] = _speed(peer, made, truth[""], None, _BATCH, [effort])
        for where in made.filters:
            measured.speeds[where] = _speed(peer, made, truth[where], where, 1)
        measured.milliseconds = _writes(peer, made, effort)
    except NotOffered:
        measured.note = "not offered"
    except Exception as error:
        measured.note = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return measured


def _apart(measure: Callable[[], Measured]) -> Measured:
    """In a process of its own, so that memory and threads are one store's alone; what there is already is shared."""
    processes = get_context("fork")
    here, there = processes.Pipe(duplex=False)
    process = processes.Process(target=lambda: there.send(measure()))
    process.start()
    there.close()
    try:
        found: Measured = here.recv()
    except EOFError:
        process.join()
        fail(f"the process that measured ended by itself (exit code {process.exitcode})")
    process.join()
    return found


def _speed(
    peer: Peer,
    made: "VectorSet",
    truth: NDArray[np.float32],
    where: str | None,
    batch: int,
    efforts: Sequence[int] | None = None,
) -> Speed | None:
    """At the cheapest effort that finds enough for the tuning queries, else at the dearest."""
    efforts = efforts or peer.efforts
    try:
        effort = next(
            (e for e in efforts if _recall(made, peer, truth, range(_TUNING), e, where) >= _ENOUGH), efforts[-1]
        )
    except NotOffered:
        return None
    places = np.arange(_TUNING, len(made.queries))
    best, best_cpu = np.inf, np.inf
    found: list[NDArray[np.int64]] = []
    for number in range(_PASSES):
        seconds, cpu, asked = 0.0, 0.0, 0
        out: list[NDArray[np.int64]] = []
        for start in range(0, len(places), batch):
            chosen = made.queries[places[start : start + batch]]
            begun, begun_cpu = time.perf_counter(), time.process_time()
            keys = peer.search(chosen, _K, effort, where)
            seconds, cpu = seconds + time.perf_counter() - begun, cpu + time.process_time() - begun_cpu
            asked += len(chosen)
            out.append(keys)
            if seconds > _PATIENCE:
                break
        found = found or out
        best, best_cpu = min(best, seconds / asked), min(best_cpu, cpu / asked)
        if seconds > _PATIENCE / _PASSES and number == 0:
            break
    keys = np.concatenate(found)
    return Speed(_share(made, keys, places[: len(keys)], truth), 1 / best, 1 / max(best_cpu, 1e-9), effort)


def _recall(
    made: "VectorSet", peer: Peer, truth: NDArray[np.float32], places: range, effort: int, where: str | None
) -> float:
    keys = np.concatenate([peer.search(made.queries[i : i + 1], _K, effort, where) for i in places])
    return _share(made, keys, np.array(places), truth)


def _share(made: "VectorSet", keys: NDArray[np.int64], places: NDArray[np.int64], truth: NDArray[np.float32]) -> float:
    """Of the best k, by score, so that equals count alike."""
    scores = np.einsum("qkd,qd->qk", made.rows[np.maximum(keys, 0)], made.queries[places])
    good = (scores >= truth[places, -1:] - 1e-5) & (keys >= 0)
    return float(good.mean())


def _writes(peer: Peer, made: "VectorSet", effort: int) -> dict[str, float | None]:
    """Adding (found by the next search), deleting, opening again: p50 and p95 in milliseconds."""
    rng, start = np.random.default_rng(5), len(made.rows)
    fresh = made.rows[rng.integers(0, start, 200)] + 0.05 * rng.normal(size=(200, made.rows.shape[1]))
    fresh = (fresh / np.linalg.norm(fresh, axis=1, keepdims=True)).astype(np.float32)
    found: dict[str, float | None] = {}
    missed = 0

    def add(place: int) -> None:
        peer.add(start + place, fresh[place])

    def check(place: int) -> None:
        nonlocal missed
        missed += int(start + place not in peer.search(fresh[place : place + 1], _K, effort, None)[0])

    found |= _quantiles("add", _timed(add, check))
    found["added rows that the next search misses, %"] = missed / 2
    try:
        found |= _quantiles("delete", _timed(lambda place: peer.delete(start + place), None))
    except NotOffered:
        found |= {"delete p50": None, "delete p95": None}
    begun = time.perf_counter()
    peer.reopen()
    peer.search(made.queries[:1], _K, effort, None)
    found["reopen to first answer"] = 1000 * (time.perf_counter() - begun)
    begun = time.perf_counter()
    peer.reopen()
    peer.search(made.queries[:1], _K, effort, None)
    found["reopen to first answer"] = 1000 * (time.perf_counter() - begun)
    return found


def _timed(step: Callable[[int], None], after: Callable[[int], None] | None) -> Iterator[float]:
    begun = time.perf_counter()
    for place in range(200):
        start = time.perf_counter()
        step(place)
        yield 1000 * (time.perf_counter() - start)
        if after:
            after(place)
        if time.perf_counter() - begun > _PATIENCE:
            return


def _quantiles(name: str, waited: Iterator[float]) -> dict[str, float]:
    values = list(waited)
    return {f"{name} p50": float(np.median(values)), f"{name} p95": float(np.quantile(values, 0.95))}


def _resident() -> int:
    """Bytes of this process in memory; what was freed before doesn't count."""
    from ...index.vectors.segments.faiss_compat import give_back_memory

    gc.collect()
    give_back_memory()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _tables(results: Sequence[Measured]) -> Any:
    speeds = list(dict.fromkeys(name for one in results for name in one.speeds))
    times = list(dict.fromkeys(name for one in results for name in one.milliseconds))
    columns = [
        "set",
        "store",
        "build s",
        "build CPU s",
        "MB",
        *(f"{name}: recall / per s / per CPU s" for name in speeds),
    ]
    rows = [
        [
            one.vectors,
            one.peer,
            f"{one.build_s:.1f}",
            f"{one.build_cpu_s:.1f}",
            f"{one.memory_mb:.0f}",
            *(_shown(one.speeds.get(name)) for name in speeds),
            *("-" if one.milliseconds.get(name) is None else f"{one.milliseconds[name]:.3g}" for name in times),
            one.note,
        ]
        for one in results
    ]
    return table(None, [*columns, *(name if "%" in name else f"{name} ms" for name in times), "note"], rows)


def _shown(speed: Speed | None) -> str:
    return "-" if speed is None else f"{speed.recall:.3f} / {speed.per_second:.0f} / {speed.per_cpu_second:.0f}"
