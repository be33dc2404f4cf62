"""The due index at work: what must still happen is brought up again, by the clock or by a new owner."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.runtime.cell import OwnedCell
from actors.runtime.ports import DueEntry, JournalUnavailable
from models.decision import Address, Command, Remind, Resume, Tick

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.redrive")


class Redrive:
    """Sends `Tick` to actors whose time has come and `Resume` to those a new owner finds with pending intents; also
    sweeps idle residents and expired watches."""

    def __init__(self, host: HostCore) -> None:
        self._host = host
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._tick_forever())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _tick_forever(self) -> None:
        host = self._host
        polls = 0
        while True:
            await asyncio.sleep(host.limits.due_poll_s)
            polls += 1
            host.start_held_effects()
            await asyncio.gather(*(self._poll(owned) for owned in list(host.cells.values())))
            if polls % 4 == 0:
                host.notices.expire(host.wall())
                host.passivate()

    async def _poll(self, owned: OwnedCell) -> None:
        host = self._host
        now = host.wall()
        try:
            entries = await host.journal.due(owned.cell, now, host.limits.due_batch_actors_max)
        except JournalUnavailable as error:
            log.warning("the due index of %s cannot be read: %s", owned.cell, error)
            return
        if host.cells.get(owned.cell) is not owned:
            return
        for entry in entries:
            if not self._under_way(owned, entry):
                self._bring_up(owned, entry.address, Tick())

    def _bring_up(self, owned: OwnedCell, address: Address, command: Command) -> None:
        """The whole shard's index is in view, so dedicated actors are met, too: they are their own hosts' business."""
        cell = self._host.cell_of(self._host.home_of(address))
        if cell == owned.cell:
            self._host.enqueue(address, command)
        else:
            self._host.on_foreign(cell)

    def _under_way(self, owned: OwnedCell, entry: DueEntry) -> bool:
        """True if what is in memory, though not durable yet, is about to move the actor's time on. Otherwise the entry
        is what the index has, which replaying cannot know, and the tick's turn will put it right."""
        resident = owned.residents.get(self._host.home_of(entry.address))
        if resident is None:
            return False
        if resident.loading or resident.part is not None:
            return True
        member = resident.members[entry.address.kind]
        member.due, member.replayed = entry.due, False
        return False

    def remind(self) -> None:
        """Another host has died. A message that it had taken and not stored is lost, and so may its answers be; asking
        again would wait for the due index, which is set for actors that are slow, not for those whose host is dead."""
        for owned in self._host.cells.values():
            for home, resident in owned.residents.items():
                if resident.pending and not resident.loading:
                    for name, member in resident.members.items():
                        if member.due is not None and member.due.pending:
                            self._host.enqueue(Address(name, home.id), Remind())

    async def resume(self, owned: OwnedCell) -> None:
        """Re-drive a cell just taken over. Costs what is pending in it, not what is stored."""
        host = self._host
        after: Address | None = None
        while host.cells.get(owned.cell) is owned:
            try:
                entries = await host.journal.pending(owned.cell, after, host.limits.due_batch_actors_max)
            except JournalUnavailable as error:
                log.warning("pending intents of %s cannot be read yet: %s", owned.cell, error)
                await asyncio.sleep(host.limits.commit_retry_s)
                continue
            for entry in entries:
                self._bring_up(owned, entry.address, Resume())
            if len(entries) < host.limits.due_batch_actors_max:
                return
            after = entries[-1].address
