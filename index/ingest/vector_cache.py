"""What base workflows saw lately in pictures that nothing stores: those of predictions and searches."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from ...embeddings.base.embedder import Recipe
from ..records import FloatArray, PictureKey

MOST = 4096
"""38 MB at 1280 dimensions and a thousand classes."""


class VectorCache:
    """The latest rows of `Embedder.embed_with_classes` of all base workflows: a vector, and behind it the probabilities
    of the classes. By the picture's content and the part that counts. Thread-safe.
    """

    def __init__(self, most: int = MOST) -> None:
        """most: rows kept; the one that was asked for longest ago goes. 0: none."""
        self._most = most
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[Recipe, PictureKey], FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, recipe: Recipe, pictures: Iterable[PictureKey]) -> dict[PictureKey, FloatArray]:
        """(dim + len(classes),) of those of the pictures that are here."""
        found = {}
        with self._lock:
            for picture in pictures:
                if (recipe, picture) in self._vectors:
                    self._vectors.move_to_end((recipe, picture))
                    found[picture] = self._vectors[recipe, picture]
        return found

    def put(self, recipe: Recipe, picture: PictureKey, vector: FloatArray) -> None:
        """A copy is kept, which is read-only: a row would keep the whole batch that it was made in."""
        kept = vector.copy()
        kept.flags.writeable = False
        with self._lock:
            self._vectors[recipe, picture] = kept
            self._vectors.move_to_end((recipe, picture))
            while len(self._vectors) > self._most:
                self._vectors.popitem(last=False)
