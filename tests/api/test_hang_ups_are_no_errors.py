"""Clients that go in the middle of something, or speak another language, leave no traceback and no error in the log."""

import json
import logging
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

Say = Callable[[socket.socket], None]
LARGE = 1_900_000


def _request(
    tenant: Any, method: str, path: str, body: bytes = b"", *, key: str | None = None, length: int = 0
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Key {key or tenant.key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {length or len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _gone_after(server: Any, sent: bytes, *, read: int, reset: bool) -> None:
    """Sends this, reads so many bytes of the answer, and goes: politely, or by a reset."""
    with socket.create_connection((urlsplit(server.url).hostname, urlsplit(server.url).port), 20) as connection:
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(sent)
        left = read
        while left > 0 and (part := connection.recv(min(left, 65536))):
            left -= len(part)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_no_hang_up_is_an_error(server: Any, taught: Any, caplog: pytest.LogCaptureFixture, reset: bool) -> None:
    data = {"embeddings": [{"vector": [1.0] * 8}], "metadata": {"long": "x" * 50_000}}
    taught.call("POST", "/v2/inputs", {"inputs": [{"id": f"long{i}", "data": data} for i in range(30)]})
    search = json.dumps({"query": {"ands": [{"output": {"input": {"id": "x0"}}}]}}).encode()
    half = _request(taught, "POST", "/v2/inputs", b'{"inputs": [', length=1000)
    archive = _request(taught, "POST", "/v2/users/me/import", b"tar" * 1000, key=server.admin, length=LARGE)
    cases = {
        "before a body has come": (half, 0),
        "before an archive has come": (archive, 0),
        "before an answer": (_request(taught, "POST", "/v2/searches", search), 0),
        "before a list": (_request(taught, "GET", "/v2/inputs?per_page=1000"), 0),
        "amid a list": (_request(taught, "GET", "/v2/inputs?per_page=1000"), 1000),
        "before an export": (_request(taught, "GET", "/v2/export"), 0),
        "amid an export": (_request(taught, "GET", "/v2/export"), 100_000),
        "amid the metrics": (_request(taught, "GET", "/metrics"), 100),
        "amid the page": (_request(taught, "GET", "/main.js"), 100),
        "with TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 0),
        "with a wrong length": (_request(taught, "POST", "/v2/searches", search, length=-5), 0),
        "with nothing": (b"", 0),
        "with half a line": (b"GET /v2/inp", 0),
    }
    caplog.set_level(logging.INFO)
    for sent, read in cases.values():
        for _ in range(2):
            _gone_after(server, sent, read=read, reset=reset)
    time.sleep(0.3)
    with server.client(taught.key) as client:
        deadline = time.monotonic() + 20
        while client.get("/v2/export").status_code == 429 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.get("/v2/inputs?per_page=1").status_code == 200
    records = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert not [record for record in records if record.exc_info], caplog.text
    assert not [record for record in records if record.levelno >= logging.ERROR], caplog.text
