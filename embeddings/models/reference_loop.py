"""The reference for benchmarks and tests: a plain loop with the model libraries' own tools."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

from ..base.embedder import FloatArray, Recipe

_ARCHITECTURE = "ViT-B-32"


class ReferenceLoop:
    """Pillow, the library's transform, torch in float32 with its default threads."""

    def __init__(self, recipe: Recipe) -> None:
        if recipe.model.startswith("timm:"):
            from .timm import reference_model
        else:
            from .openclip import reference_model
        self._model, self._transform = reference_model(recipe)

    @torch.inference_mode()
    def run(self, files: Sequence[Path], batch: int) -> FloatArray:
        """(n, dim) float32 unit vectors of n files, `batch` at a time."""
        rows = []
        for start in range(0, len(files), batch):
            pixels = [self._transform(Image.open(file).convert("RGB")) for file in files[start : start + batch]]
            rows.append(torch.nn.functional.normalize(self._model(torch.stack(pixels))).numpy())
        return np.concatenate(rows)


def random_clip(folder: Path) -> str:
    """Writes random weights to the folder; returns their base workflow: a CLIP's speed without its download."""
    path = folder / f"{_ARCHITECTURE}.pt"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(open_clip.create_model(_ARCHITECTURE, load_weights=False).state_dict(), path)
    return f"open_clip:{_ARCHITECTURE}:{path}"
