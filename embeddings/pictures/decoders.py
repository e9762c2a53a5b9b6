"""Pictures decoded in processes of their own, so that a decoder that crashes, hangs or eats memory harms nobody.

Files and pixels lie in memory that both sides see; over a socket goes how large they are, or the name of an
`ImageError`, never an object that could do anything. A process that dies or takes too long costs the picture that it
had, and is replaced. It has no secrets of the environment, and limits on memory and files; for the rest it has the
rights of its user.
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
from .shrinking import LARGE, Shrink, as_plain, of_plain

_SECONDS = 30.0
_FILE = 256 << 20
"""Bytes of a picture's file, at most."""
_MEMORY_PER_PIXEL = 32
"""Bytes that decoding takes at most, with transparency or 32 bits a channel, and as much again to spare."""
_MEMORY = 1 << 30
"""Bytes of address space for the interpreter and its libraries."""
_RETIRE = 1000
"""Pictures after which a process is replaced, for libraries may leak."""
_KEPT = 32 << 20
"""Bytes of shared memory that are kept for the next picture."""
_ROOM = "room"
"""What a process asks for, with a number of pixels, before it decodes a large picture."""
_CODE = "import sys; from tenshot.embeddings.pictures.decoders import work; work(*map(int, sys.argv[1:]))"
_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


class NoDecoder(Busy):
    """The machine has no room for another process now."""


class Decoders:
    """An `Opener`: as `open_image`, in other processes. Thread-safe; a context manager. They start when needed."""

    def __init__(
        self, processes: int | None = None, *, max_pixels: int = MAX_PIXELS, seconds: float = _SECONDS
    ) -> None:
        """As many pictures are decoded at once as there are processes; None: one for each processor, but at most 8.

        seconds: for one picture, before it is given up.
        """
        self._max_pixels = max_pixels
        self._seconds = seconds
        self._room = _Room(max_pixels)
        self._lock = threading.Lock()
        self._closed = False
        # The last one back is the first one out, so that few are started when few are needed.
        self._free: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        self._places = processes or min(os.cpu_count() or 1, 8)
        for _ in range(self._places):
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
        sniffed_type(source)  # what is no picture needs no process
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
            process = process or self._started()
            decoded = process.decode(source, [least_side, box, as_plain(shrink)], self._room, self._seconds)
            healthy = True
        except ImageError:
            healthy = True
            raise
        except _Died as error:
            raise UndecodableImage(f"the picture is broken: its decoder {error}") from error
        finally:
            if process and not (healthy and process.left):
                process.end()
                process = None
            self._free.put(process)
        return decoded

    def _started(self) -> "_Process":
        try:
            return _Process(self._max_pixels)
        except OSError as error:
            raise NoDecoder(f"no decoder for pictures can be started: {error.strerror or error}; try again") from error

    def close(self) -> None:
        """When the pictures under way are done. Nothing can be decoded afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for _ in range(self._places):
            if process := self._free.get():
                process.end()
        for _ in range(self._places):
            self._free.put(None)


class _Room:
    """How many pixels of large pictures may be decoded at once, in all processes together; first come, first served."""

    def __init__(self, pixels: int) -> None:
        self._pixels = self._left = pixels
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Waits for as much room."""
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
    """A process that is of no use any more."""


class _Process:
    """One decoder, for one thread at a time."""

    def __init__(self, max_pixels: int) -> None:
        self.left = _RETIRE
        """Pictures until it is retired."""
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

    def decode(self, content: bytes, wanted: list[Any], room: _Room, seconds: float) -> Decoded:
        """seconds: for it to be ready or to ask for room, and again when it has that. Raises ImageError, or _Died."""
        self.left -= 1
        width = height = 0
        try:
            self._shared[: len(content)] = content
            _send(self._pipe, [len(content), *wanted])
            answer = self._received(seconds)
            if answer[0] == _ROOM:
                with room.taken(answer[1]):
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
    """A descriptor of memory that has no name; only what is written takes any."""
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("picture")
    else:
        with TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.ftruncate(file, size)
    return file


def _kinds(kind: type[ImageError]) -> dict[str, type[ImageError]]:
    found = {kind.__name__: kind}
    for one in kind.__subclasses__():
        found |= _kinds(one)
    return found


_ERRORS = _kinds(ImageError)


def _send(pipe: Connection, what: list[object]) -> None:
    pipe.send_bytes(json.dumps(what).encode())


def work(descriptor: int, shared_descriptor: int, size: int, max_pixels: int) -> None:
    """The other process: decodes what comes until the connection ends."""
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
        options: dict[str, Any] = {"least_side": least_side, "box": box and tuple(box), "shrink": of_plain(shrink)}
        answer = _decoded(shared, length, max_pixels=max_pixels, admit=admit, **options)
        if is_large:
            # Pillow's files and what they hold may be a cycle; the answer gives the room to others.
            gc.collect()
        _send(pipe, answer)


def _decoded(shared: mmap.mmap, length: int, **options: Any) -> list[object]:
    """What is answered: width, height and type of the pixels, which are in the shared memory; or why there are none."""
    try:
        decoded = open_image(shared[:length], **options)
        pixels = decoded.image.tobytes()
        shared[: len(pixels)] = pixels
    except ImageError as error:
        return [type(error).__name__, str(error)]
    except MemoryError:
        return [ImageTooLarge.__name__, "the picture needs too much memory"]
    return [*decoded.image.size, decoded.media_type]
