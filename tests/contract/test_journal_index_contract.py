"""What every journal promises beside its commits: the due index, dedicated cells, leases, the stream, the archive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from actors.runtime.ports import (
    Cell,
    DueEntry,
    Fenced,
    JournalMismatch,
    Record,
    Refused,
    Stored,
)
from models.decision import Address, Due
from tests.contract.journal_backends import AnyJournal, Backend
from tests.contract.journal_turns import HOT, HOUR_MS, ORDER, SAGA, SHARD, SKU, append, events, one, plain, record, take

FOREVER = 4_102_444_800_000

# --- the archive and erasure ---


async def test_an_archived_actor_is_forgotten_at_its_version_and_restored_later(journal: AnyJournal) -> None:
    await journal.stream_open(17)
    owner = await take(journal)
    due = Due(5, pending=False)
    await owner.store(
        one(append(ORDER, 0, "a", "b", due=due, data_key="K"), append(SAGA, 0, "c", snapshot=b"S", due=due))
    )
    forgotten = one(append(ORDER, 2, forget=True), append(SAGA, 1, forget=True))
    late = one(append(ORDER, 2, "late"))
    assert plain(await owner.store(one(append(ORDER, 1, forget=True)))) == Stored((Refused(0, None),))
    assert (await record(journal, ORDER)).version == 2
    assert plain(await owner.store(forgotten, late)) == Stored((Refused(1, None),))
    assert list(await journal.load(SHARD, [ORDER, SAGA])) == [Record(0, None, ())] * 2
    assert list(await journal.due(SHARD, 99, 9)) == []
    assert list(await journal.addresses(17)) == []
    restored = append(ORDER, 0, "a", "b", "late", data_key="K", due=due, restored=2)
    unchanged = append(Address("order", "ord_2"), 0, "x", restored=1)
    refused = append(ORDER, 0, "a", "b", snapshot=b"S", due=due, data_key="L", restored=2)
    assert plain(await owner.store(one(restored), one(unchanged), one(refused))) == Stored((Refused(2, None),))
    assert await record(journal, ORDER) == Record(3, None, tuple(events("a", "b", "late")), "K")
    assert await owner.store(one(append(ORDER, 3, "later"))) == Stored()
    streamed = [part for entry in await journal.stream_read(17, 0, 9) for part in _appends(entry.appends)]
    assert streamed == [(ORDER, 0, events("a", "b")), (ORDER, 2, events("late")), (ORDER, 3, events("later"))]


async def test_a_forgotten_actor_can_leave_its_timer(journal: AnyJournal) -> None:
    owner = await take(journal)
    timer = Due(7_200_000, pending=False)
    await owner.store(one(append(ORDER, 0, "a"), append(SAGA, 0, "b", due=timer)))
    refused = append(SAGA, 7, forget=True, due=Due(1, pending=False))
    leaving = one(append(ORDER, 1, forget=True), append(SAGA, 1, forget=True, due=timer))
    assert plain(await owner.store(one(refused), leaving)) == Stored((Refused(0, None),))
    assert list(await journal.load(SHARD, [ORDER, SAGA])) == [Record(0, None, ())] * 2
    assert list(await journal.due(SHARD, FOREVER, 9)) == [DueEntry(SAGA, timer)]


async def test_timers_are_paged_by_time(journal: AnyJournal) -> None:
    owner = await take(journal)
    for at, address in enumerate((SAGA, ORDER, SKU)):
        await owner.store(one(append(address, 0, due=Due(100 + at, pending=False))))
    other = Address("orchestrator", "ord_2")
    await owner.store(one(append(other, 0, due=Due(101, pending=True))))
    await owner.store(one(append(Address("orchestrator", "ord_3"), 0, due_changed=True)))
    found = list(await journal.timers(SHARD, 99, 0, 9))
    assert [(entry.address, entry.due.at) for entry in found] == [(SAGA, 100), (ORDER, 101), (SKU, 102)]
    assert list(await journal.timers(SHARD, 100, 0, 9)) == found[1:]
    assert list(await journal.timers(SHARD, 99, 1, 1)) == found[1:2]
    assert list(await journal.timers(HOT, 0, 0, 9)) == found[2:]
    assert list(await journal.timers(HOT, 102, 0, 9)) == []


async def test_only_the_owner_can_forget(journal: AnyJournal) -> None:
    owner = await take(journal, "A")
    await owner.store(one(append(ORDER, 0, "a")))
    await take(journal, "B")
    assert await owner.store(one(append(ORDER, 1, forget=True))) == Fenced()
    assert (await record(journal, ORDER)).version == 1


async def test_who_has_nothing_due_is_found_by_how_long_it_is_quiet(journal: AnyJournal) -> None:
    owner = await take(journal)
    busy = Due(5, pending=True)
    others = [Address("orchestrator", f"ord_{n}") for n in (2, 3)]
    await owner.store(*[one(append(saga, 0, "a", due=busy)) for saga in (SAGA, *others)])
    assert list(await journal.quiet(SHARD, FOREVER, 0, 9)) == []
    for saga in (others[0], SAGA, others[1]):
        await owner.store(one(append(saga, 1, "b", due_changed=True)), one(append(SKU, 0, due_changed=True)))
        await asyncio.sleep(0.002)
    await owner.store(one(append(others[0], 2, due_changed=True)))
    found = list(await journal.quiet(SHARD, FOREVER, 0, 9))
    assert [entry.address for entry in found] == [SAGA, others[1], others[0]]
    assert list(await journal.quiet(SHARD, found[1].since, 0, 9)) == found[:2]
    assert list(await journal.quiet(SHARD, found[1].since, 1, 9)) == found[1:2]
    assert list(await journal.quiet(SHARD, FOREVER, 0, 1)) == found[:1]
    assert list(await journal.quiet(Cell(17, str(ORDER)), FOREVER, 0, 9)) == found[:1]
    assert list(await journal.quiet(Cell(17, str(ORDER)), found[0].since - 1, 0, 9)) == []
    assert list(await journal.quiet(HOT, FOREVER, 0, 9)) == []
    # Being quiet is no business of whoever looks for work, and ends with it.
    assert list(await journal.due(SHARD, FOREVER, 9)) == list(await journal.pending(SHARD, None, 9)) == []
    assert list(await journal.due(Cell(17, str(ORDER)), FOREVER, 9)) == []
    await owner.store(one(append(SAGA, 2, due=busy)), one(append(others[1], 2, forget=True)))
    assert [entry.address for entry in await journal.quiet(SHARD, FOREVER, 0, 9)] == [others[0]]


async def test_it_is_known_how_far_a_stream_is_trimmed(journal: AnyJournal) -> None:
    owner = await take(journal)
    assert await journal.stream_passed(17, 0)
    await journal.stream_open(17)
    for version in range(3):
        await owner.store(one(append(ORDER, version, "a")))
    assert await journal.stream_position(17) == 3
    assert not await journal.stream_passed(17, 3)
    await journal.stream_trim(17, 2)
    assert await journal.stream_passed(17, 2)
    assert not await journal.stream_passed(17, 3)
    await journal.stream_trim(17, 3)
    assert await journal.stream_passed(17, 3)


async def test_every_actor_can_be_found(journal: AnyJournal) -> None:
    owner, other = await take(journal), await take(journal, cell=Cell(1))
    await other.store(one(append(Address("order", "elsewhere"), 0, "a")))
    await owner.store(
        one(append(ORDER, 0, "a")),
        one(append(SKU, 0, "a", snapshot=b"S")),
        one(append(SAGA, 0, due=Due(1, pending=True))),
    )
    assert sorted(await journal.addresses(17)) == [ORDER, SKU]


async def test_an_erased_data_key_is_gone_for_good(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "a", data_key="K"), append(SAGA, 0, "a", data_key="L")))
    await journal.erase_data_keys(17, [ORDER, Address("order", "stranger")])
    await journal.erase_data_keys(17, [])
    assert [found.data_key for found in await journal.load(SHARD, [ORDER, SAGA])] == ["", "L"]


# --- the due index ---


async def test_due_entries_are_set_moved_and_removed(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(
        one(append(ORDER, 0, due=Due(300, pending=False)), append(SAGA, 0, due=Due(100, pending=True))),
        one(append(SKU, 0, due=Due(200, pending=False))),
    )
    assert list(await journal.due(SHARD, 99, 10)) == []
    entries = [
        DueEntry(SAGA, Due(100, pending=True)),
        DueEntry(SKU, Due(200, pending=False)),
        DueEntry(ORDER, Due(300, pending=False)),
    ]
    assert list(await journal.due(SHARD, 300, 10)) == entries
    assert list(await journal.due(SHARD, 300, 2)) == entries[:2]
    assert list(await journal.pending(SHARD, None, 10)) == entries[:1]
    # One is removed, one moves later, one becomes pending.
    await owner.store(
        one(append(SAGA, 0, due_changed=True)),
        one(append(SKU, 0, due=Due(400, pending=False))),
        one(append(ORDER, 0, due=Due(50, pending=True))),
    )
    assert list(await journal.due(SHARD, 1_000, 10)) == [
        DueEntry(ORDER, Due(50, pending=True)),
        DueEntry(SKU, Due(400, pending=False)),
    ]
    assert list(await journal.pending(SHARD, None, 10)) == [DueEntry(ORDER, Due(50, pending=True))]
    # And it stays as it is when nothing is said about it.
    await owner.store(one(append(ORDER, 0, "x")))
    assert list(await journal.pending(SHARD, None, 10)) == [DueEntry(ORDER, Due(50, pending=True))]


async def test_the_last_word_of_a_commit_about_an_entry_counts(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(
        one(append(ORDER, 0, "a", due=Due(1, pending=True))),
        one(append(ORDER, 1, "b", due_changed=True)),
        one(append(SAGA, 0, "a", due_changed=True)),
        one(append(SAGA, 1, "b", due=Due(2, pending=True))),
        one(append(SAGA, 7, "refused", due_changed=True)),
    )
    assert list(await journal.due(SHARD, 10, 10)) == [DueEntry(SAGA, Due(2, pending=True))]


async def test_times_are_exact(journal: AnyJournal) -> None:
    owner = await take(journal)
    at = 4_102_444_800_123  # in the year 2100
    await owner.store(one(append(ORDER, 0, due=Due(at, pending=True))))
    await owner.store(one(append(SAGA, 0, due=Due(at, pending=False))))
    assert list(await journal.due(SHARD, at - 1, 10)) == []
    both = [DueEntry(SAGA, Due(at, pending=False)), DueEntry(ORDER, Due(at, pending=True))]
    assert list(await journal.due(SHARD, at, 10)) == both
    assert list(await journal.due(SHARD, at, 1)) == both[:1]
    assert list(await journal.pending(SHARD, None, 10)) == [DueEntry(ORDER, Due(at, pending=True))]


async def test_pending_pages_hold_each_pending_actor_once_though_entries_move_meanwhile(journal: AnyJournal) -> None:
    owner = await take(journal)
    pending = [Address("orchestrator", f"ord_{n:03}") for n in range(25)]
    timers = [Address("order", f"ord_{n:03}") for n in range(25)]
    await owner.store(*[one(append(a, 0, due=Due(1_000 - n, pending=True))) for n, a in enumerate(pending)])
    await owner.store(*[one(append(a, 0, due=Due(n, pending=False))) for n, a in enumerate(timers)])
    seen: list[Address] = []
    after: Address | None = None
    while page := await journal.pending(SHARD, after, 7):
        assert len(page) <= 7
        seen += [entry.address for entry in page]
        after = page[-1].address
        await owner.store(*[one(append(entry.address, 0, due=Due(9_000, pending=True))) for entry in page])
    assert sorted(seen) == pending


# --- dedicated cells ---


async def test_a_dedicated_actor_has_an_owner_of_its_own(journal: AnyJournal) -> None:
    pooled = await take(journal, "A")
    await pooled.store(
        one(append(SKU, 0, "a", due=Due(5, pending=True))), one(append(ORDER, 0, due=Due(6, pending=True)))
    )
    hot = await take(journal, "H", HOT)
    assert (await record(journal, SKU, HOT)).version == 1
    assert await hot.store(one(append(SKU, 1, "b"))) == Stored()
    assert list(await journal.due(HOT, 10, 10)) == [DueEntry(SKU, Due(5, pending=True))]
    assert list(await journal.due(HOT, 4, 10)) == []
    assert list(await journal.pending(HOT, None, 10)) == [DueEntry(SKU, Due(5, pending=True))]
    assert list(await journal.pending(HOT, SKU, 10)) == []
    assert len(await journal.pending(SHARD, None, 10)) == 2, "who wakes the shard wakes the dedicated in it, too"


async def test_becoming_dedicated_fences_the_pooled_owner_once(journal: AnyJournal) -> None:
    pooled = await take(journal, "A")
    await take(journal, "H", HOT)
    assert await pooled.store(one(append(SKU, 0, "a"))) == Fenced()
    again = await take(journal, "A")
    hot = await take(journal, "H2", HOT)
    assert await again.store(one(append(ORDER, 0, "a"))) == Stored()
    assert await hot.store(one(append(SKU, 0, "a"))) == Stored()


async def test_a_pooled_owner_that_loads_a_dedicated_actor_ends_its_dedication(journal: AnyJournal) -> None:
    hot = await take(journal, "H", HOT)
    await hot.store(one(append(SKU, 0, "a")))
    pooled = await take(journal, "A")
    await journal.load(SHARD, [ORDER])
    assert await hot.store(one(append(SKU, 1, "b"))) == Stored()
    assert (await record(journal, SKU)).version == 2
    assert await hot.store(one(append(SKU, 2, "c"))) == Fenced()
    assert await pooled.store(one(append(SKU, 2, "c"))) == Stored()
    anew = await take(journal, "H", HOT)
    assert anew.epoch > hot.epoch
    assert (await record(journal, SKU, HOT)).version == 3


async def test_a_dedicated_order_takes_its_orchestrator_with_it(journal: AnyJournal) -> None:
    cell = Cell(17, str(ORDER))
    mine = await take(journal, "H", cell)
    saga = append(SAGA, 0, "b", due=Due(5, pending=True))
    assert await mine.store(one(append(ORDER, 0, "a"), saga)) == Stored()
    assert list(await journal.pending(cell, None, 10)) == [DueEntry(SAGA, Due(5, pending=True))]
    await take(journal, "A")
    await journal.load(SHARD, [SAGA])
    assert await mine.store(one(append(ORDER, 1, "c"))) == Fenced()


# --- leases, the system, the stream ---


async def test_a_lease_runs_out(journal: AnyJournal) -> None:
    assert await journal.lease_of("A") == 0
    await journal.renew("A", HOUR_MS)
    assert 0 < await journal.lease_of("A") <= HOUR_MS
    await journal.renew("A", 20)
    await asyncio.sleep(0.05)
    assert await journal.lease_of("A") == 0


async def test_the_shard_count_is_fixed_at_first_start(journal_backend: Backend) -> None:
    first, second = await journal_backend.connect(), await journal_backend.connect()
    await first.claim(64)
    await second.claim(64)
    with pytest.raises(JournalMismatch, match="made with 64 shards, not 32"):
        await second.claim(32)


async def test_the_stream_holds_the_shards_events_in_order_once_it_is_open(journal: AnyJournal) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "before")))
    await journal.stream_open(17)
    refused = one(append(ORDER, 9, "refused"))
    await owner.store(
        one(append(ORDER, 1, "a", "b"), append(SAGA, 0, "not streamed")), refused, one(append(SKU, 0, "c"))
    )
    await owner.store(one(append(SAGA, 1, "not streamed")))
    await journal.stream_open(17)
    await owner.store(one(append(ORDER, 3, "d", snapshot=b"S")))
    first, second = await journal.stream_read(17, 0, 10)
    assert (first.sequence, second.sequence) == (1, 2)
    assert _appends(first.appends) == [(ORDER, 1, events("a", "b")), (SKU, 0, events("c"))]
    assert _appends(second.appends) == [(ORDER, 3, events("d"))]
    assert [entry.sequence for entry in await journal.stream_read(17, 1, 10)] == [2]
    assert [entry.sequence for entry in await journal.stream_read(17, 0, 1)] == [1]
    await journal.stream_trim(17, 1)
    assert [entry.sequence for entry in await journal.stream_read(17, 0, 10)] == [2]
    await journal.stream_trim(17, 2)
    assert await journal.stream_position(17) == 2
    await owner.store(one(append(SKU, 1, "e")))
    assert [entry.sequence for entry in await journal.stream_read(17, 0, 10)] == [3]


def _appends(found: Sequence[tuple[Address, int, Sequence[bytes]]]) -> list[tuple[Address, int, list[bytes]]]:
    return [(address, version, list(names)) for address, version, names in found]
