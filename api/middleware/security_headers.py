"""Headers that every answer has: what a browser must not do with it, and where its key stands."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
EXPOSED = ["Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
"""What pages of other origins may read, where they may ask at all."""
RATE = "tenshot.rate"
"""In the ASGI scope: headers that tell where the key of the request stands."""


class Headers:
    """An ASGI layer. What an answer has set itself stays."""

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

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                more = [*always, *_raw(rate)] if rate else always
                message["headers"] = [*message["headers"], *(header for header in more if header[0] not in own)]
            await send(message)

        await self._app(scope, receive, marked)
