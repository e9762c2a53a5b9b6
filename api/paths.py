"""Requests made plain before they are routed: paths by raw segment, the app alias, bodies as JSON, a size limit."""

from collections.abc import MutableMapping
from typing import Any
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PlainRequests:
    """An ASGI layer.

    - Ids are percent-encoded in paths: each segment is decoded alone, and a slash in it stays `%2F` for the router.
    - `//v2` and trailing slashes are the same path without a redirect.
    - `/v2/users/{user}/apps/{app}/...` is `/v2/...`; the key decides, and is held against that app.
    - Clients send bodies under odd content types, or none at all: a body is JSON, an empty one `{}`.
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = dict(scope)
        segments = _segments(scope)
        if segments[:2] == ["v2", "users"] and segments[3:4] == ["apps"] and len(segments) > 5:
            scope["tenshot.app"] = unquote(segments[4])
            segments = ["v2", *segments[5:]]
        scope["path"] = "/" + "/".join(segments)
        if segments[:1] == ["v2"] and scope["method"] in ("POST", "PATCH", "PUT", "DELETE"):
            headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            scope["headers"] = [*headers, (b"content-type", b"application/json")]
            receive = self._filled(receive, _declared(scope))
        await self._app(scope, receive, send)

    def _filled(self, receive: Receive, declared: int) -> Receive:
        """`{}` for an empty body; HTTPException 413 for one that is too large, or says so before it is read."""
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            if declared > self._most_bytes:
                raise self._too_large()
            message: MutableMapping[str, Any] = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._most_bytes:
                    raise self._too_large()
                if not message.get("more_body") and not seen:
                    seen = 2
                    message = {**message, "body": b"{}"}
            return message

        return limited

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"a request may have {self._most_bytes} bytes")


def _declared(scope: Scope) -> int:
    """Bytes of the body, as its head says; 0 if it doesn't."""
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(said) if said.isdigit() else 0


def _segments(scope: Scope) -> list[str]:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    found = [segment for segment in raw.split(b"?")[0].decode("latin-1").split("/") if segment]
    return [unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in found]
