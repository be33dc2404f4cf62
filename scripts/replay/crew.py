"""Work in flight: so many requests at a time, at most so many a second, until all is done or somebody says stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

SHOW_EVERY_S = 0.25
SHOW_EVERY_PLAIN_S = 10.0

T = TypeVar("T")


class Stopped(Exception):
    """Ctrl-C: what was in flight has been finished, nothing new was begun."""


class Crew:
    """Runs one phase after another, each with `in_flight` workers, and shows how far it is on standard error."""

    def __init__(self, in_flight: int) -> None:
        self._in_flight = in_flight
        self.stopping = asyncio.Event()

    async def each(
        self, what: str, items: Iterable[T], work: Callable[[T], Awaitable[None]], *, total: int, rate: float = 0.0
    ) -> float:
        """`work` on each item; returns the seconds it took. `rate` bounds beginnings per second; 0 does not.

        Raises Stopped, and whatever `work` raises, which ends the phase.
        """
        began = time.monotonic()
        supply = _Supply(iter(items), rate, self.stopping)
        shown = _Progress(what, total, began)

        async def worker() -> None:
            async for item in supply:
                await work(item)
                shown.done += 1

        watcher = asyncio.create_task(shown.keep_showing())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._in_flight, max(total, 1))):
                    group.create_task(worker())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        finally:
            watcher.cancel()
            shown.show(last=True)
        if self.stopping.is_set() and shown.done < total:
            raise Stopped
        return time.monotonic() - began

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """The first Ctrl-C lets the work in flight finish, the second does not."""
        loop = asyncio.get_running_loop()

        def stop() -> None:
            print("\nstopping: finishing what is in flight", file=sys.stderr, flush=True)
            self.stopping.set()
            loop.remove_signal_handler(signal.SIGINT)

        loop.add_signal_handler(signal.SIGINT, stop)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)


class _Supply(AsyncIterator[T]):
    """Hands items to several workers, not faster than `rate`."""

    def __init__(self, items: Iterator[T], rate: float, stopping: asyncio.Event) -> None:
        self._items = items
        self._every_s = 1.0 / rate if rate else 0.0
        self._next_at = time.monotonic()
        self._stopping = stopping

    async def __anext__(self) -> T:
        if self._every_s:
            at = max(self._next_at, time.monotonic() - 1.0)  # a pause is made up for, but not in one rush
            self._next_at = at + self._every_s
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), max(0.0, at - time.monotonic()))
        if self._stopping.is_set():
            raise StopAsyncIteration
        for item in self._items:
            return item
        raise StopAsyncIteration


class _Progress:
    def __init__(self, what: str, total: int, began: float) -> None:
        self._what = what
        self._total = total
        self._began = began
        self._live = sys.stderr.isatty()
        self.done = 0

    async def keep_showing(self) -> None:
        while True:
            await asyncio.sleep(SHOW_EVERY_S if self._live else SHOW_EVERY_PLAIN_S)
            self.show(last=False)

    def show(self, *, last: bool) -> None:
        seconds = time.monotonic() - self._began
        text = f"{self._what}: {self.done:,} of {self._total:,}, {self.done / max(seconds, 1e-9):,.0f} a second"
        if self._live:
            print(f"\r\033[K{text}", end="\n" if last else "", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
