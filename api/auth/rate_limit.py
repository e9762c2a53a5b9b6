"""How often a key may ask."""

import math
import threading
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ...errors import TenshotError


class Throttled(TenshotError):
    """A key asked more often than it may."""

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds
        """Until it may ask again."""


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


class Rates:
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
