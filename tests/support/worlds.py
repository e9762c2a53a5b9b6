"""Small made-up apps to score: a few clusters of unit vectors, some labelled."""

from dataclasses import dataclass

import numpy as np

from tenshot.index.records import FloatArray
from tenshot.index.scoring.examples import Background, Examples, Labels
from tenshot.index.scoring.scorer import Scorer, scorer_of
from tenshot.index.scoring.space import Space

FORMS = {
    "independent": {"mutually_exclusive": False, "closed_environment": False},
    "exclusive and open": {"mutually_exclusive": True, "closed_environment": False},
    "exclusive and closed": {"mutually_exclusive": True, "closed_environment": True},
}


@dataclass(frozen=True)
class World:
    """Input key i is row i; its cluster is `truth[i]`."""

    vectors: FloatArray
    truth: np.ndarray
    background: np.ndarray

    @property
    def space(self) -> Space:
        """Smoothed over every third input, whichever of them are in the background."""
        return Space.fit(self.vectors, 0.5).smoothed(self.vectors[::3])

    def examples(self) -> Examples:
        space = self.space
        background = Background(self.background, space.prepare(self.vectors[self.background]))
        return Examples(space, background, lambda keys: self.vectors[keys])

    def labels(self, shots: int) -> dict[str, dict[int, bool]]:
        """The first so many of each cluster, yes for `c0`, `c1`, ..."""
        return {
            f"c{c}": dict.fromkeys(np.flatnonzero(self.truth == c)[:shots].tolist(), True)
            for c in range(self.truth.max() + 1)
        }

    def scorer(self, labels: Labels, form: str) -> Scorer:
        return scorer_of(self.examples(), list(labels), labels, **FORMS[form])


def world(*, clusters: int = 4, count: int = 200, dim: int = 32, noise: float = 0.6, seed: int = 0) -> World:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, dim))
    truth = rng.integers(0, clusters, count)
    vectors = np.abs(centres[truth] + noise * rng.normal(size=(count, dim))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return World(vectors, truth, np.arange(0, count, 3))
