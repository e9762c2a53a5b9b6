"""Web servers that mean harm: each path of one misbehaves in its own way."""

import contextlib
import gzip
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pictures import png

PICTURE = png("discs", 1)
BOMB = gzip.compress(bytes(64 << 20))


class HostileWeb(BaseHTTPRequestHandler):
    """What was asked is kept in `seen`: (path, headers)."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.seen.append((self.path, dict(self.headers)))
        name = self.path.partition("?")[0].strip("/").replace("-", "_") or "picture"
        with contextlib.suppress(OSError):  # the other side hangs up, as it should
            getattr(self, f"say_{name}", self.say_missing)()

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def say_picture(self) -> None:
        self.answer(PICTURE, Content_Type="image/png")

    def say_missing(self) -> None:
        self.answer(b"no", 404)

    def say_called_html(self) -> None:
        self.answer(PICTURE, Content_Type="text/html")

    def say_html_called_png(self) -> None:
        self.answer(b"<html>" + b" secret" * 1000, Content_Type="image/png")

    def say_empty(self) -> None:
        self.answer(b"")

    def say_loop(self) -> None:
        self.answer(b"", 302, Location="/loop", Set_Cookie="session=secret")

    def say_away(self) -> None:
        """To wherever the query says."""
        self.answer(b"", 302, Location=self.path.partition("?")[2], Set_Cookie="session=secret")

    def say_slow_head(self) -> None:
        self._drip(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000)

    def say_slow_body(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        self._drip(PICTURE * 100)

    def _drip(self, what: bytes) -> None:
        for byte in what:
            self.wfile.write(bytes([byte]))
            time.sleep(0.02)

    def say_endless(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + PICTURE)
        while True:
            self.wfile.write(bytes(1 << 16))

    def say_endless_head(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X-More: and more\r\n" * 1000)

    def say_endless_hints(self) -> None:
        while True:
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)

    def say_said_huge(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n")

    def say_gzip(self) -> None:
        self.answer(gzip.compress(PICTURE), Content_Encoding="gzip")

    def say_gzip_bomb(self) -> None:
        self.answer(BOMB, Content_Encoding="gzip")

    def say_picture_bomb(self) -> None:
        self.answer(gzip.compress(PICTURE[:64] + bytes(64 << 20)), Content_Encoding="gzip")

    def say_odd_packing(self) -> None:
        self.answer(PICTURE, Content_Encoding="br")

    def say_broken_gzip(self) -> None:
        self.answer(b"\x1f\x8b" + PICTURE, Content_Encoding="gzip")

    def say_short(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + PICTURE[:100])
        self.close_connection = True

    def say_nonsense(self) -> None:
        self.wfile.write(b"\0\xff what is this\r\n\r\n")
        self.close_connection = True

    def log_message(self, *_arguments: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_arguments: Any) -> None:
        """Clients hang up, as they should."""


@contextmanager
def hostile_web(host: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[tuple[str, dict[str, str]]]]]:
    """The port of a running one, and what it has seen."""
    seen: list[tuple[str, dict[str, str]]] = []
    handler = type("Web", (HostileWeb,), {"seen": seen})
    with _Server((host, 0), handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], seen
        finally:
            server.shutdown()
            thread.join()
