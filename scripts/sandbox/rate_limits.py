"""Rate limits (https://docs.stripe.com/rate-limits): token buckets of one second's worth, over all and per endpoint.

Presets: `none`; `live`, 100 requests a second over all; `test`, 25 a second per endpoint. `100/25` sets both, which is
what Stripe's documentation says of live mode.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic

from scripts.sandbox.errors import rate_limited

PRESETS: dict[str, tuple[float, float]] = {"none": (0, 0), "live": (100, 0), "test": (0, 25)}
_CUSTOM = re.compile(r"(\d{1,7})/(\d{1,7})\Z")
_MESSAGE = "Request rate limit exceeded. You can learn more about rate limits here https://docs.stripe.com/rate-limits."


class RateLimitInvalid(ValueError):
    """The name of a rate limit that does not exist."""


class _Bucket:
    def __init__(self, per_s: float, now: float) -> None:
        self.per_s = per_s
        self.tokens = per_s
        self.at = now

    def take(self, now: float) -> bool:
        self.tokens = min(self.per_s, self.tokens + (now - self.at) * self.per_s)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class RateLimits:
    """The limits in force. 0 means no limit."""

    def __init__(self, name: str = "none", clock: Callable[[], float] = monotonic) -> None:
        """Raises RateLimitInvalid for anything but a preset or `GLOBAL/ENDPOINT`."""
        custom = _CUSTOM.match(name)
        if custom is not None:
            overall, endpoint = float(custom[1]), float(custom[2])
        elif name in PRESETS:
            overall, endpoint = PRESETS[name]
        else:
            raise RateLimitInvalid(f"rate limit {name!r}: use one of {', '.join(PRESETS)}, or GLOBAL/ENDPOINT per s")
        self.name = name
        self._clock = clock
        self._endpoint_per_s = endpoint
        self._overall = _Bucket(overall, clock()) if overall else None
        self._endpoints: dict[str, _Bucket] = {}
        self.active = bool(overall or endpoint)

    def take(self, endpoint: str) -> None:
        """Count one request. Raises StripeError (429, `rate_limit`) if it is one too many."""
        now = self._clock()
        if self._endpoint_per_s:
            bucket = self._endpoints.get(endpoint)
            if bucket is None:
                bucket = self._endpoints[endpoint] = _Bucket(self._endpoint_per_s, now)
            if not bucket.take(now):
                raise rate_limited("endpoint-rate", _MESSAGE)
        if self._overall is not None and not self._overall.take(now):
            raise rate_limited("global-rate", _MESSAGE)
