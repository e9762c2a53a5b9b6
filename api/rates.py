"""How often a key may ask."""

import math
import time
from dataclasses import dataclass

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter


class Throttled(Exception):
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

    def count(self, key_id: str) -> Rate | None:
        """Counts one request. None where there is no limit. Raises Throttled."""
        if self._counter is None:
            return None
        allowed = [self._counter.hit(limit, key_id) for limit in self._limits]
        stands = []
        for limit in self._limits:
            window = self._counter.get_window_stats(limit, key_id)
            seconds = max(1, math.ceil(window.reset_time - time.time()))
            stands.append(Rate(limit.amount, window.remaining, seconds))
        if not all(allowed):
            seconds = max(rate.seconds for rate, fine in zip(stands, allowed, strict=True) if not fine)
            broken = self._limits[allowed.index(False)]
            raise Throttled(f"this API key may ask {broken}; try again in {seconds} seconds", seconds)
        return min(stands, key=lambda rate: rate.remaining)
