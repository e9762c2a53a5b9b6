"""How much is taken on at once: beyond that a request is told at once to come later, and health is always answered."""

from collections import Counter
from collections.abc import Callable, Hashable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from ...index.records import KeyRecord
from ..auth.keys import key_of
from ..wire.responses import refusal
from ..wire.status import THROTTLED
from .bodies import BodyLimits, BodyReader, has_body

FREE = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths that are answered however much there is to do."""
KEY = "tenshot.key"
"""In the ASGI scope: the key of the request, or the error that tells why there is none."""
TAKE = "tenshot.take"
"""In the ASGI scope: counts bytes of memory for this request, until it has ended. Raises HTTPException."""
_STRANGERS = 64
"""Requests without a valid key at once: so many with a body, and so many without one."""
_STRANGE_BODY = BodyLimits(8 * 1024, 5)
"""Enough for signing in, which is all that a body without a key is for."""


class Slots:
    """Who is being worked for. Lives in the event loop, so it needs no lock."""

    def __init__(self, most: int) -> None:
        """most: requests with a valid key at once. The last quarter of them is for keys that hold few."""
        self._most = most
        self._reserved = most // 4
        self._few = max(1, most // 16)
        self._strangers = min(_STRANGERS, most)
        self._held: Counter[Hashable] = Counter()
        self._keyed = 0

    def take(self, key_id: str | None, *, body: bool) -> Hashable | None:
        """What is given back afterwards; None where there is no slot left. key_id None: a stranger."""
        holder = ("stranger", body) if key_id is None else key_id
        held = self._held[holder]
        if key_id is None:
            if held >= self._strangers:
                return None
        else:
            if self._keyed >= self._most - (self._reserved if held >= self._few else 0):
                return None
            self._keyed += 1
        self._held[holder] += 1
        return holder

    def give_back(self, holder: Hashable) -> None:
        self._keyed -= isinstance(holder, str)
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]


class Gate:
    """An ASGI layer. Who has no valid key can neither take a slot of those who have one, nor hand in much."""

    def __init__(self, app: ASGIApp, most_requests: int, most_bytes: int, limits: BodyLimits) -> None:
        """most_bytes: of all bodies that are being read or worked on, and what they are read into. limits: of each."""
        self._app = app
        self._slots = Slots(most_requests)
        self._most_bytes = most_bytes
        self._bytes = 0
        self._limits = limits
        self._strange = BodyLimits(
            min(limits.most_bytes, _STRANGE_BODY.most_bytes), min(limits.seconds, _STRANGE_BODY.seconds)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in FREE:
            await self._app(scope, receive, send)
            return
        key = scope[KEY] = _key(scope)
        holder = self._slots.take(key.id if isinstance(key, KeyRecord) else None, body=has_body(scope))
        if holder is None:
            full = refusal(THROTTLED, "as many requests as can be are being worked on; try again soon")
            await full(scope, receive, send)
            return
        memory = _Memory(self.take)
        scope[TAKE] = memory.take
        limits = self._limits if isinstance(key, KeyRecord) else self._strange
        try:
            await self._app(scope, BodyReader(scope, receive, limits, memory.take).receive, send)
        finally:
            self._slots.give_back(holder)
            self._bytes -= memory.size

    def take(self, size: int) -> None:
        """Counts bytes. Raises HTTPException where they are too many with all the others'."""
        if self._bytes + size > self._most_bytes:
            raise HTTPException(THROTTLED.http, "the requests being worked on are too large together; try again soon")
        self._bytes += size


class _Memory:
    """What one request has taken."""

    def __init__(self, take: Callable[[int], None]) -> None:
        self._take = take
        self.size = 0

    def take(self, size: int) -> None:
        self._take(size)
        self.size += size


def _key(scope: Scope) -> KeyRecord | Exception:
    """Whatever keeps from knowing who asks matters only where a route wants a key."""
    try:
        return key_of(scope["app"].state.store.catalog, Headers(scope=scope))
    except Exception as error:
        return error
