"""How much is taken on at once: beyond that a request is told at once to come later, and health is always answered."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .answers import refusal
from .status import THROTTLED

FREE = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered however much there is to do."""
_SLOWEST = 16 * 1024
"""Bytes a second that a body must make, when its time is over."""


class Gate:
    """An ASGI layer. Lives in the event loop, so it needs no lock."""

    def __init__(self, app: ASGIApp, most_requests: int, most_bytes: int, seconds: float) -> None:
        """most_bytes: of bodies that are being read or worked on. seconds: for a body to arrive, however small."""
        self._app = app
        self._most_requests = most_requests
        self._most_bytes = most_bytes
        self.seconds = seconds
        self._requests = 0
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        if self._requests >= self._most_requests:
            full = refusal(THROTTLED, f"{self._requests} requests are being worked on; try again soon")
            await full(scope, receive, send)
            return
        body = _Body(self, receive)
        self._requests += 1
        try:
            await self._app(scope, body.receive, send)
        finally:
            self._requests -= 1
            self._bytes -= body.size

    def take(self, size: int) -> None:
        """Counts bytes of a body. Raises HTTPException where they are too many with all the others'."""
        if self._bytes + size > self._most_bytes:
            raise HTTPException(THROTTLED.http, "the requests being worked on are too large together; try again soon")
        self._bytes += size


class _Body:
    """A request's body on its way in."""

    def __init__(self, gate: Gate, receive: Receive) -> None:
        self._gate = gate
        self._receive = receive
        self._complete = False
        self._start: float | None = None
        self.size = 0

    async def receive(self) -> Message:
        """Raises HTTPException for what is too much at this moment, or comes too slowly."""
        if self._complete:
            return await self._receive()  # waits for the other side to hang up, however long that takes
        self._start = self._start or asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self._start + self._gate.seconds + self.size / _SLOWEST):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "the request arrives too slowly") from error
        self._complete = not message.get("more_body")
        arrived = len(message.get("body", b""))
        self._gate.take(arrived)
        self.size += arrived
        return message
