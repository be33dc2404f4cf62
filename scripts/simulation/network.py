"""The network between simulated processes: latency, loss, doubling, reordering; implements `ports.Transport`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import NamedTuple

from actors.runtime.ports import HostUnavailable
from scripts.simulation.trace import Trace
from scripts.simulation.virtual_loop import Process, VirtualLoop
from scripts.simulation.weather import CALM, Weather

Receive = Callable[[bytes], Awaitable[bytes]]

NOTICED_S = (0.001, 1.7)
"""How long it takes a caller to hear that a host was killed (measured with Ray: up to 1.7 s)."""


class _Host(NamedTuple):
    process: Process
    receive: Receive
    calls: dict[int, asyncio.Future[bytes]]  # under way, in order


class Network:
    """Carries batches to hosts by name. A host that is down refuses; one that is paused stays silent."""

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace) -> None:
        self.weather: Weather = CALM
        self._loop = loop
        self._random = random
        self._trace = trace
        self._hosts: dict[str, _Host] = {}
        self._numbers = 0

    def attach(self, name: str, process: Process, receive: Receive) -> None:
        self._hosts[name] = _Host(process, receive, {})

    def detach(self, name: str) -> None:
        """The host is gone: callers hear of it sooner or later."""
        host = self._hosts.pop(name, None)
        if host is not None:
            for answer in host.calls.values():
                self._fail(answer, f"{name} went away during the call")

    async def deliver(self, host: str, batch: bytes) -> bytes:
        """Raises HostUnavailable: nobody knows then whether the batch was taken."""
        answer: asyncio.Future[bytes] = self._loop.create_future()
        weather, random = self.weather, self._random
        fate = random.random()
        delay_s = random.uniform(*weather.message_s)
        self._numbers += 1
        number = self._numbers
        if (fate := fate - weather.message_lost) < 0:
            self._fail(answer, "the request was lost")
        elif (fate := fate - weather.message_late) < 0:
            self._fail(answer, "the request was late")
            self._loop.later(delay_s + random.uniform(0.5, 5.0), self._arrive, host, batch, None, number)
        elif (fate := fate - weather.message_unanswered) < 0:
            self._fail(answer, "the answer was lost", delay_s)
            self._loop.later(delay_s, self._arrive, host, batch, None, number)
        else:
            self._loop.later(delay_s, self._arrive, host, batch, answer, number)
            if fate < weather.message_doubled:
                self._loop.later(delay_s + random.uniform(0.0, 2.0), self._arrive, host, batch, None, number)
        return await answer

    def _arrive(self, name: str, batch: bytes, answer: asyncio.Future[bytes] | None, number: int) -> None:
        host = self._hosts.get(name)
        if host is None:
            if answer is not None:
                self._fail(answer, f"{name} is down")
            return
        self._trace.note("message", number, name, len(batch))
        work = host.process.spawn(self._receive(host, batch))
        if answer is not None:
            host.calls[number] = answer
            work.add_done_callback(lambda done: self._answered(host, number, done), context=self._loop.outside)

    async def _receive(self, host: _Host, batch: bytes) -> bytes:
        return await host.receive(batch)

    def _answered(self, host: _Host, number: int, work: asyncio.Task[bytes]) -> None:
        answer = host.calls.pop(number, None)
        if answer is None or answer.done():
            return
        error = work.exception()
        if error is not None:
            self._fail(answer, f"the host failed: {error!r}")
            return
        self._loop.later(self._random.uniform(*self.weather.message_s), _give, answer, work.result())

    def _fail(self, answer: asyncio.Future[bytes], why: str, after_s: float = 0.0) -> None:
        self._loop.later(after_s + self._random.uniform(*NOTICED_S), _break, answer, why)


def _give(answer: asyncio.Future[bytes], data: bytes) -> None:
    if not answer.done():
        answer.set_result(data)


def _break(answer: asyncio.Future[bytes], why: str) -> None:
    if not answer.done():
        answer.set_exception(HostUnavailable(why))
