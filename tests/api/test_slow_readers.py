"""Whoever reads an answer too slowly, or not at all, is hung up on; nobody else waits for them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from tenshot.api.auth.keys import new_key
from tenshot.api.settings import Settings
from tenshot.api.work.thread_shares import EXPORTS_FOR_AN_APP
from tenshot.index.app import App

_ROWS, _DIM = 1500, 2048
"""12 MB: more than the buffers of sockets hold."""


@dataclass(frozen=True)
class Reader:
    """Of one app of a server."""

    url: str
    app: App
    key: str
    client: httpx.Client

    def begin(self, path: str) -> socket.socket:
        """A request whose answer has begun to come; nothing more is read of it."""
        address = urlsplit(self.url)
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect((address.hostname, address.port))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Key {self.key}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        return connection

    def until(self, path: str, code: int, seconds: float) -> None:
        """Asked again and again, it is answered with this status by then."""
        deadline = time.monotonic() + seconds
        while (answer := self.status(path)) != code:
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)

    def status(self, path: str) -> int:
        with self.client.stream("GET", path) as answer:
            return answer.status_code

    @property
    def is_exported(self) -> bool:
        """Whether some export still holds anything."""
        return bool(self.app.state().blobs._pins)

    def until_no_export(self, seconds: float) -> None:
        """None holds anything by then."""
        deadline = time.monotonic() + seconds
        while self.is_exported:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def readers(serving: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., list[Reader]]]:
    """Of a server with these settings: two apps, of which the first has much to tell."""
    with ExitStack() as stack:

        def make(**settings: Any) -> list[Reader]:
            server = stack.enter_context(serving(Settings(data=tmp_path, **settings)))
            made = []
            for name, rows in (("large", _ROWS), ("small", 3)):
                app = server.store.create_app(name, "vectors", dim=_DIM)
                vectors = np.random.default_rng(0).normal(size=(rows, _DIM)).astype(np.float32)
                app.add_vectors(vectors, metadata=[{"text": "x" * 10_000}] * rows)
                key = new_key(server.store.catalog, app.id).secret
                made.append(Reader(server.url, app, key, stack.enter_context(server.client(key))))
            return made

        yield make


def test_exports_that_nobody_reads_are_cut_and_others_are_served_all_the_while(
    readers: Callable[..., list[Reader]],
) -> None:
    large, small = readers(answer_seconds=4)
    with ExitStack() as stalled:
        connections = [stalled.enter_context(large.begin("/v2/export")) for _ in range(EXPORTS_FOR_AN_APP)]
        assert large.status("/v2/export") == 429
        for _ in range(5):
            assert small.status("/v2/export") == 200
            assert small.status("/v2/inputs") == 200
        large.until("/v2/export", 200, seconds=20)
        # The last that began is the last that is cut; theirs are over, unfinished.
        large.until_no_export(seconds=20)
        for connection in connections:
            with pytest.raises(ConnectionResetError):
                _read(connection, 1 << 20)


def test_an_export_lets_go_of_all_within_a_second_after_its_reader_has_gone(
    readers: Callable[..., list[Reader]],
) -> None:
    large, _ = readers()
    connections = [large.begin("/v2/export") for _ in range(EXPORTS_FOR_AN_APP)]
    assert large.status("/v2/export") == 429
    assert large.is_exported
    for connection in connections:
        connection.close()
    large.until_no_export(seconds=1)
    large.until("/v2/export", 200, seconds=1)


def test_who_drips_is_cut(readers: Callable[..., list[Reader]]) -> None:
    large, _ = readers(answer_seconds=1)
    with large.begin("/v2/export") as connection, pytest.raises(ConnectionResetError):
        _read(connection, 200, pause=0.02)
    large.until_no_export(seconds=1)


def test_who_reads_at_a_fair_rate_gets_all_of_it(readers: Callable[..., list[Reader]]) -> None:
    large, _ = readers(answer_seconds=1)
    size = 0
    with large.client.stream("GET", "/v2/export") as answer:
        for number, block in enumerate(answer.iter_raw(1 << 20)):
            size += len(block)
            if number % 4 == 0:
                time.sleep(0.5)
    assert size > 4 * _ROWS * _DIM


def test_every_answer_must_be_taken_and_its_slot_comes_back(readers: Callable[..., list[Reader]]) -> None:
    large, small = readers(answer_seconds=2, max_requests=2)
    path = "/v2/inputs?per_page=1000"
    with ExitStack() as stalled:
        for _ in range(2):
            stalled.enter_context(large.begin(path))
        assert small.status("/v2/inputs") == 429
        assert small.status("/healthz") == 200
        small.until("/v2/inputs", 200, seconds=20)


def _read(connection: socket.socket, most: int, pause: float = 0) -> None:
    """To its end, for half a minute at most."""
    deadline = time.monotonic() + 30
    while connection.recv(most):
        time.sleep(pause)
        assert time.monotonic() < deadline
