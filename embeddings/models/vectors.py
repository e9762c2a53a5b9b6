"""The base workflow `vectors`: no model, the caller brings the vectors."""

from collections.abc import Sequence
from typing import NoReturn

from PIL.Image import Image

from ..base.embedder import BaseEmbedder, Pixels, WorkflowError
from ..catalogue import with_words


class VectorsEmbedder(BaseEmbedder):
    """Refuses pictures and words, and says what to do instead."""

    def prepare(self, image: Image) -> NoReturn:
        raise self._refusal("pictures")

    def embed_pixels(self, pixels: Sequence[Pixels]) -> NoReturn:
        raise self._refusal("pictures")

    def embed_texts(self, texts: Sequence[str]) -> NoReturn:
        raise self._refusal("words")

    def _refusal(self, kind: str) -> WorkflowError:
        return WorkflowError(
            f"workflow 'vectors' has no model to see {kind} with: hand in your own vectors of {self.recipe.dim} "
            f"numbers (add_vectors, predict_vectors, search_vectors), or create the app with another workflow; "
            f"words are understood by {with_words()}"
        )
