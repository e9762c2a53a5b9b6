"""Vectors of pictures that were embedded lately and that nothing stores: those of predictions and searches."""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from ..embeddings.base import Recipe
from .records import FloatArray, PictureKey

MOST = 4096
"""20 MB at 1280 dimensions."""


class VectorCache:
    """The latest vectors of all base workflows, by the picture's content and the part that counts. Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        """most: vectors kept; the one that was asked for longest ago goes. 0: none."""
        self._most = most
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[Recipe, PictureKey], FloatArray] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def get(self, recipe: Recipe, pictures: Iterable[PictureKey]) -> dict[PictureKey, FloatArray]:
        """(dim,) of those of the pictures that are here."""
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
