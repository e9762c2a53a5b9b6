"""The layers of ASGI that every request passes, the outermost first: `middleware` lists them, and here they stand."""

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from contextlib import nullcontext
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...index.records import KeyRecord
from ...runtime.trace import begin_request
from ..auth.keys import SESSION, key_of
from ..context import service_of
from ..observability.prometheus import Metrics
from ..observability.tracing import Tracing
from ..settings import Settings
from ..wire.responses import refusal
from ..wire.status import THROTTLED
from .transport import BodyLimits, BodyReader, Delivery, UnreadBodies, has_body

REQUEST_ID = "X-Request-ID"
"""The header in which requests may bring an id, and answers tell it."""
APP = "tenshot.app"
"""In the ASGI scope: the app that the path names, by its id or name."""
KEY = "tenshot.key"
"""In the ASGI scope: the key of the request, or the error that tells why there is none."""
MEMORY = "tenshot.memory"
"""In the ASGI scope: counts bytes of memory for this request, until it has ended. Raises HTTPException."""
RATE = "tenshot.rate"
"""In the ASGI scope: headers that tell where the key of the request stands with its rate limit."""
_log = logging.getLogger("tenshot.requests")


def middleware(settings: Settings, metrics: Metrics, tracing: Tracing | None) -> list[Middleware]:
    """In the order in which a request meets them; its answer meets them in the opposite one."""
    cors = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Clarifai-Client", SESSION],
        expose_headers=[REQUEST_ID, "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
    )
    return [
        Middleware(Delivery, seconds=settings.answer_seconds),
        Middleware(SecurityHeaders),
        *([cors] if settings.cors_origins else []),
        Middleware(NormalisePaths),
        Middleware(UnreadBodies),
        Middleware(RequestLog, metrics=metrics, tracing=tracing),
        Middleware(
            Admission,
            most_requests=settings.max_requests,
            most_bytes=max(settings.max_bytes_in_flight, settings.max_body_bytes),
            limits=BodyLimits(settings.max_body_bytes, settings.body_seconds),
        ),
    ]


# ---- SecurityHeaders

SECURE: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI has them."""
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


# Answers hold labels and, once, keys.
_ANSWERS = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
_SECURE = _raw(SECURE)
_API = _raw({**SECURE, **_ANSWERS})
# Pages elsewhere show hosted pictures: knowing the address is what it takes to see one.
_IMAGES = _raw({**SECURE, "Cross-Origin-Resource-Policy": "cross-origin"})


class SecurityHeaders:
    """Tells browsers what they must not do with an answer, and clients where their key stands.

    What an answer has set itself stays.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rate: dict[str, str] = {}
        scope = {**scope, RATE: rate}
        path: str = scope["path"].lstrip("/")
        always = _API if path.startswith("v2/") else _IMAGES if path.startswith("images/") else _SECURE

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = [*always, *_raw(rate)] if rate else always
                message["headers"] = [*message["headers"], *(header for header in more if header[0] not in own)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


# ---- NormalisePaths


class NormalisePaths:
    """Gives the router one path for each resource.

    - Ids are percent-encoded in paths: each segment is decoded alone, and a slash in it stays `%2F` for the router.
    - `//v2` and trailing slashes are the same path without a redirect.
    - `/v2/users/{user}/apps/{app}/...` is `/v2/...`; the key decides, and is held against that app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = dict(scope)
            segments = _segments(scope)
            if segments[:2] == ["v2", "users"] and segments[3:4] == ["apps"] and len(segments) > 5:
                scope[APP] = unquote(segments[4])
                segments = ["v2", *segments[5:]]
            scope["path"] = "/" + "/".join(segments)
        await self._app(scope, receive, send)


def _segments(scope: Scope) -> list[str]:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    segments = [segment for segment in raw.split(b"?")[0].decode("latin-1").split("/") if segment]
    return [unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in segments]


# ---- RequestLog

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")


class RequestLog:
    """Gives each request an id, and records how it ended, how long it took and where: log, metrics, trace."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing | None) -> None:
        self._app = app
        self._metrics = metrics
        self._tracing = tracing
        self._in_flight = 0
        metrics.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        # That of the client or a proxy, if it is a sane one.
        theirs = headers.get(REQUEST_ID)
        id = theirs if theirs and _SANE_ID.fullmatch(theirs) else uuid4().hex
        stages = begin_request(id)
        status, start = 500, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID.lower().encode(), id.encode())]
            await send(message)

        self._in_flight += 1
        try:
            with self._tracing.request(headers) if self._tracing else nullcontext() as span:
                try:
                    await self._app(scope, receive, send_with_id)
                finally:
                    self._record(scope, status, time.perf_counter() - start, id, stages, span)
        finally:
            self._in_flight -= 1

    def _record(self, scope: Scope, status: int, seconds: float, id: str, stages: dict[str, float], span: Any) -> None:
        route = getattr(scope.get("route"), "path_format", "none")
        self._metrics.observe(scope["method"], route, status, seconds, stages)
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
                "stages": {name: round(1000 * seconds, 2) for name, seconds in stages.items()},
            }
            line = f"{scope['method']} {scope['path']} {status} {milliseconds} ms"
            # A path may hold anything, line ends too.
            _log.info(line.encode("unicode_escape").decode(), extra={"facts": facts})


