"""Vectors in clouds, and the oracle: what NumPy finds by looking at all of them."""

from dataclasses import dataclass, field

import numpy as np

from tenshot.index.vectors.settings import Sizes

SMALL = Sizes(exact=600, lists=2400, flat_first=3500, tail=64, merge=256, dead=100, inline=200)
"""Every way of searching, at a size that a test can wait for."""


@dataclass
class Clouds:
    """Unit vectors near random directions; the same seed gives the same ones."""

    dim: int = 32
    number: int = 40
    spread: float = 0.6
    seed: int = 0
    rng: np.random.Generator = field(init=False)
    centres: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.centres = self.rng.normal(size=(self.number, self.dim))

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(count, dim) float32, and the cloud (count,) of each."""
        cloud = self.rng.integers(0, self.number, count)
        rows = self.centres[cloud] + self.spread * self.rng.normal(size=(count, self.dim))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), cloud


def recall(found: np.ndarray, scores: np.ndarray, rows: dict[int, np.ndarray], queries: np.ndarray) -> float:
    """Of the true neighbours among rows (key -> vector), the share that was found; checks all else of an answer.

    found, scores: (q, k) as a search gave them. As many as there are must be there, each once, best first, with its
    exact score.
    """
    keys = np.array(sorted(rows), dtype=np.int64)
    vectors = np.stack([rows[key] for key in keys.tolist()]) if len(keys) else np.empty((0, queries.shape[1]))
    width = min(found.shape[1], len(keys))
    hits = 0
    for query, given, values in zip(queries, found, scores, strict=True):
        assert (given[width:] == -1).all()
        assert np.isneginf(values[width:]).all()
        given, values = given[:width], values[:width]
        assert len(set(given.tolist())) == width
        assert set(given.tolist()) <= rows.keys()
        truth = vectors @ query
        np.testing.assert_allclose(values, truth[np.searchsorted(keys, given)], atol=1e-5)
        assert (np.diff(values) <= 0).all()
        if width:
            hits += int((values >= np.sort(truth)[-width] - 1e-5).sum())
    return float(hits / max(width * len(queries), 1))
