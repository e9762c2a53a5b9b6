"""How routes are made: bodies are read as strict JSON, fast."""

from collections.abc import Callable, Coroutine
from json import JSONDecodeError
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from .answers import Answer

_FAILURES = (400, 401, 403, 404, 405, 413, 429, 500)


class _Request(Request):
    async def json(self) -> Any:
        """Refuses what no answer could carry either: NaN, lone surrogates, bottomless nesting."""
        body = await self.body()
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise JSONDecodeError(str(error), "", 0) from error


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_Request(request.scope, request.receive))

        return strictly


def new_router(prefix: str, tag: str) -> APIRouter:
    """For one resource. Every answer that isn't 200 has a status at least."""
    failures: dict[int | str, dict[str, Any]] = {code: {"model": Answer} for code in _FAILURES}
    return APIRouter(prefix=prefix, tags=[tag], route_class=_Route, responses=failures)
