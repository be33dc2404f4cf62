"""A simulated host process: the real `HostCore` and `Router` on simulated ports, and its side of the control plane."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from actors.runtime.director import Disown, Own
from actors.runtime.host import HostCore
from actors.runtime.kind import Kinds
from actors.runtime.limits import Limits
from actors.runtime.parking import Park
from actors.runtime.ports import Cell, EffectRunner, HostUnavailable, JournalUnavailable, Wall
from actors.runtime.router import Router, is_dedicated
from scripts.simulation.archive import Shelves, SimulatedArchive
from scripts.simulation.control import HEARTBEAT_S, Control
from scripts.simulation.disk import Disk
from scripts.simulation.network import Network
from scripts.simulation.virtual_loop import Process

log = logging.getLogger("dray.simulation")

_Step = Callable[[Cell, asyncio.Task[None] | None], Coroutine[Any, Any, None]]
"""Does one thing to a cell, after the one before it."""


class System:
    """What every process of the simulated system shares."""

    def __init__(
        self,
        kinds: Kinds,
        limits: Limits,
        network: Network,
        disk: Disk,
        shelves: Shelves,
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
        self.shelves = shelves
        self.shards = shards
        self.dedicated = dedicated
        self.park = park
        self.runners = runners

    def router(self, name: str, control: Control, wall: Wall) -> Router:
        homes = {kind.name: kind.home for kind in self.kinds.values() if kind.home}
        return Router(self.network, control, name=name, shards=self.shards, wall=wall, homes=homes, limits=self.limits)


class SimulatedHost:
    """One incarnation of a host. `cell` is the one that it is dedicated to, if it is."""

    def __init__(
        self, system: System, control: Control, process: Process, name: str, *, cell: Cell | None, wall: Wall
    ) -> None:
        self.name = name
        self.owner = process.name
        self.cell = cell
        self.process = process
        self._system = system
        self._control = control
        self._moves: dict[Cell, asyncio.Task[None]] = {}  # the last thing under way for each cell
        self.router = system.router(process.name, control, wall)
        way = system.disk.connect(process, frozenset(system.kinds))
        self.core = HostCore(
            system.kinds,
            way,
            system.runners(process),
            owner=self.owner,
            shards=system.shards,
            wall=wall,
            tell=self.router.tell,
            park=system.park,
            dedicated=lambda home: is_dedicated(system.dedicated, home),
            on_lost=lambda lost: control.report(self, disowned=[lost]),
            archive=SimulatedArchive(system.shelves, way, self.owner, system.disk.witness),
            limits=system.limits,
        )
        process.spawn(self._live())

    # --- what the director says (as `actors.adapters.host_link` hears it) ---------------------------------------------

    def order(self, order: Own | Disown) -> None:
        for cell in order.cells:
            self._move(cell, self._own if isinstance(order, Own) else self._disown)

    def welcome(self, given_away: Sequence[Cell]) -> None:
        for cell in given_away:
            owned = self.core.cells.get(cell)
            if owned is not None:
                self.core.drop(owned)
        self.core.lease.revoked = False

    def link_down(self) -> None:
        """Until it is known whether the director has given our cells away, reads are not answered."""
        self.core.lease.revoked = True
        for move in self._moves.values():
            move.cancel()
        self._moves.clear()

    def remind(self) -> None:
        self.core.remind()

    def owned(self) -> Iterable[Cell]:
        return [cell for cell, owned in self.core.cells.items() if not owned.closing]

    # --- cells --------------------------------------------------------------------------------------------------------

    def _move(self, cell: Cell, step: _Step) -> None:
        self._moves[cell] = asyncio.get_running_loop().create_task(step(cell, self._moves.get(cell)))

    async def _own(self, cell: Cell, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        halfway = self.core.cells.get(cell)
        if halfway is not None and halfway.closing:
            self.core.drop(halfway)
        while True:
            try:
                await self.core.own(cell)
            except JournalUnavailable as error:
                log.info("%s cannot take %s over yet: %s", self.name, cell, error)
                await asyncio.sleep(self._system.limits.commit_retry_s)
            else:
                self._control.report(self, owned=[cell])
                return

    async def _disown(self, cell: Cell, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)
        await self.core.disown(cell)
        self._control.report(self, disowned=[cell])

    # --- life ---------------------------------------------------------------------------------------------------------

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
        while True:
            self._control.heartbeat(self)
            await asyncio.sleep(HEARTBEAT_S)
