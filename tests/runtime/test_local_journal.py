"""What the journal in memory can do beyond its contract: fail on demand, take its time, go back in it."""

from __future__ import annotations

import pytest

from actors.runtime.local_journal import Fault, MemoryJournal, MemoryStore
from actors.runtime.ports import (
    Append,
    Cell,
    Commit,
    Failed,
    Fenced,
    Group,
    Guard,
    JournalUnavailable,
    Ownership,
    Refused,
    Stored,
    WentBack,
)
from models.decision import Address

SHARD = Cell(0)
ORDER = Address("order", "ord_1")


def step(owner: Ownership, number: int, guard: Guard | None = None) -> Commit:
    return Commit(
        owner.cell, owner.epoch, owner.owner, number, [Group([Append(ORDER, number - 1, [b"x/1 {}"])], guard)]
    )


class Failing:
    """Fails the operations it is told to, in order."""

    def __init__(self, **faults: Fault) -> None:
        self.faults = faults

    def __call__(self, operation: str, _cell: Cell | None) -> Fault:
        return self.faults.get(operation, Fault.NONE)


async def test_a_lost_request_stores_nothing() -> None:
    journal = MemoryJournal()
    owner = await journal.acquire(SHARD, "A")
    journal.faults = Failing(commit=Fault.LOST_REQUEST)
    assert await journal.commit([step(owner, 1)]) == [Failed("lost request")]
    journal.faults = None
    assert (await journal.load(SHARD, [ORDER]))[0].version == 0
    assert await journal.commit([step(owner, 1)]) == [Stored()]


async def test_a_lost_answer_stores_and_the_same_commit_sent_again_is_told_so() -> None:
    journal = MemoryJournal()
    owner = await journal.acquire(SHARD, "A")
    journal.faults = Failing(commit=Fault.LOST_ANSWER)
    assert await journal.commit([step(owner, 1)]) == [Failed("lost answer")]
    journal.faults = None
    assert await journal.commit([step(owner, 1)]) == [Stored()]
    assert (await journal.load(SHARD, [ORDER]))[0].version == 1


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
async def test_every_other_operation_raises_when_its_request_or_answer_is_lost(fault: Fault) -> None:
    journal = MemoryJournal(faults=lambda _operation, _cell: fault)
    operations = [
        journal.acquire(SHARD, "A"),
        journal.load(SHARD, [ORDER]),
        journal.due(SHARD, 1, 1),
        journal.pending(SHARD, None, 1),
        journal.renew("A", 1_000),
        journal.lease_of("A"),
    ]
    for operation in operations:
        with pytest.raises(JournalUnavailable, match=fault):
            await operation
    journal.faults = None
    taken = fault is Fault.LOST_ANSWER
    assert (await journal.acquire(SHARD, "A")).epoch == (2 if taken else 1)
    assert (await journal.lease_of("A") > 0) is taken


async def test_a_fault_hits_one_process_of_several() -> None:
    store = MemoryStore()
    sick, healthy = MemoryJournal(store, faults=Failing(acquire=Fault.LOST_REQUEST)), MemoryJournal(store)
    with pytest.raises(JournalUnavailable):
        await sick.acquire(SHARD, "A")
    owner = await healthy.acquire(SHARD, "B")
    assert await sick.commit([step(owner, 1)]) == [Stored()]
    assert (await healthy.load(SHARD, [ORDER]))[0].version == 1


async def test_a_store_that_goes_back_in_time_is_noticed_by_commits_and_by_acquisitions() -> None:
    journal = MemoryJournal()
    at_birth = journal.store.checkpoint()
    owner = await journal.acquire(SHARD, "A")
    assert await journal.commit([step(owner, 1)]) == [Stored()]
    earlier = journal.store.checkpoint()
    assert await journal.commit([step(owner, 2)]) == [Stored()]
    journal.store.restore(earlier)
    assert await journal.commit([step(owner, 3)]) == [WentBack(1)]
    assert await journal.commit([step(owner, 2)]) == [Stored()], "a checkpoint is a copy, not the store itself"
    journal.store.restore(at_birth)
    assert await journal.commit([step(owner, 3)]) == [WentBack(0)]
    await journal.acquire(SHARD, "B")
    assert await journal.commit([step(owner, 3)]) == [Fenced()]


async def test_requests_and_answers_take_their_time() -> None:
    travelled = []

    async def travel(operation: str) -> None:
        travelled.append(operation)

    journal = MemoryJournal(travel=travel)
    owner = await journal.acquire(SHARD, "A")
    await journal.commit([step(owner, 1)])
    assert travelled == ["acquire", "acquire", "commit", "commit"]


async def test_guards_and_leases_expire_by_the_clock_it_is_given() -> None:
    time = [1_000]
    journal = MemoryJournal(now=lambda: time[0])
    owner = await journal.acquire(SHARD, "A")
    await journal.renew("A", 500)
    assert await journal.commit([step(owner, 1, Guard("k", "v", 500))]) == [Stored()]
    time[0] = 1_499
    assert await journal.commit([step(owner, 2, Guard("k", "w", 500))]) == [Stored((Refused(0, "v"),))]
    assert await journal.lease_of("A") == 1
    time[0] = 1_500
    assert await journal.lease_of("A") == 0
    other = Group([Append(ORDER, 1, [b"x/1 {}"])], Guard("k", "w", 500))
    assert await journal.commit([Commit(SHARD, owner.epoch, "A", 3, [other])]) == [Stored()]
