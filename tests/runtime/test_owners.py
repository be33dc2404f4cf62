"""Cells change hands, leases run out, effects are asked for again: nothing is lost, and nothing is answered twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.runtime.envelope import Status
from actors.runtime.limits import LIMITS
from actors.runtime.local_journal import Fault
from actors.runtime.ports import Append, Cell, Commit, Group
from models.decision import Address, Due
from tests.runtime.accounts import body, opened
from tests.runtime.toys import Deposit, Pay, Town, in_town


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
def test_a_commit_of_unknown_outcome_is_sent_again_and_stored_once(fault: Fault) -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        host = town.hosts["h0"]
        left = [3]

        def faults(operation: str, _cell: Cell | None) -> Fault:
            if operation == "commit" and left[0]:
                left[0] -= 1
                return fault
            return Fault.NONE

        host.journal.faults = faults  # type: ignore[attr-defined]
        assert body(await town.router.ask(ann, Deposit(amount=1)))["balance"] == 6
        assert left == [0]
        (record,) = await town.journal().load(host.cell_of(ann), [ann])
        assert record.version == 3

    in_town(story, limits=replace(LIMITS, commit_retry_s=0.001))


def test_a_fenced_host_forgets_and_its_callers_find_the_new_owner() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        shard = town.hosts["h0"].cell_of(ann).shard
        other = await town.start_host("h1", [])
        await other.own(Cell(shard))  # the director's hint still says h0
        asked = asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1)))
        await asyncio.sleep(0.05)
        town.where[shard] = "h1"
        assert body(await asked)["balance"] == 6
        assert Cell(shard) not in town.hosts["h0"].cells

    in_town(story)


def test_a_new_owner_resumes_what_was_under_way() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        await town.router.ask(ann, Pay(amount=1, ring=True))  # the bell of h0 never answers
        assert town.bells["h0"].rung == ["ann"]
        await town.kill("h0")
        await town.start_host("h1", [0, 1, 2, 3])
        for _ in range(100):
            await asyncio.sleep(0.01)
            if town.hosts["h1"].pending_residents == 0 and town.bells["h1"].rung:
                break
        assert town.bells["h1"].rung == ["ann"]
        cell = town.hosts["h1"].cell_of(ann)
        assert not await town.journal().pending(cell, None, 10)

    in_town(story, silent=True, hosts={"h0": [0, 1, 2, 3]})


def test_a_new_owner_does_not_take_what_replaying_tells_for_the_due_index() -> None:
    """Notes are lost with their owner, and with them why an actor wanted to be woken later than its events say."""

    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        await town.router.ask(ann, Pay(amount=1, ring=True))
        cell = town.hosts["h0"].cell_of(ann)
        (entry,) = await town.journal().pending(cell, None, 10)
        await town.kill("h0")
        journal = town.journal()
        owned = await journal.acquire(cell, "somebody")
        (record,) = await journal.load(cell, [ann])
        later = Due(entry.due.at + 10_000_000, pending=True)
        append = Append(ann, record.version, (), due=later, due_changed=True)
        await journal.commit([Commit(cell, owned.epoch, "somebody", owned.number + 1, [Group([append])])])
        assert not await journal.due(cell, entry.due.at, 10)
        await town.start_host("h1", [0, 1, 2, 3], silent=True)
        for _ in range(100):
            await asyncio.sleep(0.01)
            if await journal.due(cell, entry.due.at, 10):
                break
        assert [found.due for found in await journal.due(cell, entry.due.at, 10)] == [entry.due]

    in_town(story, silent=True, hosts={"h0": [0, 1, 2, 3]})


def test_when_another_host_has_died_those_who_wait_ask_again_and_nobody_else() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        await opened(town, "ben", 5)
        await town.router.ask(ann, Pay(amount=1, ring=True))
        town.hosts["h0"].remind()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if len(town.bells["h0"].rung) > 1:
                break
        assert town.bells["h0"].rung == ["ann", "ann"]

    in_town(story, silent=True)


def test_a_takeover_that_is_broken_off_leaves_nothing_half_resumed() -> None:
    """As when the link to the director breaks: whoever is told to own the cell next resumes everything in it."""

    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        await town.router.ask(ann, Pay(amount=1, ring=True))  # the bell of h0 never answers
        cell = town.hosts["h0"].cell_of(ann)
        other = await town.start_host("h1", [])
        other.journal.faults = lambda operation, _cell: (  # type: ignore[attr-defined]
            Fault.LOST_REQUEST if operation == "pending" else Fault.NONE
        )
        owning = asyncio.ensure_future(other.own(cell))
        await asyncio.sleep(0.05)
        owning.cancel()
        await asyncio.gather(owning, return_exceptions=True)
        assert cell not in other.cells
        other.journal.faults = None  # type: ignore[attr-defined]
        await other.own(cell)
        await asyncio.sleep(0.05)
        assert town.bells["h1"].rung == ["ann"]

    in_town(story, silent=True, limits=replace(LIMITS, commit_retry_s=0.001))


def test_the_due_index_repeats_an_effect_without_an_answer() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        await town.router.ask(ann, Pay(amount=1, ring=True))
        town.now += 31_000
        for _ in range(100):
            await asyncio.sleep(0.01)
            if len(town.bells["h0"].rung) >= 2:
                return
        raise AssertionError("the bell was not rung again")

    in_town(story, silent=True, limits=replace(LIMITS, due_poll_s=0.01, lease_lost_s=1e6))


def test_a_read_without_a_valid_lease_is_not_answered_from_memory() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        town.hosts["h0"].lease.revoked = True
        asked = asyncio.ensure_future(town.router.read(ann))
        await asyncio.sleep(0.1)
        assert not asked.done()
        town.hosts["h0"].lease.revoked = False
        assert body(await asked)["balance"] == 5

    in_town(story)


def test_a_lease_that_was_lost_and_renewed_does_not_make_old_memory_fresh() -> None:
    """A host that was cut off for longer than its lease, and whose cell has another owner, renews its lease first of
    all when it is back; until the journal has confirmed the cell, it answers nothing from memory."""

    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        host = town.hosts["h0"]
        cell = host.cell_of(ann)
        host.journal.faults = lambda operation, _cell: (  # type: ignore[attr-defined]
            Fault.LOST_REQUEST if operation == "renew" else Fault.NONE
        )
        while host.lease.valid():
            await asyncio.sleep(0.01)
        other = await town.start_host("h1", [])
        await other.own(cell)
        town.where[cell.shard] = "h1"
        assert body(await (await town.another_router()).ask(ann, Deposit(amount=1)))["balance"] == 6
        town.where[cell.shard] = "h0"  # what the first router goes by
        host.journal.faults = lambda operation, _cell: (  # type: ignore[attr-defined]
            Fault.LOST_REQUEST if operation == "commit" else Fault.NONE
        )
        while not host.lease.valid():
            await asyncio.sleep(0.01)
        read = asyncio.ensure_future(town.router.read(ann))
        await asyncio.sleep(0.1)
        assert not read.done()
        host.journal.faults = None  # type: ignore[attr-defined]
        while cell in host.cells:  # until the journal has told it
            await asyncio.sleep(0.01)
        town.where[cell.shard] = "h1"
        assert body(await read)["balance"] == 6

    in_town(story, limits=replace(LIMITS, lease_lost_s=0.1, lease_renew_s=0.02, commit_retry_s=0.01))


def test_a_watch_survives_its_hosts_death() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        waiting = asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1), watch=10.0))
        await asyncio.sleep(0.05)
        await town.kill("h0")
        await town.start_host("h1", [0, 1, 2, 3])
        await town.router.ask(ann, Deposit(amount=100))
        assert body(await asyncio.wait_for(waiting, 5))["balance"] >= 106

    in_town(story)


def test_a_cell_is_handed_over_without_losing_a_command() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 0)
        shard = town.hosts["h0"].cell_of(ann).shard
        await town.start_host("h1", [])
        asked = [asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1))) for _ in range(50)]
        await asyncio.sleep(0)
        await town.hosts["h0"].disown(Cell(shard))
        await town.give(shard, "h1")
        replies = await asyncio.gather(*asked)
        assert all(reply.status is Status.OK for reply in replies)
        assert body(await town.router.read(ann))["balance"] == 50

    in_town(story)


def test_letting_a_cell_go_ends_when_another_owner_has_taken_it_meanwhile() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 0)
        host = town.hosts["h0"]
        cell = host.cell_of(ann)
        host.journal.faults = lambda operation, _cell: (  # type: ignore[attr-defined]
            Fault.LOST_REQUEST if operation == "commit" else Fault.NONE
        )
        asked = asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1)))
        await asyncio.sleep(0.02)
        letting_go = asyncio.ensure_future(host.disown(cell))
        other = await town.start_host("h1", [])
        await other.own(cell)
        host.journal.faults = None  # type: ignore[attr-defined]
        await asyncio.wait_for(letting_go, 5)
        town.where[cell.shard] = "h1"
        assert body(await asked)["balance"] == 1

    in_town(story, limits=replace(LIMITS, commit_retry_s=0.001))


def test_a_dedicated_actor_has_a_host_and_an_owner_record_of_its_own() -> None:
    async def story(town: Town) -> None:
        vip = await opened(town, "vip", 5)
        await opened(town, "ann", 5)
        assert set(town.hosts) == {"h0", "host:account:vip"}
        assert body(await town.router.ask(vip, Deposit(amount=1)))["balance"] == 6
        assert body(await town.router.read(Address("auditor", "vip")))["seen"] == 2
        assert town.hosts["h0"].owned(vip) is None

    in_town(story, dedicated=frozenset({"account:vip"}))


def test_a_journal_that_went_back_in_time_stops_the_shard() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        before = town.store.checkpoint()
        await town.router.ask(ann, Deposit(amount=1))
        await town.router.ask(ann, Deposit(amount=1))
        town.store.restore(before)
        asked = asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1)))
        while not town.hosts["h0"].refusing:
            await asyncio.sleep(0.01)
        asked.cancel()
        assert "back in time" in town.hosts["h0"].refusing
        assert town.hosts["h0"].cell_of(ann) not in town.hosts["h0"].cells

    in_town(story)


def test_effects_that_may_not_leave_wait_and_leave_later() -> None:
    async def story(town: Town) -> None:
        host = town.hosts["h0"]
        names = [await opened(town, name, 5) for name in ("ann", "bob", "eve")]
        host.lease.revoked = True
        asked = [asyncio.ensure_future(town.router.ask(name, Pay(amount=1, ring=True))) for name in names]
        await asyncio.gather(*asked)
        assert town.bells["h0"].rung == []
        host.lease.revoked = False
        for _ in range(100):
            await asyncio.sleep(0.01)
            if len(town.bells["h0"].rung) == 3:
                break
        assert sorted(town.bells["h0"].rung) == ["ann", "bob", "eve"]

    in_town(story, limits=replace(LIMITS, effects_in_flight_max=1, due_poll_s=0.01))


def test_the_due_index_is_left_alone_while_an_earlier_entry_covers_what_is_pending() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 50)
        await town.router.ask(ann, Pay(amount=1, ring=True))
        cell = town.hosts["h0"].cell_of(ann)
        (first,) = await town.journal().pending(cell, None, 10)
        town.now += 1_000
        await town.router.ask(ann, Pay(amount=1, ring=True))  # later by a second
        assert await town.journal().pending(cell, None, 10) == [first]
        town.now = first.due.at  # too soon for the second, and ticked all the same
        entry = first
        for _ in range(100):
            await asyncio.sleep(0.01)
            (entry,) = await town.journal().pending(cell, None, 10)
            if entry != first:
                break
        assert entry.due.at == first.due.at + 1_000

    in_town(story, silent=True, limits=replace(LIMITS, due_poll_s=0.01, lease_lost_s=1e6))
