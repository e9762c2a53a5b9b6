"""Whether the service lives, and the pictures that were uploaded."""

import re
from typing import Any

from fastapi import APIRouter, Request, Response

from ..index.errors import NotFound
from ..index.store import Store
from .wire import ok

router = APIRouter(tags=["service"])


@router.get("/healthz")
def alive() -> dict[str, Any]:
    """The process answers."""
    return ok()


@router.get("/readyz")
def ready(request: Request) -> dict[str, Any]:
    """The data folder answers too."""
    store: Store = request.app.state.store
    return ok(apps=len(store.apps()))


@router.get("/", include_in_schema=False)
def root() -> dict[str, Any]:
    return ok(name="tenshot", api="/v2", docs="/docs")


@router.get("/images/{app_id}/{sha256}", response_class=Response)
def image(app_id: str, sha256: str, request: Request) -> Response:
    """An uploaded picture, as it came. No key: its address can't be guessed by who doesn't have the picture."""
    store: Store = request.app.state.store
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise NotFound("no such picture")
    picture = store.app_by_id(app_id).picture_by_hash(sha256)
    return Response(
        picture.data,
        media_type=picture.media_type,
        headers={
            "Cache-Control": "private, max-age=31536000, immutable",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        },
    )
