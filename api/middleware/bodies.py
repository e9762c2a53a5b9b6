"""A request's body on its way in: how large, how fast, and what becomes of what nobody reads."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SLOWEST = 16 * 1024
"""Bytes a second that a body must make, when its time is over."""
_LINGER_SECONDS = 2
_LINGER_BYTES = 16 * 1024 * 1024
_CLOSE = (b"connection", b"close")


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

    What still arrives is thrown away for a moment, since who is cut off while sending may never see the answer.
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
        # Who waits to be told to go on must not be told so now.
        self._waits = header(scope, b"expect") != b""

    async def receive(self) -> Message:
        message = await self._receive()
        self._complete = not message.get("more_body")
        return message

    async def send(self, message: Message) -> None:
        if self._complete:
            await self._send(message)
        elif message["type"] == "http.response.start":
            # It may be here already, without having been asked for.
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
