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
"""(3, height, width): a picture as a model looks at it, of that model's size."""


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

    @property
    def text_scale(self) -> float | None:
        """What the model multiplies cosines of pictures and words by, before a softmax; None: nothing is known."""
        ...

    @property
    def least_side(self) -> int | None:
        """Pixels: a picture whose shorter side is this long shows the model all that it can see; None: no pictures."""
        ...

    @property
    def shrink(self) -> Shrink | None:
        """What `prepare` begins with, which may be done to large pictures before; None: leave them as they are."""
        ...

    def prepare(self, image: Image) -> Pixels:
        """An upright RGB image of any size as the model looks at it. Many threads may prepare at once."""
        ...

    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        """(n, dim) float32, unit length, for n prepared images."""
        ...

    def see_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        """(n, dim + len(classes)) float32: the unit vectors, and beside them the model's own probabilities of its
        classes, which sum to 1. Computed in one go, and not more dearly than the vectors alone.
        """
        ...

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        """The same for images that are prepared here, one after the other."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit length, in the space of the images. WorkflowError if `has_text` is false."""
        ...

    def unload(self) -> None:
        """Lets the model's memory go until it is asked again."""
        ...

    def close(self) -> None: ...


class BaseEmbedder(ABC):
    """An embedder of pictures without words and classes, for one with more to begin from.

    `prepare` and `embed_pixels` are what it needs; `embed_pixels([])` is (0, dim).
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

    def see_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        return self.embed_pixels(pixels)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        return self.embed_pixels([self.prepare(image) for image in images])

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        raise WorkflowError(f"workflow {self.recipe.workflow!r} understands images only, not words")

    def unload(self) -> None:  # noqa: B027 -- most have nothing to let go
        """Nothing is held."""

    def close(self) -> None:
        """As far as anything is held."""
        self.unload()
