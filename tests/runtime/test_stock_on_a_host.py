"""A hot SKU on a real host: its snapshots, its journal and its memory tell the same story, whoever owns it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from actors.kinds import KINDS
from actors.runtime.codec import replay
from actors.runtime.envelope import Status
from actors.runtime.host import HostCore
from actors.runtime.local_journal import MemoryJournal, MemoryStore
from actors.runtime.local_transport import LocalTransport
from actors.runtime.parking import Poison
from actors.runtime.ports import Cell, Placement, Record
from actors.runtime.router import Router
from models.decision import Address, Send
from models.identity import shard_of
from models.sku import ClaimSku, ConfirmReservation, ReceiveStock, ReleaseReservation, Reserve

MUG = Address("sku", "MUG")
SHARDS = 2
ORDERS = 1_200


def order(number: int) -> str:
    return f"ord_{number % SHARDS:03x}{number:032x}"


def about(number: int) -> dict[str, Any]:
    return {"sku": "MUG", "order": order(number), "reply_to": Address("orchestrator", order(number))}


class Shop:
    """One journal; hosts come one after the other, each owning everything."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.transport = LocalTransport()
        self.now = 1_700_000_000_000
        self.host: HostCore | None = None
        self.version = 0
        self.parked: list[Poison] = []
        self.router = self._router("gateway")
        self._routers = [self.router]

    def _router(self, name: str) -> Router:
        homes = {kind.name: kind.home for kind in KINDS.values() if kind.home}
        return Router(self.transport, self, name=name, shards=SHARDS, wall=self.wall, homes=homes)

    def wall(self) -> int:
        return self.now

    def _park(self, poison: Poison) -> tuple[Send, ...]:
        self.parked.append(poison)
        return ()

    async def placement(self) -> Placement:
        return Placement(self.version, [f"h{self.version}"] * SHARDS)

    async def host_of(self, cell: Cell) -> str:
        raise AssertionError(f"nothing is dedicated here, {cell} least of all")

    def journal(self) -> MemoryJournal:
        return MemoryJournal(self.store, now=self.wall)

    async def take_over(self) -> None:
        """A new host owns everything; the one before is killed, not stopped."""
        before = f"h{self.version}"
        self.version += 1
        name = f"h{self.version}"
        router = self._router(name)
        self._routers.append(router)
        host = HostCore(
            KINDS,
            self.journal(),
            {},
            owner=name,
            shards=SHARDS,
            wall=self.wall,
            tell=router.tell,
            park=self._park,
        )
        await host.start()
        self.transport.add(name, host.deliver)
        if self.host is not None:
            self.transport.remove(before)
            await self.host.close()
        self.host = host
        for shard in range(SHARDS):
            await host.own(Cell(shard))
        await router.start()

    async def record(self, address: Address) -> Record:
        (found,) = await self.journal().load(Cell(shard_of(address, SHARDS)), [address])
        return found

    async def close(self) -> None:
        if self.host is not None:
            await self.host.close()
        for router in self._routers:
            await router.close()


def in_shop(story: Callable[[Shop], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        shop = Shop()
        await shop.take_over()
        await shop.router.start()
        try:
            await asyncio.wait_for(story(shop), 30)
            assert not shop.parked
        finally:
            await shop.close()

    asyncio.run(run())


async def stocked(shop: Shop, quantity: int) -> None:
    assert (await shop.router.ask(MUG, ClaimSku(sku="MUG", supplier="north"))).status is Status.OK
    receipt = ReceiveStock(sku="MUG", quantity=quantity)
    assert (await shop.router.ask(MUG, receipt, command_id="r1", digest="d")).status is Status.OK


def test_a_hot_sku_comes_back_from_snapshot_and_tail_as_it_was() -> None:
    async def story(shop: Shop) -> None:
        await stocked(shop, 1_000)
        ask = shop.router.ask
        await asyncio.gather(*(ask(MUG, Reserve(**about(n), quantity=1)) for n in range(ORDERS)))
        await asyncio.gather(*(ask(MUG, ConfirmReservation(**about(n))) for n in range(400)))
        await asyncio.gather(*(ask(MUG, ReleaseReservation(**about(n))) for n in range(400, 500)))
        before = await shop.router.read(MUG)
        assert json.loads(before.body) == {
            "sku": "MUG", "supplier": "north", "received": 1_000, "available": 100, "reserved": 500, "sold": 400,
        }  # fmt: skip
        record = await shop.record(MUG)
        assert record.snapshot is not None
        assert len(record.events) < record.version == before.version

        await shop.take_over()
        after = await shop.router.read(MUG)
        assert (after.body, after.version) == (before.body, before.version)
        late = await shop.router.ask(MUG, Reserve(**about(7), quantity=1))
        assert late.version == before.version, "a repeat is answered from its row, on the new host as well"
        state, _ = replay(KINDS["sku"], record.snapshot, record.events)
        assert (state.received, state.available, state.reserved, state.sold) == (1_000, 100, 500, 400)

    in_shop(story)


def test_a_receipt_counts_once_whoever_owns_the_sku() -> None:
    async def story(shop: Shop) -> None:
        await stocked(shop, 5)
        await shop.take_over()
        again = await shop.router.ask(MUG, ReceiveStock(sku="MUG", quantity=5), command_id="r1", digest="d")
        assert (again.replayed, json.loads(again.body)["received"]) == (True, 5)
        other = await shop.router.ask(MUG, ReceiveStock(sku="MUG", quantity=5), command_id="r2", digest="d")
        assert (other.replayed, json.loads(other.body)["received"]) == (False, 10)

    in_shop(story)
