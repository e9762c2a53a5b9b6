"""Connections to checked addresses only, that end by a deadline: what `fetch.py` gives to its HTTP library.

A name is resolved once. If each of its addresses may be reached, the connection goes to one of these addresses, never
to the name again, so a second answer of the name server changes nothing. Host header, SNI and the certificate check
keep the name.
"""

import ipaddress
import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

from httpcore2 import (
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    WriteTimeout,
)

from .addresses import Address, Allowed, Resolve, is_metadata, is_own

_CONNECT_SECONDS = 5.0
"""For one address; there may be others."""


class Forbidden(ConnectError):
    """A host with an address that may not be reached."""


class GuardedNetwork(NetworkBackend):
    """The network for one fetch, until `deadline` on the monotonic clock."""

    def __init__(self, resolve: Resolve, is_public: Allowed, deadline: float, *, allow_private: bool = False) -> None:
        self._resolve = resolve
        self._is_public = is_public
        self._deadline = deadline
        self._allow_private = allow_private
        self._plain = SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> NetworkStream:
        """Raises Forbidden, ConnectError or ConnectTimeout."""
        failed: Exception = ConnectError("the host has no address")
        for address in self._checked(host):
            left = _left(self._deadline, ConnectTimeout)
            try:
                stream = self._plain.connect_tcp(str(address), port, min(left, _CONNECT_SECONDS))
            except (ConnectError, ConnectTimeout) as error:
                failed = error
                continue
            if not self._allow_private and _is_this_machine(stream):
                stream.close()
                raise Forbidden("the host is the machine that this server runs on")
            return _UntilDeadline(stream, self._deadline)
        raise failed

    def _checked(self, host: str) -> list[Address]:
        """All addresses of the host, each of which may be reached."""
        addresses = [ipaddress.ip_address(text) for text in self._resolved(host)]
        for address in addresses:
            if is_metadata(address) or not (self._is_public(address) or (self._allow_private and is_own(address))):
                raise Forbidden("the host is not at a public address")
        return addresses

    def _resolved(self, host: str) -> list[str]:
        """As the resolver says; it can't be told a deadline, so it is left alone when that is over."""
        answer: list[str] = []
        failure: list[Exception] = []

        def ask() -> None:
            try:
                answer.extend(self._resolve(host))
            except (OSError, UnicodeError) as error:
                failure.append(error)

        asking = threading.Thread(target=ask, name="tenshot-resolve", daemon=True)
        asking.start()
        asking.join(_left(self._deadline, ConnectTimeout))
        if asking.is_alive():
            raise ConnectTimeout("the name server takes too long")
        if failure or not answer:
            raise ConnectError("the host is unknown")
        return answer


class _UntilDeadline(NetworkStream):
    """A connection whose every step ends by the deadline, however slowly the other side drips."""

    def __init__(self, stream: NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._deadline, ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._deadline, WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> NetworkStream:
        left = _left(self._deadline, ConnectTimeout)
        return _UntilDeadline(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(deadline: float, error: type[Exception]) -> float:
    """Seconds until the deadline. Raises the error if there are none."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("it takes too long")
    return left


def _is_this_machine(stream: NetworkStream) -> bool:
    """Whether both ends have one address: a machine may have a public one, and services that trust it."""
    return bool(stream.get_extra_info("client_addr")[0] == stream.get_extra_info("server_addr")[0])
