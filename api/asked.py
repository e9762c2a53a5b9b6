"""What a prediction is about: pictures, stored inputs or vectors, each opened and embedded once for all models."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from PIL.Image import Image

from ..embeddings.images import ImageError, crop, open_image
from ..index.errors import TenshotError
from ..index.records import FloatArray, Input
from .access import Caller
from .answers import AskedOut
from .fetch import FetchError
from .status import INPUT_VIDEO, INVALID_INPUT_REQUEST, WireError
from .wire import InputIn


class Asked:
    """Inputs by their place in the request. One that can't be used has its error, and stops none of the others."""

    def __init__(self, caller: Caller, inputs: Sequence[InputIn], most: int) -> None:
        """Raises WireError for no inputs, or more than most."""
        if not 1 <= len(inputs) <= most:
            raise WireError(INVALID_INPUT_REQUEST, f"a request has 1 to {most} inputs, not {len(inputs)}")
        self.inputs = inputs
        self.errors: dict[int, Exception] = {}
        self._caller = caller
        self._ids = [one.id or uuid4().hex for one in inputs]
        self._images: dict[int, Image] = {}
        self._vectors: dict[int, FloatArray] = {}
        self._stored: Mapping[str, Input] | None = None

    def shown(self, place: int) -> AskedOut:
        """The input as it was given, for the answer; what came without an id gets one."""
        one = self.inputs[place]
        url = one.data.image and one.data.image.url
        if url is None and _is_stored(one):
            found = self._inputs().get(self._ids[place])
            url = self._caller.url(found) if found else None
        return {"id": self._ids[place], "data": {"image": {"url": url or "unknown"}}}

    def images(self) -> Mapping[int, Image]:
        """The upright, cropped pictures of those that can be used."""
        for place in self._untried(self._images):
            with self._noting(place):
                self._images[place] = self._image(self.inputs[place])
        return self._good(self._images)

    def vectors(self) -> Mapping[int, FloatArray]:
        """(dim,) in the app's base workflow, of those that can be used. All pictures go through it at once."""
        app = self._caller.app
        self._take_stored([place for place in self._untried(self._vectors) if _is_whole(self.inputs[place])])
        for place in self._untried(self._vectors):
            one = self.inputs[place]
            with self._noting(place):
                if one.data.embeddings:
                    [self._vectors[place]] = app.check_vectors([one.data.embeddings[0].vector])
                elif place not in self._images:
                    self._images[place] = self._image(one)
        pictures = [place for place in self._untried(self._vectors) if place in self._images]
        made = app.embed_each([self._images[place] for place in pictures], [None] * len(pictures))
        for place, result in zip(pictures, made, strict=True):
            if isinstance(result, Exception):
                self.errors[place] = result
            else:
                self._vectors[place] = result
        return self._good(self._vectors)

    def _take_stored(self, places: Sequence[int]) -> None:
        """Vectors that the app has: all at once, or, where one is missing, each with its own error."""
        app = self._caller.app
        try:
            self._vectors |= zip(places, app.vectors([self._ids[place] for place in places]), strict=True)
        except TenshotError:
            for place in places:
                with self._noting(place):
                    [self._vectors[place]] = app.vectors([self._ids[place]])

    def _inputs(self) -> Mapping[str, Input]:
        """The stored inputs among them, looked up once."""
        if self._stored is None:
            self._stored = self._caller.app.inputs_by_id([one.id or "" for one in self.inputs if _is_stored(one)])
        return self._stored

    def _image(self, one: InputIn) -> Image:
        if one.data.video is not None:
            raise WireError(INPUT_VIDEO, "this server understands pictures, not video")
        box = one.data.image and one.data.image.crop
        if _is_stored(one):
            stored = self._caller.app.input(one.id or "")
            opened = open_image(self._caller.app.picture(stored.id)).image
            opened = crop(opened, stored.crop) if stored.crop else opened
        else:
            # The pixels of a crop count as they are; else no more is decoded than a model sees.
            least_side = None if box else self._caller.app.least_side
            opened = open_image(self._caller.picture(one.data), least_side=least_side).image
        return crop(opened, box) if box else opened

    def _untried(self, done: Mapping[int, object]) -> list[int]:
        return [place for place in range(len(self.inputs)) if place not in done and place not in self.errors]

    def _good(self, done: Mapping[int, Any]) -> dict[int, Any]:
        return {place: done[place] for place in range(len(self.inputs)) if place in done and place not in self.errors}

    @contextmanager
    def _noting(self, place: int) -> Iterator[None]:
        try:
            yield
        except (WireError, ImageError, FetchError, TenshotError) as error:
            self.errors[place] = error


def _is_stored(one: InputIn) -> bool:
    """Whether it names an input of the app, rather than bringing a picture."""
    image = one.data.image
    return bool(one.id) and not (image and (image.url or image.base64)) and one.data.video is None


def _is_whole(one: InputIn) -> bool:
    """Whether it names an input of the app, and no part of it."""
    return _is_stored(one) and not one.data.embeddings and not (one.data.image and one.data.image.crop)
