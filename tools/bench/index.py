"""`tenshot bench index`: recall, speed and memory of the collection and of other vector stores, in one run."""

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

from ..console import errors, fail, output, table
from ..demo.chart import speed_chart
from .competitor import Competitor, NotOffered
from .competitors import COMPETITORS
from .threads import restart_on_one_thread

if TYPE_CHECKING:
    from .vector_sets import VectorSet

_K = 10
_ENOUGH = 0.95
_TUNING = 64
"""Queries that determine a competitor's effort; the others are measured."""
_BATCH = 64
_PASSES = 3
_PATIENCE = 20.0
"""Seconds after which one measurement ends."""


@dataclass(frozen=True)
class Speed:
    """Recall@10, and queries per second of wall-clock time and of CPU time (of all threads of the process)."""

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
    """Growth of the process, including the rows."""
    speeds: dict[str, Speed | None] = field(default_factory=dict)
    """`one query`, `batch of 64`, and one query under each filter; None: not offered."""
    milliseconds: dict[str, float | None] = field(default_factory=dict)
    """p50 and p95 of adding a row so that the next search finds it, and of deleting one; and of reopening."""
    note: str = ""


def index(
    context: typer.Context,
    vectors: Annotated[
        str,
        typer.Option(
            help="Sets: easy, hard (synthetic); pictures, or pictures:WORKFLOW (embedded crops of packaged pictures); "
            "app:NAME (an app's own)."
        ),
    ] = "easy,hard",
    rows: Annotated[int, typer.Option(min=1000, help="Rows, unless the set is an app's own.")] = 100_000,
    dim: Annotated[int, typer.Option(min=2, help="Vector length of a synthetic set.")] = 512,
    peers: Annotated[str, typer.Option(help=f"Some of {', '.join(COMPETITORS)}; or all.")] = "all",
    queries: Annotated[int, typer.Option(min=_TUNING + 10, help="Queries; 64 of them only determine efforts.")] = 320,
    chart: Annotated[Path | None, typer.Option(help="Write an SVG chart of recall and speed.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="The folder for fetched pictures and vectors; by default in the user's cache.")
    ] = None,
) -> None:
    """Compare vector search with other stores, on one core.

    Example: tenshot bench index --rows 20000 --peers tenshot,usearch
    """
    from .public_tasks import user_cache
    from .vector_sets import PICTURES, vector_set

    chosen = list(COMPETITORS) if peers == "all" else peers.split(",")
    for name in chosen:
        if name not in COMPETITORS:
            raise typer.BadParameter(f"--peers knows {', '.join(COMPETITORS)}, not {name!r}")
    cache_folder, sources = cache or user_cache(), vectors.split(",")
    for source in sources:
        if source.startswith(PICTURES):
            # Embeds on all cores, before the process restarts without the model's threads and memory.
            vector_set(context.obj, source, rows, dim, queries, cache_folder)
    restart_on_one_thread()
    results = []
    for source in sources:
        measured_set = vector_set(context.obj, source, rows, dim, queries, cache_folder)
        truth = {name: _truth(measured_set, allowed) for name, allowed in {"": None, **measured_set.filters}.items()}
        for name in chosen:
            errors.print(f"{measured_set.name}, {len(measured_set.rows)} x {measured_set.rows.shape[1]}: {name} ...")
            with tempfile.TemporaryDirectory() as folder:
                results.append(_in_subprocess(partial(_measure, name, measured_set, truth, Path(folder) / "rows")))
            errors.print(results[-1])
    if chart:
        speed_chart(
            f"One query at a time, recall@{_K}, {results[0].rows} x {results[0].dim}",
            {
                (measured.peer, measured.vectors): (s.recall, s.per_cpu_second)
                for measured in results
                if (s := measured.speeds.get("one"))
            },
            chart,
        )
    output(context.obj, [asdict(measured) for measured in results], _tables(results))


def _truth(vectors: "VectorSet", allowed: NDArray[np.bool_] | None) -> NDArray[np.float32]:
    """(q, k): the exact scores of the k best allowed rows."""
    best = np.full((len(vectors.queries), _K), -np.inf, dtype=np.float32)
    for start in range(0, len(vectors.rows), 65_536):
        scores = vectors.queries @ vectors.rows[start : start + 65_536].T
        if allowed is not None:
            scores[:, ~allowed[start : start + 65_536]] = -np.inf
        both = np.concatenate([best, scores], axis=1)
        best = -np.partition(-both, _K - 1, axis=1)[:, :_K]
    return -np.sort(-best, axis=1)


def _measure(name: str, vectors: "VectorSet", truth: dict[str, NDArray[np.float32]], folder: Path) -> Measured:
    dim = vectors.rows.shape[1]
    measured = Measured(vectors.name, len(vectors.rows), dim, name)
    try:
        peer = COMPETITORS[name](dim, folder)
    except ImportError as error:
        measured.note = f"not installed: {error.name}"
        return measured
    try:
        before = _resident()
        start, cpu = time.perf_counter(), time.process_time()
        peer.build(vectors.rows, vectors.filters)
        measured.build_s, measured.build_cpu_s = time.perf_counter() - start, time.process_time() - cpu
        measured.memory_mb = (_resident() - before) / 1e6
        measured.speeds["one"] = _speed(peer, vectors, truth[""], None, 1)
        effort = measured.speeds["one"].effort if measured.speeds["one"] else peer.efforts[-1]
        measured.speeds[f"batch {_BATCH}"] = _speed(peer, vectors, truth[""], None, _BATCH, [effort])
        for where in vectors.filters:
            measured.speeds[where] = _speed(peer, vectors, truth[where], where, 1)
        measured.milliseconds = _writes(peer, vectors, effort)
    except NotOffered:
        measured.note = "not offered"
    except Exception as error:
        measured.note = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:120]}"
    return measured


