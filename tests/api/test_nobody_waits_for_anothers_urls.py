"""Servers that never answer, which one app names, take no thread from others."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hostile_web import hostile_web
from patience import becomes

from tenshot.api.auth.keys import new_key
from tenshot.api.fetching.fetch import Fetcher
from tenshot.api.settings import Settings

WAITING = 45
"""More than the service has threads."""
WORKFLOW = {"id": "colours", "nodes": [{"id": "c", "model": {"id": "color"}}]}


@dataclass(frozen=True)
class World:
    """Two apps, each with a model and a workflow, and a server that takes requests and never answers."""

    slow: httpx.Client
    other: httpx.Client
    server: Any
    silent: socket.socket
    good_url: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.silent.getsockname()[1]}/"


@pytest.fixture
def world(serving: Callable[..., Any], tmp_path: Path) -> Iterator[World]:
    with (
        hostile_web("127.0.0.2") as (port, _),
        serving(Settings(data=tmp_path), Fetcher(allow_private=True, seconds=60)) as server,
        # Closed before the server, which waits for what it has begun to fetch.
        socket.create_server(("127.0.0.1", 0), backlog=64) as silent,
        ExitStack() as stack,
    ):
        clients = []
        for name in ("slow", "other"):
            app = server.store.create_app(name, "vectors", dim=4)
            app.add_vectors([[1, 0, 0, 0], [0, 1, 0, 0]], concepts=[{"a": True}, {"b": True}])
            app.create_model("ab", concepts=["a", "b"])
            clients.append(stack.enter_context(server.client(new_key(server.store.catalog, app.id).secret)))
            assert clients[-1].post("/v2/workflows", json={"workflows": [WORKFLOW]}).status_code == 200
        slow, other = clients
        other.timeout = httpx.Timeout(10)
        yield World(slow, other, server, silent, f"http://127.0.0.2:{port}/picture")


def _asked(kind: str, url: str) -> tuple[str, Any]:
    """The path and the body of a request about a picture behind a URL."""
    picture = {"data": {"image": {"url": url}}}
    if kind == "/v2/searches":
        return kind, {"query": {"ands": [{"output": {"input": picture}}]}}
    return kind, {"inputs": [picture]}


KINDS = [
    "/v2/inputs?wait=60",
    "/v2/models/color/outputs",
    "/v2/models/ab/outputs",
    "/v2/models/ab/explanations",
    "/v2/workflows/colours/results",
    "/v2/searches",
]


@pytest.mark.parametrize("kind", KINDS)
def test_requests_that_wait_for_silent_urls_keep_no_other_waiting(world: World, kind: str) -> None:
    with ThreadPoolExecutor(WAITING) as threads:

        def post(i: int) -> int:
            path, body = _asked(kind, f"{world.url}{i}")
            return world.slow.post(path, json=body).status_code

        posts = [threads.submit(post, i) for i in range(WAITING)]
        try:
            becomes(lambda: world.server.in_flight, WAITING)
            assert world.other.get("/v2/inputs").status_code == 200
            assert world.other.get("/metrics").status_code == 200
            path, body = _asked("/v2/models/color/outputs", world.good_url)
            assert world.other.post(path, json=body).status_code == 200
            assert not any(post.done() for post in posts)
        finally:
            world.silent.close()
        assert {post.result() for post in posts} == {200 if kind.startswith("/v2/inputs") else 400}


@pytest.mark.parametrize("kind", KINDS)
def test_who_hangs_up_while_its_picture_is_fetched_gives_its_place_back(world: World, kind: str) -> None:
    path, body = _asked(kind, world.url)
    for _ in range(3):
        with suppress(httpx.TimeoutException):
            world.slow.post(path, json=body, timeout=0.3)
    becomes(lambda: world.server.in_flight, 0, seconds=5)


def test_a_model_that_is_not_there_has_nothing_fetched(world: World) -> None:
    for kind in ("/v2/models/none/outputs", "/v2/models/none/explanations", "/v2/workflows/none/results"):
        path, body = _asked(kind, world.url)
        assert world.other.post(path, json=body).status_code == 404
