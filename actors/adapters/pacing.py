"""Calling a rate-limited service at the pace it can take: one token bucket per endpoint, whose rate adapts.

The rate grows by a fixed step per second while calls are waiting for it and falls by half when the service refuses
(AIMD: additive increase, multiplicative decrease; Chiu and Jain, 1989), so that it settles just below what the service
allows without being told. Calls wait in the order in which they came; when the wait would be too long they are told
so at once, and wait in the journal instead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class PaceLimits:
    """How fast, how slow, how patient."""

    rate_start_per_s: float = 100.0
    rate_min_per_s: float = 1.0
    rate_max_per_s: float = 2_000.0
    increase_per_s2: float = 2.0  # the rate's growth per second under pressure
    decrease_factor: float = 0.5
    decrease_pause_s: float = 1.0  # the refusals of one burst count once
    burst_s: float = 0.1  # how much of an unused second may be caught up with
    wait_max_s: float = 20.0


class Backlogged(Exception):
    """The call would have to wait longer than the limit; it was not made. `wait_s` says how long."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"{wait_s:.1f} s of calls are waiting already")
        self.wait_s = wait_s


class Pace:
    """One endpoint's pace. Belongs to one event loop."""

    def __init__(self, limits: PaceLimits) -> None:
        assert 0 < limits.rate_min_per_s <= limits.rate_start_per_s <= limits.rate_max_per_s
        self._limits = limits
        self.rate_per_s = limits.rate_start_per_s
        self._tokens = self._burst()
        self._refilled_at = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._pressed = False
        self._decreased_at = float("-inf")

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return len(self._waiting)

    async def turn(self) -> None:
        """Wait until the next call may be made. Raises Backlogged."""
        loop = asyncio.get_running_loop()
        self._refill(loop.time())
        if not self._waiting and self._tokens >= 1:
            self._tokens -= 1
            return
        self._pressed = True
        wait_s = self._refilled_at - loop.time() + (len(self._waiting) + 1 - self._tokens) / self.rate_per_s
        if wait_s > self._limits.wait_max_s:
            raise Backlogged(wait_s)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        self._set_timer(loop)
        await turn

    def succeeded(self) -> None:
        """The service took a call: go a little faster, if the pace was what held it back."""
        if self._pressed:
            self._pressed = bool(self._waiting)
            self.rate_per_s = min(
                self._limits.rate_max_per_s, self.rate_per_s + self._limits.increase_per_s2 / self.rate_per_s
            )

    def refused(self, pause_s: float) -> None:
        """The service asked for patience: halve the rate, and begin no call for `pause_s`."""
        now = asyncio.get_running_loop().time()
        if now - self._decreased_at >= self._limits.decrease_pause_s:
            self._decreased_at = now
            self.rate_per_s = max(self._limits.rate_min_per_s, self.rate_per_s * self._limits.decrease_factor)
        self._tokens = 0.0
        self._refilled_at = max(self._refilled_at, now + pause_s)

    def _burst(self) -> float:
        return max(1.0, self.rate_per_s * self._limits.burst_s)

    def _refill(self, now: float) -> None:
        if now > self._refilled_at:  # else the bucket is paused until then
            grown = self._tokens + (now - self._refilled_at) * self.rate_per_s
            self._tokens = min(self._burst(), grown)
            self._refilled_at = now

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._waiting:
            at = self._refilled_at + (1 - self._tokens) / self.rate_per_s
            self._timer = loop.call_at(at, self._release)

    def _release(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        # A timer may fire a clock's tick early: a rounding error must not cost another round.
        self._refill(loop.time() + 1e-6)
        while self._waiting and self._tokens >= 1 - 1e-6:
            turn = self._waiting.popleft()
            if not turn.done():  # else its caller was cancelled
                self._tokens = max(0.0, self._tokens - 1)
                turn.set_result(None)
        self._set_timer(loop)
