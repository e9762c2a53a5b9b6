"""Whether the service lives, and the pictures that were uploaded."""

from typing import Annotated

from anyio import to_thread
from fastapi import Query, Request, Response
from fastapi.responses import PlainTextResponse

from ...embeddings.pictures.images import BadCrop
from ...embeddings.pictures.thumbnails import MEDIA_TYPE
from ...index.app import App
from ...index.errors import NotFound
from ...index.storage.files import is_sha256
from ..context import service_of
from ..wire.responses import Json, ok, refusal
from ..wire.schemas import Answer
from ..wire.status import NOT_READY
from .route import new_router

router = new_router("", "service", keyed=False)
# What is under a hash never changes, and is nothing but a picture.
_FOREVER = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


# Asynchronous, so that it needs none of the threads that others may be waiting for.
@router.get("/healthz", response_model=Answer)
async def alive() -> Json:
    """The process answers, however much there is to do."""
    return ok()


@router.get("/readyz", response_model=Answer, responses={503: {"model": Answer}})
async def ready(request: Request) -> Json:
    """The data folder answers, and the base workflows of all apps are open as far as they can be."""
    service = service_of(request.scope)
    apps = len(await to_thread.run_sync(service.store.apps, limiter=service.health_threads))
    if service.warm_up.is_alive():
        return refusal(NOT_READY, "base workflows are being opened")
    return ok(apps=apps)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """For Prometheus: requests and their parts, what waits, collections and where they lie, inputs, labels, memory."""
    service = service_of(request.scope)
    text = await to_thread.run_sync(service.metrics.text, limiter=service.keyless_thread)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/images/{app_id}/{sha256}", response_class=Response)
def image(app_id: str, sha256: str, request: Request) -> Response:
    """An uploaded picture, as it came. No key: its address can't be guessed by who doesn't have the picture."""
    picture = _app_with(request, app_id, sha256).picture_by_hash(sha256)
    return Response(picture.data, media_type=picture.media_type, headers=_FOREVER)


@router.get("/thumbnails/{app_id}/{sha256}", response_class=Response)
def thumbnail(
    app_id: str,
    sha256: str,
    request: Request,
    crop: Annotated[
        str | None, Query(description="top,left,bottom,right of the part that is wanted, as fractions.")
    ] = None,
) -> Response:
    """The same as a WebP of at most 320 pixels a side, upright."""
    app, box = _app_with(request, app_id, sha256), None
    if crop is not None:
        try:
            top, left, bottom, right = (float(edge) for edge in crop.split(","))
        except ValueError as error:
            raise BadCrop("a crop is top,left,bottom,right as fractions of the picture") from error
        box = (top, left, bottom, right)
    return Response(app.thumbnail(sha256, box), media_type=MEDIA_TYPE, headers=_FOREVER)


def _app_with(request: Request, app_id: str, sha256: str) -> App:
    """Raises NotFound."""
    store = service_of(request.scope).store
    # SQL is asked before an app is opened, which reads all its vectors: strangers may not cause that.
    if not is_sha256(sha256) or store.catalog.inputs.media_type(app_id, sha256) is None:
        raise NotFound("no such picture")
    return store.app_by_id(app_id)
