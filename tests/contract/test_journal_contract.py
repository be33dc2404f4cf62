"""What every journal promises of its commits, whatever it is made of: numbers, fencing, groups, snapshots."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from actors.runtime.ports import (
    Cell,
    DueEntry,
    Fenced,
    Guard,
    Record,
    Refused,
    Stored,
    WentBack,
)
from models.decision import Address, Due
from tests.contract.journal_backends import AnyJournal, Backend
from tests.contract.journal_turns import HOUR_MS, ORDER, SAGA, SHARD, SKU, append, events, one, plain, record, take

# --- commits and numbers ---


async def test_an_actors_record_is_what_was_committed(journal: AnyJournal) -> None:
    owner = await take(journal)
    assert await owner.store(one(append(ORDER, 0, "placed", data_key="K"), append(SAGA, 0, "advanced"))) == Stored()
    assert await owner.store(one(append(ORDER, 1, "authorised", "captured"))) == Stored()
    found = await journal.load(SHARD, [ORDER, Address("order", "ord_2"), SAGA])
    assert [replace(f, events=list(f.events)) for f in found] == [
        Record(3, None, events("placed", "authorised", "captured"), "K"),
        Record(0, None, [], ""),
        Record(1, None, events("advanced"), ""),
    ]


async def test_nothing_to_load_and_nothing_to_store(journal: AnyJournal) -> None:
    owner = await take(journal)
    assert list(await journal.load(SHARD, [])) == []
    assert list(await journal.commit([])) == []
    assert await owner.store() == Stored()
    assert await owner.store(one(append(ORDER, 0))) == Stored()
    assert (await record(journal, ORDER)).version == 0


async def test_results_come_in_the_order_of_the_commits(journal: AnyJournal) -> None:
    owners = [await take(journal, cell=Cell(shard)) for shard in range(4)]
    await take(journal, "B", Cell(2))
    commits = [owner.next(one(append(ORDER, 0 if shard != 1 else 5, "x"))) for shard, owner in enumerate(owners)]
    results = await journal.commit(commits)
    assert list(results) == [Stored(), Stored((Refused(0, None),)), Fenced(), Stored()]


async def test_a_commit_sent_again_gets_the_first_answer_and_appends_nothing(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(SKU, 0, "x"), guard=Guard("k", "first", HOUR_MS)))
    commit = owner.next(
        one(append(ORDER, 0, "placed"), guard=Guard("k", "second", HOUR_MS)),
        one(append(SAGA, 7, "advanced")),
        one(append(SKU, 1, "y")),
    )
    expected = Stored((Refused(0, "first"), Refused(1, None)))
    assert plain(await owner.send(commit)) == expected
    assert plain(await owner.send(commit)) == expected
    assert (await record(journal, SKU)).version == 2
    assert (await record(journal, ORDER)).version == 0


async def test_a_commit_sent_again_after_a_takeover_is_told_that_it_was_stored(journal: AnyJournal) -> None:
    old = await take(journal, "A")
    commit = old.next(one(append(ORDER, 0, "placed")))
    assert await old.send(commit) == Stored()
    new = await take(journal, "B")
    assert await old.send(commit) == Stored()
    assert new.number == old.number
    assert await new.store(one(append(ORDER, 1, "x"))) == Stored()
    assert await old.send(commit) == Fenced()


async def test_numbers_go_on_over_owners(journal: AnyJournal) -> None:
    old = await take(journal, "A")
    await old.store(one(append(ORDER, 0, "placed")))
    await old.store(one(append(ORDER, 1, "x")))
    new = await take(journal, "B")
    assert (new.epoch, new.number) == (old.epoch + 1, 2)


async def test_a_number_that_skips_one_means_that_the_journal_lost_it(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "placed")))
    owner.number += 1
    assert await owner.store(one(append(ORDER, 1, "x"))) == WentBack(1)
    assert (await record(journal, ORDER)).version == 1


async def test_an_epoch_the_journal_has_not_seen_means_that_it_lost_the_acquisition(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "placed")))
    owner.epoch += 1
    assert await owner.store(one(append(ORDER, 1, "x"))) == WentBack(1)
    assert (await record(journal, ORDER)).version == 1


async def test_a_late_twin_of_an_older_commit_changes_nothing(journal: AnyJournal) -> None:
    owner = await take(journal)
    late = owner.next(one(append(ORDER, 0, "placed")))
    await owner.send(late)
    await owner.store(one(append(ORDER, 1, "x")))
    assert await owner.send(late) == Fenced()
    assert (await record(journal, ORDER)).version == 2


# --- fencing ---


async def test_only_the_last_who_acquired_can_commit(journal: AnyJournal) -> None:
    old = await take(journal, "A")
    new = await take(journal, "B")
    assert new.epoch == old.epoch + 1
    guarded = one(append(ORDER, 0, "placed", due=Due(1, pending=True)), guard=Guard("k", "v", HOUR_MS))
    assert await old.store(guarded) == Fenced()
    assert (await record(journal, ORDER)).version == 0
    assert list(await journal.due(SHARD, 10, 10)) == []
    assert await new.store(guarded) == Stored()


async def test_the_same_owner_acquiring_again_fences_what_it_sent_before(journal: AnyJournal) -> None:
    before = await take(journal, "A")
    await take(journal, "A")
    assert await before.store(one(append(ORDER, 0, "placed"))) == Fenced()


async def test_several_processes_share_a_journal(journal_backend: Backend) -> None:
    here, there = await journal_backend.connect(), await journal_backend.connect()
    owner = await take(here, "A")
    await owner.store(one(append(ORDER, 0, "placed")))
    successor = await take(there, "B")
    assert (await record(there, ORDER)).version == 1
    assert await owner.store(one(append(ORDER, 1, "x"))) == Fenced()
    assert await successor.store(one(append(ORDER, 1, "x"))) == Stored()


async def test_cells_are_owned_apart(journal: AnyJournal) -> None:
    one_shard, other = await take(journal, "A", Cell(1)), await take(journal, "B", Cell(2))
    assert await one_shard.store(one(append(ORDER, 0, "placed"))) == Stored()
    assert await other.store(one(append(ORDER, 0, "placed"))) == Stored()
    assert (await record(journal, ORDER, Cell(1))).version == 1
    assert (await record(journal, ORDER, Cell(3))).version == 0


# --- groups: versions and guards ---


async def test_a_group_stands_or_falls_as_a_whole(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(SAGA, 0, "advanced", due=Due(9, pending=False))))
    bad = one(
        append(ORDER, 0, "placed", due=Due(1, pending=True), data_key="K", snapshot=b"{}"),
        append(SAGA, 0, "advanced", due=Due(1, pending=True)),
        guard=Guard("k", "v", HOUR_MS),
    )
    good = one(append(SKU, 0, "reserved"), guard=Guard("k", "w", HOUR_MS))
    assert plain(await owner.store(bad, good)) == Stored((Refused(0, None),))
    order, saga, sku = await journal.load(SHARD, [ORDER, SAGA, SKU])
    assert (order.version, order.snapshot, order.data_key, saga.version, sku.version) == (0, None, "", 1, 1)
    assert list(await journal.due(SHARD, 10, 10)) == [DueEntry(SAGA, Due(9, pending=False))]


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
async def test_a_version_must_match_exactly(journal: AnyJournal, expected: int) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "a", "b")))
    assert plain(await owner.store(one(append(ORDER, expected, "c")))) == Stored((Refused(0, None),))
    assert list((await record(journal, ORDER)).events) == events("a", "b")


async def test_a_version_is_checked_even_without_events(journal: AnyJournal) -> None:
    owner = await take(journal)
    wrong = one(append(ORDER, 3, due=Due(1, pending=True)))
    assert plain(await owner.store(wrong)) == Stored((Refused(0, None),))
    assert list(await journal.pending(SHARD, None, 10)) == []


async def test_later_groups_build_on_earlier_ones(journal: AnyJournal) -> None:
    owner = await take(journal)
    result = await owner.store(
        one(append(ORDER, 0, "a")),
        one(append(ORDER, 9, "never"), append(SAGA, 0, "never")),
        one(append(ORDER, 1, "b", snapshot=b"S")),
        one(append(ORDER, 2, "c")),
    )
    assert plain(result) == Stored((Refused(1, None),))
    found = await record(journal, ORDER)
    assert (found.version, found.snapshot, list(found.events)) == (3, b"S", events("c"))
    assert (await record(journal, SAGA)).version == 0


async def test_a_guard_lets_one_group_through(journal: AnyJournal) -> None:
    owner = await take(journal)
    first = one(append(ORDER, 0, "placed"), guard=Guard("key", 'ord_1 "ü', HOUR_MS))
    twin = one(append(SAGA, 0, "placed"), guard=Guard("key", "ord_2", HOUR_MS))
    assert plain(await owner.store(first, twin)) == Stored((Refused(1, 'ord_1 "ü'),))
    assert plain(await owner.store(twin)) == Stored((Refused(0, 'ord_1 "ü'),))
    assert (await record(journal, SAGA)).version == 0


async def test_a_taken_guard_says_more_than_a_wrong_version(journal: AnyJournal) -> None:
    owner = await take(journal)
    placing = one(append(ORDER, 0, "placed"), guard=Guard("key", "ord_1", HOUR_MS))
    assert await owner.store(placing) == Stored()
    assert plain(await owner.store(placing)) == Stored((Refused(0, "ord_1"),))


async def test_a_guard_belongs_to_its_shard(journal: AnyJournal) -> None:
    for shard in (1, 2):
        owner = await take(journal, cell=Cell(shard))
        assert await owner.store(one(append(ORDER, 0, "placed"), guard=Guard("key", "v", HOUR_MS))) == Stored()


async def test_a_guard_is_not_kept_for_a_group_that_was_refused(journal: AnyJournal) -> None:
    owner = await take(journal)
    refused = one(append(ORDER, 4, "placed"), guard=Guard("key", "v", HOUR_MS))
    assert plain(await owner.store(refused)) == Stored((Refused(0, None),))
    assert await owner.store(one(append(ORDER, 0, "placed"), guard=Guard("key", "v", HOUR_MS))) == Stored()


async def test_a_guard_expires(journal: AnyJournal) -> None:
    owner = await take(journal)
    assert await owner.store(one(append(ORDER, 0, "placed"), guard=Guard("key", "v", 20))) == Stored()
    await asyncio.sleep(0.05)
    assert await owner.store(one(append(SAGA, 0, "placed"), guard=Guard("key", "w", HOUR_MS))) == Stored()


# --- snapshots and data keys ---


async def test_a_snapshot_replaces_the_events_before_it(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(SKU, 0, "a", "b")))
    await owner.store(one(append(SKU, 2, "c", snapshot=b'{"n":3}')))
    assert await record(journal, SKU) == Record(3, b'{"n":3}', ())
    await owner.store(one(append(SKU, 3, "d")))
    assert await record(journal, SKU) == Record(4, b'{"n":3}', tuple(events("d")))
    await owner.store(one(append(SKU, 4, snapshot=b'{"n":4}')))
    assert await record(journal, SKU) == Record(4, b'{"n":4}', ())
    assert plain(await owner.store(one(append(SKU, 1, "x")))) == Stored((Refused(0, None),))


async def test_bytes_come_back_as_they_were(journal: AnyJournal) -> None:
    owner = await take(journal)
    odd = [bytes(range(256)).replace(b"\n", b""), b"", 'x/1 {"a":"ünï\\n"}'.encode()]
    await owner.store(one(replace(append(ORDER, 0), events=odd)))
    await owner.store(one(append(SKU, 0, snapshot=bytes(range(256)))))
    assert list((await record(journal, ORDER)).events) == odd
    assert (await record(journal, SKU)).snapshot == bytes(range(256))


async def test_a_data_key_is_written_once(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "placed", data_key="first")))
    await owner.store(one(append(ORDER, 1, "x", data_key="second")))
    assert (await record(journal, ORDER)).data_key == "first"


async def test_a_commit_of_many_groups(journal: AnyJournal) -> None:
    owner = await take(journal)
    orders = [Address("order", f"ord_{n}") for n in range(600)]
    groups = [
        one(
            append(order, 0, "a", "b", due=Due(n, pending=n % 2 == 0)),
            append(Address("orchestrator", order.id), 0, "c"),
        )
        for n, order in enumerate(orders)
    ]
    assert await owner.store(*groups) == Stored()
    assert {found.version for found in await journal.load(SHARD, orders)} == {2}
    assert len(await journal.due(SHARD, 10_000, 10_000)) == 600
