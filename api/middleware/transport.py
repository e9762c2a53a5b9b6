"""What goes over a connection, in time and within limits: heads, bodies on their way in, answers on their way out."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20
CONNECTION = "tenshot.connection"
"""In the ASGI scope: the `Connection`."""
_SLOWEST = 16 * 1024
"""Bytes a second that a body must make when its time is over, and that must be taken of an answer in the long run."""
_LINGER_SECONDS = 2
_LINGER_BYTES = 16 * 1024 * 1024
_CLOSE = (b"connection", b"close")
_PIECE = 64 * 1024
"""Bytes of an answer that are handed over at a time; uvicorn waits while so many have not been taken."""
_log = logging.getLogger("tenshot.api")


class Connection(HttpToolsProtocol):
    """uvicorn's own lets one that never says anything, or says it forever, stay forever."""

    _late: asyncio.TimerHandle | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the other side has yet to take some of what was sent: sending waits for that."""
        return self.flow.write_paused

    def cut(self) -> None:
        """Closing would wait for the other side to take what is left, here and in the kernel."""
        at_once = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Part of a head, or nothing that means anything; uvicorn's own timer ends with any byte.
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[CONNECTION] = self  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


@dataclass(frozen=True)
class BodyLimits:
    most_bytes: int
    seconds: float
    """For it to arrive; one of more than 16 KiB may take longer, as long as it makes 16 KiB in each further second."""


def header(scope: Scope, name: bytes) -> bytes:
    """The first of this name, which is in lower case; empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def has_body(scope: Scope) -> bool:
    """Whether the head says that a body follows."""
    return header(scope, b"content-length") not in (b"", b"0") or header(scope, b"transfer-encoding") != b""


class BodyReader:
    """Receives a body within limits."""

    def __init__(self, scope: Scope, receive: Receive, limits: BodyLimits, take: Callable[[int], None]) -> None:
        """take: called with the size of each part that has arrived."""
        self._scope = scope
        self._receive = receive
        self._limits = limits
        self._take = take
        self._complete = False
        self._start: float | None = None
        self._size = 0

    async def receive(self) -> Message:
        """Raises HTTPException for what is too large, compressed, or comes too slowly; before it comes if its head
        says so."""
        if self._complete:
            return await self._receive()  # waits for the other side to hang up, however long that takes
        if self._start is None:
            self._check_head()
            self._start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._start + self._limits.seconds + self._size / _SLOWEST):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "the request arrives too slowly") from error
        arrived = len(message.get("body", b""))
        self._complete = not message.get("more_body")
        self._size += arrived
        self._check_size(self._size)
        self._take(arrived)
        return message

    def _check_head(self) -> None:
        encoding = header(self._scope, b"content-encoding").strip().lower()
        if encoding not in (b"", b"identity"):
            raise HTTPException(415, "a body is sent as it is, without a Content-Encoding: this server unpacks none")
        declared = header(self._scope, b"content-length")
        self._check_size(int(declared) if declared.isdigit() else 0)

    def _check_size(self, size: int) -> None:
        if size > self._limits.most_bytes:
            raise HTTPException(413, f"a request may have {self._limits.most_bytes} bytes")


class UnreadBodies:
    """An ASGI layer: an answer that comes before its request is complete ends the connection.

    What still arrives is thrown away for a moment: a client that is cut off while it sends may never see the answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and has_body(scope):
            unread = _Unread(scope, receive, send)
            receive, send = unread.receive, unread.send
        await self._app(scope, receive, send)


class _Unread:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._complete = False
        # A client that waits for 100 Continue must not get it now.
        self._waits = header(scope, b"expect") != b""

    async def receive(self) -> Message:
        message = await self._receive()
        self._complete = not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        if self._complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            # The rest of the body may have arrived already.
            if not self._waits:
                await self._drain(0)
            if not self._complete:
                message["headers"] = [*message["headers"], _CLOSE]
            await self._send(message)
        elif message.get("more_body"):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._drain(_LINGER_SECONDS)
            await self._send({"type": "http.response.body", "body": b""})

    async def _drain(self, seconds: float) -> None:
        left = _LINGER_BYTES
        try:
            async with asyncio.timeout(seconds):
                while left > 0 and not self._complete:
                    left -= len((await self.receive()).get("body", b""))
        except TimeoutError:
            pass


class Delivery:
    """An ASGI layer, round all that holds something while it answers."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        """seconds: for a piece of 64 KiB to be taken."""
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        connection: Connection | None = scope.get(CONNECTION)
        left, received = self._seconds, 0

        def until(moment: float | None) -> None:
            # One that has just passed ends the request when it next waits for anything.
            if not deadline.expired():
                deadline.reschedule(moment)

        async def sent(message: Message) -> None:
            nonlocal left, received
            for piece in _pieces(message):
                # Timers cost more than small answers do.
                if connection is None or connection.is_behind:
                    start = loop.time()
                    until(start + min(self._seconds, left + received / _SLOWEST))
                    await send(piece)
                    until(None)
                    left -= loop.time() - start
                else:
                    await send(piece)
                received += len(piece.get("body", b""))

        try:
            # Cancels what is working on the answer, wherever it waits for the other side.
            async with asyncio.timeout(None) as deadline:
                await self._app(scope, receive, sent)
        except TimeoutError:
            if not deadline.expired():
                raise
            path = scope["path"].encode("unicode_escape").decode()
            _log.info("%s %s: the other side takes too little, and is hung up on", scope["method"], path)
            if connection is not None:
                connection.cut()
                while (await receive())["type"] != "http.disconnect":
                    pass


def _pieces(message: Message) -> Iterator[Message]:
    """The same message, its body in pieces."""
    body: bytes = message.get("body", b"")
    if len(body) <= _PIECE:
        yield message
        return
    last = len(body) - _PIECE
    for start in range(0, len(body), _PIECE):
        more = start < last or message.get("more_body", False)
        yield {**message, "body": body[start : start + _PIECE], "more_body": more}