def _in_subprocess(measure: Callable[[], Measured]) -> Measured:
    """Measures in a forked process, so that memory and threads are one store's alone."""
    processes = get_context("fork")
    here, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=lambda: sender.send(measure()))
    process.start()
    sender.close()
    try:
        measured: Measured = here.recv()
    except EOFError:
        process.join()
        fail(f"the measuring process ended early (exit code {process.exitcode})")
    process.join()
    return measured


def _speed(
    peer: Competitor,
    vectors: "VectorSet",
    truth: NDArray[np.float32],
    where: str | None,
    batch: int,
    efforts: Sequence[int] | None = None,
) -> Speed | None:
    """The speed at the cheapest effort with enough recall on the tuning queries, or at the highest effort."""
    efforts = efforts or peer.efforts
    try:
        effort = next(
            (e for e in efforts if _recall(vectors, peer, truth, range(_TUNING), e, where) >= _ENOUGH), efforts[-1]
        )
    except NotOffered:
        return None
    indexes = np.arange(_TUNING, len(vectors.queries))
    best, best_cpu = np.inf, np.inf
    results: list[NDArray[np.int64]] = []
    for number in range(_PASSES):
        seconds, cpu, count = 0.0, 0.0, 0
        out: list[NDArray[np.int64]] = []
        for start in range(0, len(indexes), batch):
            chosen = vectors.queries[indexes[start : start + batch]]
            begun, begun_cpu = time.perf_counter(), time.process_time()
            keys = peer.search(chosen, _K, effort, where)
            seconds, cpu = seconds + time.perf_counter() - begun, cpu + time.process_time() - begun_cpu
            count += len(chosen)
            out.append(keys)
            if seconds > _PATIENCE:
                break
        results = results or out
        best, best_cpu = min(best, seconds / count), min(best_cpu, cpu / count)
        if seconds > _PATIENCE / _PASSES and number == 0:
            break
    keys = np.concatenate(results)
    return Speed(_share(vectors, keys, indexes[: len(keys)], truth), 1 / best, 1 / max(best_cpu, 1e-9), effort)


