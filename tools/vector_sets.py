"""Vectors to measure collections with: made up, or an app's own; beside each a few facts to filter by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..index.app import App

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


def of_app(app: "App", queries: int) -> VectorSet:
    """An app's vectors; some of them are taken out to be the queries."""
    keys = app._collection.keys()
    rows = np.random.default_rng(0).permutation(app._collection.get(keys))
    count = len(rows) - queries
    near = rows[:count] @ rows[0]
    cluster = np.argsort(np.argsort(-near)) * 100 // max(count, 1)
    return VectorSet(app.name, rows[:count], rows[count:], _filters(cluster, 100, np.random.default_rng(1)))


def _filters(cluster: NDArray[np.int64], number: int, rng: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    drawn = rng.random(len(cluster))
    shares = {name: drawn < share for name, share in zip(FILTERS, (0.01, 0.1, 0.5), strict=False)}
    return shares | {FILTERS[3]: cluster < max(number // 100, 1)}
