"""The HTTP service, put together from its settings."""

import logging
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

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
    page,
    searches,
    session,
    suggestions,
    tokens,
    versions,
    workflows,
)
from .access import SESSION
from .answers import Json
from .fetch import fetch
from .paths import PlainRequests
from .queue import evaluations_queue, pictures_queue
from .settings import Settings
from .sign_in import SignIn
from .status import (
    BAD_FORMAT,
    BAD_METHOD,
    NOT_FOUND,
    SERVER_FAULT,
    THROTTLED,
    TOO_LARGE,
    Status,
    WireError,
    status_of,
)

_log = logging.getLogger("tenshot.api")
# Routes are tried in this order: what is asked most comes first, and feedback before ids could take its place.
_RESOURCES = (
    *(outputs, searches, feedback, inputs, models, versions, concepts, workflows, apps, tokens, health),
    *(suggestions, explanations, evaluations, base_workflows, session, page),
)
_BY_HTTP = {404: NOT_FOUND, 405: BAD_METHOD, 413: TOO_LARGE}


def create_service(settings: Settings, store: Store | None = None) -> FastAPI:
    """The application. A store that is given stays open afterwards; else one is opened and closed with the service."""

    @asynccontextmanager
    async def lifespan(service: FastAPI) -> AsyncIterator[None]:
        service.state.settings = settings
        opened = store or Store.open(
            settings.data,
            database_url=settings.database_url,
            collections=CollectionSettings(
                threads=settings.search_threads,
                devices=DeviceSettings(count=settings.gpu_count, memory_bytes=settings.gpu_memory_bytes),
            ),
        )
        service.state.store = opened
        service.state.pictures = pictures_queue(opened, fetch)
        service.state.evaluations = evaluations_queue(opened)
        warming = threading.Thread(target=opened.warm_up, name="tenshot-warm-up", daemon=True)
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
    service.state.sign_in = SignIn()
    for kind in _expected():
        service.add_exception_handler(kind, _error)
    service.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Clarifai-Client", SESSION],
    )
    service.add_middleware(PlainRequests, most_bytes=settings.max_body_bytes)
    return service


def _expected() -> list[type[Exception]]:
    """Roots of the errors that a route may raise. Registered, so that they are answered inside the middlewares."""
    from ..embeddings.base import WorkflowError
    from ..embeddings.batcher import BatcherClosed, Busy
    from ..embeddings.images import ImageError
    from ..index.errors import TenshotError
    from .fetch import FetchError
    from .keys import BadKey, MissingScope

    return [TenshotError, ImageError, WorkflowError, Busy, BatcherClosed, FetchError, BadKey, MissingScope]


def _answer(status: Status, details: str, headers: Mapping[str, str] | None = None) -> Json:
    body: dict[str, Any] = {"status": {**status.body(details), "req_id": uuid4().hex}}
    return Json(body, status.http, {"Retry-After": "1"} if status is THROTTLED else headers)


async def _error(_request: Request, error: Exception) -> Json:
    status = status_of(error)
    if status is None:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        return _answer(SERVER_FAULT, "something went wrong on the server; its log says what")
    return _answer(status, str(error))


async def _wire_error(_request: Request, error: Exception) -> Json:
    assert isinstance(error, WireError)
    return _answer(error.status, str(error))


async def _not_unicode(_request: Request, _error: Exception) -> Json:
    return _answer(BAD_FORMAT, "the request has text that is not valid Unicode")


async def _http_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    if error.status_code == BAD_METHOD.http:
        # Each route knows one method of its path; what is allowed is those of all.
        routes = [one for one in request.app.routes if one.matches(request.scope)[0] is not Match.NONE]
        allowed = sorted({method for one in routes for method in one.methods or ()})
        return _answer(BAD_METHOD, f"allowed: {', '.join(allowed)}", {"Allow": ", ".join(allowed)})
    status = _BY_HTTP.get(error.status_code, BAD_FORMAT if error.status_code < 500 else SERVER_FAULT)
    return _answer(status, str(error.detail), error.headers)


async def _invalid(_request: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return _answer(BAD_FORMAT, f"{place}: {first['msg']}")
