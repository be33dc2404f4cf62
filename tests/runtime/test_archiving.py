"""Actors at rest leave the journal, are read where they are, and come back with their first commit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from actors.runtime.archive import Archived, ArchiveUnavailable, Damaged
from actors.runtime.envelope import Reply, Status
from actors.runtime.host import HostCore
from actors.runtime.limits import LIMITS
from actors.runtime.local_archive import MemoryArchive
from actors.runtime.ports import Cell, Record
from models.decision import Address, Due
from models.identity import shard_of
from tests.runtime.toys import KINDS, SHARDS, Deposit, Open, Pay, Town, in_town

AFTER_MS = 600_000
ARCHIVED_KINDS = {
    **KINDS,
    "account": replace(
        KINDS["account"], minted_at=lambda id_: int(id_.partition("-")[0]), snapshot_after_events=0
    ),
}
BY_HAND = replace(LIMITS, archive_poll_s=3_600.0, commit_retry_s=0.001)
"""Sweeps happen when the test says so."""


class Watched(MemoryArchive):
    """Counts what it is asked, and can be away or slow."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Address] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        if self.away:
            raise ArchiveUnavailable("on purpose")
        await self.gate.wait()
        await super().put(records)

    async def get(self, shard: int, homes: Sequence[Address]) -> Mapping[Address, Archived | Damaged]:
        self.asked += homes
        if self.away:
            raise ArchiveUnavailable("on purpose")
        return await super().get(shard, homes)


class Bank(Town):
    """A town whose accounts are archived."""

    archive: Watched

    @property
    def host(self) -> HostCore:
        return next(iter(self.hosts.values()))

    async def at_rest(self, name: str, balance: int = 50) -> Address:
        """An account that had something to do, has done it, and has been quiet for long enough."""
        at = Address("account", f"{self.now}-{name}")
        await self.router.ask(at, Open(owner=at.id))
        await self.router.ask(at, Deposit(amount=balance))
        await self.router.ask(at, Pay(amount=10, ring=True))
        for _ in range(100):
            if not (await self.journal().pending(self.cell(at), None, 1)):
                break
            await asyncio.sleep(0.001)
        self.now += AFTER_MS + 1_000
        self.archive.asked.clear()
        return at

    def name_in(self, shard: int) -> str:
        """What an account of this shard can be called now."""
        names = map(str, range(999))
        return next(name for name in names if self.cell(Address("account", f"{self.now}-{name}")) == Cell(shard))

    def cell(self, at: Address) -> Cell:
        return Cell(shard_of(at, SHARDS))

    async def stored(self, at: Address) -> Record:
        (record,) = await self.journal().records(self.cell(at).shard, [at])
        return record

    async def kept(self, at: Address) -> Archived | Damaged | None:
        return (await MemoryArchive.get(self.archive, self.cell(at).shard, [at])).get(at)

    async def sweep(self) -> None:
        """One sweep, and the commits that follow from it."""
        await self.host.archiver.sweep()
        await self.settled()

    async def settled(self) -> None:
        while any(owned.accumulating or owned.commit for owned in self.host.cells.values()):
            await asyncio.sleep(0.001)


