"""Virtual time and virtual processes do what real ones do."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from scripts.simulation.virtual_loop import START_S, Endless, Process, Stalled, VirtualLoop


def run(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> None:
    try:
        loop.run_until_complete(work)
    finally:
        loop.close()


def test_an_hour_passes_at_once_and_in_order() -> None:
    loop = VirtualLoop(1_000)
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append((name, loop.time() - START_S))

    async def story() -> None:
        await asyncio.gather(sleeper("late", 3600), sleeper("soon", 1), sleeper("soon too", 1))

    run(loop, story())
    assert seen == [("soon", 1.0), ("soon too", 1.0), ("late", 3600.0)]


def test_a_paused_process_does_everything_late() -> None:
    loop = VirtualLoop(1_000)
    process, other = Process(loop, "p"), Process(loop, "q")
    seen: list[tuple[str, float]] = []

    async def ticking(name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            seen.append((name, loop.time() - START_S))

    async def story() -> None:
        tasks = [process.spawn(ticking("p")), other.spawn(ticking("q"))]
        await asyncio.sleep(1.5)
        process.pause()
        await asyncio.sleep(10)
        process.proceed()
        await asyncio.gather(*tasks)

    run(loop, story())
    assert [at for name, at in seen if name == "q"] == [1, 2, 3]
    assert [at for name, at in seen if name == "p"] == [1, 11.5, 12.5]


def test_what_was_cancelled_during_a_pause_does_not_run_after_it() -> None:
    loop = VirtualLoop(1_000)
    process = Process(loop, "p")
    seen: list[str] = []

    async def story() -> None:
        timer = loop.call_at(loop.time() + 1, seen.append, "rang", context=process.context)
        process.pause()
        await asyncio.sleep(2)
        timer.cancel()
        process.proceed()
        await asyncio.sleep(1)

    run(loop, story())
    assert not seen


def test_a_killed_process_runs_nothing_more_not_even_its_finally() -> None:
    loop = VirtualLoop(1_000)
    process = Process(loop, "p")
    seen: list[str] = []

    async def careful() -> None:
        try:
            await asyncio.sleep(1)
            seen.append("went on")
        finally:
            seen.append("cleaned up")

    async def story() -> None:
        task = process.spawn(careful())
        await asyncio.sleep(0.5)
        process.kill()
        await asyncio.sleep(5)
        assert not task.done()
        assert not seen
        task.get_coro().close()

    run(loop, story())


def test_waiting_for_nobody_is_an_error() -> None:
    loop = VirtualLoop(1_000)

    async def story() -> None:
        await loop.create_future()

    work = story()
    with pytest.raises(Stalled):
        run(loop, work)
    work.close()


def test_turning_in_circles_is_an_error() -> None:
    loop = VirtualLoop(1_000)

    async def story() -> None:
        while True:
            await asyncio.sleep(0)

    work = story()
    with pytest.raises(Endless):
        run(loop, work)
    work.close()
