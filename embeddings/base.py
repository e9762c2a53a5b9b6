"""What an embedder is: pictures (and, for some, words) in, unit vectors out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

FloatArray = NDArray[np.float32]


class WorkflowError(Exception):
    """A base workflow is unknown, or can't be opened or used; the message says which file and what works instead."""


@dataclass(frozen=True)
class Recipe:
    """How an app's vectors are made. Stored with the app, so that two vector spaces never mix."""

    workflow: str
    """The id the app was created with, e.g. `general` or `timm:resnet18`."""
    model: str
    """What is loaded, e.g. `timm:tf_efficientnet_lite2`; `vectors` for none."""
    weights: str
    """Where the weights come from: a package, a hub tag, or the path of a checkpoint with its sha256."""
    dim: int
    nonnegative: bool | None
    """Whether features are never negative (after a ReLU), which decides the power transform; None: look at the data."""


class Embedder(Protocol):
    """An opened base workflow. Thread-safe; owned by one batcher."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def has_text(self) -> bool: ...

    @property
    def classes(self) -> Sequence[str]:
        """What the model can name untaught: different names for people, in the order of its head; empty if none."""
        ...

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        """(n, dim) float32, unit length, for n upright RGB images of any size."""
        ...

    def classify_images(self, images: Sequence[Image]) -> FloatArray:
        """(n, len(classes)) float32, the model's own probabilities; a row sums to 1. WorkflowError without classes."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit length, in the space of the images. WorkflowError if `has_text` is false."""
        ...

    def close(self) -> None: ...
