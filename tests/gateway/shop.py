"""A whole shop in one event loop: the real gateway on the real runtime, journal in memory, simulated payments.

Nothing is faked but the journal and the payments, so what these tests see is what a client sees. Every answer is held
against the published OpenAPI document on its way. `Shop.stored` counts
every event in the journal: a refusal must leave it as it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from actors.adapters.aesgcm_sealer import AesGcmSealer
from actors.adapters.simulated_payments import SimulatedPayments
from actors.kinds import KINDS
from actors.parking import park
from actors.runtime.envelope import Status
from actors.runtime.host import HostCore
from actors.runtime.local_journal import MemoryJournal, MemoryStore
from actors.runtime.local_transport import LocalTransport
from actors.runtime.ports import Cell, Placement
from actors.runtime.router import Router
from gateway.app import create
from gateway.auth import hash_of
from gateway.context import Gateway
from gateway.limits import GATEWAY_LIMITS, GatewayLimits
from gateway.services import Services, StripeEvents
from models.decision import Address
from models.keyring import KEYRING, CreateKey, Role
from models.orchestrator.messages import PaymentAnswered
from tests.gateway.published import published

SHARDS = 4
MASTER_KEY = b"m" * 32
DIGEST_KEY = b"d" * 32

Json = dict[str, Any]
Client = httpx.AsyncClient

ORDER: Json = {
    "customer": {"email": "ann@example.com", "name": "Ann Lee", "phone": "+44 1134 960000"},
    "shipping_address": {"line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"},
    "payment_method": "pm_card_visa",
    "currency": "gbp",
    "lines": [{"product": "mug", "quantity": 2}],
}


def order_of(*lines: tuple[str, int], **fields: Any) -> Json:
    """An order of (product, quantity) lines; `mug` alone if none are given."""
    body: Json = {**ORDER, **fields}
    if lines:
        body["lines"] = [{"product": product, "quantity": quantity} for product, quantity in lines]
    return body


class Wall:
    """The wall clock, which a test may set ahead."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


