"""Finding what has left the journal: an actor of which the journal has nothing may be in the archive.

Reading an archived actor writes nothing. Its first commit puts all of it back into the journal, at the version it had,
together with what was decided on top: one append, so that no crash leaves half of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.runtime.archive import Archive, Archived, ArchiveUnavailable, Damaged
from actors.runtime.cell import OwnedCell
from actors.runtime.envelope import ARCHIVE_DAMAGED, Reply, Status
from actors.runtime.ports import Append, Record
from actors.runtime.resident import Appending, Member, Part, Resident
from models.decision import Address

if TYPE_CHECKING:
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.archive")


class Finder:
    """Looks actors up in the archive, many in one query; what arrives meanwhile waits in the resident.

    Nothing can be in the archive that was made after this host began and is younger than `archive_after_s`: half of
    that is left to clocks that disagree. So no new order costs a query, and its age is all that is asked.
    """

    def __init__(self, host: HostCore, archive: Archive | None) -> None:
        self._host = host
        self._archive = archive
        self._minted_at = {
            name: kind.minted_at for name, kind in host.kinds.items() if kind.minted_at is not None and archive
        }
        self._began = host.wall()
        self._young_ms = int(host.limits.archive_after_s * 1000 / 2)
        self._late: set[Address] = set()  # looked for longer than askers are held
        self._task: asyncio.Task[None] | None = None
        self.found = 0
        self.restored = 0
        self.damaged = 0

    def may_have(self, home: Address) -> bool:
        """False only if this actor cannot be in the archive."""
        minted_at = self._minted_at.get(home.kind)
        if minted_at is None:
            return False
        minted = minted_at(home.id)
        return minted <= self._began or 0 < self._young_ms <= self._host.wall() - minted

    def look_for(self, owned: OwnedCell, resident: Resident) -> None:
        """Fill this resident, of which the journal has nothing, from the archive, or as the stranger it is."""
        owned.looked_for[resident.home] = resident
        self._late.discard(resident.home)
        loop = asyncio.get_running_loop()
        loop.call_later(self._host.limits.archive_wait_s, self._ask_later, owned, resident)
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._look_for_all())

    def is_late(self, owned: OwnedCell, home: Address) -> bool:
        """True while an actor is looked for and its askers have been told to come again."""
        return home in self._late and home in owned.looked_for

    def _ask_later(self, owned: OwnedCell, resident: Resident) -> None:
        """A batch is answered when all of its items are, so none may wait for a database that is away: whoever asks is
        told to ask again in a moment (MOVED), and messages wait."""
        if owned.looked_for.get(resident.home) is not resident:
            return
        self._late.add(resident.home)
        waiting = list(resident.waiting)
        resident.waiting.clear()
        for work in waiting:
            if work.sink is None:
                resident.waiting.append(work)
            else:
                work.answer(Reply(Status.MOVED))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _look_for_all(self) -> None:
        limits = self._host.limits
        delay_s = limits.commit_retry_s
        while True:
            wanted = [
                (owned, list(owned.looked_for.values())[: limits.load_batch_actors_max])
                for owned in list(self._host.cells.values())
                if owned.looked_for
            ]
            if not wanted:
                return
            failed = False
            for owned, residents in wanted:
                try:
                    await self._look(owned, residents)
                except ArchiveUnavailable as error:
                    log.warning("%d orders cannot be looked up: %s", len(residents), error)
                    failed = True
                except Exception:  # a bug must not end this task: whoever waits would wait for ever
                    log.exception("looking for %d orders failed", len(residents))
                    failed = True
            if failed:
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, limits.commit_retry_max_s)
            else:
                delay_s = limits.commit_retry_s

    async def _look(self, owned: OwnedCell, residents: Sequence[Resident]) -> None:
        assert self._archive is not None, "without an archive nobody is looked for"
        found = await self._archive.get(owned.cell.shard, [resident.home for resident in residents])
        if self._host.cells.get(owned.cell) is not owned:
            return  # lost meanwhile; `drop` has answered the waiting
        for resident in residents:
            self._late.discard(resident.home)
            if owned.looked_for.pop(resident.home, None) is resident:
                self._found(owned, resident, found.get(resident.home))

    def _found(self, owned: OwnedCell, resident: Resident, record: Archived | Damaged | None) -> None:
        host = self._host
        if isinstance(record, Damaged):
            log.critical("the archive's record of %s is damaged, and is not served: %s", resident.home, record.cause)
            self.damaged += 1
            waiting = list(resident.waiting)
            host.forget(owned, resident.home)
            for work in waiting:
                work.answer(Reply(Status.FAILED, ARCHIVE_DAMAGED))
            return
        if record is None:
            host.loader.fill(resident, dict.fromkeys(resident.members, _NOTHING))
            return
        self.found += 1
        host.loader.fill(resident, {name: record.record(name) for name in resident.members}, Comeback(record, self))


_NOTHING = Record(0, None, ())


class Comeback:
    """What the first commit of an archived actor carries besides what was decided: all its events."""

    def __init__(self, archived: Archived, finder: Finder) -> None:
        self._archived = archived
        self._finder = finder

    def into(self, part: Part, resident: Resident) -> None:
        """Restore every member, also those that have nothing new to say: companions live in one place."""
        self._finder.restored += 1
        for name, member in resident.members.items():
            part.appends[name] = _Restoring(member, self._archived.members.get(name, ()))
        part.appends[resident.home.kind].data_key = resident.data_key


class _Restoring(Appending):
    """The due entry is written in any case: it tells since when the actor is quiet, so that it is archived again."""

    def __init__(self, member: Member, events: Sequence[bytes]) -> None:
        super().__init__(member.address, 0)
        self.events = list(events)
        self.due = member.due
        self._restored = len(events)

    def freeze(self) -> Append:
        return Append(
            self.address, 0, self.events, due=self.due, due_changed=True, data_key=self.data_key,
            restored=self._restored,
        )  # fmt: skip