def in_bank(story: Callable[[Bank], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def told(town: Town) -> None:
        town.__class__ = Bank
        assert isinstance(town, Bank)
        await story(town)

    in_town(told, **{"limits": BY_HAND, "kinds": ARCHIVED_KINDS, "archive": Watched(), **more})


def auditor(at: Address) -> Address:
    return Address("auditor", at.id)


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


NOTHING = Record(0, None, ())


def test_who_is_at_rest_leaves_the_journal_with_its_companion() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        account, saw = await bank.stored(ann), await bank.stored(auditor(ann))
        await bank.sweep()
        assert await bank.stored(ann) == await bank.stored(auditor(ann)) == NOTHING
        assert await bank.kept(ann) == Archived(ann, {"account": account.events, "auditor": saw.events})
        assert not bank.host.owned(ann).residents  # type: ignore[union-attr]
        assert bank.host.status()["archive"]["archived"] == 1

    in_bank(story)


def test_reading_an_archived_actor_writes_nothing() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        before = await bank.router.read(ann)
        bank.now += AFTER_MS + 1
        await bank.sweep()
        commits = bank.host.status()["commits"]
        for _ in range(3):
            assert await bank.router.read(ann) == before
        assert body(await bank.router.read(auditor(ann)))["seen"] == 2
        assert bank.host.status()["commits"] == commits and await bank.stored(ann) == NOTHING
        assert len(bank.archive.asked) == 1, "it is in memory for a while"

    in_bank(story)


def test_a_late_command_restores_all_of_it_at_its_version() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        shard = bank.cell(ann).shard
        was, saw = await bank.stored(ann), await bank.stored(auditor(ann))
        await bank.sweep()
        await bank.journal().stream_open(shard)
        reply = await bank.router.ask(ann, Deposit(amount=5))
        assert (body(reply)["balance"], reply.version) == (45, was.version + 1)
        now, sees = await bank.stored(ann), await bank.stored(auditor(ann))
        assert now.events[:-1] == was.events and sees.events[:-1] == saw.events
        (entry,) = await bank.journal().stream_read(shard, 0, 9)
        assert [(at, before, len(events)) for at, before, events in entry.appends] == [
            (ann, was.version, 1), (auditor(ann), saw.version, 1)
        ]  # fmt: skip
        assert bank.host.status()["archive"]["restored"] == 1
        # It rests again, and is archived again.
        await bank.journal().stream_trim(shard, 1)
        bank.now += AFTER_MS + 1
        await bank.sweep()
        kept = await bank.kept(ann)
        assert isinstance(kept, Archived) and kept.members["account"] == now.events
        assert body(await bank.router.read(ann))["balance"] == 45

    in_bank(story)


def test_a_command_that_was_answered_before_is_recognised() -> None:
    async def story(bank: Bank) -> None:
        ann = Address("account", f"{bank.now}-ann")
        await bank.router.ask(ann, Open(owner=ann.id), data_key="wrapped")
        await bank.router.ask(ann, Deposit(amount=50), command_id="once", digest="d")
        await bank.router.ask(ann, Pay(amount=10, ring=True))
        await asyncio.sleep(0.01)
        bank.now += AFTER_MS + 1_000
        await bank.sweep()
        assert await bank.stored(ann) == NOTHING
        again = await bank.router.ask(ann, Deposit(amount=50), command_id="once", digest="d")
        assert again.replayed and body(again)["balance"] == 40 and again.data_key == "wrapped"
        assert (await bank.router.ask(ann, Deposit(amount=1), command_id="once", digest="e")).status is Status.MISMATCH
        assert await bank.stored(ann) == NOTHING
        await bank.router.ask(ann, Deposit(amount=1))
        assert (await bank.stored(ann)).data_key == "wrapped"

    in_bank(story)


def test_a_refused_command_restores_nothing() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        await bank.sweep()
        assert (await bank.router.ask(ann, Pay(amount=10_000))).status is Status.REJECTED
        assert await bank.stored(ann) == NOTHING

    in_bank(story)


def test_who_is_busy_used_or_quiet_for_too_short_a_time_stays() -> None:
    async def story(bank: Bank) -> None:
        early = await bank.at_rest("early")
        bank.now -= 2_000
        await bank.sweep()
        assert (await bank.stored(early)).version
        bank.now += 2_000
        used = await bank.at_rest("used")
        await bank.router.read(used)
        busy = Address("account", f"{bank.now}-busy")
        bank.bells["h0"].silent = True
        await bank.router.ask(busy, Open(owner=busy.id))
        await bank.router.ask(busy, Deposit(amount=50))
        await bank.router.ask(busy, Pay(amount=10, ring=True))
        await bank.sweep()
        assert await bank.stored(early) == NOTHING
        assert (await bank.stored(used)).version and (await bank.stored(busy)).version

    in_bank(story)


LATE_KINDS = {
    **ARCHIVED_KINDS,
    "account": replace(
        ARCHIVED_KINDS["account"],
        due=lambda account: Due(account.ringing + 7_200_000, False) if account.ringing else None,
    ),
}


def test_who_wakes_up_late_leaves_its_timer_behind_and_comes_back_by_it() -> None:
    async def story(bank: Bank) -> None:
        bank.bells["h0"].silent = True
        ann = Address("account", f"{bank.now}-ann")
        await bank.router.ask(ann, Open(owner=ann.id))
        await bank.router.ask(ann, Deposit(amount=50))
        await bank.router.ask(ann, Pay(amount=10, ring=True))
        soon = bank.now + 7_200_000
        bank.now += AFTER_MS + 1_000
        await bank.sweep()
        assert await bank.stored(ann) == NOTHING
        assert [entry.due.at for entry in await bank.journal().timers(bank.cell(ann), 0, 0, 9)] == [soon]
        bank.bells["h0"].silent = False
        bank.now = soon
        for _ in range(500):
            if (await bank.stored(ann)).version == 5:
                break
            await asyncio.sleep(0.01)
        assert len(bank.bells["h0"].rung) == 2, "it was woken up, and rang again"
        assert body(await bank.router.read(ann))["balance"] == 40
        assert list(await bank.journal().timers(bank.cell(ann), 0, 0, 9)) == []

    in_bank(story, kinds=LATE_KINDS)


def test_who_wakes_up_soon_stays() -> None:
    async def story(bank: Bank) -> None:
        bank.bells["h0"].silent = True
        ann = Address("account", f"{bank.now}-ann")
        await bank.router.ask(ann, Open(owner=ann.id))
        await bank.router.ask(ann, Deposit(amount=50))
        await bank.router.ask(ann, Pay(amount=10, ring=True))
        bank.now += 2 * AFTER_MS
        await bank.sweep()
        assert (await bank.stored(ann)).version == 4

    in_bank(story, kinds=LATE_KINDS, limits=replace(BY_HAND, archive_timer_min_s=7_000.0))


def test_what_happens_without_anything_due_begins_the_quiet_time_anew() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        await bank.router.ask(ann, Deposit(amount=1))
        bank.host.forget(bank.host.owned(ann), ann)  # type: ignore[arg-type]
        await bank.sweep()
        assert (await bank.stored(ann)).version
        assert list(await bank.journal().quiet(bank.cell(ann), bank.now - 1, 0, 9)) == []
        bank.now += AFTER_MS + 1
        await bank.sweep()
        assert await bank.stored(ann) == NOTHING

    in_bank(story)


def test_nobody_leaves_before_the_projector_is_past_him() -> None:
    async def story(bank: Bank) -> None:
        for shard in range(SHARDS):
            await bank.journal().stream_open(shard)
        ann = await bank.at_rest("ann")
        for _ in range(500):
            if bank.host.status()["archive"]["held_up"]:
                break
            await asyncio.sleep(0.01)
        assert bank.host.status()["archive"]["held_up"] == 1 and (await bank.stored(ann)).version
        shard = bank.cell(ann).shard
        await bank.journal().stream_trim(shard, await bank.journal().stream_position(shard))
        for _ in range(500):
            if not (await bank.stored(ann)).version:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it never left")

    in_bank(story, limits=replace(BY_HAND, archive_poll_s=0.02))


def test_what_is_new_holds_nobody_up() -> None:
    async def story(bank: Bank) -> None:
        for shard in range(SHARDS):
            await bank.journal().stream_open(shard)
        first = await bank.at_rest("first")
        shard = bank.cell(first).shard
        second = await bank.at_rest(bank.name_in(shard))
        await bank.journal().stream_trim(shard, await bank.journal().stream_position(shard))
        await bank.sweep()
        assert await bank.stored(first) == NOTHING and (await bank.stored(second)).version
        busy = Address("account", f"{bank.now}-{bank.name_in(shard)}")
        await bank.router.ask(busy, Open(owner=busy.id))
        assert not await bank.journal().stream_passed(shard, await bank.journal().stream_position(shard))
        await bank.sweep()
        assert await bank.stored(second) == NOTHING

    in_bank(story, limits=replace(BY_HAND, archive_batch_orders_max=1))


@pytest.mark.parametrize("meanwhile", ["written", "deleted"])
def test_a_command_in_the_midst_of_it_is_decided_once_on_what_there_is(meanwhile: str) -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        if meanwhile == "written":
            bank.archive.gate.clear()
            sweeping = asyncio.ensure_future(bank.host.archiver.sweep())
            await asyncio.sleep(0.01)
            assert body(await bank.router.ask(ann, Deposit(amount=5)))["balance"] == 45
            bank.archive.gate.set()
            await sweeping
            await bank.settled()
            assert (await bank.stored(ann)).version, "what was written is old already, and the journal's counts"
        else:
            await bank.host.archiver.sweep()  # the commit that deletes is under way
            assert bank.host.owned(ann).accumulating  # type: ignore[union-attr]
            assert body(await bank.router.ask(ann, Deposit(amount=5)))["balance"] == 45
        assert body(await bank.router.read(ann))["balance"] == 45
        assert (await bank.stored(ann)).version == 6

    in_bank(story)


def test_a_crash_between_writing_and_deleting_doubles_nothing() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        was = await bank.stored(ann)
        await bank.host._committer.close()
        await bank.host.archiver.sweep()
        await bank.kill("h0")
        assert (await bank.stored(ann)) == was and await bank.kept(ann)
        await bank.start_host("h1", list(range(SHARDS)))
        assert body(await bank.router.ask(ann, Deposit(amount=5)))["balance"] == 45
        assert not bank.archive.asked, "the journal's record counts"
        bank.now += AFTER_MS + 1
        await bank.sweep()
        kept = await bank.kept(ann)
        assert isinstance(kept, Archived) and len(kept.members["account"]) == was.version + 1
        assert body(await bank.router.read(ann))["balance"] == 45

    in_bank(story)


def test_only_the_owner_deletes() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        await bank.journal().acquire(bank.cell(ann), "another")
        await bank.sweep()
        assert (await bank.stored(ann)).version and await bank.kept(ann)
        assert bank.cell(ann) not in bank.host.cells

    in_bank(story)


def test_a_damaged_record_is_not_served_and_keeps_nobody_else_waiting() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        bob = await bank.at_rest("bob")
        await bank.sweep()
        rows = bank.archive.rows[bank.cell(ann).shard]
        rows[str(ann)] = rows[str(ann)]._replace(body=rows[str(ann)].body.replace(b"50", b"99"))
        for ask in (bank.router.read(ann), bank.router.ask(ann, Deposit(amount=5))):
            reply = await ask
            assert (reply.status, body(reply)["code"]) == (Status.FAILED, "archive_damaged")
        assert body(await bank.router.read(bob))["balance"] == 40
        assert bank.host.status()["archive"]["damaged"] == 2
        assert await bank.stored(ann) == NOTHING

    in_bank(story)


def test_while_the_archive_is_away_everybody_else_goes_on() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        await bank.sweep()
        bob = await bank.at_rest("bob")
        bank.archive.away = True
        with pytest.raises(ArchiveUnavailable):
            await bank.host.archiver.sweep()
        waiting = asyncio.ensure_future(bank.router.ask(ann, Deposit(amount=5)))
        assert body(await bank.router.read(bob))["balance"] == 40
        assert (await bank.stored(bob)).version
        await asyncio.sleep(0.02)
        assert not waiting.done(), "nobody knows whether it exists"
        bank.archive.away = False
        assert body(await waiting)["balance"] == 45

    in_bank(story)


def test_a_late_copy_of_the_command_that_made_it_makes_it_once() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        await bank.sweep()
        assert body(await bank.router.ask(ann, Open(owner=ann.id)))["balance"] == 40
        assert await bank.stored(ann) == NOTHING

    in_bank(story)


def test_what_is_new_costs_the_archive_nothing() -> None:
    async def story(bank: Bank) -> None:
        bank.now += 5
        for number in range(5):
            at = Address("account", f"{bank.now}-{number}")
            assert (await bank.router.read(at)).status is Status.ABSENT
            await bank.router.ask(at, Open(owner=at.id))
        assert not bank.archive.asked
        old = Address("account", "5-never")
        assert (await bank.router.read(old)).status is Status.ABSENT
        assert bank.archive.asked == [old]
        assert not bank.host.owned(old).residents.get(old)  # type: ignore[union-attr]

    in_bank(story)


def test_what_was_archived_before_is_found_when_nothing_is_archived_any_more() -> None:
    archive = Watched()

    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        await bank.sweep()
        await bank.kill("h0")
        bank.limits = replace(BY_HAND, archive_after_s=0.0)
        await bank.start_host("h1", list(range(SHARDS)))
        assert body(await bank.router.ask(ann, Deposit(amount=5)))["balance"] == 45

    in_bank(story, archive=archive)


def test_a_dedicated_actor_is_archived_by_its_own_host() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        own = bank.hosts[f"host:{ann}"]
        await bank.sweep()
        assert (await bank.stored(ann)).version, "it is not the shard's"
        await own.archiver.sweep()
        for _ in range(100):
            if not (await bank.stored(ann)).version:
                break
            await asyncio.sleep(0.001)
        assert await bank.stored(ann) == NOTHING
        assert body(await bank.router.ask(ann, Deposit(amount=5)))["balance"] == 45

    in_bank(story, dedicated=frozenset({"account"}))


def test_who_has_left_since_the_index_was_read_is_left_alone() -> None:
    async def story(bank: Bank) -> None:
        ann = await bank.at_rest("ann")
        seen = list(await bank.journal().quiet(bank.cell(ann), bank.now, 0, 9))
        assert [entry.address for entry in seen] == [ann]
        await bank.sweep()
        commits = bank.host.status()["commits"]
        journal, read = bank.host.journal, bank.host.journal.quiet

        async def outdated(cell: Cell, *rest: Any) -> Any:
            return seen if cell == bank.cell(ann) else await read(cell, *rest)

        journal.quiet = outdated  # type: ignore[method-assign]
        await bank.sweep()
        assert bank.host.status()["commits"] == commits
        assert list(await bank.journal().quiet(bank.cell(ann), bank.now + 1, 0, 9)) == []

    in_bank(story)


def test_many_leave_in_few_transactions() -> None:
    async def story(bank: Bank) -> None:
        for number in range(30):
            at = Address("account", f"{bank.now}-{number}")
            await bank.router.ask(at, Open(owner=at.id))
            await bank.router.ask(at, Deposit(amount=50))
            await bank.router.ask(at, Pay(amount=10, ring=True))
        await asyncio.sleep(0.05)
        bank.now += AFTER_MS + 1_000
        sweeps = 1
        while await bank.host.archiver.sweep():
            await bank.settled()
            sweeps += 1
        await bank.settled()
        assert bank.host.status()["archive"]["archived"] == 30
        assert sweeps < 12

    in_bank(story, limits=replace(BY_HAND, archive_batch_orders_max=8))
