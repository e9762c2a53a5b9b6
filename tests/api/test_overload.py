"""More than the service takes on is told to come later, at once; health is answered all the while."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hostile_web import hostile_web
from vectors import vector_input

from tenshot.api.fetch import Fetcher
from tenshot.api.keys import new_key
from tenshot.api.settings import Settings

HEALTH = ("/healthz", "/readyz", "/metrics")


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
        with server.client(key) as client:
            yield Busy(server.url, key, client)


def test_requests_beyond_the_limit_are_told_to_come_later_and_health_is_answered(busy: Busy) -> None:
    with ExitStack() as slow:
        for _ in range(3):
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


def test_health_is_answered_while_all_threads_wait_for_slow_pictures(
    serving: Callable[..., Any], tmp_path: Path
) -> None:
    fetcher = Fetcher(allow_private=True, seconds=2)
    with hostile_web("127.0.0.1") as (port, _), serving(Settings(data=tmp_path), fetcher) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=8).id).secret
        body = {"inputs": [{"data": {"image": {"url": f"http://127.0.0.1:{port}/slow-body"}}}]}

        def ask() -> None:
            with server.client(key) as client:
                assert client.post("/v2/models/color/outputs", json=body).status_code == 400

        threads = [threading.Thread(target=ask) for _ in range(50)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        with server.client(key) as client:
            start = time.monotonic()
            for path in ("/healthz", "/readyz"):
                assert client.get(path).status_code == 200
            assert time.monotonic() - start < 2
        for thread in threads:
            thread.join()
