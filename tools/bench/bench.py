"""`tenshot bench`: all measurements, and `latency`, each compared with alternatives in the same run."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
import typer
from numpy.random import Generator

from ...index.records import FloatArray
from ..console import errors, output, table
from . import accuracy, embed, growing, http, judging, page, soak, words
from .index import index
from .threads import restart_on_one_thread

app = typer.Typer(no_args_is_help=True, help="Measure this machine, and alternatives in the same run.")
_MOST_REFIT = 1_000_000
"""Labels times concepts beyond which refitting, which takes minutes per label, is left out."""
_BATCH = 10_000


@dataclass(frozen=True)
class Timing:
    """The time from a label to a prediction that includes it, and the time of predictions alone."""

    labels: int
    method: str
    p50_ms: float
    p95_ms: float
    predict_ms: float
    """p50 of the prediction of one vector."""
    batch_s: float
    """10,000 vectors in one call."""
    ratio: float | None = None
    """p50 divided by that of the built-in model in the same run."""


def register(main: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(http.http)
    app.command()(embed.embed)
    app.command()(soak.soak)
    app.command()(page.page)
    app.command()(index)
    for measurements in (accuracy, growing, judging, words):
        measurements.register(app)
    main.add_typer(app, name="bench")


@app.command()
def latency(
    context: typer.Context,
    sizes: Annotated[str, typer.Option(help="Numbers of labels.")] = "100,1000,10000",
    dim: Annotated[int, typer.Option(min=2, help="Vector length.")] = 1280,
    concepts: Annotated[int, typer.Option(min=2, help="Concepts of the model.")] = 10,
    repeats: Annotated[int, typer.Option(min=3, help="Labels that are timed for each size.")] = 50,
) -> None:
    """Measure the time from a label to the changed prediction, on one core. Example: tenshot bench latency --sizes
    100,1000

    With --sizes 100000 --concepts 1000 it takes some minutes and 6 GB.
    """
    try:
        numbers = [int(size) for size in sizes.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"--sizes takes whole numbers from 1, separated by commas, not {sizes!r}")
    restart_on_one_thread()
    timings = [timing for size in numbers for timing in _measure(size, dim, concepts, repeats)]
    columns = ["labels", "method", "p50 ms", "p95 ms", "times tenshot", "predict one ms", "predict 10,000 s"]
    cells = [
        [
            *(t.labels, t.method, f"{t.p50_ms:.2f}", f"{t.p95_ms:.2f}"),
            *("-" if t.ratio is None else f"{t.ratio:.1f}", f"{t.predict_ms:.2f}", f"{t.batch_s:.2f}"),
        ]
        for t in timings
    ]
    output(context.obj, [asdict(timing) for timing in timings], table(None, columns, cells))


def _measure(size: int, dim: int, concept_count: int, repeats: int) -> list[Timing]:
    from ...index.store import Store
    from ..demo.baselines import NAMES, fitted

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(concept_count, dim)).astype(np.float32)
    truth = np.arange(size + repeats) % concept_count
    vectors = np.concatenate([_pictures(rng, centres[truth[i : i + _BATCH]]) for i in range(0, len(truth), _BATCH)])
    query, batch = vectors[:1], np.resize(vectors, (_BATCH, dim))
    ids = [f"x{i}" for i in range(len(vectors))]
    concepts = [f"c{c}" for c in range(concept_count)]
    errors.print(f"{size} labels, {dim} dimensions, {concept_count} concepts ...")
    timings = []
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        opened = store.create_app("bench", workflow="vectors", dim=dim)
        opened.add_vectors(vectors, ids, [{concepts[c]: True} if i < size else {} for i, c in enumerate(truth)])
        opened.create_model("exclusive", concepts, mutually_exclusive=True, closed_environment=True)
        for method, model in (("tenshot, built-in model", None), ("tenshot, exclusive model", "exclusive")):
            opened.predict_vectors(query, model)

            def step(i: int, model: str | None = model) -> None:
                opened.label(ids[i], {concepts[truth[i]]: True})
                opened.predict_vectors(query, model)

            def undo(i: int, model: str | None = model) -> None:
                opened.label(ids[i], {concepts[truth[i]]: None})
                opened.predict_vectors(query, model)

            def ask(rows: FloatArray, model: str | None = model) -> None:
                opened.predict_vectors(rows, model)

            timings.append(_timing(size, method, range(size, size + repeats), step, undo, ask, query, batch))
    if size * concept_count > _MOST_REFIT:
        return timings
    fewer = max(3, repeats // 10)
    for name in NAMES:

        def refit(i: int, name: str = name) -> None:
            fitted(name, vectors[: i + 1], truth[: i + 1]).predict(query)

        predict = fitted(name, vectors[:size], truth[:size]).predict
        timings.append(
            _timing(size, f"scikit-learn refit, {name}", range(size, size + fewer), refit, None, predict, query, batch)
        )
    return [timings[0], *(replace(timing, ratio=timing.p50_ms / timings[0].p50_ms) for timing in timings[1:])]


def _pictures(rng: Generator, centres: FloatArray) -> FloatArray:
    """(n, dim): a nonnegative vector near each of the centres (n, dim)."""
    return np.maximum(centres + 2 * rng.normal(size=centres.shape), 0).astype(np.float32)


def _timing(
    size: int,
    method: str,
    indexes: range,
    step: Callable[[int], Any],
    undo: Callable[[int], Any] | None,
    ask: Callable[[FloatArray], Any],
    query: FloatArray,
    batch: FloatArray,
) -> Timing:
    waited = []
    for i in indexes:
        start = time.perf_counter()
        step(i)
        waited.append(1000 * (time.perf_counter() - start))
        if undo:
            undo(i)
    ask(query)
    alone = [_seconds(ask, query) for _ in indexes]
    return Timing(
        size,
        method,
        p50_ms=float(np.median(waited)),
        p95_ms=float(np.quantile(waited, 0.95)),
        predict_ms=1000 * float(np.median(alone)),
        batch_s=min(_seconds(ask, batch) for _ in range(3)),
    )


def _seconds(ask: Callable[[FloatArray], Any], rows: FloatArray) -> float:
    start = time.perf_counter()
    ask(rows)
    return time.perf_counter() - start
