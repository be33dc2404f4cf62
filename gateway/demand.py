"""What is asked for again and again, and so is worth being read before anybody asks."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
OFTEN = 2


class Demand(Generic[K]):
    """Counts what is asked for, over the current period and the one before it.

    A thing in demand was asked for at least twice in them: most things that a large catalogue has are asked for once in
    a while, and reading these ahead would cost more than it spares. It has no clock.
    """

    def __init__(self, period_s: float, things_max: int) -> None:
        self._period_s = period_s
        self._things_max = things_max
        self._began = float("-inf")
        self._now: dict[K, int] = {}
        self._before: dict[K, int] = {}

    def asked(self, thing: K, times: int = 1) -> None:
        """Somebody wants this."""
        counts = self._now
        counts[thing] = counts.get(thing, 0) + times
        if len(counts) > self._things_max:
            self._next_period()

    def forget(self, thing: K) -> None:
        """Nothing comes of it."""
        self._now.pop(thing, None)
        self._before.pop(thing, None)

    def often(self, now: float) -> list[K]:
        """What is asked for again and again. A new period begins where the last one is over."""
        before = self._before
        found = [thing for thing, times in self._now.items() if times + before.get(thing, 0) >= OFTEN]
        found += [thing for thing, times in before.items() if times >= OFTEN and thing not in self._now]
        if now - self._began >= self._period_s:
            self._next_period()
            self._began = now
        return found

    def _next_period(self) -> None:
        self._before, self._now = self._now, {}
