"""Vectors of a folder of labelled pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..console import fail
from ..demo.episodes import Numbers, Vectors
from ..picture_folders import find_pictures
from .picture_vectors import picture_vectors

if TYPE_CHECKING:
    from ...index.app import App


@dataclass(frozen=True)
class LabelledSet:
    """Unit vectors (n, dim) and label numbers (n,)."""

    name: str
    vectors: Vectors
    labels: Numbers
    names: Sequence[str]
    """The label of each number."""


def embedded(folder: Path, app: "App", cache: Path) -> LabelledSet:
    """The pictures in folder/<label>/, embedded by the app or read from the cache."""
    files = [file for file in find_pictures(folder, "folders") if file.concepts]
    if len({label for file in files for label in file.concepts}) < 2:
        fail(f"{folder} needs two or more folders of pictures")
    name = folder.resolve().name
    vectors = picture_vectors(name, files, app, cache)
    # Files that are no pictures have zero vectors.
    rows = np.flatnonzero(np.any(vectors, axis=1))
    names, labels = np.unique([label for file in files for label in file.concepts], return_inverse=True)
    return LabelledSet(name, vectors[rows], labels.astype(np.int64)[rows], names.tolist())
