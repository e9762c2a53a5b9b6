"""Hundreds of clients that never get to the end of what they say: others are served all the while."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from loops import run
from patience import becomes
from vectors import vector_input

from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.api.middleware.stack import Slots
from tenshot.api.settings import Settings
from tenshot.tools.bench.server_process import running_server as served

MANY = 300
"""More than the service works on at once."""
SIGN_IN = ("/v2/login", "/v2/token", "/v2/session")


@dataclass(frozen=True)
class Live:
    url: str
    slow: str
    other: str
    client: httpx.Client

    def begin(self, path: str, key: str | None, declared: int | None = 1000, sent: bytes = b"{") -> socket.socket:
        """A request of which the head and the beginning of the body were sent. declared None: it is chunked."""
        address = urlsplit(self.url)
        connection = socket.create_connection((address.hostname, address.port), timeout=30)
        head = [f"POST {path} HTTP/1.1", "Host: x", *([f"Authorization: Key {key}"] if key else [])]
        head.append("Transfer-Encoding: chunked" if declared is None else f"Content-Length: {declared}")
        connection.sendall("\r\n".join([*head, "", ""]).encode() + sent)
        return connection

    @contextmanager
    def crowd(self, path: str, key: str | None) -> Iterator[list[socket.socket]]:
        """Many such requests at once, by which something is said until the end."""
        with ExitStack() as stack:
            yield [stack.enter_context(self.begin(path, key)) for _ in range(MANY)]

    def status(self, key: str | None, path: str = "/v2/inputs") -> int:
        headers = {"Authorization": f"Key {key}"} if key else {}
        return self.client.get(path, headers=headers).status_code

    def log_in(self) -> int:
        return self.client.post("/v2/login", json={"password": "nobody"}).status_code


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """`tenshot serve`, with two apps."""
    data = tmp_path_factory.mktemp("slow") / "data"
    with Store.open(data) as store:
        slow, other = (new_key(store.catalog, store.create_app(name, "vectors", dim=8).id).secret for name in "ab")
    with served(data) as server:
        url = f"http://{server.host}:{server.port}"
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Live(url, slow, other, client)


def _drip(connections: list[socket.socket]) -> None:
    for connection in connections:
        # Some were told to come later, and cut off.
        with suppress(OSError):
            connection.sendall(b" ")


def test_uploads_of_one_key_that_never_end_leave_slots_for_other_keys(live: Live) -> None:
    with live.crowd("/v2/inputs", live.slow) as connections:
        becomes(lambda: live.status(live.slow), 429)
        for _ in range(5):
            _drip(connections)
            assert live.status(live.other) == 200
            assert live.status(None, "/healthz") == 200
            assert live.status(None, "/page/main.js") == 200
        body = {"inputs": [vector_input(0)]}
        headers = {"Authorization": f"Key {live.other}"}
        assert live.client.post("/v2/inputs", json=body, headers=headers).status_code == 200
    # Long before a slow body's time would be over: milliseconds on an idle machine.
    becomes(lambda: live.status(live.slow), 200, seconds=5)


@pytest.mark.parametrize("path", SIGN_IN)
def test_sign_ins_that_never_end_take_nothing_from_keys_nor_from_pictures(live: Live, path: str) -> None:
    with live.crowd(path, None) as connections:
        for _ in range(5):
            _drip(connections)
            assert live.status(live.other) == 200
            assert live.status(None, "/page/main.js") == 200
            assert live.status(None, "/images/none/none") == 404
    becomes(live.log_in, 401, seconds=5)


@pytest.mark.parametrize(
    ("path", "code"), [("/v2/inputs", 401), ("/v2/nothing", 404), ("/v2/login/none", 404), ("/healthz", 405)]
)
def test_who_has_no_key_is_answered_before_the_body_and_cut_off_behind_the_answer(
    live: Live, path: str, code: int
) -> None:
    with live.crowd(path, "nobody") as connections:
        assert live.status(live.other) == 200
        answers = [connection.recv(4000) for connection in connections]
        for answer in answers:
            assert answer.startswith((b"HTTP/1.1 %d" % code, b"HTTP/1.1 429"))
            assert b"connection: close" in answer
        assert answers[0].startswith(b"HTTP/1.1 %d" % code)
        # Whoever goes on sending has no effect, and not for long.
        for connection in connections:
            while connection.recv(4000):
                pass
    assert live.status(live.other) == 200


@pytest.mark.parametrize("path", ["/v2/login", "/v2/session"])
def test_a_sign_in_is_a_few_kilobytes(live: Live, path: str) -> None:
    with live.begin(path, None, declared=1_000_000, sent=b"") as connection:
        assert connection.recv(4000).startswith(b"HTTP/1.1 413")
    with live.begin(path, None, declared=None, sent=b"4000\r\n" + bytes(0x4000)) as connection:
        assert connection.recv(4000).startswith(b"HTTP/1.1 413")


def test_who_waits_to_be_told_to_go_on_is_told_so_only_where_the_body_is_wanted(live: Live) -> None:
    body = json.dumps({"inputs": [vector_input(0)]}).encode()
    address = urlsplit(live.url)
    for key, first in ((live.other, b"HTTP/1.1 100"), ("nobody", b"HTTP/1.1 401")):
        with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
            head = f"Host: x\r\nAuthorization: Key {key}\r\nExpect: 100-continue\r\nContent-Length: {len(body)}"
            connection.sendall(f"POST /v2/inputs HTTP/1.1\r\n{head}\r\n\r\n".encode())
            answer = connection.recv(4000)
            assert answer.startswith(first)
            if first == b"HTTP/1.1 100":
                connection.sendall(body)
                assert connection.recv(4000).startswith(b"HTTP/1.1 200")
            else:
                assert b"100 Continue" not in answer + connection.recv(4000)


def test_a_small_body_that_nobody_wants_keeps_its_connection(live: Live) -> None:
    # In one piece: of a body that comes a moment after its head, the answer can't know that it will.
    with live.begin("/v2/nothing", live.other, 2, b"{}") as connection:
        for _ in range(2):
            answer = HTTPResponse(connection)
            answer.begin()
            assert answer.status == 404
            assert answer.headers["connection"] is None
            answer.read()
            connection.sendall(b"GET /v2/nothing HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.fixture
def hasty(serving: Callable[..., Any], tmp_path: Path) -> Iterator[Live]:
    """A service that waits half a second for a body."""
    with serving(Settings(data=tmp_path, body_seconds=0.5)) as server:
        key = new_key(server.store.catalog, server.store.create_app("v", "vectors", dim=8).id).secret
        with server.client(None) as client:
            yield Live(server.url, key, key, client)


@pytest.mark.parametrize("declared", [1000, None])
def test_a_body_that_stops_coming_is_refused_whatever_was_declared(hasty: Live, declared: int | None) -> None:
    for path, key in (("/v2/inputs", hasty.slow), ("/v2/login", None)):
        sent = b"{" if declared else b"1\r\n{\r\n"
        with hasty.begin(path, key, declared, sent) as connection:
            assert b"arrives too slowly" in connection.recv(4000) + connection.recv(4000)


def test_one_key_leaves_the_last_quarter_of_the_slots_to_those_that_hold_few() -> None:
    slots = Slots(256)
    greedy = [slots.take("greedy", body=True) for _ in range(MANY)]
    assert sum(holder is not None for holder in greedy) == 192
    others = [slots.take(f"key {i}", body=False) for i in range(64) for _ in range(2)]
    assert sum(holder is not None for holder in others) == 64
    strangers = [slots.take(None, body=body) for body in (True, False) for _ in range(100)]
    assert sum(holder is not None for holder in strangers) == 128
    for holder in greedy + others + strangers:
        if holder is not None:
            slots.give_back(holder)
    assert all(slots.take("modest", body=False) for _ in range(192))


def test_a_connection_that_says_nothing_whole_is_closed(
    serving: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its bytes mean nothing, before a request or behind one."""
    monkeypatch.setattr("tenshot.api.middleware.transport.HEAD_SECONDS", 0.3)
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    async def said(first: bytes, then: bytes = b"") -> bytes:
        """What comes back until the connection is closed."""
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(first)
        answer = await reader.readuntil(b"Ok") if then else b""
        writer.write(then)
        answer += await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer

    with serving(Settings(data=tmp_path)) as server:
        address = urlsplit(server.url)
        for part in (b"", b"GET /healthz HTTP/1.1\r\nHost:", b"\r\n"):
            assert run(said(part)) == b""
        for part in (b"\r\n", b"GET /"):
            assert run(said(whole, part)).count(b"HTTP/1.1 200") == 1