class Shop:
    """Retailers `acme` and `bolt`; suppliers `north` (auto) and `south` (manual); ops. Keys are `<role>-<name>`."""

    def __init__(self, limits: GatewayLimits = GATEWAY_LIMITS, stripe: StripeEvents | None = None) -> None:
        self.wall = Wall()
        self.store = MemoryStore()
        self.transport = LocalTransport()
        self.router = Router(
            self.transport,
            self,
            name="gateway",
            shards=SHARDS,
            wall=self.wall,
            homes={kind.name: kind.home for kind in KINDS.values() if kind.home},
        )
        self.payments = SimulatedPayments(lambda answer: PaymentAnswered(answer=answer), latency_ms=0, now=self.wall)
        self.host = HostCore(
            KINDS,
            MemoryJournal(self.store, now=self.wall, stream_kinds=frozenset({"order"})),
            {"payments": self.payments},
            owner="host#1",
            shards=SHARDS,
            wall=self.wall,
            tell=self.router.tell,
            park=park,
        )
        self.sealer = AesGcmSealer([MASTER_KEY], DIGEST_KEY)
        self.services = Services(
            router=self.router,
            shards=SHARDS,
            sealer=self.sealer,
            wall=self.wall,
            limits=limits,
            stripe=stripe,
        )
        self._clients: list[Client] = []
        self.serve()

    def serve(self, **changes: Any) -> None:
        """Begin anew with a gateway that knows nothing yet, on services with these changes."""
        self.services = replace(self.services, **changes)
        self.app = create(replace(self.services, metrics=CollectorRegistry()))

    @property
    def gateway(self) -> Gateway:
        """The gateway behind the application."""
        found: Gateway = self.app.state.gateway
        return found

    async def placement(self) -> Placement:
        return Placement(1, ["host"] * SHARDS)

    async def host_of(self, cell: Cell) -> str:
        return "host"

    async def open(self) -> None:
        await self.host.start()
        self.transport.add("host", self.host.deliver)
        for shard in range(SHARDS):
            await self.host.own(Cell(shard))
        await self.router.start()
        for role, name in (
            ("ops", "olga"),
            ("retailer", "acme"),
            ("retailer", "bolt"),
            ("supplier", "north"),
            ("supplier", "south"),
        ):
            await self.key(role, name)  # type: ignore[arg-type]

    async def key(self, role: Role, name: str) -> None:
        key = f"{role}-{name}"
        made = CreateKey(id=f"key_{key}", role=role, name=name, hash=hash_of(key))
        assert (await self.router.ask(KEYRING, made)).status is Status.OK

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
        await self.router.close()
        await self.host.close()
        await self.payments.close()

    # --- clients ------------------------------------------------------------------------------------------------------

    def client(self, key: str = "", **headers: str) -> Client:
        if key:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(self.app)
        hooks = {"response": [published().check]}
        client = Client(transport=transport, base_url="http://dray", headers=headers, timeout=20, event_hooks=hooks)
        self._clients.append(client)
        return client

    @property
    def ops(self) -> Client:
        return self.client("ops-olga")

    @property
    def acme(self) -> Client:
        return self.client("retailer-acme")

    @property
    def bolt(self) -> Client:
        return self.client("retailer-bolt")

    @property
    def north(self) -> Client:
        return self.client("supplier-north")

    @property
    def south(self) -> Client:
        return self.client("supplier-south")

    # --- the catalogue ------------------------------------------------------------------------------------------------

    async def stocked(self) -> None:
        """`mug` and `hat` by north at 1000 and 500, `map` by south at 700; 100 of each in stock; adopted by acme."""
        ops, acme = self.ops, self.acme
        await ok(ops.put("/v1/suppliers/north", json={"name": "North", "stripe_account": "acct_north"}))
        terms = {"name": "South", "mode": "manual", "cancellation_policy": {"fee_bps": 2500}}
        await ok(ops.put("/v1/suppliers/south", json=terms))
        await ok(ops.put("/v1/brands/brio", json={"name": "Brio", "stripe_account": "acct_brio"}))
        await ok(ops.put("/v1/retailers/acme", json={"name": "Acme"}))
        for product, supplier, amount in (("mug", "north", 1000), ("hat", "north", 500), ("map", "south", 700)):
            await ok(ops.put(f"/v1/products/{product}", json={"title": product, "brand": "brio", "currency": "gbp"}))
            offer = {
                "sku": product.upper(),
                "unit_amount": amount,
                "split": {"brand": 1000, "supplier": 6000, "retailer": 2000},
            }
            await ok(ops.put(f"/v1/products/{product}/offers/{supplier}", json=offer))
            await ok(ops.post(f"/v1/inventory/{product.upper()}/receipts", json={"quantity": 100}), 201)
            await ok(acme.put(f"/v1/adoptions/{product}", json={"supplier": supplier}))

    async def placed(self, body: Json | None = None, wait_s: int = 10, key: str = "") -> Json:
        """An order of acme's, as far as it gets by itself."""
        headers = {"prefer": f"wait={wait_s}"}
        if key:
            headers["idempotency-key"] = key
        return await ok(self.acme.post("/v1/orders", json=body or ORDER, headers=headers), 202)

    async def until(self, client: Client, path: str, true: Callable[[Json], bool]) -> Json:
        """Read until it is so."""
        found: Json = {}
        for _ in range(400):
            found = await ok(client.get(path))
            if true(found):
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(f"{path} never came to it: {found}")

    async def offered(self, *lines: tuple[str, int], **fields: Any) -> Json:
        """An order of acme's whose part by south is on offer."""
        placed = await self.placed(order_of(*lines, **fields), wait_s=0)
        return await self.until(
            self.ops,
            f"/v1/orders/{placed['id']}",
            lambda order: any(
                part["supplier"] == "south" and part["task_status"] == "offered" for part in order["consignments"]
            ),
        )

    async def at_rest(self, order: Json) -> None:
        """Wait until nothing more is under way for the order."""
        for _ in range(400):
            if not any(due.pending for shard in self.store.contents.shards.values() for due in shard.due.values()):
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{order['id']} never came to rest")

    @property
    def stored(self) -> int:
        """How many events the journal has accepted."""
        return sum(actor.version for shard in self.store.contents.shards.values() for actor in shard.actors.values())


async def ok(request: Coroutine[Any, Any, httpx.Response], status: int = 200) -> Json:
    """The answer's JSON, after a look at its status."""
    answer = await request
    assert answer.status_code == status, (answer.status_code, answer.text)
    found: Json = answer.json() if answer.content else {}
    return found


async def refused(request: Coroutine[Any, Any, httpx.Response], status: int, code: str) -> Json:
    """The problem, after a look at its status, code and type."""
    answer = await request
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: Json = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    return problem


def in_shop(
    story: Callable[[Shop], Coroutine[Any, Any, None]],
    *,
    limits: GatewayLimits = GATEWAY_LIMITS,
    stripe: StripeEvents | None = None,
    stocked: bool = True,
) -> None:
    """Run a story in a shop of its own."""

    async def run() -> None:
        shop = Shop(limits, stripe)
        await shop.open()
        try:
            if stocked:
                await shop.stocked()
            await asyncio.wait_for(story(shop), 30)
        finally:
            await shop.close()

    asyncio.run(run())


def order_address(order: Json) -> Address:
    return Address("order", order["id"])
