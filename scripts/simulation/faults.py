"""What goes wrong with processes, disk and clock while a run's storm lasts, at moments drawn from the seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from actors.runtime.ports import Cell
from scripts.simulation.bank import Bank
from scripts.simulation.clock import WallClock
from scripts.simulation.cluster import Cluster
from scripts.simulation.disk import Disk
from scripts.simulation.host import SimulatedHost
from scripts.simulation.trace import Trace
from scripts.simulation.virtual_loop import Process, VirtualLoop

FAULTS = ("crash", "ambush", "pause", "cut", "disk", "jump", "director", "gateway", "join", "drain", "expiry")


@dataclass(frozen=True)
class FaultPlan:
    """Which faults a run has, and seconds between two of them on average."""

    kinds: tuple[str, ...]
    every_s: float


def fault_plan(random: Random) -> FaultPlan:
    """One run in six has none, so that the weather is seen by itself."""
    if random.random() < 1 / 6:
        return FaultPlan((), 1.0)
    kinds = tuple(kind for kind in FAULTS if random.random() < 0.5)
    return FaultPlan(kinds, random.uniform(0.5, 6.0))


class Chaos:
    """Carries a plan out. `heal` undoes everything: hosts run, clocks tick, connections hold."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        trace: Trace,
        plan: FaultPlan,
        *,
        cluster: Cluster,
        disk: Disk,
        clock: WallClock,
        bank: Bank,
        hosts: int,
        gateways: int,
    ) -> None:
        self._loop = loop
        self._random = random
        self._trace = trace
        self._plan = plan
        self._cluster = cluster
        self._disk = disk
        self._clock = clock
        self._bank = bank
        self._hosts = [f"h{number}" for number in range(hosts)]
        self._gateways = [f"g{number}" for number in range(gateways)]
        self._ambush_in = 0  # commits until the host that makes one is killed, before it hears of it
        self._joined = hosts
        disk.witnesses.append(self._lie_in_wait)

    def start_all(self) -> None:
        self._cluster.control.start(expected=len(self._hosts))
        for name in self._hosts:
            self._cluster.start_host(name)
        for name in self._gateways:
            self._cluster.start_gateway(name)

    async def rage(self, until_s: float) -> None:
        """One fault after the other until the loop's time is `until_s`."""
        while self._plan.kinds:
            await asyncio.sleep(self._random.expovariate(1 / self._plan.every_s))
            if self._loop.time() >= until_s:
                return
            kind = self._random.choice(self._plan.kinds)
            self._trace.note("fault", kind)
            self._faults[kind](self)

    def heal(self) -> None:
        self._ambush_in = 0
        self._disk.down = False
        for host in list(self._cluster.hosts.values()):
            host.process.proceed()
            self._mend(host)
        for gateway in self._cluster.gateways.values():
            gateway.process.proceed()
        if not self._cluster.control.up:
            self._cluster.control.start(expected=len(self._hosts))
        self.start_missing()

    def start_missing(self) -> None:
        for name in self._hosts:
            self._cluster.start_host(name)
        for name in self._gateways:
            self._cluster.start_gateway(name)
        self._cluster.restart_dedicated()

    # --- the faults ---------------------------------------------------------------------------------------------------

    def _after(self, least_s: float, most_s: float, undo: Callable[[], None]) -> None:
        self._loop.later(self._random.uniform(least_s, most_s), undo)

    def _some_host(self) -> str | None:
        return self._random.choice(list(self._cluster.hosts)) if self._cluster.hosts else None

    def _crash(self) -> None:
        name = self._some_host()
        if name is not None:
            self._cluster.crash_host(name)
            self._after(0.2, 6.0, self.start_missing)

    def _ambush(self) -> None:
        self._ambush_in = self._random.randint(1, 10)

    def _lie_in_wait(self, _cell: Cell, owner: str) -> None:
        if self._ambush_in:
            self._ambush_in -= 1
            if not self._ambush_in:
                host = self._cluster.host_of_owner(owner)
                if host is not None:
                    self._cluster.crash_host(host.name)
                    self._after(0.2, 6.0, self.start_missing)

    def _pause(self) -> None:
        name = self._some_host()
        if name is not None:
            self._pause_process(self._cluster.hosts[name].process)

    def _pause_process(self, process: Process) -> None:
        """For a moment, or for longer than a lease."""
        process.pause()
        self._after(*self._random.choice(((0.05, 1.0), (5.0, 14.0))), process.proceed)

    def _cut(self) -> None:
        """A host loses the disk and the director, and clients still reach it. One at a time: two who are cut off leave
        nobody to take over."""
        name = self._some_host()
        if name is None or any(host.process.cut for host in self._cluster.hosts.values()):
            return
        host = self._cluster.hosts[name]
        host.process.cut = True
        self._after(5.0, 18.0, lambda: self._mend(host))

    def _mend(self, host: SimulatedHost) -> None:
        if host.process.cut:
            host.process.cut = False
            self._cluster.control.reset(host)

    def _disk_down(self) -> None:
        self._disk.down = True
        self._after(0.1, 5.0, self._disk_up)

    def _disk_up(self) -> None:
        self._disk.down = False

    def _jump(self) -> None:
        self._clock.jump(self._random.choice((0.5, 5.0, 90.0, 1_800.0)) * self._random.random())

    def _expiry(self) -> None:
        self._bank.expire_one(self._random.choice)

    def _director(self) -> None:
        if self._cluster.control.up:
            self._cluster.control.crash()
            self._after(0.2, 5.0, self._director_back)

    def _director_back(self) -> None:
        if not self._cluster.control.up:
            self._cluster.control.start(expected=len(self._hosts))

    def _gateway(self) -> None:
        name = self._random.choice(self._gateways)
        gateway = self._cluster.gateways.get(name)
        if gateway is None:
            return
        if self._random.random() < 0.3:
            self._pause_process(gateway.process)
        else:
            self._cluster.crash_gateway(name)
            self._after(0.2, 3.0, self.start_missing)

    def _join(self) -> None:
        """Scale out: one more host, which gets its share of the shards."""
        if len(self._hosts) < 4:
            name = f"h{self._joined}"
            self._joined += 1
            self._hosts.append(name)
            self._cluster.start_host(name)

    def _drain(self) -> None:
        """Scale in: a host gives its shards up in good order and ends."""
        if len(self._hosts) > 1 and self._cluster.control.up:
            name = self._random.choice(self._hosts)
            if name in self._cluster.hosts:
                self._hosts.remove(name)
                self._cluster.control.drain(name)

    _faults = {
        "crash": _crash,
        "ambush": _ambush,
        "pause": _pause,
        "cut": _cut,
        "disk": _disk_down,
        "jump": _jump,
        "director": _director,
        "gateway": _gateway,
        "join": _join,
        "drain": _drain,
        "expiry": _expiry,
    }
