"""The context of a request (key, app, service), which every route of the wire depends on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from starlette.concurrency import run_in_threadpool

from ...embeddings.pictures.images import ImageError
from ...index.app import App
from ...index.app.state import AppState
from ...index.errors import AppNotFound
from ...index.records import Concept, Input, KeyRecord
from ...index.store import Store
from ..auth.keys import READ, WRITE, MissingScope, require
from ..context import ServiceContext, service_of
from ..fetching.fetch import FetchError, too_late
from ..middleware.stack import APP, KEY, MEMORY, RATE
from ..wire.requests import ImageIn
from ..wire.responses import input_out, picture_url
from ..wire.schemas import InputOut
from ..wire.status import INPUT_BAD, INPUT_TOO_LARGE, WireError
from ..work.thread_shares import SharedThreads, while_connected

T = TypeVar("T")
MOST_PER_PAGE = 1000
_LAST_PAGE = 10**9
_COUNTED = "tenshot.counted"
"""In the ASGI scope: that this request was counted for the rate limit of its key."""


@dataclass(frozen=True)
class Page:
    """Which part of a list; absurd numbers are past the end, not errors."""

    page: int
    per_page: int

    @property
    def start(self) -> int:
        """How many items come before it."""
        return (self.page - 1) * self.per_page

    @property
    def end(self) -> int:
        """How many there are with it."""
        return self.page * self.per_page


def page_of(page: int, per_page: int) -> Page:
    return Page(min(page, _LAST_PAGE), min(per_page, MOST_PER_PAGE))


# These are asynchronous only so that none of them costs a change of threads: none of them waits for anything.
async def _page(page: Annotated[int, Query(ge=1)] = 1, per_page: Annotated[int, Query(ge=1)] = 128) -> Page:
    return page_of(page, per_page)


@dataclass(frozen=True)
class RequestContext:
    """An authenticated request to an app."""

    app: App
    service: ServiceContext
    request: Request
    is_admin: bool = False
    """Whether the key is an admin key, which opened the app that the path names."""

    @cached_property
    def state(self) -> AppState:
        """What the app was when it was first asked: all that one answer says must come from one state."""
        return self.app.state()

    @cached_property
    def base_url(self) -> str:
        """The address of this server as the client knows it, without a slash at the end."""
        if self.service.settings.public_url:
            return self.service.settings.public_url.rstrip("/")
        return str(self.request.base_url).rstrip("/")

    @property
    def reads_at_once(self) -> bool:
        """Whether SQL is in this machine, so that small reads may be made in the event loop."""
        return self.service.store.catalog.is_local

    def names(self) -> Mapping[str, str]:
        """Concept id -> name, where they differ or not."""
        return self.app.concept_names()

    def concepts(self) -> Mapping[str, Concept]:
        return self.app.concepts_by_id()

    def show(self, record: Input, names: Mapping[str, str]) -> InputOut:
        """An input for the wire."""
        return input_out(record, names, self.app.id, self.base_url)

    def url(self, record: Input) -> str:
        """Where its picture is: the URL that it came from, or where this server has it."""
        return picture_url(record, self.app.id, self.base_url)

    def page(self, inputs: Iterable[Input]) -> list[InputOut]:
        """Inputs for the wire."""
        names = self.names()
        return [self.show(record, names) for record in inputs]

    async def take_turn(self, threads: SharedThreads, work: Callable[[], T]) -> T:
        """What the work gives, when the app's turn comes; it ends when the client hangs up. Raises ClientDisconnect."""
        return await while_connected(self.request, threads.run(self.app.id, work))

    async def fetch(self, images: Iterable[ImageIn]) -> None:
        """Has each keep what its URL gives, or why that is nothing; within what a request may bring along, and wait.

        Raises ClientDisconnect.
        """
        until = time.monotonic() + self.service.settings.fetch_seconds_per_request
        size = 0

        async def fetch(image: ImageIn) -> None:
            nonlocal size
            file = await self._fetched(image.url or "", until)
            if isinstance(file, bytes):
                size += len(file)
                if size > self.service.settings.max_body_bytes:
                    large = "the pictures behind the URLs of this request are too large together"
                    file = WireError(INPUT_TOO_LARGE, large)
                else:
                    self.request.scope[MEMORY](len(file))
            image.keep(file)

        async def fetch_all() -> None:
            await asyncio.gather(*(fetch(image) for image in images))

        await while_connected(self.request, fetch_all())

    async def _fetched(self, url: str, until: float) -> bytes | Exception:
        """The file behind a URL, or why there is none. until: on the monotonic clock."""
        try:
            self.check_fetches()
            async with asyncio.timeout(until - time.monotonic()):
                return await self.service.threads.fetching.run(
                    self.app.id, partial(self.service.fetcher.fetch, url, deadline=until)
                )
        except TimeoutError:
            return too_late(url)
        except (WireError, FetchError, ImageError) as error:
            return error

    def check_fetches(self) -> None:
        """Raises WireError where the settings forbid to fetch pictures by URL."""
        if not self.service.settings.fetch_urls:
            raise WireError(INPUT_BAD, "this server doesn't fetch URLs: send the picture as base64")


def _key(request: Request) -> KeyRecord:
    key: KeyRecord | Exception = request.scope[KEY]
    if isinstance(key, Exception):
        raise key
    # Where FastAPI reads the arguments (see `route.py`), this runs twice for one request.
    if not request.scope.get(_COUNTED):
        request.scope[_COUNTED] = True
        if rate := service_of(request.scope).rate_limiter.count(key.id):
            request.scope[RATE].update(rate.headers())
    return key


def _context_for(scope: str) -> Callable[..., Awaitable[RequestContext]]:
    async def context(request: Request) -> RequestContext:
        key = _key(request)
        alias = request.scope.get(APP)
        # An admin key could make itself a key of any app, so it may as well name the app in the path.
        app_id = key.app_id or alias
        if app_id is None:
            raise MissingScope("an admin key is for no app: use a key of the app, or /v2/users/me/apps/APP/...")
        require(key, scope)
        service = service_of(request.scope)
        store = service.store
        # Opening an app reads all its vectors: not in the event loop.
        app = store.opened_app(app_id)
        if app is None:
            app = await run_in_threadpool(store.app_by_id if key.app_id else store.app, app_id)
        if alias is not None and alias not in (app.id, app.name):
            raise AppNotFound(f"this API key is not for the app {alias!r}")
        return RequestContext(app, service, request, is_admin=key.app_id is None)

    return context


async def _any_key(request: Request) -> KeyRecord:
    return _key(request)


async def _admin(request: Request) -> Store:
    if _key(request).app_id is not None:
        raise MissingScope("managing apps and keys needs an admin key")
    return service_of(request.scope).store


Reader = Annotated[RequestContext, Depends(_context_for(READ))]
Writer = Annotated[RequestContext, Depends(_context_for(WRITE))]
Admin = Annotated[Store, Depends(_admin)]
Key = Annotated[KeyRecord, Depends(_any_key)]
"""Whatever it opens."""
Paged = Annotated[Page, Depends(_page)]
