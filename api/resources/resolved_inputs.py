"""What a prediction is about: pictures, stored inputs or vectors, each opened and embedded once for all models."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar
from uuid import uuid4

from PIL.Image import Image
from starlette.concurrency import run_in_threadpool

from ...embeddings.base.embedder import Recipe
from ...embeddings.pictures.images import crop
from ...embeddings.pictures.shrinking import Shrink
from ...errors import Busy
from ...index.app import embedding
from ...index.errors import TenshotError
from ...index.records import Crop, FloatArray, Input, Picture
from ...runtime.parallel import side_by_side
from ..wire.requests import ImageIn, InputIn, check_some
from ..wire.responses import AskedOut, Json
from ..wire.status import INPUT_VIDEO, WireError
from .dependencies import Caller

T = TypeVar("T")


async def with_pictures(
    caller: Caller, inputs: Sequence[InputIn], check: Callable[[], bool], work: Callable[[], Json]
) -> Json:
    """What the work answers, on a thread, when the pictures behind URLs are there.

    check: raises what is wrong with the rest of the request, before any is fetched; and says whether inputs that have
    vectors are looked at too.
    """
    behind = [one.data for one in inputs if one.data.image and one.data.image.is_behind_url and one.data.video is None]
    if behind:
        with_vectors = await run_in_threadpool(check)
        await caller.fetch([data.image for data in behind if data.image and (with_vectors or not data.embeddings)])
    return await run_in_threadpool(work)


class Asked:
    """Inputs by their place in the request. One that can't be used has its error, and stops none of the others."""

    def __init__(self, caller: Caller, inputs: Sequence[InputIn], most: int) -> None:
        """most: as the type of the body has it. Raises WireError for no inputs."""
        check_some(inputs, "inputs", most)
        self.inputs = inputs
        self.errors: dict[int, Exception] = {}
        self._caller = caller
        self._ids = [one.id or uuid4().hex for one in inputs]
        self._vectors: dict[int, FloatArray] = {}
        self._stored: Mapping[str, Input] | None = None

    def shown(self, place: int) -> AskedOut:
        """The input as it was given, for the answer; what came without an id gets one."""
        one = self.inputs[place]
        url = one.data.image and one.data.image.url
        if url is None and one.is_stored:
            found = self._inputs().get(self._ids[place])
            url = self._caller.url(found) if found else None
        return {"id": self._ids[place], "data": {"image": {"url": url or "unknown"}}}

    def seen(self, see: Callable[[Image], T], shrink: Shrink) -> Mapping[int, T]:
        """What see makes of each upright, cropped picture that can be used; the pictures themselves are let go.

        shrink: what it does first to large ones.
        """
        return self._each(lambda place: see(self._image(place, shrink)), self._untried({}))

    def classes(self, recipe: Recipe) -> Mapping[int, FloatArray]:
        """(C,) probabilities of the classes of a base workflow, of the pictures that can be used."""
        classify = partial(embedding.classify_each, self._caller.state, recipe=recipe)
        return self._made(self._untried({}), classify)

    def vectors(self) -> Mapping[int, FloatArray]:
        """(dim,) in the app's base workflow, of those that can be used. All pictures go through it at once."""
        state, pictures = self._caller.state, []
        self._take_stored([place for place in self._untried(self._vectors) if self.inputs[place].is_whole])
        for place in self._untried(self._vectors):
            one = self.inputs[place]
            with self._noting(place):
                if one.data.embeddings:
                    [self._vectors[place]] = embedding.check_vectors(state, [one.data.embeddings[0].vector])
                else:
                    pictures.append(place)
        if pictures:
            self._vectors |= self._made(pictures, partial(embedding.embed_each, state))
        return {place: self._vectors[place] for place in self._untried({}) if place in self._vectors}

    def _take_stored(self, places: Sequence[int]) -> None:
        """Vectors that the app has: all at once, or, where one is missing, each with its own error."""
        state = self._caller.state
        try:
            self._vectors |= zip(places, embedding.vectors(state, [self._ids[place] for place in places]), strict=True)
        except TenshotError:
            for place in places:
                with self._noting(place):
                    [self._vectors[place]] = embedding.vectors(state, [self._ids[place]])

    def _inputs(self) -> Mapping[str, Input]:
        """The stored inputs among them, looked up once."""
        if self._stored is None:
            self._stored = self._caller.app.inputs_by_id([one.id or "" for one in self.inputs if one.is_stored])
        return self._stored

    def _made(
        self,
        places: Sequence[int],
        make: Callable[[Sequence[Picture], Sequence[Crop | None]], Sequence[FloatArray | Exception]],
    ) -> dict[int, FloatArray]:
        """What a base workflow makes of the pictures, all at once; those that can't be used have their error noted."""
        found: dict[int, FloatArray] = {}
        looks = self._each(self._look, places)
        pictures, crops = [picture for picture, _ in looks.values()], [box for _, box in looks.values()]
        for place, made in zip(looks, make(pictures, crops) if looks else (), strict=True):
            if isinstance(made, Exception):
                self.errors[place] = made
            else:
                found[place] = made
        return found

    def _each(self, do: Callable[[int], T], places: Sequence[int]) -> Mapping[int, T]:
        """What it gives for each place; those where it fails are left out, with their errors noted."""
        found: dict[int, T] = {}

        def done(place: int) -> None:
            with self._noting(place):
                found[place] = do(place)

        side_by_side(done, places)
        return {place: found[place] for place in places if place in found}

    def _image(self, place: int, shrink: Shrink) -> Image:
        picture, box = self._look(place)
        if isinstance(picture, bytes):
            return self._caller.state.resources.opener(picture, box=box, shrink=shrink).image
        return crop(picture, box) if box else picture

    def _look(self, place: int) -> tuple[bytes | Image, Crop | None]:
        """The file, as it was sent or is stored, and the part of it that is asked about.

        Of a part of a stored input that is a part itself there are pixels instead of a file.
        """
        one, app = self.inputs[place], self._caller.app
        box = one.data.image.crop if one.data.image else None
        if not one.is_stored:
            if one.data.video is not None:
                raise WireError(INPUT_VIDEO, "this server understands pictures, not video")
            return (one.data.image or ImageIn()).file(), box
        stored = app.input(one.id or "")
        file = app.picture(stored.id)
        if box and stored.crop:
            return self._caller.state.resources.opener(file, box=stored.crop).image, box
        return file, box or stored.crop

    def _untried(self, done: Mapping[int, object]) -> list[int]:
        return [place for place in range(len(self.inputs)) if place not in done and place not in self.errors]

    @contextmanager
    def _noting(self, place: int) -> Iterator[None]:
        try:
            yield
        except Busy:
            raise
        except TenshotError as error:
            self.errors[place] = error
