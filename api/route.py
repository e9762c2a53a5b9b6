"""How routes are made: FastAPI describes their arguments, which are read here as strict JSON, fast."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from json import JSONDecodeError
from typing import Any, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from .answers import Answer

_RESERVED = ("searches", "status", "feedback")
_FAILURES = (400, 401, 403, 404, 405, 413, 429, 500, 503, 507)
_KEY = APIKeyHeader(
    name="Authorization", scheme_name="key", description="`Key <your key>`, or `Bearer <your key>`.", auto_error=False
)

_Read = Callable[[Request], Awaitable[Any]]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Response])
_Soon = Callable[..., Awaitable[Response]] | None
_SHORT: dict[Callable[..., Response], tuple[Callable[..., bool], _Soon]] = {}


class _Request(Request):
    async def body(self) -> bytes:
        """Without the generator that Starlette's goes through."""
        if not hasattr(self, "_body"):
            parts, more = [], True
            while more:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                more = message.get("more_body", False)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """Refuses what no answer could carry either: NaN, lone surrogates, bottomless nesting."""
        body = await self.body()
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise JSONDecodeError(str(error), "", 0) from error


class _Route(APIRoute):
    """Reads its arguments itself, if they are a body, ids in the path, and what depends on the request alone.

    That is most routes. FastAPI's own way, which the others take, costs more than a prediction.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._head, self._body, others = _arguments(endpoint)
        self._short: Callable[..., bool] | None
        self._soon: _Soon
        self._short, self._soon = _SHORT.get(endpoint, (None, None))
        super().__init__(path, endpoint, **options)
        if not others:
            self.app = self._answered
        # An empty body is an empty object, so where that will do none is needed.
        bodies = _bodies(endpoint)
        if bodies and not any(one.is_required() for body in bodies for one in body.model_fields.values()):
            self.openapi_extra = {"requestBody": {"required": False}}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        # These are paths of their own under other methods, never ids.
        if self.path_format.endswith("/{id}") and found.get("path_params", {}).get("id") in _RESERVED:
            return Match.NONE, {}
        return match, found

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            asked = _asked(request.scope, request.receive)
            if self._body:
                # Who asks comes before what is asked.
                await _all(self._head, asked)
            return await handle(asked)

        return strictly

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without FastAPI's stacks of contexts, which only its own arguments need."""
        asked = _asked(scope, receive)
        given = await _all(self._head, asked) | await _all(self._body, asked)
        # Where the database is elsewhere every request waits for it.
        short = self._short if asked.app.state.store.catalog.is_local else None
        if short is not None and short(**given):
            answer: Response = await self._soon(**given) if self._soon else self.endpoint(**given)
        else:
            answer = await run_in_threadpool(self.endpoint, **given)
        await answer(scope, receive, send)


def _asked(scope: Scope, receive: Receive) -> _Request:
    # A slash inside an id stays `%2F` until the route is found; see `paths.py`.
    scope["path_params"] = {name: unquote(id) for name, id in scope["path_params"].items()}
    return _Request(scope, receive)


async def _all(reads: Mapping[str, _Read], asked: Request) -> dict[str, Any]:
    return {name: await read(asked) for name, read in reads.items()}


def short_if(short: Callable[..., bool], soon: _Soon = None) -> Callable[[Endpoint], Endpoint]:
    """For an endpoint that is sometimes over sooner than threads are changed: `short` tells by its arguments if it is.

    Then it is called in the event loop, and may wait for nothing; else on a thread of a pool, as all others are.
    soon: what is called in its place there, with the same arguments.
    """

    def marked(endpoint: Endpoint) -> Endpoint:
        _SHORT[endpoint] = short, soon
        return endpoint

    return marked


def new_router(prefix: str, tag: str, *, keyed: bool = True) -> APIRouter:
    """For one resource. Every answer that isn't 200 has a status at least. keyed: it takes an API key."""
    failures: dict[int | str, dict[str, Any]] = {code: {"model": Answer} for code in _FAILURES}
    security = [Security(_KEY)] if keyed else []
    return APIRouter(prefix=prefix, tags=[tag], route_class=_Route, responses=failures, dependencies=security)


def _arguments(endpoint: Callable[..., Any]) -> tuple[Mapping[str, _Read], Mapping[str, _Read], bool]:
    """How arguments of head and path are read, how the body is; and whether there is more, that only FastAPI knows."""
    head: dict[str, _Read] = {}
    body: dict[str, _Read] = {}
    signature = inspect.signature(endpoint)
    answer = signature.return_annotation
    others = inspect.iscoroutinefunction(endpoint) or not (isinstance(answer, type) and issubclass(answer, Response))
    for name, parameter in signature.parameters.items():
        kind = parameter.annotation
        extra = getattr(kind, "__metadata__", ())
        depends = next((one.dependency for one in extra if isinstance(one, Depends)), None)
        if depends is not None and _of_request_alone(depends):
            head[name] = depends
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            body[name] = _body(kind)
        elif kind is str:
            head[name] = _path(name)
        else:
            others = True
    return head, body, others


def _of_request_alone(depends: Callable[..., Any]) -> bool:
    return [one.annotation for one in inspect.signature(depends).parameters.values()] == [Request]


def _bodies(endpoint: Callable[..., Any]) -> list[type[BaseModel]]:
    kinds = [one.annotation for one in inspect.signature(endpoint).parameters.values()]
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]


def _path(name: str) -> _Read:
    async def read(request: Request) -> str:
        return str(request.path_params[name])

    return read


def _body(kind: type[BaseModel]) -> _Read:
    async def read(request: Request) -> BaseModel:
        try:
            return kind.model_validate(await request.json())
        except JSONDecodeError as error:
            wrong = {"type": "json_invalid", "loc": ("body",), "msg": f"no JSON: {error.msg}"}
            raise RequestValidationError([wrong]) from error
        except ValidationError as error:
            raise RequestValidationError(
                [{**one, "loc": ("body", *one["loc"])} for one in error.errors(include_url=False, include_input=False)]
            ) from error

    return read
