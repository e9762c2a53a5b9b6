"""A picture from a URL that a stranger wrote down.

FetchError
├── BadUrl          not a plain http or https URL, or one to a host that may not be reached
└── TooLarge        more bytes than allowed

Only the public internet is reached, unless the settings say otherwise: see `addresses.py` for what that is and
`network.py` for how it is held at each redirect. Nothing is sent but the request itself: no cookies, no credentials, no
referrer, and no proxy of the environment is asked. Whatever type an answer claims to have, its first bytes decide.
"""

import http
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import httpcore2
import httpx2

from ... import __version__
from ...embeddings.pictures.images import sniffed_type
from ...errors import TenshotError
from .addresses import Allowed, Resolve, is_host, is_public, resolve
from .guarded_transport import Forbidden, GuardedNetwork

_REDIRECTS = 5
_MAX_URL = 8192
_HEAD = 32
"""Bytes that say whether it is a picture."""
_LOWEST_FREE_PORT = 1024
_HEADERS = [
    (b"User-Agent", f"tenshot/{__version__}".encode()),
    (b"Accept", b"image/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
]
_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    OSError,
    zlib.error,
)


class FetchError(TenshotError):
    """A URL that gives no picture; the message is fit for a user."""


class BadUrl(FetchError):
    pass


class TooLarge(FetchError):
    pass


@dataclass(frozen=True)
class Fetcher:
    """Fetches pictures within limits. Thread-safe; each fetch has connections of its own."""

    allow_private: bool = False
    """Loopback and private addresses too, at any port."""
    most_bytes: int = 32 << 20
    """Of one picture, unpacked."""
    seconds: float = 15
    """For one picture, with all its redirects."""
    resolve: Resolve = resolve
    is_public: Allowed = is_public
    tls: ssl.SSLContext = field(default_factory=httpcore2.default_ssl_context)
    """Whom to trust: by default as the operating system does."""

    def fetch(self, url: str, *, deadline: float | None = None) -> bytes:
        """The picture behind a URL. deadline: on the monotonic clock, if the context has less time.

        Raises FetchError, or UnsupportedFormat as soon as the first bytes are no picture's.
        """
        within = min(deadline or float("inf"), time.monotonic() + self.seconds)
        parsed = self._read(url)
        try:
            for _ in range(_REDIRECTS + 1):
                location = self._answer(parsed, within)
                if isinstance(location, bytes):
                    return location
                parsed = self._read(str(parsed.join(location)))
        except httpx2.InvalidURL as error:
            raise BadUrl(f"{_shown(url)} redirects to what is no URL") from error
        raise FetchError(f"{_shown(url)} redirects more than {_REDIRECTS} times")

    def _read(self, url: str) -> httpx2.URL:
        """The URL, taken apart. Raises BadUrl."""
        try:
            parsed = httpx2.URL(url) if len(url) <= _MAX_URL else None
        except (httpx2.InvalidURL, ValueError):
            parsed = None
        if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
            raise BadUrl(f"{_shown(url)} is not an http or https URL")
        if parsed.userinfo:
            raise BadUrl("a URL with a user name or password is not fetched")
        # A final dot says that a name is complete; certificates don't have it.
        host = parsed.raw_host.decode().removesuffix(".")
        if not is_host(host):
            raise BadUrl(f"{_shown(url)} has no plain host name or IP address")
        port = (443 if parsed.scheme == "https" else 80) if parsed.port is None else parsed.port
        usual = port in (80, 443) or port >= _LOWEST_FREE_PORT or self.allow_private
        if not (0 < port < 1 << 16 and usual):
            raise BadUrl(f"{_shown(url)} has a port that pictures don't come from")
        return parsed.copy_with(host=host, fragment=None)

    def _answer(self, url: httpx2.URL, deadline: float) -> bytes | str:
        """The picture, or where it redirects to."""
        network = GuardedNetwork(self.resolve, self.is_public, deadline, allow_private=self.allow_private)
        target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        address = _shown(str(url))
        try:
            with (
                httpcore2.HTTPConnection(target.origin, ssl_context=self.tls, network_backend=network) as connection,
                connection.stream("GET", target, headers=_HEADERS) as response,
            ):
                headers = {name.lower(): value for name, value in response.headers}
                if response.status in (301, 302, 303, 307, 308) and b"location" in headers:
                    return headers[b"location"].decode("utf-8", "replace")
                if response.status != 200:
                    raise FetchError(f"{address} answers {response.status} {_phrase(response.status)}".rstrip())
                return self._picture(_unpacked(response.iter_stream(), headers, self.most_bytes), headers, address)
        except Forbidden as error:
            raise BadUrl(f"{address} is not fetched: {error}") from error
        except httpcore2.TimeoutException as error:
            raise too_late(str(url)) from error
        except _FAILURES as error:
            raise FetchError(f"{address} can't be fetched: {' '.join(str(error).split()) or 'no answer'}") from error

    def _picture(self, body: Iterable[bytes], headers: dict[bytes, bytes], address: str) -> bytes:
        length = headers.get(b"content-length", b"0")
        picture = bytearray()
        large = length.isdigit() and int(length[:20]) > self.most_bytes
        for part in () if large else body:
            unknown = len(picture) < _HEAD
            picture += part
            if unknown and len(picture) >= _HEAD:
                sniffed_type(picture)
            if large := len(picture) > self.most_bytes:
                break
        if large:
            raise TooLarge(f"{address} is larger than {self.most_bytes >> 20} MB")
        sniffed_type(picture)
        return bytes(picture)


def _unpacked(parts: Iterable[bytes], headers: dict[bytes, bytes], most: int) -> Iterator[bytes]:
    """The body, in pieces that are never more than a little larger than most, whatever they were packed into."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding == b"identity":
        yield from parts
        return
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise FetchError("the server packs its answer in a way that it wasn't asked for")
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS + 32)
    for part in parts:
        yield unpack.decompress(part, most + 1)


def too_late(url: str) -> FetchError:
    """For what had no time left."""
    return FetchError(f"{_shown(url)} takes too long")


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return ""


def _shown(url: str) -> str:
    """Enough to know it by; not its query, which may hold a secret."""
    text = url.partition("?")[0]
    return repr(text if len(text) <= 200 else text[:200] + "...")
