"""The web page, and the API's: files of `web/` as they are, under a policy that lets nothing in from elsewhere."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from ...index.errors import NotFound
from ..context import service_of
from .route import new_router

router = new_router("", "page", keyed=False)
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Asked for again each time, and answered by 304 unless it has changed.
    "Cache-Control": "no-cache",
}


_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")
"""Files of Swagger UI, as a package ships them."""


@dataclass(frozen=True)
class _File:
    content: bytes
    media_type: str
    etag: str


@router.get("/", include_in_schema=False)
def index(request: Request) -> Response:
    return _answer("index.html", request)


@router.get("/docs", include_in_schema=False)
def docs(request: Request) -> Response:
    """The OpenAPI document for people, with Swagger UI."""
    return _answer("docs/index.html", request)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """The same for machines; making it takes half a second, once."""
    service = service_of(request.scope)
    content = await to_thread.run_sync(service.openapi, limiter=service.keyless_thread)
    return Response(content, media_type="application/json")


@router.get("/redoc", include_in_schema=False)
def redoc() -> Response:
    """Where other pages of FastAPI's have it."""
    return RedirectResponse("/docs")


@router.get("/page/{name}", include_in_schema=False)
def file(name: str, request: Request) -> Response:
    return _answer(name, request)


@router.get("/page/{folder}/{name}", include_in_schema=False)
def file_in_folder(folder: str, name: str, request: Request) -> Response:
    return _answer(f"{folder}/{name}", request)


def _answer(name: str, request: Request) -> Response:
    page_file = _files().get(name)
    if page_file is None:
        raise NotFound(f"the page has no file {name!r}")
    headers = _HEADERS | {"ETag": page_file.etag}
    if request.headers.get("if-none-match") == page_file.etag:
        return Response(status_code=304, headers=headers)
    return Response(page_file.content, media_type=page_file.media_type, headers=headers)


@cache
def _files() -> Mapping[str, _File]:
    """By name; read once, so that no request names a path."""
    web = files("tenshot.api") / "web"
    swagger = files("fastapi_swagger") / "resources"
    named = [*_named(web, ""), *((f"docs/{name}", swagger / name) for name in _SWAGGER)]
    return {name: _read(path) for name, path in named}


def _named(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    named: list[tuple[str, Traversable]] = []
    for path in folder.iterdir():
        named += _named(path, f"{prefix}{path.name}/") if path.is_dir() else [(prefix + path.name, path)]
    return named


def _read(path: Traversable) -> _File:
    content = path.read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, _MEDIA_TYPES[path.name.rpartition(".")[2]], etag)
