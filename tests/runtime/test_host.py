"""The runtime's promises, on toy machines and the journal in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actors.runtime.envelope import Overloaded, Status, Unanswered
from actors.runtime.limits import LIMITS
from actors.runtime.local_journal import Fault
from actors.runtime.ports import Cell, Commit, CommitResult, Guard
from models.decision import Address
from tests.runtime.accounts import account, body, opened
from tests.runtime.toys import Break, Deposit, Open, Pay, Rang, Town, in_town


def test_an_answer_is_the_actors_view_and_its_events_are_stored() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 50)
        reply = await town.router.ask(ann, Pay(amount=20))
        assert body(reply)["balance"] == 30
        (record,) = await town.journal().load(Cell(town.hosts["h0"].cell_of(ann).shard), [ann])
        assert record.version == reply.version == 3
        assert [stored.split(b" ")[0] for stored in record.events] == [
            b"toy.opened/1", b"toy.moved/1", b"toy.moved/1",
        ]

    in_town(story)


def test_a_rejection_changes_nothing() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 10)
        reply = await town.router.ask(ann, Pay(amount=11))
        assert (reply.status, json.loads(reply.body)["code"]) == (Status.REJECTED, "short")
        assert body(await town.router.read(ann))["balance"] == 10

    in_town(story)


def test_a_stranger_is_absent_and_leaves_nothing_in_memory() -> None:
    async def story(town: Town) -> None:
        assert (await town.router.read(account("nobody"))).status is Status.ABSENT
        assert all(not owned.residents for owned in town.hosts["h0"].cells.values())

    in_town(story)


def test_what_is_read_again_and_again_is_encoded_once_for_each_state() -> None:
    async def story(town: Town) -> None:
        ann, host = await opened(town, "ann", 50), town.hosts["h0"]
        resident = host.cells[host.cell_of(ann)].residents[ann]
        first = host.read(resident, "account")
        assert host.read(resident, "account").body is first.body
        await town.router.ask(ann, Deposit(amount=5))
        later = await town.router.read(ann)
        assert (body(later)["balance"], later.version) == (55, first.version + 1)
        assert host.read(resident, "account") == host.view(resident, "account") == later

    in_town(story)


def test_companions_commit_together_or_not_at_all() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 50)
        assert body(await town.router.read(Address("auditor", "ann"))) == {"seen": 1, "sum": 50}
        reply = await town.router.ask(ann, Deposit(amount=666))  # the auditor refuses: the whole turn is off
        assert reply.status is Status.FAILED
        assert body(await town.router.read(ann))["balance"] == 50
        assert town.parked and "evil" in town.parked[0].cause

    in_town(story, limits=replace(LIMITS, commit_retry_s=0.001))


def test_messages_reach_actors_on_other_hosts() -> None:
    async def story(town: Town) -> None:
        names = [f"n{i}" for i in range(12)]
        for name in names:
            await opened(town, name, 100)
        for index, name in enumerate(names):
            await town.router.ask(account(name), Pay(amount=10, to=names[(index + 1) % 12]))
        balances: list[int] = []
        for _ in range(100):
            balances = [body(r)["balance"] for r in await town.router.read_many(map(account, names))]
            if balances == [100] * 12:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(balances)

    in_town(story, hosts={"h0": [0, 1], "h1": [2, 3]})


def test_an_actor_that_left_memory_comes_back_as_it_was() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        for _ in range(20):  # over the snapshot threshold
            await town.router.ask(ann, Deposit(amount=1))
        town.now += 3_600_000
        assert town.hosts["h0"].passivate() >= 1
        assert body(await town.router.read(ann))["balance"] == 25
        assert body(await town.router.ask(ann, Deposit(amount=1)))["balance"] == 26
        assert body(await town.router.read(Address("auditor", "ann")))["seen"] == 22

    in_town(story)


def test_a_command_id_is_answered_once_and_remembered_across_owners() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        first = await town.router.ask(ann, Deposit(amount=7), command_id="k1", digest="d1")
        assert not first.replayed
        shard = town.hosts["h0"].cell_of(ann).shard
        await town.start_host("h1", [shard])
        again = await town.router.ask(ann, Deposit(amount=7), command_id="k1", digest="d1")
        assert again.replayed and body(again)["balance"] == 12
        other = await town.router.ask(ann, Deposit(amount=8), command_id="k1", digest="d2")
        assert other.status is Status.MISMATCH
        town.now += 25 * 3600 * 1000
        late = await town.router.ask(ann, Deposit(amount=7), command_id="k1", digest="d1")
        assert not late.replayed and body(late)["balance"] == 19

    in_town(story)


def test_answered_command_ids_are_forgotten_after_a_day_by_actors_that_live_for_years() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        for day in range(12):
            await town.router.ask(ann, Deposit(amount=1), command_id=f"k{day}", digest="d")
            town.now += 25 * 3_600_000
        (record,) = await town.journal().load(Cell(town.hosts["h0"].cell_of(ann).shard), [ann])
        assert record.snapshot is not None
        assert len(json.loads(record.snapshot)["answered"]) == 1
        again = await town.router.ask(ann, Deposit(amount=1), command_id="k11", digest="other")
        assert again.status is Status.OK

    in_town(story)


@pytest.mark.as_written
def test_a_broken_journal_adapter_does_not_end_the_host() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        journal = town.hosts["h0"].journal
        commit, broken = journal.commit, [AssertionError("a bug"), KeyError("another")]

        async def breaking(commits: Sequence[Commit]) -> Sequence[CommitResult]:
            if broken:
                raise broken.pop()
            return await commit(commits)

        journal.commit = breaking  # type: ignore[method-assign]
        assert body(await town.router.ask(ann, Deposit(amount=1)))["balance"] == 6

    in_town(story)


def test_an_actor_does_not_pile_up_more_than_a_commit_can_take() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann")
        town.hosts["h0"].journal.faults = lambda call, _cell: Fault.LOST_REQUEST if call == "commit" else Fault.NONE
        asking = [asyncio.create_task(town.router.ask(ann, Deposit(amount=1))) for _ in range(30)]
        await asyncio.sleep(0.1)
        refused = [task for task in asking if task.done()]
        assert {type(task.exception()) for task in refused} == {Overloaded}
        town.hosts["h0"].journal.faults = None
        taken = [await task for task in asking if task not in refused]
        assert 10 <= len(taken) <= 20, "what was in flight when the journal went away, and what piled up behind it"
        assert body(await town.router.read(ann))["balance"] == len(taken)

    limits = replace(LIMITS, part_events_max=10, router_batch_messages_max=1, router_calls_in_flight_max=99)
    in_town(story, limits=limits)


def test_of_two_commands_for_the_same_version_one_is_stale() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        version = (await town.router.read(ann)).version
        asking = [
            town.router.ask(ann, Deposit(amount=1), command_id=key, expected_version=version) for key in ("k1", "k2")
        ]
        first, second = await asyncio.gather(*asking)
        assert first.status is Status.OK
        assert (second.status, second.version) == (Status.STALE, first.version)
        again = await town.router.ask(ann, Deposit(amount=1), command_id="k1", expected_version=version)
        assert (again.status, again.replayed) == (Status.OK, True)
        never = await town.router.ask(ann, Deposit(amount=1), expected_version=-1)
        assert never.status is Status.STALE
        any_version = await town.router.ask(ann, Deposit(amount=1))
        assert body(any_version)["balance"] == 7

    in_town(story)


def test_a_guard_lets_one_of_two_actors_begin() -> None:
    async def story(town: Town) -> None:
        names = [n for n in (f"x{i}" for i in range(40)) if town.hosts["h0"].cell_of(account(n)).shard == 1][:2]
        replies = await asyncio.gather(
            *(
                town.router.ask(account(name), Open(owner=name), guard=Guard("key", name, 1000))
                for name in names
            )
        )
        assert sorted(reply.status for reply in replies) == [Status.DUPLICATE, Status.OK]
        loser = next(name for name, reply in zip(names, replies, strict=True) if reply.status is Status.DUPLICATE)
        winner = next(reply for reply in replies if reply.status is Status.DUPLICATE).body.decode()
        assert winner in names and winner != loser
        assert (await town.router.read(account(loser))).status is Status.ABSENT

    in_town(story)


def test_a_creating_command_repeated_finds_the_actor_it_created() -> None:
    async def story(town: Town) -> None:
        await opened(town, "ann", 5)
        town.now += 3_600_000
        town.hosts["h0"].passivate()
        reply = await town.router.ask(account("ann"), Open(owner="ann"))
        assert body(reply)["balance"] == 5
        refused = await town.router.ask(account("ann"), Open(owner="bob"))
        assert refused.status is Status.REJECTED
        assert body(await town.router.read(account("ann")))["balance"] == 5

    in_town(story)


def test_an_outcome_is_not_dropped_by_a_full_mailbox() -> None:
    """Nobody could be told, and its intent would not be asked for again soon."""

    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        host = town.hosts["h0"]
        await town.router.ask(ann, Pay(amount=1, ring=True))
        assert host.pending_residents == 1
        host.reload(ann, resume=False)
        host.enqueue(ann, Rang())
        await asyncio.sleep(0.05)
        assert host.pending_residents == 0

    in_town(story, silent=True, limits=replace(LIMITS, mailbox_messages_max=0))


def test_a_full_host_refuses_new_work_and_goes_on_with_the_old() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        for index in range(3):
            await opened(town, f"p{index}", 5)
            await town.router.ask(account(f"p{index}"), Pay(amount=1, ring=True))
        with pytest.raises(Overloaded):
            await town.router.ask(account("late"), Open(owner="late"))
        assert body(await town.router.ask(ann, Deposit(amount=1)))["balance"] == 6

    in_town(story, silent=True, limits=replace(LIMITS, arrivals_in_flight_max=3))


def test_a_watch_answers_when_the_actor_has_got_there() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        waiting = asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1), watch=10.0))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await town.router.ask(ann, Deposit(amount=100))
        assert body(await waiting)["balance"] == 106

    in_town(story)


def test_a_watch_ends_with_the_view_of_then_when_its_time_is_over() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        waiting = asyncio.ensure_future(town.router.ask(ann, Deposit(amount=1), watch=2.0))
        await asyncio.sleep(0.05)
        town.now += 2_500
        assert body(await waiting)["balance"] == 6

    in_town(story, limits=replace(LIMITS, router_sweep_s=0.01))


def test_a_watch_does_not_answer_for_a_command_that_was_never_answered() -> None:
    """Whether the command took effect is unknown when the wait is over: that is no OK, and no view of a stranger."""

    async def story(town: Town) -> None:
        town.hosts["h0"].journal.faults = lambda operation, _cell: (  # type: ignore[attr-defined]
            Fault.LOST_REQUEST if operation == "commit" else Fault.NONE
        )
        asked = asyncio.ensure_future(town.router.ask(account("ann"), Open(owner="ann"), watch=1.0, timeout_s=5.0))
        await asyncio.sleep(0.05)
        town.now += 2_000  # the wait is over, and the command may still be answered
        await asyncio.sleep(0.05)
        assert not asked.done()
        town.now += 5_000
        with pytest.raises(Unanswered):
            await asked

    in_town(story, limits=replace(LIMITS, router_sweep_s=0.01, commit_retry_s=0.001))


def test_a_broken_turn_is_parked_alone() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        reply = await town.router.ask(ann, Break())
        assert reply.status is Status.FAILED
        assert [(p.to, p.command_name) for p in town.parked] == [(ann, "toy.break")]
        assert body(await town.router.ask(ann, Deposit(amount=1)))["balance"] == 6

    in_town(story, limits=replace(LIMITS, commit_retry_s=0.001))


def test_what_was_under_way_is_asked_for_again_when_a_broken_turn_has_cost_the_memory_of_it() -> None:
    async def story(town: Town) -> None:
        ann = await opened(town, "ann", 5)
        await town.router.ask(ann, Pay(amount=1, ring=True))
        assert town.bells["h0"].rung == ["ann"]
        await town.router.ask(ann, Break())
        assert len(town.bells["h0"].rung) > 1  # and not only when its time has come, in half a minute

    in_town(story, silent=True, limits=replace(LIMITS, commit_retry_s=0.001))
