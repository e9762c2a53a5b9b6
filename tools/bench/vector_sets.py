"""Vectors to measure collections with: made up, of packaged pictures, or an app's own; and facts to filter by."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from ...index.store import Store
from ..console import Context, fail
from ..picture_folders import Found, find
from .picture_vectors import picture_vectors
from .public_tasks import Unavailable, fetch, public_tasks

if TYPE_CHECKING:
    from ...index.app import App

PICTURES = "pictures"
FILTERS = ("1 %", "10 %", "50 %", "correlated 1 %")
_CLUSTERS = {"easy": (1000, 0.5), "hard": (200, 1.5)}
"""Number, and noise against centres of length 1 a dimension: tight and many, or broad and overlapping."""
_CHUNK = 65_536


@dataclass(frozen=True)
class VectorSet:
    """rows (n, dim) and queries (q, dim), float32, unit length; for each filter which rows it leaves (n,)."""

    name: str
    rows: NDArray[np.float32]
    queries: NDArray[np.float32]
    filters: Mapping[str, NDArray[np.bool_]]


def vector_set(options: Context, source: str, rows: int, dim: int, queries: int, cache: Path) -> VectorSet:
    """`easy`, `hard`, `pictures`, `pictures:WORKFLOW`, or `app:NAME` with the vectors that the app has."""
    kind, _, name = source.partition(":")
    if source in _CLUSTERS:
        return made_up(source, rows, dim, queries)
    if kind == PICTURES:
        return of_pictures(name or "general", rows, queries, cache)
    if kind != "app":
        raise typer.BadParameter(f"--vectors knows easy, hard, pictures and app:NAME, not {source!r}")
    with Store.open(options.data, database_url=options.database_url) as store:
        app = store.app(name)
        if len(app.state().collection) < 10 * queries:
            fail(f"{source} has {len(app.state().collection)} vectors; {queries} queries take at least {10 * queries}")
        return of_app(app, queries)


def made_up(name: str, count: int, dim: int, queries: int) -> VectorSet:
    """`easy` or `hard`; the same rows for the same arguments."""
    number, noise = _CLUSTERS[name]
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(number, dim)).astype(np.float32)
    rows = np.empty((count + queries, dim), dtype=np.float32)
    cluster = rng.integers(0, number, len(rows))
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        rng.standard_normal(out=part, dtype=np.float32)
        part *= noise
        part += centres[cluster[start : start + _CHUNK]]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return VectorSet(name, rows[:count], rows[count:], _filters(cluster[:count], number, rng))


def of_pictures(workflow: str, count: int, queries: int, cache: Path) -> VectorSet:
    """Random crops of the packaged pictures of all public tasks, as a base workflow sees them; no crop comes twice.

    The same for the same arguments; more rows go on where fewer ended. Pictures and vectors stay in the cache.
    """
    pictures = packaged_pictures(cache)
    crops = random_crops(pictures, queries + count)
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        vectors = picture_vectors(f"{len(crops)} crops", crops, store.create_app("pictures", workflow), cache)
    # Filters go by the picture, and so by what it shows: pictures are in the order of their tasks and labels.
    place = {one.path: number for number, one in enumerate(pictures)}
    cluster = np.array([place[one.path] for one in crops[queries:]])
    filters = _filters(cluster, len(pictures), np.random.default_rng(1))
    return VectorSet(f"{PICTURES}, {workflow}", vectors[queries:], vectors[:queries], filters)


def packaged_pictures(cache: Path) -> list[Found]:
    """Of all public tasks, fetched unless an earlier run has."""
    found: list[Found] = []
    for task in public_tasks().values():
        try:
            found += find(fetch(task, cache), "folders")
        except Unavailable as reason:
            fail(f"the pictures of {task.source} are not in {cache}, and can't be fetched: {reason}")
    return found


def random_crops(pictures: Sequence[Found], count: int) -> list[Found]:
    """So many, each of a third to all of the height and the width, on whole pixels so that none is another's twin."""
    rng = np.random.default_rng(0)
    sizes = []
    for one in pictures:
        with Image.open(one.path) as picture:
            sizes.append((picture.height, picture.width))
    drawn: dict[tuple[int, tuple[float, float, float, float]], None] = {}
    while len(drawn) < count:
        number = int(rng.integers(len(pictures)))
        (top, bottom), (left, right) = (_part(length, rng) for length in sizes[number])
        drawn[number, (top, left, bottom, right)] = None
    return [replace(pictures[number], crop=box) for number, box in drawn]


def of_app(app: "App", queries: int) -> VectorSet:
    """An app's vectors; some of them are taken out to be the queries."""
    keys = app.state().collection.keys()
    rows = np.random.default_rng(0).permutation(app.state().collection.get(keys))
    count = len(rows) - queries
    near = rows[:count] @ rows[0]
    cluster = np.argsort(np.argsort(-near)) * 100 // max(count, 1)
    return VectorSet(app.name, rows[:count], rows[count:], _filters(cluster, 100, np.random.default_rng(1)))


def _filters(cluster: NDArray[np.int64], number: int, rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    drawn = rng.random(len(cluster))
    shares = {name: drawn < share for name, share in zip(FILTERS, (0.01, 0.1, 0.5), strict=False)}
    return shares | {FILTERS[3]: cluster < max(number // 100, 1)}


def _part(length: int, rng: np.random.Generator) -> tuple[float, float]:
    """Where a part of so many pixels starts and stops, as fractions."""
    size = int(rng.integers(-(-length // 3), length + 1))
    start = int(rng.integers(length - size + 1))
    return start / length, (start + size) / length
