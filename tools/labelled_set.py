"""A folder of labelled pictures as vectors, which are kept on the disk for the next run."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..embeddings.base import Recipe
from ..embeddings.images import ImageError
from .console import errors, fail, progress
from .episodes import Numbers, Vectors
from .importing import Found, find

if TYPE_CHECKING:
    from ..index.app import App

_BATCH = 16


@dataclass(frozen=True)
class LabelledSet:
    """Unit vectors (n, dim) and numbers of their labels (n,)."""

    name: str
    vectors: Vectors
    labels: Numbers


def embedded(folder: Path, app: "App", cache: Path) -> LabelledSet:
    """The pictures in folder/<label>/ as the app sees them; only those not seen before cost time."""
    found = [one for one in find(folder, "folders") if one.concepts]
    if len({label for one in found for label in one.concepts}) < 2:
        fail(f"{folder}: two or more folders of pictures are needed")
    name = folder.resolve().name
    kept = cache / "vectors" / f"{_digest(found, app.recipe)}.npy"
    vectors = np.load(kept) if kept.exists() else _keep(kept, _embed(name, found, app))
    # What is no picture has no direction.
    there = np.flatnonzero(np.any(vectors, axis=1))
    _, labels = np.unique([label for one in found for label in one.concepts], return_inverse=True)
    return LabelledSet(name, vectors[there], labels.astype(np.int64)[there])


def _digest(found: Sequence[Found], recipe: Recipe) -> str:
    """Of what the pictures hold and what sees them; not of where they are or how they are labelled."""
    digest = hashlib.sha256(repr(recipe).encode())
    for one in found:
        digest.update(hashlib.sha256(one.path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _embed(name: str, found: Sequence[Found], app: "App") -> Vectors:
    """(n, dim), zeros for what is no picture."""
    vectors = np.zeros((len(found), app.dim), dtype=np.float32)
    with progress(f"{name}, {app.recipe.workflow}: embedding", len(found)) as bar:
        for start in range(0, len(found), _BATCH):
            batch = found[start : start + _BATCH]
            outcomes = app.embed_each([one.path for one in batch], [None] * len(batch))
            for place, outcome in enumerate(outcomes, start):
                if isinstance(outcome, ImageError):
                    errors.print(f"left out {found[place].name}: {outcome}")
                elif isinstance(outcome, Exception):
                    raise outcome
                else:
                    vectors[place] = outcome
            bar.advance(len(batch))
    return vectors


def _keep(file: Path, vectors: Vectors) -> Vectors:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as written:
        np.save(written, vectors)
    os.replace(written.name, file)
    return vectors
