"""Vectors of pictures, or of crops, cached on disk for the next run."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache as cache_of
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...embeddings.base.embedder import FloatArray, Recipe
from ...embeddings.pictures.images import ImageError
from ...runtime.parallel import batches
from ..console import Rate, errors, progress
from ..picture_folders import PictureFile

if TYPE_CHECKING:
    from ...index.app import App

_BATCH = 16
_FILE_VECTORS = 4096
"""Vectors per file; an interrupted run continues behind the last whole file."""


def picture_vectors(name: str, files: Sequence[PictureFile], app: "App", cache: Path) -> FloatArray:
    """(n, dim) unit vectors, zeros for files that are no pictures; embeds only what is not in the cache."""
    digest = cache_of(_content)
    parts = [
        (cache / "vectors" / f"{_name(part, app.recipe, digest)}.npy", part) for part in batches(files, _FILE_VECTORS)
    ]
    new = [(file, part) for file, part in parts if not file.exists()]
    if new:
        with progress(f"{name}, {app.recipe.workflow}: embedding", sum(len(part) for _, part in new)) as bar:
            for file, part in new:
                _keep(file, _embed(part, app, bar))
    return np.concatenate([np.load(file) for file, _ in parts])


def _name(part: Sequence[PictureFile], recipe: Recipe, content: Callable[[Path], bytes]) -> str:
    """A cache name that depends on the pictures' content and the recipe, not on their paths or labels."""
    digest = hashlib.sha256(repr(recipe).encode())
    for file in part:
        digest.update(content(file.path))
        if file.crop:
            digest.update(repr(file.crop).encode())
    return digest.hexdigest()[:32]


def _content(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _embed(part: Sequence[PictureFile], app: "App", bar: Rate) -> FloatArray:
    vectors = np.zeros((len(part), app.dim), dtype=np.float32)
    for start in range(0, len(part), _BATCH):
        batch = part[start : start + _BATCH]
        outcomes = app.embed_each([file.path for file in batch], [file.crop for file in batch])
        for row, outcome in enumerate(outcomes, start):
            if isinstance(outcome, ImageError):
                errors.print(f"left out {part[row].name}: {outcome}")
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                vectors[row] = outcome
        bar.advance(len(batch))
    return vectors


def _keep(file: Path, vectors: FloatArray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as written:
        np.save(written, vectors)
    os.replace(written.name, file)
