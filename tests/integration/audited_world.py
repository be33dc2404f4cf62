"""A small world that the audit finds nothing wrong with, to be broken one fault at a time.

Made by the real gateway and actors on a real Redis, with simulated payments and their ledger; what clients were told is
in a book of receipts.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from actors.adapters.redis_journal import RedisJournal
from actors.adapters.simulated_payments import SimulatedPayments
from actors.kinds import KINDS
from actors.parking import park
from actors.runtime.host import HostCore
from models.decision import Address
from models.identity import shard_of
from models.orchestrator.messages import PaymentAnswered
from scripts import redis_server
from scripts.audit.findings import Findings
from scripts.audit.run import Case, audit
from scripts.load.receipts import Receipt, ReceiptBook
from tests.gateway.shop import SHARDS, Json, Shop, ok, order_of

RUN = "w0"
PINS = 36
"""Orders of one SKU: enough for a snapshot of it."""


class JournalledShop(Shop):
    """The shop on a Redis, with a payment ledger and receipts."""

    def __init__(self, url: str, data: Path) -> None:
        super().__init__()
        self.journal = RedisJournal(url)
        ledger = data / "simulated-ledger.jsonl"
        self.payments = SimulatedPayments(lambda answer: PaymentAnswered(answer=answer), 0, ledger, self.wall)
        self.host = HostCore(
            KINDS, self.journal, {"payments": self.payments}, owner="host#1", shards=SHARDS, wall=self.wall,
            tell=self.router.tell, park=park,
        )  # fmt: skip
        self.book = ReceiptBook(data / "receipts" / RUN / "0.jsonl", RUN)
        self.orders: dict[str, str] = {}
        self._posted = 0

    async def open(self) -> None:
        await self.journal.open()
        await self.journal.claim(SHARDS)
        await super().open()

    async def close(self) -> None:
        await super().close()
        await self.journal.close()
        self.book.close()

    async def buy(self, name: str, *lines: tuple[str, int], wait_s: int = 10, **fields: Any) -> Json:
        """Place an order with a key, twice, and keep what was answered."""
        key = f"{RUN}-{self._posted}"
        self._posted += 1
        body = order_of(*lines, metadata={"load": key}, **fields)
        found: Json = {}
        for _ in range(2):
            found = await self.placed(body, wait_s, key)
            told = (found["id"], found["status"], found["cancel_reason"] or "", found["version"])
            self.book.add(Receipt(RUN, key, "place", 202, *told))
        self.orders[name] = found["id"]
        return found

    async def live(self) -> None:
        """Everything that may become of an order."""
        await self.buy("confirmed", ("mug", 2), ("hat", 1))
        await self.buy("declined", ("mug", 1), payment_method="pm_card_visa_chargeDeclined")
        await self.buy("short", ("mug", 1_000))
        cancelled = await self.buy("cancelled", ("mug", 3))
        await ok(self.acme.post(f"/v1/orders/{cancelled['id']}/cancel", json={"reason": "no more"}), 202)
        refunded = await self.buy("refunded", ("hat", 5))
        await ok(self.acme.post(f"/v1/orders/{refunded['id']}/refunds", json={"amount": 777}), 201)
        await self.buy("offered", ("map", 1), wait_s=0)
        accepted = await self.buy("accepted", ("map", 2), ("mug", 1), wait_s=0)
        path, task = f"/v1/orders/{accepted['id']}", f"tsk_{accepted['id'][4:]}_1"
        await self.until(self.ops, path, lambda order: order["consignments"][0]["task_status"] == "offered")
        await ok(self.south.post(f"/v1/tasks/{task}/accept", json={}))
        for number in range(PINS):
            await self.buy(f"pin-{number}", ("pin", 1))

    async def stocked(self) -> None:
        await super().stocked()
        await ok(self.ops.put("/v1/products/pin", json={"title": "pin", "brand": "brio", "currency": "gbp"}))
        offer = {"sku": "PIN", "unit_amount": 10, "split": {"brand": 3333, "supplier": 3333, "retailer": 3333}}
        await ok(self.ops.put("/v1/products/pin/offers/north", json=offer))
        await ok(self.ops.post("/v1/inventory/PIN/receipts", json={"quantity": 1_000}), 201)
        await ok(self.acme.put("/v1/adoptions/pin", json={"supplier": "north"}))


def make(data: Path) -> dict[str, str]:
    """Make the world in a data directory; the orders by name."""
    server = redis_server.start(data)
    try:
        return asyncio.run(_make(server.url, data))
    finally:
        server.stop()


async def _make(url: str, data: Path) -> dict[str, str]:
    shop = JournalledShop(url, data)
    await shop.open()
    try:
        await shop.stocked()
        await asyncio.wait_for(shop.live(), 60)
        for _ in range(400):
            pending = [await shop.journal.pending(cell, None, 1) for cell in shop.host.cells]
            if not any(pending):
                break
            await asyncio.sleep(0.01)
    finally:
        await shop.close()
    return shop.orders


@dataclass
class World:
    """A copy of the world, with its Redis running."""

    data: Path
    url: str
    redis: redis.Redis
    orders: dict[str, str]

    def audit(self, *, running: bool = False, receipts: bool = True) -> Findings:
        books = (self.data / "receipts" / RUN,) if receipts else ()
        return asyncio.run(audit(Case(self.url, self.data, books, running, settle_s=0.6)))

    # --- handles for planting ---

    def events(self, kind: str, id_: str) -> str:
        """The key of an actor's event list."""
        return f"{{s{shard_of(Address(kind, id_), SHARDS)}}}:e:{kind}:{id_}"

    def append(self, kind: str, id_: str, name: str, **fields: Any) -> None:
        at = time.time_ns() // 1_000_000
        self.redis.rpush(self.events(kind, id_), f"{name} {json.dumps({'at': at, **fields})}")

    def rewrite(self, kind: str, id_: str, change: Callable[[str, Json], Json | None]) -> None:
        """Pass every event through `change` (name, fields); None drops it."""
        key = self.events(kind, id_)
        stored = [line.decode().split(" ", 1) for line in self.redis.lrange(key, 0, -1)]
        kept = [(name, fields) for name, body in stored if (fields := change(name, json.loads(body))) is not None]
        assert [(name, json.loads(body)) for name, body in stored] != kept, "nothing was planted"
        self.redis.delete(key)
        for name, fields in kept:
            self.redis.rpush(key, f"{name} {json.dumps(fields)}")

    def relist(self, path: str, change: Callable[[list[Any]], list[Any] | None]) -> None:
        """Pass every line of a ledger or a book of receipts through `change`; None drops it."""
        file = self.data / path
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        kept = [after for line in lines if (after := change(list(line))) is not None]
        assert kept != lines, "nothing was planted"
        file.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def ledger(self, *lines: list[Any]) -> None:
        with (self.data / "simulated-ledger.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def receipt(self, *lines: Receipt) -> None:
        with (self.data / "receipts" / RUN / "0.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


@contextmanager
def copied(original: Path, data: Path, orders: dict[str, str]) -> Iterator[World]:
    """A copy that may be broken."""
    shutil.copytree(original, data, ignore=shutil.ignore_patterns("*.sock", "lock", "running.json"))
    server = redis_server.start(data)
    client = redis.Redis(unix_socket_path=server.socket_path)
    try:
        yield World(data, server.url, client, orders)
    finally:
        client.close()
        server.stop()
