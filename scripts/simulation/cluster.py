"""The simulated cluster: hosts and gateways that come and go, on one network and one disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from actors.runtime.envelope import Reply
from actors.runtime.ports import Cell, HostUnavailable
from actors.runtime.router import Router
from scripts.simulation.clock import WallClock
from scripts.simulation.control import Control
from scripts.simulation.host import SimulatedHost, System
from scripts.simulation.trace import Trace
from scripts.simulation.virtual_loop import Process, VirtualLoop
from scripts.simulation.weather import CALM, Weather

GATEWAY_RETRY_S = 0.2


class Disconnected(Exception):
    """A client lost its connection to the gateway: nobody knows whether its request was carried out."""


class Gateway:
    """One incarnation of a gateway process: a router that clients use over a connection of their own."""

    def __init__(self, process: Process, router: Router) -> None:
        self.process = process
        self.router = router
        self.requests: dict[int, asyncio.Future[Reply]] = {}
        process.spawn(self._live())

    async def _live(self) -> None:
        while True:
            try:
                await self.router.start()
            except HostUnavailable:
                await asyncio.sleep(GATEWAY_RETRY_S)
            else:
                return


Request = Callable[[Router], Awaitable[Reply]]


class Cluster:
    """All processes, by name. `skew_ms` says how wrong a process's clock may be."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        trace: Trace,
        clock: WallClock,
        system: System,
        *,
        skew_ms: int,
        wire_s: float,
    ) -> None:
        self.weather: Weather = CALM
        self.hosts: dict[str, SimulatedHost] = {}
        self.gateways: dict[str, Gateway] = {}
        self.control = Control(
            loop,
            trace,
            shards=system.shards,
            dedicated=system.dedicated,
            wall=clock.now,
            spawn=self._spawn,
            retire=self._retire,
            lease_of=lambda owner: max(0, system.disk.store.contents.leases.get(owner, 0) - clock.steady()),
            wire_s=wire_s,
        )
        self._loop = loop
        self._random = random
        self._trace = trace
        self._clock = clock
        self.network = system.network
        self._system = system
        self._skew_ms = skew_ms
        self._dedicated: dict[str, Cell] = {}  # hosts that the director has ordered, and that are kept up
        self._incarnations = 0
        self._requests = 0

    # --- hosts --------------------------------------------------------------------------------------------------------

    def start_host(self, name: str, cell: Cell | None = None) -> None:
        """Start a host, unless one of this name runs."""
        if name in self.hosts:
            return
        process = self._process(name)
        wall = self._clock.off_by(self._random.randint(-self._skew_ms, self._skew_ms))
        self.hosts[name] = SimulatedHost(self._system, self.control, process, name, cell=cell, wall=wall)

    def crash_host(self, name: str) -> None:
        """As kill -9."""
        host = self.hosts.pop(name, None)
        if host is not None:
            self._trace.note("crash", host.owner)
            host.process.kill()
            self._system.network.detach(name)
            self.control.closed(host)

    def restart_dedicated(self) -> None:
        """What Ray does with hosts that have died."""
        for name, cell in self._dedicated.items():
            self.start_host(name, cell)

    def _spawn(self, cell: Cell) -> None:
        self._dedicated[cell.actor] = cell
        self.start_host(cell.actor, cell)

    def _retire(self, name: str) -> None:
        self._dedicated.pop(name, None)
        self.crash_host(name)

    def host_of_owner(self, owner: str) -> SimulatedHost | None:
        return next((host for host in self.hosts.values() if host.owner == owner), None)

    # --- gateways -----------------------------------------------------------------------------------------------------

    def start_gateway(self, name: str) -> None:
        if name in self.gateways:
            return
        process = self._process(name)
        wall = self._clock.off_by(self._random.randint(-self._skew_ms, self._skew_ms))
        self.gateways[name] = Gateway(process, self._system.router(process.name, self.control, wall))

    def crash_gateway(self, name: str) -> None:
        gateway = self.gateways.pop(name, None)
        if gateway is not None:
            self._trace.note("crash", gateway.process.name)
            gateway.process.kill()
            for answer in gateway.requests.values():
                self._break(answer)

    async def request(self, request: Request) -> Reply:
        """A client's request to one of the gateways. Raises Disconnected, and whatever the router raises."""
        random = self._random
        answer: asyncio.Future[Reply] = self._loop.create_future()
        if not self.gateways:
            await asyncio.sleep(random.uniform(0.05, 0.5))
            raise Disconnected("no gateway listens")
        gateway = self.gateways[random.choice(list(self.gateways))]
        self._requests += 1
        number = self._requests
        gateway.requests[number] = answer
        work = gateway.process.spawn(_serve(request, gateway.router))
        work.add_done_callback(lambda done: self._served(gateway, number, answer, done), context=self._loop.outside)
        if random.random() < self.weather.gateway_unanswered:
            self._loop.later(random.uniform(0.0, 1.0), self._break, answer)
        return await answer

    def _served(self, gateway: Gateway, number: int, answer: asyncio.Future[Reply], work: asyncio.Task[Reply]) -> None:
        gateway.requests.pop(number, None)
        error = work.exception()  # retrieved even if the client has gone
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(work.result())

    @staticmethod
    def _break(answer: asyncio.Future[Reply]) -> None:
        if not answer.done():
            answer.set_exception(Disconnected("the connection was closed"))

    # --- all ----------------------------------------------------------------------------------------------------------

    def _process(self, name: str) -> Process:
        self._incarnations += 1
        process = Process(self._loop, f"{name}#{self._incarnations}")
        self._trace.note("start", process.name)
        return process


async def _serve(request: Request, router: Router) -> Reply:
    return await request(router)
