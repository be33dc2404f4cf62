"""Activation: reads records of actors that are not in memory, many in one round trip, and replays them."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from actors.runtime.cell import OwnedCell
from actors.runtime.codec import replay
from actors.runtime.envelope import Reply, Status
from actors.runtime.ports import JournalUnavailable, LeaseLost, Record
from actors.runtime.resident import Member, Resident, Work
from models.decision import Address

if TYPE_CHECKING:
    from actors.runtime.finding import Comeback
    from actors.runtime.host import HostCore

log = logging.getLogger("dray.loader")


class Loader:
    """Loads residents in batches, one round trip at a time; what arrives meanwhile waits in the resident."""

    def __init__(self, host: HostCore) -> None:
        self._host = host
        self._task: asyncio.Task[None] | None = None

    def ready(self, owned: OwnedCell, resident: Resident, work: Work) -> bool:
        """True if a loading resident can take `work` now: a creating command begins on an empty record, and the commit
        proves that the journal has none; of the archive its id tells. Otherwise the work waits for the load."""
        envelope = work.envelope
        member = resident.members[envelope.to.kind]
        if (
            type(envelope.command) in member.kind.creates
            and not work.must_load
            and not resident.waiting
            and resident.home not in owned.to_load
            and not owned.unsettled(resident.home)
            and not self._host.finder.may_have(resident.home)
        ):
            resident.loading = False
            resident.assumed = True
            return True
        if work.sink is not None and self._host.finder.is_late(owned, resident.home):
            work.answer(Reply(Status.MOVED))
            return False
        if len(resident.waiting) >= self._host.limits.mailbox_messages_max and not work.from_within:
            work.answer(Reply(Status.BUSY))
            return False
        resident.waiting.append(work)
        self.want(owned, resident)
        return False

    def want(self, owned: OwnedCell, resident: Resident) -> None:
        """Load (or load again) this resident as soon as nothing of it is unsettled."""
        resident.loading = True
        if resident.home in owned.looked_for:
            return
        owned.to_load[resident.home] = resident
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._load_all())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _load_all(self) -> None:
        await asyncio.sleep(0)  # let this moment's other activations join the batch
        delay_s = self._host.limits.commit_retry_s
        while True:
            batches = [self._batch(owned) for owned in list(self._host.cells.values()) if owned.to_load]
            if not batches:
                return
            results = await asyncio.gather(
                *(self._load(owned, homes) for owned, homes in batches if homes), return_exceptions=True
            )
            failures = [result for result in results if isinstance(result, BaseException)]
            for failure in failures:
                if not isinstance(failure, JournalUnavailable | LeaseLost):
                    log.error("loading failed", exc_info=failure)
            if failures or not results:
                # Nothing moved: the journal is away, or every actor wanted has a commit under way.
                await asyncio.sleep(delay_s if failures else 0.001)
                delay_s = min(delay_s * 2, self._host.limits.commit_retry_max_s)
            else:
                delay_s = self._host.limits.commit_retry_s

    def _batch(self, owned: OwnedCell) -> tuple[OwnedCell, list[Resident]]:
        limit = self._host.limits.load_batch_actors_max
        ready = [r for home, r in owned.to_load.items() if not owned.unsettled(home)]
        return owned, ready[:limit]

    async def _load(self, owned: OwnedCell, residents: list[Resident]) -> None:
        addresses = [
            Address(kind_name, resident.home.id) for resident in residents for kind_name in resident.members
        ]
        records = iter(await self._host.journal.load(owned.cell, addresses))
        if self._host.cells.get(owned.cell) is not owned:
            return  # lost meanwhile; `drop` has answered the waiting
        for resident in residents:
            own_records = {kind_name: next(records) for kind_name in resident.members}
            if owned.to_load.pop(resident.home, None) is not resident:
                continue
            if not any(record.version for record in own_records.values()) and self._host.finder.may_have(resident.home):
                self._host.finder.look_for(owned, resident)
            else:
                self.fill(resident, own_records)

    def fill(self, resident: Resident, records: dict[str, Record], archived: Comeback | None = None) -> None:
        """Make a loading resident what these records stand for, and turn what has been waiting for it.

        archived: the records come from the archive.
        """
        for kind_name, record in records.items():
            member = Member(resident.members[kind_name].kind, resident.home)
            member.state, member.answered = replay(member.kind, record.snapshot, record.events)
            member.version = record.version
            member.tail_events = len(record.events)
            member.due = member.kind.due(member.state)
            member.replayed = True
            resident.members[kind_name] = member
            resident.data_key = record.data_key or resident.data_key
        resident.archived = archived
        resident.loading = False
        resident.assumed = False
        self._host.count_pending(resident)
        while resident.waiting:
            self._host.again(resident.waiting.popleft())
