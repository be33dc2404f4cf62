"""What a request costs the gateway: CPU of one gateway process whose actors answer at once.

What is left out is the router and what lies behind it; what is in is uvicorn, FastAPI's routing, the key, the body,
the catalogue (warm), sealing, the order's view, and the answer. The client is a process of its own. The gateway runs
compiled where that of a system would (`--compiled`, DRAY_COMPILED).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop

from scripts.bench.instant_gateway import CPU_PATH, KEY
from scripts.bench.measuring import Bar, measured_environment, show

CONNECTIONS = 32
BATCH_LINES = 100
ANSWER_BYTES_MAX = 2**22
LINES = [{"product": "mug", "quantity": 2}, {"product": "hat", "quantity": 1, "unit_amount": 1999}]
ORDER = {
    "customer": {"email": "ann@example.com", "name": "Ann Lee", "phone": "+44 1134 960000"},
    "shipping_address": {"line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"},
    "payment_method": "pm_card_visa",
    "currency": "gbp",
    "lines": LINES,
}


@dataclass(frozen=True)
class Row:
    """One kind of request. `cpu_ms` is the gateway's, per request; of a batch, each line counts as one."""

    request: str
    requests_per_second: float
    cpu_ms: float


def run(requests: int = 10_000) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    with _gateway() as port, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return show("gateway", runner.run(_measure(port, requests)))


@contextmanager
def _gateway() -> Iterator[int]:
    """Its port. Raises EOFError if it cannot be started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.bench.instant_gateway"], stdout=subprocess.PIPE, text=True,
        env=measured_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise EOFError("the gateway has not started")
        yield int(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def _measure(port: int, requests: int) -> list[Row]:
    kinds = (("GET /healthz", _get("/healthz")), ("POST /v1/orders", _post()))
    rows = [await _row(port, name, request, requests) for name, request in kinds]
    placed = await _exchange(port, _post())
    order = json.loads(placed.partition(b"\r\n\r\n")[2])["id"]
    rows.append(await _row(port, "GET /v1/orders/{id}", _get(f"/v1/orders/{order}"), requests))
    return [*rows, await _row(port, "a line of POST /v1/orders/batch", _batch(), requests, BATCH_LINES)]


async def _row(port: int, name: str, request: bytes, requests: int, each: int = 1) -> Row:
    """each: so many requests is one of these."""
    await _send(port, request, CONNECTIONS * 10 // each + 1)  # warm
    cpu, began = await _cpu_s(port), time.perf_counter()
    sent = requests // each
    await _send(port, request, sent)
    seconds = time.perf_counter() - began
    return Row(name, sent * each / seconds, 1000 * (await _cpu_s(port) - cpu) / (sent * each))


async def _cpu_s(port: int) -> float:
    return float((await _exchange(port, _get(CPU_PATH))).partition(b"\r\n\r\n")[2])


async def _send(port: int, request: bytes, requests: int) -> None:
    left = iter(range(requests))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=ANSWER_BYTES_MAX)
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
    if b"transfer-encoding: chunked" in head:
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
        assert body.count(b'"status":202,"order"') == BATCH_LINES, body
        return head + body
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()


def _post() -> bytes:
    more = "Prefer: wait=10\r\nIdempotency-Key: bench-1\r\n"
    return _posted("/v1/orders", "application/json", json.dumps(ORDER).encode(), more)


def _batch() -> bytes:
    lines = [json.dumps({**ORDER, "idempotency_key": f"line-{number}"}).encode() for number in range(BATCH_LINES)]
    return _posted("/v1/orders/batch", "application/x-ndjson", b"\n".join(lines))


def _posted(path: str, content_type: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {KEY}\r\n{more}"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    run()
