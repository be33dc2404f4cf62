"""What every journal promises, whatever it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import pytest

from actors.runtime.ports import (
    Append,
    Cell,
    Commit,
    CommitResult,
    DueEntry,
    Fenced,
    Group,
    Guard,
    JournalMismatch,
    Ownership,
    Record,
    Refused,
    Stored,
    WentBack,
)
from models.decision import Address, Due
from scripts.redis_server import RunningRedis
from tests.contract.journal_backends import AnyJournal, Backend, backend_names, empty_backend, serve

SHARD = Cell(17)
ORDER = Address("order", "ord_1")
SAGA = Address("orchestrator", "ord_1")
SKU = Address("sku", "HOT-1")
HOT = Cell(17, "sku:HOT-1")
HOUR_MS = 3_600_000


@pytest.fixture(scope="module", params=backend_names())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRedis | None]:
    yield from serve(request.param, tmp_path_factory.mktemp("journal"))


@pytest.fixture
async def backend(server: RunningRedis | None) -> AsyncIterator[Backend]:
    async with empty_backend(server) as empty:
        yield empty


@pytest.fixture
async def journal(backend: Backend) -> AnyJournal:
    return await backend.connect()


def events(*names: str) -> list[bytes]:
    return [f'{name}/1 {{"at":1}}'.encode() for name in names]


def append(address: Address, version: int, *names: str, due: Due | None = None, **more: object) -> Append:
    made = Append(address, version, events(*names), due=due, due_changed=due is not None)
    return replace(made, **more)  # type: ignore[arg-type]


def one(*appends: Append, guard: Guard | None = None) -> Group:
    return Group(list(appends), guard)


class Owner:
    """An owner that numbers its commits."""

    def __init__(self, journal: AnyJournal, ownership: Ownership) -> None:
        self.journal = journal
        self.epoch = ownership.epoch
        self.cell, self.name, self.number = ownership.cell, ownership.owner, ownership.number

    def next(self, *groups: Group) -> Commit:
        self.number += 1
        return Commit(self.cell, self.epoch, self.name, self.number, groups)

    async def store(self, *groups: Group) -> CommitResult:
        return await self.send(self.next(*groups))

    async def send(self, commit: Commit) -> CommitResult:
        (result,) = await self.journal.commit([commit])
        return result


async def take(journal: AnyJournal, name: str = "A", cell: Cell = SHARD) -> Owner:
    return Owner(journal, await journal.acquire(cell, name))


async def record(journal: AnyJournal, address: Address, cell: Cell = SHARD) -> Record:
    (found,) = await journal.load(cell, [address])
    return found


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
    assert _plain(await owner.send(commit)) == expected
    assert _plain(await owner.send(commit)) == expected
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


async def test_several_processes_share_a_journal(backend: Backend) -> None:
    here, there = await backend.connect(), await backend.connect()
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
    assert _plain(await owner.store(bad, good)) == Stored((Refused(0, None),))
    order, saga, sku = await journal.load(SHARD, [ORDER, SAGA, SKU])
    assert (order.version, order.snapshot, order.data_key, saga.version, sku.version) == (0, None, "", 1, 1)
    assert list(await journal.due(SHARD, 10, 10)) == [DueEntry(SAGA, Due(9, pending=False))]


@pytest.mark.parametrize("expected", [0, 1, 3, 99])
async def test_a_version_must_match_exactly(journal: AnyJournal, expected: int) -> None:
    owner = await take(journal)
    await owner.store(one(append(ORDER, 0, "a", "b")))
    assert _plain(await owner.store(one(append(ORDER, expected, "c")))) == Stored((Refused(0, None),))
    assert list((await record(journal, ORDER)).events) == events("a", "b")


async def test_a_version_is_checked_even_without_events(journal: AnyJournal) -> None:
    owner = await take(journal)
    wrong = one(append(ORDER, 3, due=Due(1, pending=True)))
    assert _plain(await owner.store(wrong)) == Stored((Refused(0, None),))
    assert list(await journal.pending(SHARD, None, 10)) == []


async def test_later_groups_build_on_earlier_ones(journal: AnyJournal) -> None:
    owner = await take(journal)
    result = await owner.store(
        one(append(ORDER, 0, "a")),
        one(append(ORDER, 9, "never"), append(SAGA, 0, "never")),
        one(append(ORDER, 1, "b", snapshot=b"S")),
        one(append(ORDER, 2, "c")),
    )
    assert _plain(result) == Stored((Refused(1, None),))
    found = await record(journal, ORDER)
    assert (found.version, found.snapshot, list(found.events)) == (3, b"S", events("c"))
    assert (await record(journal, SAGA)).version == 0


async def test_a_guard_lets_one_group_through(journal: AnyJournal) -> None:
    owner = await take(journal)
    first = one(append(ORDER, 0, "placed"), guard=Guard("key", 'ord_1 "ü', HOUR_MS))
    twin = one(append(SAGA, 0, "placed"), guard=Guard("key", "ord_2", HOUR_MS))
    assert _plain(await owner.store(first, twin)) == Stored((Refused(1, 'ord_1 "ü'),))
    assert _plain(await owner.store(twin)) == Stored((Refused(0, 'ord_1 "ü'),))
    assert (await record(journal, SAGA)).version == 0


async def test_a_taken_guard_says_more_than_a_wrong_version(journal: AnyJournal) -> None:
    owner = await take(journal)
    placing = one(append(ORDER, 0, "placed"), guard=Guard("key", "ord_1", HOUR_MS))
    assert await owner.store(placing) == Stored()
    assert _plain(await owner.store(placing)) == Stored((Refused(0, "ord_1"),))


async def test_a_guard_belongs_to_its_shard(journal: AnyJournal) -> None:
    for shard in (1, 2):
        owner = await take(journal, cell=Cell(shard))
        assert await owner.store(one(append(ORDER, 0, "placed"), guard=Guard("key", "v", HOUR_MS))) == Stored()


async def test_a_guard_is_not_kept_for_a_group_that_was_refused(journal: AnyJournal) -> None:
    owner = await take(journal)
    refused = one(append(ORDER, 4, "placed"), guard=Guard("key", "v", HOUR_MS))
    assert _plain(await owner.store(refused)) == Stored((Refused(0, None),))
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
    assert _plain(await owner.store(one(append(SKU, 1, "x")))) == Stored((Refused(0, None),))


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
    assert _plain(await owner.store(one(append(ORDER, 1, forget=True)))) == Stored((Refused(0, None),))
    assert (await record(journal, ORDER)).version == 2
    assert _plain(await owner.store(forgotten, late)) == Stored((Refused(1, None),))
    assert list(await journal.load(SHARD, [ORDER, SAGA])) == [Record(0, None, ())] * 2
    assert list(await journal.due(SHARD, 99, 9)) == []
    assert list(await journal.addresses(17)) == []
    restored = append(ORDER, 0, "a", "b", data_key="K", restored=True)
    assert await owner.store(one(restored), one(append(ORDER, 2, "late"))) == Stored()
    assert await record(journal, ORDER) == Record(3, None, tuple(events("a", "b", "late")), "K")
    streamed = [part for entry in await journal.stream_read(17, 0, 9) for part in _appends(entry.appends)]
    assert streamed == [(ORDER, 0, events("a", "b")), (ORDER, 2, events("late"))]


async def test_only_the_owner_can_forget(journal: AnyJournal) -> None:
    owner = await take(journal, "A")
    await owner.store(one(append(ORDER, 0, "a")))
    await take(journal, "B")
    assert await owner.store(one(append(ORDER, 1, forget=True))) == Fenced()
    assert (await record(journal, ORDER)).version == 1


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


async def test_the_shard_count_is_fixed_at_first_start(backend: Backend) -> None:
    first, second = await backend.connect(), await backend.connect()
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
    await owner.store(one(append(SKU, 1, "e")))
    assert [entry.sequence for entry in await journal.stream_read(17, 0, 10)] == [3]


def _appends(found: Sequence[tuple[Address, int, Sequence[bytes]]]) -> list[tuple[Address, int, list[bytes]]]:
    return [(address, version, list(names)) for address, version, names in found]


def _plain(result: CommitResult) -> CommitResult:
    return Stored(tuple(result.refused)) if isinstance(result, Stored) else result
