"""NDJSON batch intake: many orders in one request, streamed both ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import orjson

from scripts import client, run_state
from scripts.bench.acceptance import WARM_UP, prepare
from scripts.bench.measuring import NEVER_MS, NO_LIMIT, Bar, show, system
from scripts.load.catalogue import Catalogue
from scripts.load.orders import Orders
from scripts.load.plan import Plan

CONNECTIONS = 4
LINES_PER_CHUNK = 100


@dataclass(frozen=True)
class Row:
    requests: int
    lines: int
    accepted: int
    orders_per_second: float


def run(orders: int = 40_000) -> list[Bar]:
    """Measure with payments that never answer, so that it is intake alone; print a table and a JSON line. Raises
    AssertionError if a line was not accepted."""
    with system(simulated_latency_ms=NEVER_MS, arrivals_max=NO_LIMIT) as settings:
        drawn = asyncio.run(prepare(settings))
        url = run_state.running(settings).url
        asyncio.run(_send(url, drawn, WARM_UP, "warm"))
        accepted, seconds = asyncio.run(_send(url, drawn, orders, "bench"))
    sent = orders // CONNECTIONS * CONNECTIONS
    assert accepted == sent, f"{accepted} of {sent} lines were accepted"
    row = Row(CONNECTIONS, sent, accepted, accepted / seconds)
    return show("batch", [row], [Bar("orders accepted/s in batches", row.orders_per_second, 5_000)])


async def _send(url: str, drawn: Catalogue, orders: int, run_: str) -> tuple[int, float]:
    """How many were accepted, and in how many seconds."""
    headers = {"Authorization": f"Bearer {drawn.retailer_key}", "Content-Type": "application/x-ndjson"}
    bodies = [_chunks(drawn, orders // CONNECTIONS, f"{run_}{number}") for number in range(CONNECTIONS)]
    began = time.perf_counter()
    timeout = aiohttp.ClientTimeout(total=client.PATIENCE_S)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        counts = await asyncio.gather(*(_one(session, url, chunks) for chunks in bodies))
    return sum(counts), time.perf_counter() - began


async def _one(session: aiohttp.ClientSession, url: str, chunks: list[bytes]) -> int:
    async with session.post(f"{url}/v1/orders/batch", data=_stream(chunks)) as answer:
        accepted, rest = 0, b""
        async for received in answer.content.iter_any():
            *lines, rest = (rest + received).split(b"\n")
            accepted += sum(b'"status":202' in line[:40] for line in lines)
        return accepted


async def _stream(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _chunks(drawn: Catalogue, orders: int, run_: str) -> list[bytes]:
    """Lines made beforehand: the client is not what is measured."""
    made = Orders(Plan(), drawn, "x", run_, 0)
    lines = []
    for number in range(orders):
        request = made.make(number)
        body = orjson.loads(request.plain.partition(b"\r\n\r\n")[2])
        lines.append(orjson.dumps({**body, "idempotency_key": request.key}) + b"\n")
    return [b"".join(lines[first : first + LINES_PER_CHUNK]) for first in range(0, orders, LINES_PER_CHUNK)]
