"""Every request watched: its id, how long it took and where, how it ended."""

import logging
import time
from contextlib import nullcontext
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...runtime.timing import begin_stages
from ..observability.prometheus import Instruments
from ..observability.request_id import HEADER, begin_trail
from ..observability.tracing import Tracing

_log = logging.getLogger("tenshot.requests")


class Watch:
    """An ASGI layer inside `PlainPaths`."""

    def __init__(self, app: ASGIApp, instruments: Instruments, tracing: Tracing | None) -> None:
        self._app = app
        self._instruments = instruments
        self._tracing = tracing
        self._in_flight = 0
        instruments.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        id = begin_trail(headers.get(HEADER))
        stages = begin_stages()
        status, start = 500, time.perf_counter()

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), id.encode())]
            await send(message)

        self._in_flight += 1
        try:
            with self._tracing.request(headers) if self._tracing else nullcontext() as span:
                try:
                    await self._app(scope, receive, sent)
                finally:
                    self._ended(scope, status, time.perf_counter() - start, id, stages, span)
        finally:
            self._in_flight -= 1

    def _ended(self, scope: Scope, status: int, seconds: float, id: str, stages: dict[str, float], span: Any) -> None:
        route = getattr(scope.get("route"), "path_format", "none")
        self._instruments.observe(scope["method"], route, status, seconds, stages)
        if self._tracing:
            self._tracing.end(span, scope["method"], route, status, id, stages)
        if _log.isEnabledFor(logging.INFO):
            milliseconds = round(1000 * seconds, 2)
            facts = {
                "method": scope["method"],
                "route": route,
                "path": scope["path"],
                "status": status,
                "milliseconds": milliseconds,
                "stages": {name: round(1000 * taken, 2) for name, taken in stages.items()},
            }
            line = f"{scope['method']} {scope['path']} {status} {milliseconds} ms"
            # A path may hold anything, line ends too.
            _log.info(line.encode("unicode_escape").decode(), extra={"facts": facts})
