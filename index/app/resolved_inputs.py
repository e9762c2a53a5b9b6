"""What is asked about: pictures, stored inputs or vectors, each opened and embedded once for all models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

from PIL import Image

from ...embeddings.base.embedder import Recipe
from ...embeddings.pictures.images import crop as cropped
from ...embeddings.pictures.images import open_image, read_file
from ...embeddings.pictures.shrinking import Shrink
from ...errors import Busy, TenshotError
from ...runtime.parallel import side_by_side
from ..records import Crop, FloatArray, Input, Picture
from . import embedding
from .state import AppState

T = TypeVar("T")


@dataclass(frozen=True)
class Query:
    """One thing that is asked about: a picture, a stored input, or a part of either; or a vector.

    Where there is a vector too, models that see vectors take it, and those that see pictures the picture.
    """

    image: Picture | Callable[[], Picture] | None = None
    """Or what gives the picture, and raises the reason where there is none: called when the picture is needed."""
    input_id: str | None = None
    vector: object = None
    crop: Crop | None = None

    @property
    def is_whole_input(self) -> bool:
        """Whether the vector that the app has of an input is what is asked about."""
        return self.image is None and self.vector is None and self.crop is None


class ResolvedInputs:
    """Queries by their position. One that can't be used has its error, and stops none of the others."""

    def __init__(self, state: AppState, queries: Sequence[Query]) -> None:
        self.state = state
        self.errors: dict[int, TenshotError] = {}
        self._queries = queries
        self._vectors: dict[int, FloatArray] = {}

    def __len__(self) -> int:
        return len(self._queries)

    @cached_property
    def records(self) -> Mapping[str, Input]:
        """Those of the stored inputs that exist, by id."""
        ids = [query.input_id for query in self._queries if query.input_id is not None]
        records = self.state.catalog.inputs.get(self.state.id, ids) if ids else {}
        self.state.wait_until_found(records.values())
        return records

    def vectors(self) -> Mapping[int, FloatArray]:
        """(dim,) in the app's base workflow, of those that can be used. All pictures go through it at once."""
        state, pictures = self.state, []
        if stored := [position for position in self._left() if self._queries[position].is_whole_input]:
            self._take_stored(stored)
        for position in self._left():
            vector = self._queries[position].vector
            if vector is None:
                pictures.append(position)
                continue
            with self._noting(position):
                [self._vectors[position]] = embedding.check_vectors(state, [vector])
        if pictures:
            self._vectors |= self._made(pictures, partial(embedding.embed_each, state))
        return {position: self._vectors[position] for position in self._usable() if position in self._vectors}

    def classes(self, recipe: Recipe) -> Mapping[int, FloatArray]:
        """(C,) probabilities of the classes of a base workflow, of the pictures that can be used."""
        return self._made(self._usable(), partial(embedding.classify_each, self.state, recipe=recipe))

    def pictures(self, see: Callable[[Image.Image], T], shrink: Shrink) -> Mapping[int, T]:
        """What see makes of each upright, cropped picture that can be used; the pictures themselves are let go.

        shrink: what it does first to large ones.
        """
        return self._each(lambda position: see(self._opened(position, shrink)), self._usable())

    def check(self) -> None:
        """Raises the first error."""
        for position in sorted(self.errors):
            raise self.errors[position]

    def _take_stored(self, positions: Sequence[int]) -> None:
        """Vectors that the app has: all at once, or, where one is missing, each with its own error."""
        ids = [self._queries[position].input_id or "" for position in positions]
        try:
            self._vectors |= zip(positions, embedding.vectors(self.state, ids), strict=True)
        except TenshotError:
            for position, id in zip(positions, ids, strict=True):
                with self._noting(position):
                    [self._vectors[position]] = embedding.vectors(self.state, [id])

    def _made(
        self,
        positions: Sequence[int],
        make: Callable[[Sequence[Picture], Sequence[Crop | None]], Sequence[FloatArray | Exception]],
    ) -> dict[int, FloatArray]:
        """What a base workflow makes of the pictures, all at once; those that can't be used have their error noted."""
        sources = self._each(self._source, positions)
        if not sources:
            return {}
        pictures, crops = [picture for picture, _ in sources.values()], [box for _, box in sources.values()]
        rows: dict[int, FloatArray] = {}
        for position, row in zip(sources, make(pictures, crops), strict=True):
            if isinstance(row, TenshotError):
                self.errors[position] = row
            elif isinstance(row, Exception):
                raise row
            else:
                rows[position] = row
        return rows

    def _each(self, work: Callable[[int], T], positions: Sequence[int]) -> Mapping[int, T]:
        """What it gives for each position; those where it fails are left out, with their errors noted."""
        results: dict[int, T] = {}

        def note(position: int) -> None:
            with self._noting(position):
                results[position] = work(position)

        side_by_side(note, positions)
        return {position: results[position] for position in positions if position in results}

    def _opened(self, position: int, shrink: Shrink) -> Image.Image:
        picture, box = self._source(position)
        if isinstance(picture, Image.Image):
            return cropped(open_image(picture).image, box) if box else open_image(picture).image
        file = picture if isinstance(picture, bytes) else read_file(picture)
        return self.state.resources.opener(file, box=box, shrink=shrink).image

    def _source(self, position: int) -> tuple[Picture, Crop | None]:
        """The picture, as it was given or is stored, and the part of it that is asked about.

        Of a part of a stored input that is a part itself there are pixels instead of a file.
        """
        query, state = self._queries[position], self.state
        if query.image is not None:
            return query.image() if callable(query.image) else query.image, query.crop
        id = query.input_id or ""
        if id not in self.records:
            raise embedding.no_input(id)
        record = self.records[id]
        file = embedding.file_of(state.blobs, record)
        if query.crop and record.crop:
            return state.resources.opener(file, box=record.crop).image, query.crop
        return file, query.crop or record.crop

    def _usable(self) -> list[int]:
        return [position for position in range(len(self._queries)) if position not in self.errors]

    def _left(self) -> list[int]:
        """Those that have no vector yet."""
        return [position for position in self._usable() if position not in self._vectors]

    @contextmanager
    def _noting(self, position: int) -> Iterator[None]:
        try:
            yield
        except Busy:
            raise
        except TenshotError as error:
            self.errors[position] = error
