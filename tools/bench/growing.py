"""`tenshot bench growing`: search latency while rows are added and indexed, compared with an idle collection."""

import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from ..console import errors, output, table
from .threads import restart_on_one_thread

if TYPE_CHECKING:
    from ...index.vectors.collection import Collection

_K, _QUERIES, _IDLE = 10, 320, 3000
_AT_ONCE = 100
"""Rows that are added together."""
_PAUSE = 0.0005
"""Seconds between two searches, since real clients pause too."""


@dataclass(frozen=True)
class Waiting:
    """Latencies of single searches, in milliseconds."""

    state: str
    searches: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    ratio: float
    """p99 divided by that of the idle collection."""
    longest_tail: int
    """Most rows that a search had to compare one by one."""
    recall: float
    """Of the ten nearest, at the end."""


def register(bench: typer.Typer) -> None:
    """Adds this measurement."""
    bench.command()(growing)


def growing(
    context: typer.Context,
    rows: Annotated[int, typer.Option(min=1000, help="Rows at the beginning.")] = 100_000,
    more: Annotated[
        int, typer.Option(min=_AT_ONCE, help="Rows that are added; as many as at the beginning cause retraining.")
    ] = 110_000,
    rate: Annotated[int, typer.Option(min=1, help="Rows added per second.")] = 2000,
    vectors: Annotated[str, typer.Option(help="A synthetic set: easy or hard.")] = "hard",
    dim: Annotated[int, typer.Option(min=2, help="Vector length.")] = 512,
) -> None:
    """Measure searches while rows are added, and in an idle collection. Example: tenshot bench growing --rate 10000"""
    from ...index.vectors.collection import Collection
    from .vector_sets import synthetic_vector_set

    if vectors not in ("easy", "hard"):
        raise typer.BadParameter(f"--vectors knows easy and hard, not {vectors!r}")
    restart_on_one_thread()
    vector_set = synthetic_vector_set(vectors, rows + more, dim, _QUERIES)
    collection = Collection(dim)
    for start in range(0, rows, 20 * _AT_ONCE):
        stop = min(start + 20 * _AT_ONCE, rows)
        collection.upsert(np.arange(start, stop), vector_set.rows[start:stop])
    collection.wait()

    def search(number: int) -> float:
        begun = time.perf_counter()
        index = number % _QUERIES
        collection.search(vector_set.queries[index : index + 1], _K)
        return 1000 * (time.perf_counter() - begun)

    def recall(count: int) -> float:
        least = np.partition(vector_set.queries @ vector_set.rows[:count].T, count - _K, axis=1)[:, count - _K]
        return float((collection.search(vector_set.queries, _K)[1] >= least[:, None] - 1e-5).mean())

    for number in range(_QUERIES):
        search(number)
    idle = [search(number) for number in range(_IDLE)]
    measured = [_waiting("idle", idle, idle, collection.tail, recall(rows))]
    errors.print(f"{rows} x {dim}, idle; now {more} more, {rate} per second ...")
    writer = threading.Thread(target=_write, args=(collection, vector_set.rows, rows, rate))
    writer.start()
    waited, tail = list[float](), 0
    while writer.is_alive():
        waited.append(search(len(waited)))
        tail = max(tail, collection.tail)
        time.sleep(_PAUSE)
    writer.join()
    measured.append(_waiting(f"{rate} rows a second", waited, idle, tail, recall(rows + more)))
    columns = ["collection", "searches", "p50 ms", "p95 ms", "p99 ms", "p99 / idle", "longest tail", "recall@10"]
    output(
        context.obj, [asdict(state) for state in measured], table(None, columns, [_cells(state) for state in measured])
    )


def _write(collection: "Collection", rows: np.ndarray, start: int, rate: int) -> None:
    begun = time.perf_counter()
    for first in range(start, len(rows), _AT_ONCE):
        stop = min(first + _AT_ONCE, len(rows))
        collection.upsert(np.arange(first, stop), rows[first:stop])
        time.sleep(max(begun + (stop - start) / rate - time.perf_counter(), 0))
    collection.wait()


def _waiting(state: str, waited: list[float], idle: list[float], tail: int, recall: float) -> Waiting:
    p50, p95, p99 = np.quantile(waited, (0.5, 0.95, 0.99)).tolist()
    return Waiting(state, len(waited), p50, p95, p99, p99 / float(np.quantile(idle, 0.99)), tail, recall)


def _cells(waiting: Waiting) -> list[str]:
    times = (f"{value:.2f}" for value in (waiting.p50_ms, waiting.p95_ms, waiting.p99_ms, waiting.ratio))
    return [waiting.state, str(waiting.searches), *times, str(waiting.longest_tail), f"{waiting.recall:.3f}"]
