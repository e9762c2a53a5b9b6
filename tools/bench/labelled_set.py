"""A folder of labelled pictures as vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..console import fail
from ..demo.episodes import Numbers, Vectors
from ..picture_folders import find
from .picture_vectors import picture_vectors

if TYPE_CHECKING:
    from ...index.app import App


@dataclass(frozen=True)
class LabelledSet:
    """Unit vectors (n, dim) and numbers of their labels (n,)."""

    name: str
    vectors: Vectors
    labels: Numbers
    names: Sequence[str]
    """What each number stands for."""


def embedded(folder: Path, app: "App", cache: Path) -> LabelledSet:
    """The pictures in folder/<label>/ as the app sees them; only those not seen before cost time."""
    found = [one for one in find(folder, "folders") if one.concepts]
    if len({label for one in found for label in one.concepts}) < 2:
        fail(f"{folder}: two or more folders of pictures are needed")
    name = folder.resolve().name
    vectors = picture_vectors(name, found, app, cache)
    # What is no picture has no direction.
    there = np.flatnonzero(np.any(vectors, axis=1))
    names, labels = np.unique([label for one in found for label in one.concepts], return_inverse=True)
    return LabelledSet(name, vectors[there], labels.astype(np.int64)[there], names.tolist())
