"""Decodes pictures in separate processes, so that a decoder that crashes, hangs or takes too much memory does no harm.

Files and pixels are in shared memory. Over a socket go their sizes, or the name of an `ImageError`, as JSON, never
pickled objects. A process that dies or takes too long is replaced, and its picture is refused. Decoders have no secrets
in their environment, and limits on memory and files; otherwise they have the rights of their user.
"""

import gc
import json
import mmap
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any, Self

from PIL import Image

from ...errors import Busy
from .images import MAX_PIXELS, Box, Decoded, ImageError, ImageTooLarge, UndecodableImage, open_image, sniffed_type
from .shrinking import LARGE, Shrink, shrink_from_json, shrink_to_json

_SECONDS = 30.0
_FILE = 256 << 20
"""Most bytes of a picture's file."""
_MEMORY_PER_PIXEL = 32
"""Twice the most bytes per pixel that decoding takes, with transparency or 32 bits per channel."""
_MEMORY = 1 << 30
"""Bytes of address space for the interpreter and its libraries."""
_RETIRE = 1000
"""Pictures after which a process is replaced, since libraries may leak memory."""
_KEPT = 32 << 20
"""Bytes of shared memory that stay allocated for the next picture."""
_ROOM = "room"
"""The message, with a number of pixels, by which a process asks for its share before it decodes a large picture."""
_CODE = "import sys; from tenshot.embeddings.pictures.decoders import work; work(*map(int, sys.argv[1:]))"
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


class NoDecoder(Busy):
    """No further process can be started now."""


class Decoders:
    """An `Opener` that runs `open_image` in other processes, started when needed. Thread-safe; a context manager."""

    def __init__(
        self, processes: int | None = None, *, max_pixels: int = MAX_PIXELS, seconds: float = _SECONDS
    ) -> None:
        """processes: how many pictures are decoded at once; None: one per processor, at most 8.

        seconds: the most time for one picture.
        """
        self._max_pixels = max_pixels
        self._seconds = seconds
        self._room = _PixelBudget(max_pixels)
        self._lock = threading.Lock()
        self._closed = False
        # The last process back is the first one out, so that few are started when few are needed.
        self._free: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        self._count = processes or min(os.cpu_count() or 1, 8)
        for _ in range(self._count):
            self._free.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(
        self, source: bytes, /, *, least_side: int | None = None, box: Box | None = None, shrink: Shrink | None = None
    ) -> Decoded:
        """Raises ImageError, or NoDecoder."""
        sniffed_type(source)  # refuses what is no picture, without a process
        if len(source) > _FILE:
            raise ImageTooLarge(f"the picture's file is larger than {_FILE >> 20} MB")
        process = self._free.get()
        healthy = False
        try:
            if self._closed:
                raise RuntimeError("the decoders are closed")
            if process and not process.alive:
                process.end()
                process = None
            process = process or self._start()
            decoded = process.decode(source, [least_side, box, shrink_to_json(shrink)], self._room, self._seconds)
            healthy = True
        except ImageError:
            healthy = True
            raise
        except _Died as error:
            raise UndecodableImage(f"the picture is broken: its decoder {error}") from error
        finally:
            if process and not (healthy and process.remaining):
                process.end()
                process = None
            self._free.put(process)
        return decoded

    def _start(self) -> "_Process":
        try:
            return _Process(self._max_pixels)
        except OSError as error:
            raise NoDecoder(f"no decoder for pictures can be started: {error.strerror or error}; try again") from error

    def close(self) -> None:
        """Waits for the pictures in progress. Afterwards nothing can be decoded."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for _ in range(self._count):
            if process := self._free.get():
                process.end()
        for _ in range(self._count):
            self._free.put(None)


class _PixelBudget:
    """Bounds the pixels of large pictures that all processes decode at once; first come, first served."""

    def __init__(self, pixels: int) -> None:
        self._pixels = self._left = pixels
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, pixels: int) -> Iterator[None]:
        """Waits until so many pixels are free, and reserves them meanwhile."""
        pixels = min(pixels, self._pixels)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._left += pixels
                self._changed.notify_all()


class _Died(Exception):
    """A process has crashed or takes too long."""


class _Process:
    """One decoder, for one thread at a time."""

    def __init__(self, max_pixels: int) -> None:
        self.remaining = _RETIRE
        """Pictures until it is replaced."""
        size = max(_FILE, 3 * max_pixels)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        with ExitStack() as own, ExitStack() as passed:
            shared = _shared_file(size)
            passed.callback(os.close, shared)
            self._shared = mmap.mmap(shared, size)
            own.callback(self._shared.close)
            ours, theirs = (passed.enter_context(end) for end in socket.socketpair())
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _CODE, *map(str, (theirs.fileno(), shared, size, max_pixels))],
                pass_fds=[theirs.fileno(), shared],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # an interrupt at the terminal is for the service
            )
            self._pipe = Connection(ours.detach())
            own.pop_all()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def decode(self, content: bytes, options: list[Any], budget: _PixelBudget, seconds: float) -> Decoded:
        """seconds: for the answer or the request for its share, and again after that. Raises ImageError, or _Died."""
        self.remaining -= 1
        width = height = 0
        try:
            self._shared[: len(content)] = content
            _send(self._pipe, [len(content), *options])
            answer = self._received(seconds)
            if answer[0] == _ROOM:
                with budget.reserve(answer[1]):
                    _send(self._pipe, [])
                    answer = self._received(seconds)
            if isinstance(answer[0], str):
                raise _ERRORS.get(answer[0], UndecodableImage)(answer[1])
            width, height, media_type = answer
            with memoryview(self._shared) as shared, shared[: width * height * 3] as pixels:
                return Decoded(Image.frombytes("RGB", (width, height), pixels), media_type)
        except (EOFError, OSError, ValueError, TypeError, LookupError) as error:
            raise _Died("crashed") from error
        finally:
            if max(len(content), width * height * 3) > _KEPT and hasattr(mmap, "MADV_REMOVE"):
                self._shared.madvise(mmap.MADV_REMOVE)

    def _received(self, seconds: float) -> list[Any]:
        if not self._pipe.poll(seconds):
            raise _Died(f"took more than {seconds:g} seconds")
        answer: list[Any] = json.loads(self._pipe.recv_bytes())
        return answer

    def end(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        self._shared.close()


def _shared_file(size: int) -> int:
    """A descriptor of nameless shared memory, which is allocated when it is written."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("picture")
    else:
        with TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, size)
    return file


