"""The HTTP service, put together from its settings."""

import logging
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache, partial
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from .. import __version__
from ..embeddings.pictures.decoders import Decoders
from ..embeddings.pictures.images import Opener, open_image
from ..errors import TenshotError
from ..index.store import Store
from ..index.vectors.settings import CollectionSettings, DeviceSettings
from ..runtime.trace import request_id
from .auth.keys import RateLimiter, Throttled
from .auth.sign_in import SignIn
from .context import ServiceContext
from .fetching.fetch import Fetcher
from .middleware.stack import REQUEST_ID, SECURE, middleware
from .observability.prometheus import Metrics
from .observability.tracing import Tracing
from .resources import (
    apps,
    base_workflows,
    concepts,
    evaluations,
    explanations,
    feedback,
    health,
    inputs,
    legacy_tokens,
    models,
    outputs,
    page,
    searches,
    session,
    suggestions,
    transfers,
    versions,
    workflows,
)
from .settings import Settings
from .wire.responses import Json, refusal
from .wire.status import (
    BAD_ENCODING,
    BAD_FORMAT,
    BAD_METHOD,
    NOT_FOUND,
    SERVER_FAULT,
    THROTTLED,
    TOO_LARGE,
    WireError,
    status_of,
)
from .work.queue import Queue, evaluations_queue, pictures_queue
from .work.thread_shares import SharedThreads

_log = logging.getLogger("tenshot.api")
# Routes are tried in this order: what is asked most comes first, and feedback before ids could take its place.
_RESOURCES = (
    *(outputs, searches, feedback, inputs, models, versions, concepts, workflows, apps, legacy_tokens, health),
    *(suggestions, explanations, evaluations, base_workflows, transfers, session, page),
)
_BY_HTTP = {404: NOT_FOUND, 405: BAD_METHOD, 413: TOO_LARGE, 415: BAD_ENCODING, 429: THROTTLED}


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """The data folder as the settings say, for as long as it is needed. Raises StoreInUse, StorageFailed."""
    with ExitStack() as stack:
        opener: Opener = partial(open_image, max_pixels=settings.max_pixels)
        if settings.isolate_decoding and os.name == "posix":
            opener = stack.enter_context(Decoders(settings.decoders, max_pixels=settings.max_pixels))
        yield stack.enter_context(
            Store.open(
                settings.data,
                database_url=settings.database_url,
                collections=CollectionSettings(
                    most_apps=settings.apps_in_memory,
                    threads=settings.search_threads,
                    devices=DeviceSettings(count=settings.gpu_count, memory_bytes=settings.gpu_memory_bytes),
                ),
                opener=opener,
                cached_vectors=settings.cached_vectors,
            )
        )


def create_service(
    settings: Settings,
    store: Store | None = None,
    tracing: Tracing | None = None,
    *,
    fetcher: Fetcher | None = None,
    sign_in: SignIn | None = None,
) -> FastAPI:
    """The application: its state has one attribute, `context`, a ServiceContext, while it runs.

    A store that is given stays open afterwards; else one is opened and closed with the service.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(service: FastAPI) -> AsyncIterator[None]:
        with ExitStack() as closing:
            context = _context(service, store or closing.enter_context(opened_store(settings)))
            queues: dict[str, Queue[Any] | SharedThreads] = {
                "pictures": context.pictures,
                "evaluations": context.evaluations,
                **context.threads.by_name(),
            }
            for queue in queues.values():
                closing.callback(queue.close)
            metrics.collect_store(context.store, queues, settings.max_requests)
            service.state.context = context
            context.warm_up.start()
            closing.callback(context.warm_up.join)
            yield

    def _context(service: FastAPI, store: Store) -> ServiceContext:
        fetch = fetcher or Fetcher(
            allow_private=settings.allow_private_urls, most_bytes=settings.fetch_bytes, seconds=settings.fetch_seconds
        )
        return ServiceContext(
            settings,
            store,
            fetch,
            sign_in or SignIn(),
            metrics,
            RateLimiter(settings.rate_limit),
            pictures_queue(store, fetch.fetch),
            evaluations_queue(store),
            threading.Thread(target=store.warm_up, name="tenshot-warm-up", daemon=True),
            openapi=cache(lambda: orjson.dumps(service.openapi())),
        )

    return FastAPI(
        title="tenshot",
        version=__version__,
        description="Custom concepts from about ten labelled images, in the wire format of Clarifai's v2 API.",
        # `page` serves both: FastAPI's page loads files from elsewhere, and makes the document in the event loop.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # `RequestLog` has spans and measures of its own.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=lifespan,
        middleware=middleware(settings, metrics, tracing),
        routes=[route for resource in _RESOURCES for route in resource.router.routes],
        exception_handlers={
            RequestValidationError: _invalid,
            HTTPException: _http_error,
            WireError: _wire_error,
            # Registered, so that it is answered inside the middlewares.
            TenshotError: _error,
            UnicodeEncodeError: _not_unicode,
            ClientDisconnect: _gone,
            Exception: _error,
        },
    )


async def _error(_request: Request, error: Exception) -> Json:
    status = status_of(error)
    if status is None:
        _log.error("unexpected %s", type(error).__name__, exc_info=error)
        # Answered outside of what sets these headers for all others.
        headers = {**SECURE, REQUEST_ID: request_id()}
        return refusal(SERVER_FAULT, "something went wrong on the server; its log says what", headers)
    later = {"Retry-After": str(error.seconds)} if isinstance(error, Throttled) else None
    return refusal(status, str(error), later)


async def _wire_error(_request: Request, error: Exception) -> Json:
    assert isinstance(error, WireError)
    return refusal(error.status, str(error))


async def _not_unicode(_request: Request, _error: Exception) -> Json:
    return refusal(BAD_FORMAT, "the request has text that is not valid Unicode")


async def _gone(_request: Request, _error: Exception) -> Response:
    """The client is gone: the status is for the log and the metrics."""
    return Response(status_code=499)


async def _http_error(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    if error.status_code == BAD_METHOD.http:
        # Each route knows one method of its path; what is allowed is those of all.
        routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
        methods = {method for route in routes for method in route.methods or ()}
        allowed = sorted(methods | ({"HEAD"} if "GET" in methods else set()))
        return refusal(BAD_METHOD, f"allowed: {', '.join(allowed)}", {"Allow": ", ".join(allowed)})
    status = _BY_HTTP.get(error.status_code, BAD_FORMAT if error.status_code < 500 else SERVER_FAULT)
    return refusal(status, str(error.detail), error.headers)


async def _invalid(_request: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return refusal(BAD_FORMAT, f"{place}: {first['msg']}")
