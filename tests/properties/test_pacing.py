"""The pace adapts to what a service allows, on a clock that costs no time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.adapters.pacing import Backlogged, Pace, PaceLimits

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._wait = self._selector.select  # type: ignore[attr-defined]
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _jump(self, timeout: float | None) -> Any:
        self._now += timeout or 0.0
        return self._wait(0)


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class Service:
    """Allows so many calls per second, counted by whole seconds, and refuses the rest."""

    def __init__(self, allowed_per_s: int) -> None:
        self.allowed_per_s = allowed_per_s
        self.taken: dict[int, int] = {}
        self.refusals = 0

    def call(self) -> bool:
        second = int(asyncio.get_running_loop().time())
        taken = self.taken.get(second, 0)
        if taken >= self.allowed_per_s:
            self.refusals += 1
            return False
        self.taken[second] = taken + 1
        return True


async def drain(pace: Pace, service: Service, calls: int, workers: int = 32) -> None:
    left = calls

    async def worker() -> None:
        nonlocal left
        while left > 0:
            await pace.turn()
            if left <= 0:
                return
            if service.call():
                left -= 1
                pace.succeeded()
            else:
                pace.refused(0.0)

    await asyncio.gather(*[worker() for _ in range(workers)])


@given(st.integers(20, 100), st.integers(1, 300))
@settings(max_examples=20, deadline=None)
def test_the_pace_settles_near_what_the_service_allows(allowed_per_s: int, start_per_s: int) -> None:
    async def main() -> tuple[float, int]:
        pace = Pace(PaceLimits(rate_start_per_s=start_per_s, increase_per_s2=2.0, wait_max_s=1e6))
        service = Service(allowed_per_s)
        await drain(pace, service, calls=allowed_per_s * 60)
        return asyncio.get_running_loop().time(), service.refusals

    seconds, refusals = run(main())
    # Sixty seconds' worth, plus the climb from a slow start at two more calls per second each second.
    assert seconds < 60 / 0.55 + allowed_per_s / 2
    assert refusals < allowed_per_s * 60 * 0.35


def test_an_unlimited_service_is_called_ever_faster() -> None:
    async def main() -> float:
        pace = Pace(PaceLimits(rate_start_per_s=10, increase_per_s2=20))
        await drain(pace, Service(10**9), calls=2_000)
        return pace.rate_per_s

    assert run(main()) > 200


def test_an_idle_pace_does_not_grow() -> None:
    async def main() -> float:
        pace = Pace(PaceLimits(rate_start_per_s=10))
        for _ in range(100):
            await pace.turn()
            pace.succeeded()
            await asyncio.sleep(1)
        return pace.rate_per_s

    assert run(main()) == 10


def test_one_burst_of_refusals_halves_the_rate_once() -> None:
    async def main() -> list[float]:
        pace = Pace(PaceLimits(rate_start_per_s=80, rate_min_per_s=15))
        rates = []
        for _ in range(4):
            for _ in range(10):
                pace.refused(0.0)
            rates.append(pace.rate_per_s)
            await asyncio.sleep(2)
        return rates

    assert run(main()) == [40, 20, 15, 15]


def test_calls_wait_in_order_and_not_before_the_pause_is_over() -> None:
    async def main() -> tuple[list[int], float]:
        pace, order = Pace(PaceLimits(rate_start_per_s=10)), []

        async def call(number: int) -> None:
            await pace.turn()
            order.append(number)
            if number == 0:
                loop_times.append(asyncio.get_running_loop().time())

        loop_times: list[float] = []
        pace.refused(5.0)
        await asyncio.gather(*[call(number) for number in range(10)])
        return order, loop_times[0]

    order, first = run(main())
    assert order == list(range(10))
    assert first >= 5.0


def test_a_wait_that_is_too_long_is_refused_at_once() -> None:
    async def main() -> tuple[int, float]:
        pace = Pace(PaceLimits(rate_start_per_s=10, wait_max_s=2.0))
        waiters = [asyncio.ensure_future(pace.turn()) for _ in range(40)]
        await asyncio.sleep(0)
        refused = [waiter for waiter in waiters if waiter.done() and waiter.exception() is not None]
        with pytest.raises(Backlogged) as backlog:
            await pace.turn()
        await asyncio.gather(*waiters, return_exceptions=True)
        return len(refused), backlog.value.wait_s

    refused, wait_s = run(main())
    assert 15 <= refused <= 21
    assert wait_s > 2.0


def test_a_cancelled_waiter_leaves_its_turn_to_the_next() -> None:
    async def main() -> float:
        pace = Pace(PaceLimits(rate_start_per_s=1, burst_s=0.1))
        await pace.turn()
        first, second = asyncio.ensure_future(pace.turn()), asyncio.ensure_future(pace.turn())
        await asyncio.sleep(0)
        first.cancel()
        await second
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(1.0)
