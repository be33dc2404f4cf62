"""What a request costs the gateway: CPU of one gateway process whose actors answer at once.

What is left out is the router and what lies behind it; what is in is uvicorn, FastAPI's routing, the key, the body,
the catalogue (warm), sealing, the order's view, and the answer. The client is a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import orjson
import uvloop
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from actors.adapters.aesgcm_sealer import AesGcmSealer
from actors.runtime.envelope import Reply, Status
from gateway.app import create
from gateway.auth import hash_of
from gateway.server import listen, serve
from gateway.services import Services
from models.decision import Address, Command, Rejected
from models.order.decide import decide
from models.order.evolve import evolve
from models.order.state import Order
from models.order.view import view
from models.record import changed
from scripts.bench.measuring import Bar, show

KEY = "bench"
CONNECTIONS = 32
SHARDS = 64
CPU_PATH = "/bench/cpu"
LINES = [{"product": "mug", "quantity": 2}, {"product": "hat", "quantity": 1, "unit_amount": 1999}]
BODY = json.dumps(
    {
        "customer": {"email": "ann@example.com", "name": "Ann Lee", "phone": "+44 1134 960000"},
        "shipping_address": {"line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"},
        "payment_method": "pm_card_visa",
        "currency": "gbp",
        "lines": LINES,
    }
).encode()


@dataclass(frozen=True)
class Row:
    """One kind of request. `cpu_ms` is the gateway's, per request."""

    request: str
    requests_per_second: float
    cpu_ms: float


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

    async def ask(self, to: Address, command: Command, *, data_key: str = "", **_more: Any) -> Reply:
        assert to.kind == "order", to
        if "order" not in self._replies:
            decision = decide(Order(), changed(command, at=time.time_ns() // 1_000_000))
            assert not isinstance(decision, Rejected), decision
            order = Order()
            for happened in decision.events:
                order = evolve(order, happened)
            self._replies["order"] = Reply(Status.OK, orjson.dumps(view(order)), 1, data_key)
        return self._replies["order"]

    def asking(self, to: Address, command: Command, **more: Any) -> asyncio.Future[Reply]:
        return asyncio.ensure_future(self.ask(to, command, **more))

    async def read(self, to: Address) -> Reply:
        return self._replies[to.kind]

    async def read_many(self, addresses: Iterable[Address]) -> Sequence[Reply]:
        return [self._replies[address.kind] for address in addresses]


def run(requests: int = 10_000) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # so that its death ends our waiting
    try:
        port: int = ours.recv()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(_measure(port, requests))
    finally:
        process.terminate()
        process.join()
    return show("gateway", rows)


def _serve(port: Connection) -> None:
    async def cpu(_request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(time.process_time()))

    async def main() -> None:
        sealer = AesGcmSealer([os.urandom(32)], os.urandom(32))
        app = create(Services(Instant(), SHARDS, sealer, lambda: time.time_ns() // 1_000_000))
        app.add_route(CPU_PATH, cpu)
        listener = listen("127.0.0.1", 0)
        await serve(listener, app, lambda: port.send(listener.getsockname()[1]))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def _measure(port: int, requests: int) -> list[Row]:
    kinds = (("GET /healthz", _get("/healthz")), ("POST /v1/orders", _post()))
    rows = [await _row(port, name, request, requests) for name, request in kinds]
    placed = await _exchange(port, _post())
    order = json.loads(placed.partition(b"\r\n\r\n")[2])["id"]
    return [*rows, await _row(port, "GET /v1/orders/{id}", _get(f"/v1/orders/{order}"), requests)]


async def _row(port: int, name: str, request: bytes, requests: int) -> Row:
    await _send(port, request, CONNECTIONS * 10)  # warm
    cpu, began = await _cpu_s(port), time.perf_counter()
    await _send(port, request, requests)
    seconds = time.perf_counter() - began
    return Row(name, requests / seconds, 1000 * (await _cpu_s(port) - cpu) / requests)


async def _cpu_s(port: int) -> float:
    return float((await _exchange(port, _get(CPU_PATH))).partition(b"\r\n\r\n")[2])


async def _send(port: int, request: bytes, requests: int) -> None:
    left = iter(range(requests))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            await _answer(reader, writer, request)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))


async def _exchange(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await _answer(reader, writer, request)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head[9:10] == b"2", head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()


def _post() -> bytes:
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\nPrefer: wait=10\r\n"
        f"Idempotency-Key: bench-1\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


if __name__ == "__main__":
    run()
