"""Answers that must be taken: whoever takes nothing for too long is hung up on, and what worked for it ends at once."""

import asyncio
import logging
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .connections import CONNECTION, Connection

_PIECE = 64 * 1024
"""Bytes handed over at a time; uvicorn waits while so many have not been taken."""
_SLOWEST = 16 * 1024
"""Bytes a second that must be taken over the long run."""
_log = logging.getLogger("tenshot.api")


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
        left, taken = self._seconds, 0

        def until(moment: float | None) -> None:
            # One that has just passed ends the request when it next waits for anything.
            if not deadline.expired():
                deadline.reschedule(moment)

        async def sent(message: Message) -> None:
            nonlocal left, taken
            for piece in _pieces(message):
                # Timers cost more than small answers do.
                if connection is None or connection.is_behind:
                    start = loop.time()
                    until(start + min(self._seconds, left + taken / _SLOWEST))
                    await send(piece)
                    until(None)
                    left -= loop.time() - start
                else:
                    await send(piece)
                taken += len(piece.get("body", b""))

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
