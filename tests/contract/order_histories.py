"""Whole lives of orders as the journal has them, for tests of the read side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from actors.runtime.local_journal import MemoryJournal
from actors.runtime.ports import Append, Cell, Commit, Group, Ownership, Stored
from models.decision import Address
from models.identity import order_id
from models.order.messages import CancelOrder, DispatchConsignment, RefundOrder, StartConsignment, Tracking
from tests.models.order_world import ORDER_ID, World, a_world, an_order

START = 1_700_000_000_000
SHARDS = 4


class Life(NamedTuple):
    """An order's id and its stored events."""

    id: str
    events: Sequence[bytes]

    @property
    def shard(self) -> int:
        return int(self.id[4:7], 16)


def _confirmed(world: World) -> None:
    world.pump()


def _cancelled(world: World) -> None:
    world.pump()
    world.tell(CancelOrder(by="retailer:acme", reason="changed my mind"))
    world.pump()


def _refunded(world: World) -> None:
    world.pump()
    world.tell(RefundOrder(by="ops:olga", refund=f"rfd_{ORDER_ID[4:]}_1", amount=500))
    world.pump()


def _dispatched(world: World) -> None:
    world.pump()
    world.tell(StartConsignment(by="supplier:north", consignment=1))
    world.tell(DispatchConsignment(by="supplier:north", consignment=1, tracking=Tracking("DHL", "1", "")))
    world.pump()


STORIES = (_confirmed, _cancelled, _refunded, _dispatched)


@cache
def _story(number: int, retailer: str) -> tuple[bytes, ...]:
    world = a_world()
    world.tell(
        an_order(
            retailer=retailer, sealed="c2VhbGVk", email_digest=f"mail-{retailer}-{number % 3}",
            search_digests=(f"{retailer}-ann", f"{retailer}-lee"),
        )
    )  # fmt: skip
    STORIES[number](world)
    return tuple(world.journal[Address("order", ORDER_ID)])


def life(number: int) -> Life:
    """The life of order `number`: retailers, shards and stories take turns."""
    made = order_id(number % SHARDS, START + number // 3, number.to_bytes(10, "big"))
    stored = _story(number % len(STORIES), ("acme", "bolt")[number % 5 == 0])
    placed = START + number // 3  # several orders share a millisecond
    told = [event.replace(ORDER_ID[4:].encode(), made[4:].encode()) for event in stored]
    told[0] = _at(told[0], placed)
    return Life(made, told)


def _at(event: bytes, at: int) -> bytes:
    head, _, rest = event.partition(b'"at":')
    return head + b'"at":%d' % at + rest[rest.index(b",") :]


class Writer:
    """Stores events as hosts do: in commits of one shard each, several orders in a commit."""

    def __init__(self, journal: MemoryJournal) -> None:
        self.journal = journal
        self._owners: dict[int, Ownership] = {}
        self._versions: dict[str, int] = {}

    async def add(self, *parts: tuple[Life, int]) -> None:
        """The next `n` events of each life, all of one shard, in one commit."""
        shard = parts[0][0].shard
        owner = self._owners.get(shard) or await self.journal.acquire(Cell(shard), "writer")
        appends = []
        for life_, count in parts:
            before = self._versions.get(life_.id, 0)
            events = life_.events[before : before + count]
            if events:
                key = "" if before else f"key of {life_.id}"
                appends.append(Append(Address("order", life_.id), before, events, data_key=key))
                self._versions[life_.id] = before + len(events)
        owner = owner._replace(number=owner.number + 1)
        commit = Commit(owner.cell, owner.epoch, owner.owner, owner.number, [Group([append]) for append in appends])
        (result,) = await self.journal.commit([commit])
        assert result == Stored()
        self._owners[shard] = owner

    def done(self, life_: Life) -> bool:
        return self._versions.get(life_.id, 0) == len(life_.events)
