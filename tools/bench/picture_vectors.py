"""Pictures, or crops of them, as vectors that are kept on the disk for the next run."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache as remembered
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...embeddings.base.embedder import FloatArray, Recipe
from ...embeddings.pictures.images import ImageError
from ...runtime.parallel import batches
from ..console import Rate, errors, progress
from ..picture_folders import Found

if TYPE_CHECKING:
    from ...index.app import App

_BATCH = 16
_TOGETHER = 4096
"""Vectors in one file: a run that was interrupted goes on behind the last of them."""


def picture_vectors(name: str, found: Sequence[Found], app: "App", cache: Path) -> FloatArray:
    """(n, dim) unit vectors as the app sees the pictures, zeros for what is none; only what is new costs time."""
    digest = remembered(_content)
    parts = [(cache / "vectors" / f"{_name(part, app.recipe, digest)}.npy", part) for part in batches(found, _TOGETHER)]
    new = [(kept, part) for kept, part in parts if not kept.exists()]
    if new:
        with progress(f"{name}, {app.recipe.workflow}: embedding", sum(len(part) for _, part in new)) as bar:
            for kept, part in new:
                _keep(kept, _embed(part, app, bar))
    return np.concatenate([np.load(kept) for kept, _ in parts])


def _name(part: Sequence[Found], recipe: Recipe, content: Callable[[Path], bytes]) -> str:
    """Of what the pictures hold and what sees them; not of where they are or how they are labelled."""
    digest = hashlib.sha256(repr(recipe).encode())
    for one in part:
        digest.update(content(one.path))
        if one.crop:
            digest.update(repr(one.crop).encode())
    return digest.hexdigest()[:32]


def _content(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _embed(part: Sequence[Found], app: "App", bar: Rate) -> FloatArray:
    vectors = np.zeros((len(part), app.dim), dtype=np.float32)
    for start in range(0, len(part), _BATCH):
        batch = part[start : start + _BATCH]
        outcomes = app.embed_each([one.path for one in batch], [one.crop for one in batch])
        for place, outcome in enumerate(outcomes, start):
            if isinstance(outcome, ImageError):
                errors.print(f"left out {part[place].name}: {outcome}")
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                vectors[place] = outcome
        bar.advance(len(batch))
    return vectors


def _keep(file: Path, vectors: FloatArray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as written:
        np.save(written, vectors)
    os.replace(written.name, file)
