"""What an embedder is: pictures (and, for some, words) in, unit vectors out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from ...errors import TenshotError
from ..pictures.shrinking import Shrink

FloatArray = NDArray[np.float32]
Pixels = NDArray[np.uint8]
"""(3, height, width): a preprocessed picture, of the model's input size."""


class WorkflowError(TenshotError):
    """A base workflow is unknown, or can't be opened or used; the message says which file and what works instead."""


@dataclass(frozen=True)
class Recipe:
    """How an app's vectors are made. Stored with the app, so that two vector spaces never mix."""

    workflow: str
    """The id the app was created with, e.g. `general` or `timm:resnet18`."""
    model: str
    """What is loaded, e.g. `timm:tf_efficientnet_lite2`; `vectors` for none."""
    weights: str
    """Where the weights come from: a package, a hub's tag, or the path of a checkpoint with its sha256."""
    dim: int
    nonnegative: bool | None
    """Whether features are never negative (after a ReLU), which decides the power transform; None: the data decide."""


class Embedder(Protocol):
    """An opened base workflow. Thread-safe; owned by one batcher."""

    @property
    def recipe(self) -> Recipe: ...

    @property
    def has_text(self) -> bool: ...

    @property
    def classes(self) -> Sequence[str]:
        """The classes that the model predicts untaught, as unique names in the order of its head; empty if none."""
        ...

    @property
    def text_scale(self) -> float | None:
        """The factor for cosines of pictures and words before a softmax; None: unknown."""
        ...

    @property
    def least_side(self) -> int | None:
        """Pixels of the shorter side beyond which the model sees no more detail; None: it takes no pictures."""
        ...

    @property
    def shrink(self) -> Shrink | None:
        """The first step of `prepare`, which may be done to large pictures earlier; None: there is none."""
        ...

    def prepare(self, image: Image) -> Pixels:
        """Preprocesses an upright RGB image of any size. Many threads may call it at once."""
        ...

    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        """(n, dim) float32, unit length, for n prepared images."""
        ...

    def embed_with_classes(self, pixels: Sequence[Pixels]) -> FloatArray:
        """(n, dim + len(classes)) float32: each unit vector, then the model's own probabilities of its classes, which
        sum to 1. Both come from one pass, which takes no longer than the vectors alone.
        """
        ...

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        """`embed_pixels` of images that it prepares itself, one after the other."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit length, in the space of the images. WorkflowError if `has_text` is false."""
        ...

    def unload(self) -> None:
        """Frees the model's memory until the next call."""
        ...

    def close(self) -> None: ...


class BaseEmbedder(ABC):
    """Base class: an embedder of pictures without words and classes.

    A subclass needs `prepare` and `embed_pixels`; `embed_pixels([])` must be (0, dim).
    """

    has_text: bool = False
    classes: Sequence[str] = ()
    text_scale: float | None = None
    least_side: int | None = None
    shrink: Shrink | None = None

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    @abstractmethod
    def prepare(self, image: Image) -> Pixels: ...

    @abstractmethod
    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray: ...

    def embed_with_classes(self, pixels: Sequence[Pixels]) -> FloatArray:
        return self.embed_pixels(pixels)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        return self.embed_pixels([self.prepare(image) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        raise WorkflowError(f"workflow {self.recipe.workflow!r} understands images only, not words")

    def unload(self) -> None:  # noqa: B027 -- many have nothing to free
        """Does nothing by default."""

    def close(self) -> None:
        """Unloads the model."""
        self.unload()