def _recall(
    vectors: "VectorSet", peer: Competitor, truth: NDArray[np.float32], indexes: range, effort: int, where: str | None
) -> float:
    keys = np.concatenate([peer.search(vectors.queries[i : i + 1], _K, effort, where) for i in indexes])
    return _share(vectors, keys, np.array(indexes), truth)


def _share(
    vectors: "VectorSet", keys: NDArray[np.int64], indexes: NDArray[np.int64], truth: NDArray[np.float32]
) -> float:
    """The share of the best k that was found, by score, so that ties count alike."""
    scores = np.einsum("qkd,qd->qk", vectors.rows[np.maximum(keys, 0)], vectors.queries[indexes])
    good = (scores >= truth[indexes, -1:] - 1e-5) & (keys >= 0)
    return float(good.mean())


def _writes(peer: Competitor, vectors: "VectorSet", effort: int) -> dict[str, float | None]:
    """p50 and p95, in milliseconds, of adding a row that the next search finds, of deleting, and of reopening."""
    rng, start = np.random.default_rng(5), len(vectors.rows)
    fresh = vectors.rows[rng.integers(0, start, 200)] + 0.05 * rng.normal(size=(200, vectors.rows.shape[1]))
    fresh = (fresh / np.linalg.norm(fresh, axis=1, keepdims=True)).astype(np.float32)
    times: dict[str, float | None] = {}
    missed = 0

    def add(number: int) -> None:
        peer.add(start + number, fresh[number])

    def check(number: int) -> None:
        nonlocal missed
        missed += int(start + number not in peer.search(fresh[number : number + 1], _K, effort, None)[0])

    times |= _quantiles("add", _timed(add, check))
    times["added rows that the next search misses, %"] = missed / 2
    try:
        times |= _quantiles("delete", _timed(lambda number: peer.delete(start + number), None))
    except NotOffered:
        times |= {"delete p50": None, "delete p95": None}
    begun = time.perf_counter()
    peer.reopen()
    peer.search(vectors.queries[:1], _K, effort, None)
    times["reopen to first answer"] = 1000 * (time.perf_counter() - begun)
    begun = time.perf_counter()
    peer.reopen()
    peer.search(vectors.queries[:1], _K, effort, None)
    times["reopen to first answer"] = 1000 * (time.perf_counter() - begun)
    return times


def _timed(step: Callable[[int], None], after: Callable[[int], None] | None) -> Iterator[float]:
    begun = time.perf_counter()
    for number in range(200):
        start = time.perf_counter()
        step(number)
        yield 1000 * (time.perf_counter() - start)
        if after:
            after(number)
        if time.perf_counter() - begun > _PATIENCE:
            return


def _quantiles(name: str, waited: Iterator[float]) -> dict[str, float]:
    values = list(waited)
    return {f"{name} p50": float(np.median(values)), f"{name} p95": float(np.quantile(values, 0.95))}


def _resident() -> int:
    """Resident memory of this process in bytes, after freed memory is returned to the system."""
    from ...index.vectors.faiss_compat import give_back_memory

    gc.collect()
    give_back_memory()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _tables(results: Sequence[Measured]) -> Any:
    speeds = list(dict.fromkeys(name for measured in results for name in measured.speeds))
    times = list(dict.fromkeys(name for measured in results for name in measured.milliseconds))
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
            measured.vectors,
            measured.peer,
            f"{measured.build_s:.1f}",
            f"{measured.build_cpu_s:.1f}",
            f"{measured.memory_mb:.0f}",
            *(_speed_text(measured.speeds.get(name)) for name in speeds),
            *(
                "-" if measured.milliseconds.get(name) is None else f"{measured.milliseconds[name]:.3g}"
                for name in times
            ),
            measured.note,
        ]
        for measured in results
    ]
    return table(None, [*columns, *(name if "%" in name else f"{name} ms" for name in times), "note"], rows)


def _speed_text(speed: Speed | None) -> str:
    return "-" if speed is None else f"{speed.recall:.3f} / {speed.per_second:.0f} / {speed.per_cpu_second:.0f}"
