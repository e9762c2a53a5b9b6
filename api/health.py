"""Whether the service lives, and the pictures that were uploaded."""

import re

from anyio import to_thread
from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from ..index.errors import NotFound
from ..index.store import Store
from .answers import Answer, Json, ok, refusal
from .instruments import Instruments
from .route import new_router
from .status import NOT_READY

router = new_router("", "service", keyed=False)


# Asynchronous, so that it needs none of the threads that others may be waiting for.
@router.get("/healthz", response_model=Answer)
async def alive() -> Json:
    """The process answers, however much there is to do."""
    return ok()


@router.get("/readyz", response_model=Answer, responses={503: {"model": Answer}})
async def ready(request: Request) -> Json:
    """The data folder answers, and the base workflows of all apps are open as far as they can be."""
    store: Store = request.app.state.store
    # A thread that no other request can have taken.
    apps = len(await to_thread.run_sync(store.apps, limiter=request.app.state.spare_threads))
    if request.app.state.warming.is_alive():
        return refusal(NOT_READY, "base workflows are being opened")
    return ok(apps=apps)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """For Prometheus: requests and their parts, what waits, collections and where they lie, inputs, labels, memory."""
    instruments: Instruments = request.app.state.instruments
    return Response(instruments.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/", include_in_schema=False)
def root() -> Json:
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
