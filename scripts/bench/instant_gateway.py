"""A gateway process whose actors answer at once, for `scripts.bench.gateway`. Prints its port once it serves."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import uvloop
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from actors.adapters.aesgcm_sealer import AesGcmSealer
from actors.runtime.envelope import Reply, Status
from gateway.app import create
from gateway.auth import hash_of
from gateway.limits import GATEWAY_LIMITS
from gateway.server import listen, serve
from gateway.services import Services
from models.decision import Address, Command, Rejected
from models.order.decide import decide
from models.order.evolve import evolve
from models.order.state import Order
from models.order.view import view
from models.record import changed

KEY = "bench"
SHARDS = 64
CPU_PATH = "/bench/cpu"
NO_LIMIT = 1e9


class Instant:
    """Actors that answer at once: the catalogue from a table, every order like the first."""

    def __init__(self) -> None:
        split = {"brand": 1000, "supplier": 6000, "retailer": 2000}
        offer = {"sku": "SKU", "unit_amount": 1000, "split": split}
        product = {"id": "mug", "title": "Mug", "brand": "brio", "currency": "gbp", "offers": {"north": offer}}
        key = {"id": "key_1", "role": "retailer", "name": "acme", "hash": hash_of(KEY), "revoked_at": None}
        views: dict[str, Any] = {
            "keyring": {"keys": [key]},
            "product": product,
            "adoption": {"retailer": "acme", "product": "mug", "supplier": "north", "unit_amount": None},
            "supplier": {"stripe_account": "acct_1", "cancellation_policy": {"fee_bps": 0}},
            "brand": {"stripe_account": None},
            "retailer": {"stripe_account": None},
        }
        self._replies = {kind: Reply(Status.OK, orjson.dumps(found)) for kind, found in views.items()}

    async def ask(self, to: Address, command: Command, **more: Any) -> Reply:
        return await self.asking(to, command, **more)

    def asking(
        self, to: Address, command: Command, *, data_key: str = "", **_more: Any
    ) -> asyncio.Future[Reply]:
        assert to.kind == "order", to
        if "order" not in self._replies:
            decision = decide(Order(), changed(command, at=time.time_ns() // 1_000_000))
            assert not isinstance(decision, Rejected), decision
            order = Order()
            for happened in decision.events:
                order = evolve(order, happened)
            self._replies["order"] = Reply(Status.OK, orjson.dumps(view(order)), 1, data_key)
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        answered.set_result(self._replies["order"])
        return answered

    async def read(self, to: Address) -> Reply:
        return self._replies[to.kind]

    async def read_many(self, addresses: Iterable[Address]) -> Sequence[Reply]:
        return [self._replies[address.kind] for address in addresses]


def main() -> None:
    """Serve until killed."""

    async def cpu(_request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(time.process_time()))

    async def served() -> None:
        sealer = AesGcmSealer([os.urandom(32)], os.urandom(32))
        limits = replace(GATEWAY_LIMITS, requests_per_second_max=NO_LIMIT, requests_burst_max=NO_LIMIT)
        app = create(Services(Instant(), SHARDS, sealer, lambda: time.time_ns() // 1_000_000, limits=limits))
        app.add_route(CPU_PATH, cpu)
        listener = listen("127.0.0.1", 0)
        await serve(listener, app, lambda: print(listener.getsockname()[1], flush=True))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(served())


if __name__ == "__main__":
    main()
