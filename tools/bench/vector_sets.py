"""Vectors for measuring collections: synthetic, of packaged pictures, or an app's own; with filters."""

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
from ..picture_folders import PictureFile, find_pictures
from .picture_vectors import picture_vectors
from .public_tasks import Unavailable, fetch, public_tasks

if TYPE_CHECKING:
    from ...index.app import App

PICTURES = "pictures"
FILTERS = ("1 %", "10 %", "50 %", "correlated 1 %")
_CLUSTERS = {"easy": (1000, 0.5), "hard": (200, 1.5)}
"""Number of clusters, and noise relative to a standard deviation of 1 per dimension: tight or overlapping clusters."""
_CHUNK = 65_536


@dataclass(frozen=True)
class VectorSet:
    """rows (n, dim) and queries (q, dim), float32, unit length; for each filter the mask of its rows (n,)."""

    name: str
    rows: NDArray[np.float32]
    queries: NDArray[np.float32]
    filters: Mapping[str, NDArray[np.bool_]]


def vector_set(options: Context, source: str, rows: int, dim: int, queries: int, cache: Path) -> VectorSet:
    """source: `easy`, `hard`, `pictures`, `pictures:WORKFLOW`, or `app:NAME` for an app's own vectors."""
    kind, _, name = source.partition(":")
    if source in _CLUSTERS:
        return synthetic_vector_set(source, rows, dim, queries)
    if kind == PICTURES:
        return picture_vector_set(name or "general", rows, queries, cache)
    if kind != "app":
        raise typer.BadParameter(f"--vectors knows easy, hard, pictures and app:NAME, not {source!r}")
    with Store.open(options.data, database_url=options.database_url) as store:
        app = store.app(name)
        if len(app.state().collection) < 10 * queries:
            fail(f"{source} has {len(app.state().collection)} vectors; {queries} queries take at least {10 * queries}")
        return app_vector_set(app, queries)


def synthetic_vector_set(name: str, count: int, dim: int, queries: int) -> VectorSet:
    """name: `easy` or `hard`. The same arguments give the same rows."""
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


def picture_vector_set(workflow: str, count: int, queries: int, cache: Path) -> VectorSet:
    """Vectors of different random crops of the pictures of all public tasks, embedded by a base workflow.

    The same arguments give the same rows; a larger count extends a smaller one. The cache keeps pictures and vectors.
    """
    pictures = packaged_pictures(cache)
    crops = random_crops(pictures, queries + count)
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        vectors = picture_vectors(f"{len(crops)} crops", crops, store.create_app("pictures", workflow), cache)
    # Filters select by picture, and so by content: pictures are in the order of their tasks and labels.
    numbers = {file.path: number for number, file in enumerate(pictures)}
    cluster = np.array([numbers[file.path] for file in crops[queries:]])
    filters = _filters(cluster, len(pictures), np.random.default_rng(1))
    return VectorSet(f"{PICTURES}, {workflow}", vectors[queries:], vectors[:queries], filters)


def packaged_pictures(cache: Path) -> list[PictureFile]:
    """The pictures of all public tasks, fetched by the first run."""
    files: list[PictureFile] = []
    for task in public_tasks().values():
        try:
            files += find_pictures(fetch(task, cache), "folders")
        except Unavailable as reason:
            fail(f"the pictures of {task.source} are not in {cache} and can't be fetched: {reason}")
    return files


def random_crops(pictures: Sequence[PictureFile], count: int) -> list[PictureFile]:
    """Different random crops on whole pixels, each of a third to all of the height and the width."""
    rng = np.random.default_rng(0)
    sizes = []
    for file in pictures:
        with Image.open(file.path) as picture:
            sizes.append((picture.height, picture.width))
    drawn: dict[tuple[int, tuple[float, float, float, float]], None] = {}
    while len(drawn) < count:
        number = int(rng.integers(len(pictures)))
        (top, bottom), (left, right) = (_part(length, rng) for length in sizes[number])
        drawn[number, (top, left, bottom, right)] = None
    return [replace(pictures[number], crop=box) for number, box in drawn]


def app_vector_set(app: "App", queries: int) -> VectorSet:
    """An app's vectors; some of them become the queries."""
    rows = np.concatenate([vectors for _, vectors in app.state().collection.iterate()])
    rows = np.random.default_rng(0).permutation(rows)
    count = len(rows) - queries
    near = rows[:count] @ rows[0]
    cluster = np.argsort(np.argsort(-near)) * 100 // max(count, 1)
    return VectorSet(app.name, rows[:count], rows[count:], _filters(cluster, 100, np.random.default_rng(1)))


def _filters(cluster: NDArray[np.int64], number: int, rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    drawn = rng.random(len(cluster))
    shares = {name: drawn < share for name, share in zip(FILTERS, (0.01, 0.1, 0.5), strict=False)}
    return shares | {FILTERS[3]: cluster < max(number // 100, 1)}


def _part(length: int, rng: np.random.Generator) -> tuple[float, float]:
    """(start, stop) of a random part of so many pixels, as fractions."""
    size = int(rng.integers(-(-length // 3), length + 1))
    start = int(rng.integers(length - size + 1))
    return start / length, (start + size) / length
