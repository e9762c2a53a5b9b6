"""Dynamic batching: calls of many threads to one model are computed together."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL.Image import Image

from ...errors import Busy, TenshotError
from ...runtime.parallel import side_by_side
from ..pictures.shrinking import Shrink
from .embedder import Embedder, FloatArray, Pixels, Recipe

_log = logging.getLogger("tenshot.embeddings")
_Compute = Callable[[Sequence[Any]], FloatArray]


class BatcherClosed(TenshotError):
    """Asked to embed after close()."""


@dataclass(eq=False)
class _Call:
    compute: _Compute
    items: Sequence[Any]
    result: Future[FloatArray] = field(default_factory=Future)
    begun: int = 0
    """Items that have been computed, or are being computed."""
    vectors: list[FloatArray] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """The items of one call in one batch."""

    call: _Call
    start: int
    stop: int

    @property
    def items(self) -> Sequence[Any]:
        return self.call.items[self.start : self.stop]

    @property
    def is_last(self) -> bool:
        return self.stop == len(self.call.items)


class Batcher:
    """Serves many threads from one embedder that works best in large batches. Closing it closes the embedder.

    Callers preprocess pictures in their own threads; a call with many pictures uses all cores. One thread computes.
    Whenever it is free it takes all waiting items, up to `max_batch`, and starts at once. So no call waits for others
    when the model is idle, and batches grow under load. After each batch the rest of a longer call goes to the end of
    the queue. At most `max_queue` items wait, except that a single call of any size may always wait alone. After
    `idle_s` seconds without calls the model is unloaded; the next call loads it again.
    """

    def __init__(
        self,
        embedder: Embedder,
        *,
        max_batch: int = 32,
        max_queue: int = 1024,
        idle_s: float = 1800,
        closed: type[Exception] = BatcherClosed,
    ) -> None:
        """closed: the error that callers get after close()."""
        self._embedder = embedder
        self._closed_error = closed
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._idle_s = idle_s
        self._calls: deque[_Call] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name=f"embed {embedder.recipe.workflow}", daemon=True)
        self._worker.start()

    @property
    def recipe(self) -> Recipe:
        return self._embedder.recipe

    @property
    def waiting(self) -> int:
        """How many pictures and texts wait in calls that have not begun."""
        return self._waiting

    @property
    def has_text(self) -> bool:
        return self._embedder.has_text

    @property
    def classes(self) -> Sequence[str]:
        return self._embedder.classes

    @property
    def text_scale(self) -> float | None:
        return self._embedder.text_scale

    @property
    def least_side(self) -> int | None:
        return self._embedder.least_side

    @property
    def shrink(self) -> Shrink | None:
        return self._embedder.shrink

    def prepare(self, image: Image) -> Pixels:
        return self._embedder.prepare(image)

    def embed_images(self, images: Sequence[Image]) -> FloatArray:
        """(n, dim) float32, unit length, in the order of the images. Blocks until they are computed. Raises Busy."""
        return self.embed_pixels(self._prepared(images))

    def embed_pixels(self, pixels: Sequence[Pixels]) -> FloatArray:
        """The same for prepared pictures. Raises Busy."""
        return self._submit(_Call(self._embedder.embed_pixels, pixels))

    def embed_with_classes(self, pixels: Sequence[Pixels]) -> FloatArray:
        """(n, dim + len(classes)) float32: each vector, then the probabilities of the classes. Raises Busy."""
        return self._submit(_Call(self._embedder.embed_with_classes, pixels))

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) float32, unit length, in the order of the texts. Blocks until they are computed. Raises Busy."""
        return self._submit(_Call(self._embedder.embed_texts, texts))

    def close(self) -> None:
        """Refuses new calls, finishes those that wait, then closes the embedder. May be called again."""
        with self._changed:
            first = not self._closed
            self._closed = True
            self._changed.notify()
        self._worker.join()
        if first:
            self._embedder.close()

    def unload(self) -> None:
        """Frees the model's memory behind the calls that wait; the next call loads it again."""
        self._submit(_Call(self._unload, ()))

    def _unload(self, _nothing: Sequence[Any] = ()) -> FloatArray:
        try:
            self._embedder.unload()
        except Exception:  # nobody waits for the result, and the worker must stay alive for the next call
            _log.exception("workflow %s could not be unloaded", self.recipe.workflow)
        return np.empty((0, 0), dtype=np.float32)

    def _prepared(self, images: Sequence[Image]) -> list[Pixels]:
        with self._changed:
            self._check_room(len(images))  # before preprocessing, which would be wasted on a refused call
        return side_by_side(self._embedder.prepare, images)

    def _check_room(self, count: int) -> None:
        if self._closed:
            raise self._closed_error(f"the embedder of workflow {self.recipe.workflow!r} is closed")
        if self._waiting and self._waiting + count > self._max_queue:
            raise Busy(f"{self._waiting} pictures or texts wait already; try again later")

    def _submit(self, call: _Call) -> FloatArray:
        with self._changed:
            self._check_room(len(call.items))
            self._calls.append(call)
            self._waiting += len(call.items)
            self._changed.notify()
        return call.result.result()

    def _work(self) -> None:
        while parts := self._next_parts():
            self._answer(parts)
            with self._changed:
                # Unfinished calls go behind those that came meanwhile.
                self._calls.extend(part.call for part in parts if not part.call.result.done())

    def _next_parts(self) -> list[_Part]:
        """The next batch: items of the first call, and of following ones with the same function. Empty: closed."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._calls or self._closed, self._idle_s):
                self._unload()
                self._changed.wait_for(lambda: self._calls or self._closed)
            parts: list[_Part] = []
            room = self._max_batch
            while self._calls and not (parts and (self._calls[0].compute != parts[0].call.compute or not room)):
                call = self._calls.popleft()
                if not call.begun:
                    self._waiting -= len(call.items)
                part = _Part(call, call.begun, min(call.begun + room, len(call.items)))
                parts.append(part)
                room -= len(part.items)
                call.begun = part.stop
            return parts

    def _answer(self, parts: list[_Part]) -> None:
        items = [item for part in parts for item in part.items]
        try:
            vectors = self._halving(parts[0].call.compute, items)
        except BaseException as error:
            if len(parts) == 1:
                parts[0].call.result.set_exception(error)
            else:  # a bad call must not fail the others
                for part in parts:
                    self._answer([part])
            return
        start = 0
        for part in parts:
            stop = start + len(part.items)
            part.call.vectors.append(vectors[start:stop].copy())
            if part.is_last:
                part.call.result.set_result(np.concatenate(part.call.vectors))
            start = stop

    def _halving(self, compute: _Compute, items: Sequence[Any]) -> FloatArray:
        """Computes in ever smaller halves where the device's memory is too small for all items at once."""
        try:
            return compute(items)
        except MemoryError:
            if len(items) < 2:
                raise
        half = len(items) // 2
        return np.concatenate([self._halving(compute, items[:half]), self._halving(compute, items[half:])])
