"""Virtual time and virtual processes: an event loop that never waits, and a switch that stops a part of it dead.

When nothing is ready the loop's clock jumps to the next timer, so a simulated minute costs what is done in it. Every
callback belongs to the process in whose context it was made (a context variable, which tasks and timers inherit). A
paused process's callbacks are held back and run when it goes on, as after SIGSTOP and SIGCONT; those of a dead one
never run, not even their `finally`, as after SIGKILL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import Context, ContextVar
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START_S = 1_000.0
"""Where the loop's clock begins: not at zero, so that nothing mistakes a time for none."""


class Stalled(Exception):
    """Nothing is ready and no timer is set: whoever is awaited will never come."""


class Endless(Exception):
    """Something keeps the loop busy without getting anywhere."""


class State(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


class Process:
    """A part of the simulated world that can be stopped as a whole.

    cut: it reaches neither the disk nor the director, while others still reach it.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.state = State.RUNNING
        self.cut = False
        self.context = Context()
        self.context.run(_PROCESS.set, self)
        self._loop = loop
        self._held: list[asyncio.Handle] = []

    @property
    def running(self) -> bool:
        return self.state is State.RUNNING

    @property
    def dead(self) -> bool:
        return self.state is State.DEAD

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a task of this process."""
        return self._loop.create_task(work, context=self.context)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._loop.call_soon(callback, *args, context=self.context)

    def pause(self) -> None:
        if self.state is State.RUNNING:
            self.state = State.PAUSED

    def proceed(self) -> None:
        """Go on after a pause: everything that came due meanwhile runs now, in its order."""
        if self.state is State.PAUSED:
            self.state = State.RUNNING
            held, self._held = self._held, []
            self._loop.put_back(held)

    def kill(self) -> None:
        """Nothing of this process runs any more. What it leaves is kept until the loop ends, so that no destructor
        runs code of a process that is gone."""
        self.state = State.DEAD

    def hold(self, handle: asyncio.Handle) -> None:
        """Put a callback aside whose time has come while the process was stopped."""
        self._held.append(handle)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class VirtualLoop(asyncio.BaseEventLoop):
    """An asyncio event loop on virtual time: no I/O, no threads, no wall clock, and ties broken by order of asking.

    outside: the context of what belongs to no process: the network, the disk, the bank.
    rounds:  how often callbacks have been run; raises Endless out of `run_until_complete` beyond `rounds_max`.
    """

    def __init__(self, rounds_max: int) -> None:
        super().__init__()
        self.rounds = 0
        self._rounds_max = rounds_max
        self.outside = Context()
        self.accidents: list[str] = []  # what asyncio would have logged: exceptions that nobody awaited
        self._now_s = START_S
        self._ready: Any  # BaseEventLoop's queue of handles
        self._stopping: bool
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._sequence = count()
        self.set_exception_handler(self._accident)

    def time(self) -> float:
        return self._now_s

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._sequence), timer))
        return timer

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """As `call_later`, on behalf of no process."""
        return self.call_at(self._now_s + delay_s, callback, *args, context=self.outside)

    def give_up(self) -> None:
        """End the run with Endless: somebody has seen that it gets nowhere."""
        self._rounds_max = self.rounds

    def put_back(self, handles: Iterable[asyncio.Handle]) -> None:
        """Run these as soon as what is ready has run."""
        self._ready.extend(handles)

    def _run_once(self) -> None:
        """One round: the whole of BaseEventLoop's scheduling, which is private but has kept this name and meaning
        since Python 3.4."""
        ready = self._ready
        self.rounds += 1
        if self.rounds > self._rounds_max:
            raise Endless(f"no end after {self.rounds} rounds")
        if not ready:
            self._advance()
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(_PROCESS)  # noqa: SLF001 - Handle.get_context() came with Python 3.12
            if process is not None and process.state is not State.RUNNING:
                process.hold(handle)
            else:
                handle._run()  # noqa: SLF001 - what BaseEventLoop does here

    def _advance(self) -> None:
        """Jump to the next timer and make ready all that is due then."""
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heappop(timers)
        if not timers:
            if self._stopping:
                return
            raise Stalled("nothing is ready and no timer is set")
        self._now_s = max(self._now_s, timers[0][0])
        while timers and timers[0][0] <= self._now_s:
            self._ready.append(heappop(timers)[2])

    def _accident(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is not None or "destroyed" not in context["message"]:
            self.accidents.append(f"{context['message']}: {error!r}")
