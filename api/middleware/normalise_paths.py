"""Paths made plain before they are routed: by raw segment, without the app alias."""

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send


class PlainPaths:
    """An ASGI layer.

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
                scope["tenshot.app"] = unquote(segments[4])
                segments = ["v2", *segments[5:]]
            scope["path"] = "/" + "/".join(segments)
        await self._app(scope, receive, send)


def _segments(scope: Scope) -> list[str]:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    found = [segment for segment in raw.split(b"?")[0].decode("latin-1").split("/") if segment]
    return [unquote(segment).replace("%", "%25").replace("/", "%2F") for segment in found]
