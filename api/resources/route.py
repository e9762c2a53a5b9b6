"""How routes are made: FastAPI describes their arguments, which are read here as strict JSON, fast."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import unquote

from anyio import to_thread
from fastapi import APIRouter, Request, Response, Security
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from ..context import service_of
from ..middleware.stack import MEMORY
from ..wire.body import body_of, memory_of
from ..wire.schemas import Answer

_FAILURES = (400, 401, 403, 404, 405, 413, 415, 429, 500, 503, 507)
_SMALL = 64 * 1024
"""Bytes that are parsed sooner than threads are changed, and too few to do harm."""
_KEY = APIKeyHeader(
    name="Authorization", scheme_name="key", description="`Key <your key>`, or `Bearer <your key>`.", auto_error=False
)

_Read = Callable[[Request], Awaitable[Any]]
_PATHS: set[str] = set()
"""Of all routes that were made."""


class _Request(Request):
    """What FastAPI takes for a body of JSON is the model itself, once it is read."""

    model: BaseModel | None = None

    async def body(self) -> bytes:
        """Anything but nothing, for which no JSON would be asked."""
        return b"{}" if self.model is not None else await super().body()

    async def json(self) -> Any:
        return self.model


class Route(APIRoute):
    """Reads its arguments itself, if they are a body, ids in the path, and what depends on the request alone.

    That is most routes; FastAPI's own way takes the others. Without this, the CPU time of a short prediction is 1.12
    times as much, of a search 1.10, of one with a filter 1.15, of a route that does nothing 1.3 times.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._head, self._body, others = _arguments(endpoint)
        self._is_async = inspect.iscoroutinefunction(endpoint)
        super().__init__(path, endpoint, **options)
        _PATHS.add(path)
        if not others:
            self.app = self._answered
        # An empty body is an empty object, so where that will do none is needed.
        bodies = _bodies(endpoint)
        if bodies and not any(field.is_required() for body in bodies for field in body.model_fields.values()):
            self.openapi_extra = {"requestBody": {"required": False}}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        # Under other methods `/v2/models/searches` is no id either.
        beside, _, name = self.path_format.rpartition("/")
        if match is not Match.NONE and name == "{id}" and f"{beside}/{child['path_params']['id']}" in _PATHS:
            return Match.NONE, {}
        return (Match.FULL if match is Match.PARTIAL and self._is_head(scope) else match), child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server leaves the body out.
        await super().handle({**scope, "method": "GET"} if self._is_head(scope) else scope, receive, send)

    def _is_head(self, scope: Scope) -> bool:
        return scope["method"] == "HEAD" and "GET" in (self.methods or ())

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            request = _request_of(request.scope, request.receive)
            if self._body:
                # The key is checked before the body is read.
                await _read_all(self._head, request)
                [request.model] = (await _read_all(self._body, request)).values()
                # Clients send bodies under odd content types, or none at all.
                others = [header for header in request.headers.raw if header[0] != b"content-type"]
                request._headers = Headers(raw=[*others, (b"content-type", b"application/json")])
            return await handle(request)

        return strictly

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without FastAPI's stacks of contexts, which only its own arguments need."""
        request = _request_of(scope, receive)
        arguments = await _read_all(self._head, request) | await _read_all(self._body, request)
        if self._is_async:
            answer: Response = await self.endpoint(**arguments)
        else:
            answer = await run_in_threadpool(self.endpoint, **arguments)
        await answer(scope, receive, send)


def _request_of(scope: Scope, receive: Receive) -> _Request:
    # A slash inside an id stays `%2F` until the route is found; see `NormalisePaths`.
    scope["path_params"] = {name: unquote(id) for name, id in scope["path_params"].items()}
    return _Request(scope, receive)


async def _read_all(reads: Mapping[str, _Read], request: Request) -> dict[str, Any]:
    return {name: await read(request) for name, read in reads.items()}


def new_router(prefix: str, tag: str, *, keyed: bool = True) -> APIRouter:
    """For one resource. Every answer that isn't 200 has a status at least. keyed: it takes an API key."""
    failures: dict[int | str, dict[str, Any]] = {code: {"model": Answer} for code in _FAILURES}
    security = [Security(_KEY)] if keyed else []
    return APIRouter(prefix=prefix, tags=[tag], route_class=Route, responses=failures, dependencies=security)


def _arguments(endpoint: Callable[..., Any]) -> tuple[Mapping[str, _Read], Mapping[str, _Read], bool]:
    """How arguments of head and path are read, how the body is; and whether there is more, that only FastAPI knows."""
    head: dict[str, _Read] = {}
    body: dict[str, _Read] = {}
    signature = inspect.signature(endpoint)
    answer = signature.return_annotation
    others = not (isinstance(answer, type) and issubclass(answer, Response))
    for name, parameter in signature.parameters.items():
        kind = parameter.annotation
        extra = getattr(kind, "__metadata__", ())
        depends = next((field.dependency for field in extra if isinstance(field, Depends)), None)
        if depends is not None and _of_request_alone(depends):
            head[name] = depends
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            body[name] = _body(kind)
        elif kind is str:
            head[name] = _path(name)
        elif kind is Request:
            head[name] = _itself
        else:
            others = True
    return head, body, others


def _of_request_alone(depends: Callable[..., Any]) -> bool:
    return [field.annotation for field in inspect.signature(depends).parameters.values()] == [Request]


def _bodies(endpoint: Callable[..., Any]) -> list[type[BaseModel]]:
    kinds = [field.annotation for field in inspect.signature(endpoint).parameters.values()]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _path(name: str) -> _Read:
    async def read(request: Request) -> str:
        return str(request.path_params[name])

    return read


async def _itself(request: Request) -> Request:
    return request


def _body(kind: type[BaseModel]) -> _Read:
    async def read(request: Request) -> BaseModel:
        content = await _content(request)
        content_type = request.headers.get("content-type", "")
        if len(content) <= _SMALL:
            return body_of(kind, content, content_type)
        thread = service_of(request.scope).parsing_thread
        request.scope[MEMORY](await to_thread.run_sync(memory_of, content, limiter=thread))
        return await to_thread.run_sync(body_of, kind, content, content_type, limiter=thread)

    return read


async def _content(request: Request) -> bytes | bytearray:
    """The whole body, kept nowhere else. Raises ClientDisconnect."""
    message = await request.receive()
    content: bytes | bytearray = message.get("body", b"")
    if message.get("more_body"):
        content = bytearray(content)
    while message.get("more_body"):
        message = await request.receive()
        content += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return content
