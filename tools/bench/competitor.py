"""A searchable collection behind a few verbs: what `tenshot bench index` measures ours and others by.

A row's key is its place; `facts` are the filters' names and which rows they leave. Efforts go from cheap to dear; the
bench takes the cheapest that finds enough. What a peer can't do it says by raising NotOffered.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Facts = Mapping[str, NDArray[np.bool_]]
GRAPH, BUILD = 16, 100
"""Links a row and candidates while building, the same for every HNSW."""
EFS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 400, 800)
CHUNK = 2000


class NotOffered(Exception):
    """This peer has no such operation."""


class Peer(Protocol):
    """One searchable collection in a folder of its own."""

    efforts: Sequence[int]

    def build(self, rows: Vectors, facts: Facts) -> None:
        """Takes in all rows; returns when searches are as fast as they will be."""

    def search(self, queries: Vectors, k: int, effort: int, where: str | None) -> NDArray[np.int64]:
        """(q, k) keys, -1 behind the last."""

    def add(self, key: int, row: Vectors) -> None:
        """One more row (dim,)."""

    def delete(self, key: int) -> None: ...

    def reopen(self) -> None:
        """Closes, and opens from the disk."""
