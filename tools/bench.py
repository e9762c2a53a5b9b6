"""`tenshot bench`: how fast, measured in pairs with what people would do instead."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from . import bench_embed, bench_http, bench_page
from .bench_index import index
from .console import errors, say, table
from .threads import start_over_on_one_thread

app = typer.Typer(no_args_is_help=True, help="Measure this machine, beside named baselines in the same run.")
_CONCEPTS = 10


@dataclass(frozen=True)
class Timing:
    """From a label to the prediction that knows it, in milliseconds."""

    labels: int
    method: str
    p50_ms: float
    p95_ms: float
    ratio: float | None = None
    """p50 over that of the built-in model of the same run."""


def register(main: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(bench_http.http)
    app.command()(bench_embed.embed)
    app.command()(bench_page.page)
    app.command()(index)
    main.add_typer(app, name="bench")


@app.command()
def latency(
    context: typer.Context,
    sizes: Annotated[str, typer.Option(help="Numbers of labels.")] = "100,1000,10000",
    dim: Annotated[int, typer.Option(min=2, help="Vector length.")] = 1280,
    repeats: Annotated[int, typer.Option(min=3, help="Labels given and timed for each size.")] = 50,
) -> None:
    """From a label to the changed prediction, on one core. Example: tenshot bench latency --sizes 100,1000"""
    try:
        numbers = [int(size) for size in sizes.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"--sizes takes whole numbers from 1, separated by commas, not {sizes!r}")
    start_over_on_one_thread()
    timings = [timing for size in numbers for timing in _measure(size, dim, repeats)]
    columns = ["labels", "method", "p50 ms", "p95 ms", "times tenshot"]
    shown = [
        [t.labels, t.method, f"{t.p50_ms:.2f}", f"{t.p95_ms:.2f}", "-" if t.ratio is None else f"{t.ratio:.1f}"]
        for t in timings
    ]
    say(context.obj, [asdict(timing) for timing in timings], table(None, columns, shown))


def _measure(size: int, dim: int, repeats: int) -> list[Timing]:
    import numpy as np

    from ..index.store import Store
    from .baselines import NAMES, fitted

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CONCEPTS, dim))
    truth = np.arange(size + repeats) % _CONCEPTS
    vectors = np.maximum(centres[truth] + 2 * rng.normal(size=(size + repeats, dim)), 0).astype(np.float32)
    query = vectors[:1]
    ids = [f"x{i}" for i in range(len(vectors))]
    concepts = [f"c{c}" for c in range(_CONCEPTS)]
    errors.print(f"{size} labels, {dim} dimensions, {_CONCEPTS} concepts ...")
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

            timings.append(_timing(size, method, range(size, size + repeats), step, undo))
    fewer = max(3, repeats // 10)
    for name in NAMES:

        def refit(i: int, name: str = name) -> None:
            fitted(name, vectors[: i + 1], truth[: i + 1]).predict(query)

        timings.append(_timing(size, f"scikit-learn refit, {name}", range(size, size + fewer), refit, None))
    base = timings[0].p50_ms
    return [timings[0], *(Timing(t.labels, t.method, t.p50_ms, t.p95_ms, t.p50_ms / base) for t in timings[1:])]


def _timing(
    size: int, method: str, which: range, step: Callable[[int], Any], undo: Callable[[int], Any] | None
) -> Timing:
    import numpy as np

    waited = []
    for i in which:
        start = time.perf_counter()
        step(i)
        waited.append(1000 * (time.perf_counter() - start))
        if undo:
            undo(i)
    return Timing(size, method, float(np.median(waited)), float(np.quantile(waited, 0.95)))
