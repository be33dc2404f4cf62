"""How fast a key may ask."""

from __future__ import annotations

import time
from collections.abc import Callable

FORGET_AFTER_KEYS = 10_000
WHOLE_TOKEN = 1.0 - 1e-6  # sums of floats


class RateLimit:
    """A token bucket per key: `per_second` requests for long, `burst` at once.

    Each gateway process counts for itself, so a system of n processes allows n times as much.
    """

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens left, as of

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, key: str) -> float:
        """Take a token and return 0; or take none and return the seconds until there is one."""
        now = self._clock()
        tokens, then = self._buckets.get(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._per_second)
        if tokens < WHOLE_TOKEN:
            self._buckets[key] = (tokens, now)
            return (1.0 - tokens) / self._per_second
        if key not in self._buckets and len(self._buckets) >= FORGET_AFTER_KEYS:
            self._forget_full(now)
        self._buckets[key] = (tokens - 1.0, now)
        return 0.0

    def _forget_full(self, now: float) -> None:
        """Buckets that have filled up again say nothing that a new one would not."""
        self._buckets = {
            key: (tokens, then)
            for key, (tokens, then) in self._buckets.items()
            if tokens + (now - then) * self._per_second < self._burst
        }
