"""Actors at rest leave the journal, are read where they are, and come back with their first commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from actors.runtime.archive import Archived
from actors.runtime.envelope import Status
from models.decision import Address, Due
from tests.runtime.bank import AFTER_MS, ARCHIVED_KINDS, BY_HAND, NOTHING, Bank, auditor, body, in_bank
from tests.runtime.toys import SHARDS, Deposit, Open, Pay


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
