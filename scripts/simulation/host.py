"""A simulated host process: the real `HostCore` and `Router` on simulated ports, and its side of the control plane."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from actors.runtime.director import Disown, Own
from actors.runtime.host import HostCore
from actors.runtime.kind import Kinds
from actors.runtime.limits import Limits
from actors.runtime.parking import Park
from actors.runtime.ports import Cell, EffectRunner, HostUnavailable, JournalUnavailable, Wall
from actors.runtime.router import Router, is_dedicated
from scripts.simulation.control import HEARTBEAT_S, Control
from scripts.simulation.disk import Disk
from scripts.simulation.network import Network
from scripts.simulation.virtual_loop import Process

log = logging.getLogger("dray.simulation")


class System:
    """What every process of the simulated system shares."""

    def __init__(
        self,
        kinds: Kinds,
        limits: Limits,
        network: Network,
        disk: Disk,
        *,
        shards: int,
        dedicated: frozenset[str],
        park: Park,
        runners: Callable[[Process], dict[str, EffectRunner]],
    ) -> None:
        self.kinds = kinds
        self.limits = limits
        self.network = network
        self.disk = disk
        self.shards = shards
        self.dedicated = dedicated
        self.park = park
        self.runners = runners

    def router(self, name: str, control: Control, wall: Wall) -> Router:
        homes = {kind.name: kind.home for kind in self.kinds.values() if kind.home}
        return Router(
            self.network, control, name=name, shards=self.shards, wall=wall, homes=homes, limits=self.limits
        )


class SimulatedHost:
    """One incarnation of a host. `cell` is the one that it is dedicated to, if it is."""

    def __init__(
        self, system: System, control: Control, process: Process, name: str, cell: Cell | None, wall: Wall
    ) -> None:
        self.name = name
        self.owner = process.name
        self.cell = cell
        self.process = process
        self._system = system
        self._control = control
        self._ordered: asyncio.Queue[Own | Disown] = asyncio.Queue()
        self.router = system.router(process.name, control, wall)
        self.core = HostCore(
            system.kinds,
            system.disk.connect(frozenset(system.kinds)),
            system.runners(process),
            owner=self.owner,
            shards=system.shards,
            wall=wall,
            tell=self.router.tell,
            park=system.park,
            dedicated=lambda home: is_dedicated(system.dedicated, home),
            on_lost=lambda lost: control.report(self, disowned=[lost]),
            limits=system.limits,
        )
        process.spawn(self._live())

    def order(self, order: Own | Disown) -> None:
        """The director says so. Orders are carried out one after the other."""
        self._ordered.put_nowait(order)

    def owned(self) -> Iterable[Cell]:
        return list(self.core.cells)

    async def _live(self) -> None:
        while True:
            try:
                await self.core.start()
                break
            except JournalUnavailable:
                await asyncio.sleep(HEARTBEAT_S)
        while True:
            try:
                await self.router.start()
                break
            except HostUnavailable:
                await asyncio.sleep(HEARTBEAT_S)
        self._system.network.attach(self.name, self.process, self.core.deliver)
        carrying_out = asyncio.get_running_loop().create_task(self._carry_out_forever())
        while not carrying_out.done():
            self._control.heartbeat(self)
            await asyncio.sleep(HEARTBEAT_S)
        carrying_out.result()

    async def _carry_out_forever(self) -> None:
        while True:
            order = await self._ordered.get()
            for cell in order.cells:
                if isinstance(order, Own):
                    await self._own(cell)
                else:
                    await self.core.disown(cell)
                    self._control.report(self, disowned=[cell])

    async def _own(self, cell: Cell) -> None:
        while True:
            try:
                await self.core.own(cell)
            except JournalUnavailable as error:
                log.info("%s cannot take %s over yet: %s", self.name, cell, error)
                await asyncio.sleep(self._system.limits.commit_retry_s)
            else:
                self._control.report(self, owned=[cell])
                return
