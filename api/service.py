"""The HTTP service, put together from its settings."""

import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from starlette.exceptions import HTTPException
from starlette.routing import Match

from .. import __version__
from ..index.collections import CollectionSettings
from ..index.segments.devices import DeviceSettings
from ..index.store import Store
from . import (
    apps,
    base_workflows,
    concepts,
    evaluations,
    explanations,
    feedback,
    health,
    inputs,
    models,
    outputs,
    searches,
    suggestions,
    tokens,
    transfers,
    versions,
    workflows,
)
from .access import SESSION
from .answers import Json, refusal
from .fetch import fetch
from .instruments import Instruments
from .paths import PlainRequests
from .queue import evaluations_queue, pictures_queue
from .settings import Settings
from .status import (
    BAD_FORMAT,
    BAD_METHOD,
    NOT_FOUND,
    SERVER_FAULT,
    TOO_LARGE,
    WireError,
    status_of,
)
from .tracing import Tracing
from .trail import HEADER, request_id
from .watch import Watch

_log = logging.getLogger("tenshot.api")
# Routes are tried in this order: what is asked most comes first, and feedback before ids could take its place.
_RESOURCES = (
    *(outputs, searches, feedback, inputs, models, versions, concepts, workflows, apps, tokens, health),
    *(suggestions, explanations, evaluations, base_workflows, transfers),
)
_BY_HTTP = {404: NOT_FOUND, 405: BAD_METHOD, 413: TOO_LARGE}


def create_service(settings: Settings, store: Store | None = None, tracing: Tracing | None = None) -> FastAPI:
    """The application. A store that is given stays open afterwards; else one is opened and closed with the service."""
    instruments = Instruments()

    @asynccontextmanager
    async def lifespan(service: FastAPI) -> AsyncIterator[None]:
        service.state.settings = settings
        opened = store or open_store(settings)
        service.state.store = opened
        service.state.pictures = pictures_queue(opened, fetch)
        service.state.evaluations = evaluations_queue(opened)
        service.state.exports = threading.BoundedSemaphore(transfers.AT_ONCE)
        queues: dict[str, Any] = {"pictures": service.state.pictures, "evaluations": service.state.evaluations}
        instruments.watch(opened, queues, settings.max_requests_at_once)
        service.state.instruments = instruments
        service.state.warming = warming = threading.Thread(target=opened.warm_up, name="tenshot-warm-up", daemon=True)
        warming.start()
        try:
            yield
        finally:
            warming.join()
            service.state.pictures.close()
            service.state.evaluations.close()
            if store is None:
                opened.close()

    service = FastAPI(
        title="tenshot",
        version=__version__,
        description="Custom concepts from about ten labelled images, in the wire format of Clarifai's v2 API.",
        lifespan=lifespan,
        routes=[route for resource in _RESOURCES for route in resource.router.routes],
        exception_handlers={
            RequestValidationError: _invalid,
            HTTPException: _http_error,
            WireError: _wire_error,
            UnicodeEncodeError: _not_unicode,
            Exception: _error,
        },
    )
    for kind in _expected():
        service.add_exception_handler(kind, _error)
    service.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        expose_headers=[HEADER],
        allow_headers=["Authorization", "Content-Type", "X-Clarifai-Client", SESSION],
    )
    service.add_middleware(Watch, instruments=instruments, most_at_once=settings.max_requests_at_once, tracing=tracing)
    service.add_middleware(PlainRequests, most_bytes=settings.max_body_bytes)
    return service


def open_store(settings: Settings) -> Store:
    """The data folder, with what its collections may take of the machine. Raises StoreInUse, StorageFailed."""
    devices = DeviceSettings(count=settings.gpu_count, memory_bytes=settings.gpu_memory_bytes)
    collections = CollectionSettings(threads=settings.search_threads, devices=devices)
    return Store.open(settings.data, database_url=settings.database_url, collections=collections)


def _expected() -> list[type[Exception]]:
    """Roots of the errors that a route may raise. Registered, so that they are answered inside the middlewares."""
    from ..embeddings.base import WorkflowError
    from ..embeddings.batcher import BatcherClosed, Busy
    from ..embeddings.images import ImageError
    from ..index.errors import TenshotError
    from .fetch import FetchError
    from .keys import BadKey, MissingScope

    return [TenshotError, ImageError, WorkflowError, Busy, BatcherClosed, FetchError, BadKey, MissingScope]


async def _error(_request: Request, error: Exception) -> Json:
    status = status_of(error)
    if status is None:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        # Answered outside of what sets this header for all others.
        headers = {HEADER: request_id()}
        return refusal(SERVER_FAULT, "something went wrong on the server; its log says what", headers)
    return refusal(status, str(error))


async def _wire_error(_request: Request, error: Exception) -> Json:
    assert isinstance(error, WireError)
    return refusal(error.status, str(error))


async def _not_unicode(_request: Request, _error: Exception) -> Json:
    return refusal(BAD_FORMAT, "the request has text that is not valid Unicode")


async def _http_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    if error.status_code == BAD_METHOD.http:
        # Each route knows one method of its path; what is allowed is those of all.
        routes = [one for one in request.app.routes if one.matches(request.scope)[0] is not Match.NONE]
        allowed = sorted({method for one in routes for method in one.methods or ()})
        return refusal(BAD_METHOD, f"allowed: {', '.join(allowed)}", {"Allow": ", ".join(allowed)})
    status = _BY_HTTP.get(error.status_code, BAD_FORMAT if error.status_code < 500 else SERVER_FAULT)
    return refusal(status, str(error.detail), error.headers)


async def _invalid(_request: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return refusal(BAD_FORMAT, f"{place}: {first['msg']}")
