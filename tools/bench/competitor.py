"""The interface by which `tenshot bench index` measures our collection and its competitors.

A row's key is its index; `facts` maps the names of filters to masks of the rows that they keep. Efforts ascend in cost;
the bench takes the cheapest with enough recall. A missing operation raises NotOffered.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Facts = Mapping[str, NDArray[np.bool_]]
GRAPH, BUILD = 16, 100
"""Links per row, and candidates while building, the same for every HNSW."""
EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 800)
CHUNK = 2000


class NotOffered(Exception):
    """The competitor has no such operation."""


class Competitor(Protocol):
    """One searchable collection in its own folder."""

    efforts: Sequence[int]

    def build(self, rows: Vectors, facts: Facts) -> None:
        """Adds all rows; returns when the index is complete."""

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        """(q, k) keys, padded with -1."""

    def add(self, key: int, row: Vectors) -> None:
        """Adds one row (dim,)."""

    def delete(self, key: int) -> None: ...

    def reopen(self) -> None:
        """Closes the collection, and opens it from the disk."""