# ---- Admission

FREE = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered however much there is to do."""
_KEYLESS = 64
"""Requests without a valid key at once: so many with a body, and so many without one."""
_KEYLESS_BODY = BodyLimits(8 * 1024, 5)
"""Enough for signing in, which is all that a body without a key is for."""


class Slots:
    """Counts the requests that are worked on. Lives in the event loop, so it needs no lock."""

    def __init__(self, most: int) -> None:
        """most: requests with a valid key at once. The last quarter of them is for keys that hold few."""
        self._most = most
        self._reserved = most // 4
        self._few = max(1, most // 16)
        self._most_keyless = min(_KEYLESS, most)
        self._held: Counter[Hashable] = Counter()
        self._keyed = 0

    def take(self, key_id: str | None, *, body: bool) -> Hashable | None:
        """What is given back afterwards; None where there is no slot left. key_id None: no valid key."""
        holder = ("keyless", body) if key_id is None else key_id
        held = self._held[holder]
        if key_id is None:
            if held >= self._most_keyless:
                return None
        else:
            if self._keyed >= self._most - (self._reserved if held >= self._few else 0):
                return None
            self._keyed += 1
        self._held[holder] += 1
        return holder

    def give_back(self, holder: Hashable) -> None:
        self._keyed -= isinstance(holder, str)
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]


class Admission:
    """Takes on so many requests and bytes at once; those beyond are told at once to come later.

    Requests without a valid key take no slot of those with one, and may have small bodies only.
    """

    def __init__(self, app: ASGIApp, most_requests: int, most_bytes: int, limits: BodyLimits) -> None:
        """most_bytes: of all bodies that are being read or worked on, and what they are read into. limits: of each."""
        self._app = app
        self._slots = Slots(most_requests)
        self._most_bytes = most_bytes
        self._bytes = 0
        self._limits = limits
        self._keyless_limits = BodyLimits(
            min(limits.most_bytes, _KEYLESS_BODY.most_bytes), min(limits.seconds, _KEYLESS_BODY.seconds)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        key = scope[KEY] = _key(scope)
        holder = self._slots.take(key.id if isinstance(key, KeyRecord) else None, body=has_body(scope))
        if holder is None:
            full = refusal(THROTTLED, "as many requests as can be are being worked on; try again soon")
            await full(scope, receive, send)
            return
        memory = _Memory(self.take)
        scope[MEMORY] = memory.take
        limits = self._limits if isinstance(key, KeyRecord) else self._keyless_limits
        try:
            await self._app(scope, BodyReader(scope, receive, limits, memory.take).receive, send)
        finally:
            self._slots.give_back(holder)
            self._bytes -= memory.size

    def take(self, size: int) -> None:
        """Counts bytes. Raises HTTPException where they are too many with all the others'."""
        if self._bytes + size > self._most_bytes:
            raise HTTPException(THROTTLED.http, "the requests being worked on are too large together; try again soon")
        self._bytes += size


class _Memory:
    """What one request has taken."""

    def __init__(self, take: Callable[[int], None]) -> None:
        self._take = take
        self.size = 0

    def take(self, size: int) -> None:
        self._take(size)
        self.size += size


def _key(scope: Scope) -> KeyRecord | Exception:
    """The key of a request, or the error, which a route raises if it needs a key."""
    try:
        return key_of(service_of(scope).store.catalog, Headers(scope=scope))
    except Exception as error:
        return error
