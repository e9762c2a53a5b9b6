import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI

from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.api.fetching.fetch import Fetcher
from tenshot.api.middleware.transport import Connection
from tenshot.api.service import create_service, opened_store
from tenshot.api.settings import Settings
from tenshot.index.app import App


@dataclass(frozen=True)
class Server:
    """A live service on loopback."""

    url: str
    store: Store
    admin: str
    service: FastAPI

    @property
    def in_flight(self) -> int:
        """Requests that it works on."""
        [gauge] = self.service.state.context.metrics.in_flight.collect()
        return int(gauge.samples[0].value)

    def client(self, key: str | None) -> httpx.Client:
        headers = {"Authorization": f"Key {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)


@contextmanager
def _serving(settings: Settings, fetcher: Fetcher | None = None) -> Iterator[Server]:
    with opened_store(settings) as store:
        service = create_service(settings, store, fetcher=fetcher)
        config = uvicorn.Config(service, http=Connection, host="127.0.0.1", port=0, log_level="error")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run)
        thread.start()
        while not running.started:
            time.sleep(0.01)
        port = running.servers[0].sockets[0].getsockname()[1]
        try:
            yield Server(f"http://127.0.0.1:{port}", store, new_key(store.catalog, None).secret, service)
        finally:
            running.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def serving() -> Callable[..., AbstractContextManager[Server]]:
    """A live service with settings of its own."""
    return _serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with _serving(Settings(data=Path(tmp_path_factory.mktemp("served")), max_body_bytes=2_000_000)) as running:
        yield running


@dataclass(frozen=True)
class Tenant:
    """An app of its own, with a client that has its key."""

    app: App
    key: str
    client: httpx.Client

    @property
    def id(self) -> str:
        return self.app.id

    def call(self, method: str, path: str, body: Any = None, expect: tuple[int, int] = (200, 10000)) -> Any:
        """The answer's JSON without the request's id; its HTTP status and code are as expected."""
        answer = self.client.request(method, path, json=body)
        document = answer.json()
        assert (answer.status_code, document["status"]["code"]) == expect, document
        assert document["status"]["description"]
        assert document["status"].pop("req_id") == answer.headers["x-request-id"]
        return document


@contextmanager
def _tenants(server: Server, prefix: str) -> Iterator[Callable[..., Tenant]]:
    clients = []

    def make(workflow: str = "vectors", dim: int | None = 8, scopes: tuple[str, ...] = ("All",)) -> Tenant:
        app = server.store.create_app(f"{prefix}-{len(clients)}", workflow, dim=dim)
        key = new_key(server.store.catalog, app.id, scopes=scopes).secret
        clients.append(server.client(key))
        return Tenant(app, key, clients[-1])

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def tenant_of(server: Server, request: pytest.FixtureRequest) -> Iterator[Callable[..., Tenant]]:
    with _tenants(server, request.node.name) as make:
        yield make


@pytest.fixture
def tenant(tenant_of: Callable[..., Tenant]) -> Tenant:
    """An app for vectors of 8 numbers, empty."""
    return tenant_of()


@pytest.fixture
def taught(tenant: Tenant) -> Tenant:
    """x0..x29 round three directions; two of each ten labelled a, b, c; a model `abc` of the three."""
    return _teach(tenant)


@pytest.fixture(scope="module")
def unchanged(server: Server, request: pytest.FixtureRequest) -> Iterator[Tenant]:
    """The same, for all tests of a file, which leave it as it is."""
    with _tenants(server, request.path.stem) as make:
        yield _teach(make())


def _teach(tenant: Tenant) -> Tenant:
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(8)[:3], 10, axis=0) + 0.1 * rng.normal(size=(30, 8))
    inputs = [
        {
            "id": f"x{i}",
            "data": {
                "embeddings": [{"vector": row.tolist()}],
                "metadata": {"row": i, "odd": i % 2 == 1},
                "geo": {"geo_point": {"longitude": i, "latitude": 0}},
                **({"concepts": [{"id": "abc"[i // 10], "value": 1.0}]} if i % 10 < 2 else {}),
            },
        }
        for i, row in enumerate(rows)
    ]
    tenant.call("POST", "/v2/inputs", {"inputs": inputs})
    concepts = [{"id": concept} for concept in "abc"]
    tenant.call("POST", "/v2/models", {"model": {"id": "abc", "output_info": {"data": {"concepts": concepts}}}})
    return tenant