def _kinds(kind: type[ImageError]) -> dict[str, type[ImageError]]:
    kinds = {kind.__name__: kind}
    for subclass in kind.__subclasses__():
        kinds |= _kinds(subclass)
    return kinds


_ERRORS = _kinds(ImageError)


def _send(pipe: Connection, message: list[object]) -> None:
    pipe.send_bytes(json.dumps(message).encode())


def work(descriptor: int, shared_descriptor: int, size: int, max_pixels: int) -> None:
    """The other process: decodes pictures until the connection ends."""
    import resource

    limit = _MEMORY + size + _MEMORY_PER_PIXEL * max_pixels
    for kind, most in ((resource.RLIMIT_AS, limit), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(kind, (most, most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe, shared = Connection(descriptor), mmap.mmap(shared_descriptor, size)

    is_large = False

    def admit(pixels: int) -> None:
        nonlocal is_large
        if is_large := pixels > LARGE:
            _send(pipe, [_ROOM, pixels])
            pipe.recv_bytes()

    while True:
        try:
            length, least_side, box, shrink = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        is_large = False
        options: dict[str, Any] = {
            "least_side": least_side,
            "box": box and tuple(box),
            "shrink": shrink_from_json(shrink),
        }
        answer = _decoded(shared, length, max_pixels=max_pixels, admit=admit, **options)
        if is_large:
            # Pillow's files may be in a reference cycle; their memory must be free before others use this share.
            gc.collect()
        _send(pipe, answer)


def _decoded(shared: mmap.mmap, length: int, **options: Any) -> list[object]:
    """The answer: width, height and type of the pixels in the shared memory; or an error's name and message."""
    try:
        decoded = open_image(shared[:length], **options)
        pixels = decoded.image.tobytes()
        shared[: len(pixels)] = pixels
    except ImageError as error:
        return [type(error).__name__, str(error)]
    except MemoryError:
        return [ImageTooLarge.__name__, "the picture needs too much memory"]
    return [*decoded.image.size, decoded.media_type]
