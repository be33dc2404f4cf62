"""What comes between an actor and its archive: late commands, crashes, damage, an archive that is away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from actors.runtime.archive import Archived, ArchiveUnavailable
from actors.runtime.envelope import Status
from actors.runtime.ports import Cell
from models.decision import Address
from tests.runtime.bank import AFTER_MS, BY_HAND, NOTHING, Bank, Watched, body, in_bank
from tests.runtime.toys import SHARDS, Deposit, Open, Pay


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
