"""The HTTP connections of the server: a head must arrive in time, and one can be cut at once."""

import asyncio
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 20
CONNECTION = "tenshot.connection"
"""In the ASGI scope: the `Connection`."""


class Connection(HttpToolsProtocol):
    """uvicorn's own lets one that never says anything, or says it forever, stay forever."""

    _late: asyncio.TimerHandle | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the other side has yet to take some of what was sent: sending waits for that."""
        return self.flow.write_paused

    def cut(self) -> None:
        """Closing would wait for the other side to take what is left, here and in the kernel."""
        at_once = struct.pack("ii", 1, 0)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Part of a head, or nothing that means anything; uvicorn's own timer ends with any byte.
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[CONNECTION] = self  # type: ignore[literal-required]

    def on_headers_complete(self) -> None:
        self._stop()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
