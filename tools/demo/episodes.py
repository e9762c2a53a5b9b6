"""Few-shot episodes: labels drawn from a labelled set, a few pictures of each to teach, and others to test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]

WAY = 10
"""Most labels in an episode."""
_QUERIES = 15
"""Most test pictures per label."""
_BACKGROUND = 600
_LEAST_LABELS = 5
_SMALL = 4
"""If no label has more pictures than this, two test pictures are enough."""


@dataclass(frozen=True)
class Episode:
    """The data that every method gets: unit vectors, and labels as numbers from 0."""

    train: Vectors
    """(n, dim), `shots` of each label."""
    labels: Numbers
    """(n,)"""
    background: Vectors
    """(m, dim): other pictures of the task, without labels; never queries."""
    queries: Vectors
    """(q, dim)"""
    truth: Numbers
    """(q,)"""

    @property
    def count(self) -> int:
        """How many labels."""
        return int(self.labels.max()) + 1

    @property
    def shots(self) -> int:
        return len(self.labels) // self.count


def draw(vectors: Vectors, labels: Numbers, shots: int, rng: np.random.Generator) -> Episode | None:
    """One episode from vectors (n, dim) of unit length with labels (n,); None if too few labels have enough pictures.

    Half of a label's other pictures are queries; the other half, and those of labels not drawn, are the background.
    """
    counts = np.bincount(labels)
    spare = 2 if counts.max() <= _SMALL else 6
    enough = np.flatnonzero(counts >= shots + spare)
    if len(enough) < max(2, min(_LEAST_LABELS, len(counts))):
        return None
    chosen = rng.choice(enough, min(WAY, len(enough)), replace=False)
    taught, tested, rest = [], [], [np.flatnonzero(~np.isin(labels, chosen))]
    for label in chosen:
        rows = rng.permutation(np.flatnonzero(labels == label))
        queries = min((len(rows) - shots + 1) // 2, _QUERIES)
        taught.append(rows[:shots])
        tested.append(rows[shots : shots + queries])
        rest.insert(-1, rows[shots + queries :])
    background = rng.permutation(np.concatenate(rest))[:_BACKGROUND]
    return Episode(
        train=vectors[np.concatenate(taught)],
        labels=np.repeat(np.arange(len(chosen)), shots),
        background=vectors[background],
        queries=vectors[np.concatenate(tested)],
        truth=np.repeat(np.arange(len(chosen)), [len(rows) for rows in tested]),
    )


def signed(vectors: Vectors, dim: int = 512, seed: int = 5) -> Vectors:
    """(n, dim) unit length: centred and rotated at random, so that features have both signs, as those of CLIP do."""
    turn = np.random.default_rng(seed).normal(size=(vectors.shape[1], dim)).astype(np.float32) / np.float32(dim**0.5)
    turned = (vectors - vectors.mean(axis=0)) @ turn
    return np.asarray(turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12), dtype=np.float32)
