"""More than the service takes on is told to come later, at once; health is answered all the while."""

import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from hostile_web import hostile_web
from patience import becomes
from pictures import png
from vectors import vector_input

from tenshot.api.auth.keys import new_key
from tenshot.api.fetching.fetch import Fetcher
from tenshot.api.settings import Settings
from tenshot.embeddings.base.batcher import Batcher, _Call
from tenshot.embeddings.base.embedder import FloatArray
from tenshot.embeddings.models import words

HEALTH = ("/healthz", "/readyz", "/metrics")
PICTURES = [b64encode(png("discs", seed)).decode() for seed in (9001, 9002, 9003)]
"""One for each way to ask, and in no other test, since what was embedded once needs no model."""


@dataclass(frozen=True)
class Busy:
    url: str
    key: str
    client: httpx.Client

    def begin(self, declared: int, sent: bytes) -> socket.socket:
        """A request that is under way: its head and the beginning of its body."""
        address = urlsplit(self.url)
        connection = socket.create_connection((address.hostname, address.port))
        head = f"Host: x\r\nAuthorization: Key {self.key}\r\nContent-Length: {declared}"
        connection.sendall(f"POST /v2/inputs HTTP/1.1\r\n{head}\r\n\r\n".encode() + sent)
        return connection

    def until(self, code: int) -> httpx.Response:
        """The answer that has this status, soon."""
        deadline = time.monotonic() + 10
        while (answer := self.client.get("/v2/inputs")).status_code != code and time.monotonic() < deadline:
            time.sleep(0.02)
        assert answer.status_code == code
        return answer


@pytest.fixture
def busy(serving: Callable[..., Any], tmp_path: Path) -> Iterator[Busy]:
    settings = Settings(data=tmp_path, max_requests=3, max_bytes_in_flight=1, max_body_bytes=100_000)
    with serving(settings) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=8).id).secret
        while httpx.get(f"{server.url}/readyz").status_code == 503:
            time.sleep(0.01)
        with server.client(key) as client:
            yield Busy(server.url, key, client)


def test_requests_beyond_the_limit_are_told_to_come_later_and_health_is_answered(busy: Busy) -> None:
    with ExitStack() as slow:
        # More than there are places, since the question below may have one while they come.
        for _ in range(6):
            slow.enter_context(busy.begin(1000, b"{"))
        refused = busy.until(429)
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-content-type-options"] == "nosniff"
        status = refused.json()["status"]
        assert status["code"] == 11005
        assert status["req_id"]
        for path in HEALTH:
            start = time.monotonic()
            assert busy.client.get(path).status_code == 200
            assert time.monotonic() - start < 2
    busy.until(200)


def test_bodies_that_are_too_large_together_are_told_to_come_later(busy: Busy) -> None:
    with busy.begin(90_000, b"{" + bytes(60_000)):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = busy.client.post("/v2/inputs", content=bytes(60_000))
            if answer.status_code == 429:
                break
            time.sleep(0.02)
        assert answer.status_code == 429
        assert answer.json()["status"]["code"] == 11005
        assert answer.headers["retry-after"] == "1"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and busy.client.post("/v2/inputs", content=bytes(60_000)).status_code == 429:
        time.sleep(0.02)
    assert busy.client.post("/v2/inputs", json={"inputs": [vector_input(0)]}).status_code == 200


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(busy: Busy) -> None:
    with busy.begin(10**12, b"") as connection:
        connection.settimeout(10)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_drips_is_refused_and_gives_its_place_back(serving: Callable[..., Any], tmp_path: Path) -> None:
    with serving(Settings(data=tmp_path, max_requests=1, body_seconds=0.5)) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=8).id).secret
        with server.client(key) as client:
            busy = Busy(server.url, key, client)
            with busy.begin(100_000, b"{") as connection:
                busy.until(429)
                connection.settimeout(10)
                said = b""
                while b"arrives too slowly" not in said:
                    part = connection.recv(4000)
                    assert part, said
                    said += part
                busy.until(200)


def test_health_is_answered_while_many_wait_for_slow_pictures(serving: Callable[..., Any], tmp_path: Path) -> None:
    fetcher = Fetcher(allow_private=True, seconds=0.5)
    with hostile_web("127.0.0.1") as (port, _), serving(Settings(data=tmp_path), fetcher) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=8).id).secret
        body = {"inputs": [{"data": {"image": {"url": f"http://127.0.0.1:{port}/slow-body"}}}]}

        def ask() -> None:
            with server.client(key) as client:
                assert client.post("/v2/models/color/outputs", json=body).status_code == 400

        threads = [threading.Thread(target=ask) for _ in range(50)]
        with server.client(key) as client:
            becomes(lambda: client.get("/readyz").status_code, 200)
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            start = time.monotonic()
            for path in ("/healthz", "/readyz"):
                assert client.get(path).status_code == 200
            assert time.monotonic() - start < 2
        for thread in threads:
            thread.join()


@pytest.fixture
def crowded(tenant_of: Callable[..., Any]) -> Iterator[Any]:
    """An app with as much waiting for its model as may wait."""
    tenant = tenant_of("general-fast", None)
    batcher: Batcher = tenant.app.base_workflow()
    taken, released = threading.Event(), threading.Event()

    def slow(items: Sequence[Any]) -> FloatArray:
        taken.set()
        released.wait(60)
        return np.zeros((len(items), 1), dtype=np.float32)

    with ThreadPoolExecutor(2) as callers:
        callers.submit(batcher._submit, _Call(slow, [0]))
        taken.wait(60)
        callers.submit(batcher._submit, _Call(slow, range(1024)))
        while not batcher.waiting:
            time.sleep(0.01)

        def release() -> None:
            released.set()
            while batcher.waiting:
                time.sleep(0.01)

        yield tenant, release
        released.set()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/inputs", {"inputs": [{"data": {"image": {"base64": PICTURES[0]}}}]}),
        ("/v2/models/general/outputs", {"inputs": [{"data": {"image": {"base64": PICTURES[1]}}}]}),
        ("/v2/searches", {"query": {"ands": [{"output": {"input": {"data": {"image": {"base64": PICTURES[2]}}}}}]}}),
        pytest.param(
            "/v2/searches",
            {"query": {"ands": [{"output": {"input": {"data": {"text": {"raw": "an owl"}}}}}]}},
            marks=pytest.mark.skipif(not words.installed(), reason="the extra `words` is not installed"),
        ),
    ],
)
def test_where_the_model_has_too_much_to_do_one_is_told_to_come_later(crowded: Any, path: str, body: Any) -> None:
    tenant, release = crowded
    refused = tenant.client.post(path, json=body)
    assert (refused.status_code, refused.json()["status"]["code"], refused.headers["retry-after"]) == (429, 11005, "1")
    assert "1024 pictures or texts wait already" in refused.json()["status"]["details"]
    assert tenant.app.inputs() == []
    release()
    assert tenant.client.post(path, json=body).status_code == 200
