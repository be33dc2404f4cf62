"""What every journal promises to a projector, which asks about all shards at once: the same as asked one by one."""

from __future__ import annotations

from actors.runtime.ports import Append, Cell, Commit, Group, Stored
from models.decision import Address
from models.identity import order_id
from tests.contract.journal_backends import AnyJournal, Backend

SHARDS = (0, 3, 12)
NOBODY = 7


def address(shard: int, number: int) -> Address:
    return Address("order", order_id(shard, number, bytes(10)))


async def fill(journal: AnyJournal) -> None:
    """Three entries in the stream of each shard but one, each of an order of its own; the last one has no key."""
    for shard in (*SHARDS, NOBODY):
        await journal.stream_open(shard)
    for shard in SHARDS:
        owner = await journal.acquire(Cell(shard), "A")
        for number in (1, 2, 3):
            key = "" if number == 3 else f"key {shard} {number}"
            append = Append(address(shard, number), 0, [b"a/1 {}", b"b/1 {}"], data_key=key)
            saga = Append(Address("orchestrator", address(shard, number).id), 0, [b"c/1 {}"], snapshot=b"{}")
            commit = Commit(owner.cell, owner.epoch, "A", number, [Group([append, saga])])
            assert await journal.commit([commit]) == [Stored()]


async def test_streams_are_read_and_trimmed_together(journal_backend: Backend) -> None:
    stream = await journal_backend.follow()
    await fill(stream)
    places = {0: 0, 3: 2, 12: 3, NOBODY: 0}
    found = await stream.stream_read_all(places, 2)
    assert {shard: [entry.sequence for entry in entries] for shard, entries in found.items()} == {0: [1, 2], 3: [3]}
    assert found == {shard: await stream.stream_read(shard, places[shard], 2) for shard in (0, 3)}
    await stream.stream_trim_all({0: 1, 12: 3})
    left = await stream.stream_read_all(dict.fromkeys(places, 0), 9)
    assert {shard: [one.sequence for one in entries] for shard, entries in left.items()} == {0: [2, 3], 3: [1, 2, 3]}
    await stream.stream_trim_all({})
    assert await stream.stream_read_all({}, 9) == {}


async def test_data_keys_come_for_all_shards(journal_backend: Backend) -> None:
    stream = await journal_backend.follow()
    await fill(stream)
    assert await stream.data_keys_all({
        0: [address(0, 2), address(0, 3)], 3: [], 12: [address(12, 9), address(12, 1)],
    }) == {
        address(0, 2): "key 0 2", address(0, 3): "", address(12, 9): "", address(12, 1): "key 12 1",
    }  # fmt: skip


async def test_everything_stored_is_listed_by_shard(journal_backend: Backend) -> None:
    stream = await journal_backend.follow()
    await fill(stream)
    found = await stream.addresses_all([0, 12, NOBODY])
    assert set(found) == {0, 12, NOBODY}
    for shard, addresses in found.items():
        assert sorted(addresses) == sorted(await stream.addresses(shard))
    assert len(found[12]) == 6 and not found[NOBODY]
    assert await stream.addresses_all([]) == {}
