"""API keys: made once, shown once, stored hashed; each opens one app, or (admin) all, and asks at a limited rate."""

import hashlib
import math
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ...errors import TenshotError
from ...index.catalog import Catalog
from ...index.records import KeyRecord

ALL = "All"
READ = "Read"
WRITE = "Write"
SESSION = "X-Clarifai-Session-Token"
"""The header of clients that have logged in; see `legacy_tokens.py`."""
SCOPES = (ALL, READ, WRITE)
"""All includes the others; Write includes Read."""


class BadKey(TenshotError):
    """The request has no key, or an unknown or revoked one."""

    def __init__(self, message: str, *, malformed: bool = False) -> None:
        super().__init__(message)
        self.malformed = malformed


class MissingScope(TenshotError):
    """The key may not do that."""


class Throttled(TenshotError):
    """A key asked more often than it may."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds
        """Until it may ask again."""


@dataclass(frozen=True)
class NewKey:
    secret: str = field(repr=False)
    """Shown once; only its hash is stored."""
    record: KeyRecord


def new_key(catalog: Catalog, app_id: str | None, description: str = "", scopes: Sequence[str] = (ALL,)) -> NewKey:
    """Makes a key; app_id None makes an admin key. Raises ValueError for an unknown scope."""
    for scope in scopes:
        if scope not in SCOPES:
            raise ValueError(f"unknown scope {scope!r}; there are {', '.join(SCOPES)}")
    secret = secrets.token_hex(16)
    record = catalog.api_keys.add(secrets.token_hex(8), hashed(secret), app_id, description, scopes)
    return NewKey(secret, record)


def first_admin_key(catalog: Catalog) -> str | None:
    """Makes an admin key where there is none yet, and returns it."""
    if any(key.revoked_at is None for key in catalog.api_keys.list(admin=True)):
        return None
    return new_key(catalog, None, "made at first start").secret


def authenticate(catalog: Catalog, authorization: str | None) -> KeyRecord:
    """The key of an Authorization header, `Key <secret>` or `Bearer <secret>`. Raises BadKey."""
    kind, _, secret = (authorization or "").strip().partition(" ")
    secret = secret.strip()
    if not authorization:
        raise BadKey("no API key was given: send the header 'Authorization: Key <your key>'")
    if kind.lower() not in ("key", "bearer") or not secret:
        raise BadKey("the Authorization header is malformed: it is 'Key <your key>'", malformed=True)
    # Found by the hash of a random 128-bit secret: time tells nothing about the secret, and no more about the hash.
    hash = hashed(secret)
    record = catalog.api_keys.find(hash)
    if record is None or record.revoked_at is not None or not secrets.compare_digest(record.hash, hash):
        raise BadKey("nobody knows this API key, or it was revoked")
    return record


def key_of(catalog: Catalog, headers: Mapping[str, str]) -> KeyRecord:
    """The key of a request, whose moment begins here (see `Catalog.begin_read_snapshot`). Raises BadKey."""
    catalog.begin_read_snapshot()
    session = headers.get(SESSION)
    return authenticate(catalog, f"Key {session}" if session else headers.get("authorization"))


def require(key: KeyRecord, scope: str) -> None:
    """Raises MissingScope."""
    granted = set(key.scopes)
    if WRITE in granted:
        granted.add(READ)
    if ALL not in granted and scope not in granted:
        raise MissingScope(f"this API key lacks the scope {scope!r}")


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class Rate:
    """Where a key stands with the limit that it is nearest to."""

    limit: int
    remaining: int
    seconds: int
    """Until more is allowed again."""

    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers-07 names them."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.seconds),
        }


class RateLimiter:
    """Counts requests by key, over sliding windows, in this process's memory. Thread-safe."""

    def __init__(self, limit: str | None) -> None:
        """limit: such as `600/minute` or `20/second;10000/hour`; None: no limit. Raises ValueError."""
        self._limits = parse_many(limit) if limit else []
        self._counter = SlidingWindowCounterRateLimiter(MemoryStorage()) if limit else None
        self._lock = threading.Lock()

    def count(self, key_id: str) -> Rate | None:
        """Counts one request, in every window or, where any is full, in none. None where there is no limit.

        Raises Throttled.
        """
        if self._counter is None:
            return None
        with self._lock:
            full = [limit for limit in self._limits if not self._counter.test(limit, key_id)]
            for limit in [] if full else self._limits:
                self._counter.hit(limit, key_id)
            stands = [self._stand(limit, key_id) for limit in full or self._limits]
        if full:
            seconds = max(rate.seconds for rate in stands)
            raise Throttled(f"this API key may ask {full[0]}; try again in {seconds} seconds", seconds)
        return min(stands, key=lambda rate: rate.remaining)

    def _stand(self, limit: RateLimitItem, key_id: str) -> Rate:
        assert self._counter is not None
        window = self._counter.get_window_stats(limit, key_id)
        return Rate(limit.amount, window.remaining, max(1, math.ceil(window.reset_time - time.time())))
