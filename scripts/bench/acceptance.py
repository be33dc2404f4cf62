"""Acceptance alone: POST to a durable 202, beside a bare FastAPI POST of the same bodies, in one run.

One gateway process on each side, the same client, the same connections. Dray's payments never answer here, so that no
saga goes on behind the 202; all that the 202 promises is done: validation, the catalogue, sealing, the commit.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvloop
from fastapi import FastAPI

from gateway.schemas.orders import OrderRequest
from gateway.server import listen, serve
from scripts import client, run_state
from scripts.bench.measuring import NEVER_MS, show, system
from scripts.load import catalogue
from scripts.load.latencies import Latencies
from scripts.load.orders import Orders
from scripts.load.plan import Plan
from scripts.load.wire import Pool
from scripts.settings import Settings

CONNECTIONS = 64
WARM_UP = 400
ORDERS_MAX = 2_800
"""Two hosts take 4,000 orders whose sagas have only begun, and refuse more: these never get on."""


@dataclass(frozen=True)
class Row:
    what: str
    posts_per_second: float
    p50_ms: float
    p99_ms: float
    share_of_bare: float


def run(orders: int = ORDERS_MAX) -> list[Row]:
    """Measure both; print a table and a JSON line."""
    orders = min(orders, ORDERS_MAX)
    with system(simulated_latency_ms=NEVER_MS) as settings:
        drawn = asyncio.run(prepare(settings))
        dray = _posted(settings, drawn, orders, run_state.running(settings).url)
        bare = _bare(settings, drawn, orders)
    rows = [
        Row(what, rate, latencies.percentile_ms(0.5), latencies.percentile_ms(0.99), rate / bare[0])
        for what, (rate, latencies) in (("bare FastAPI", bare), ("Dray, durable", dray))
    ]
    show("acceptance", rows)
    return rows


async def prepare(settings: Settings) -> catalogue.Catalogue:
    drawn = catalogue.drawn(Plan(), client.Keys.of(settings), "bench")
    async with client.connected(client.locator(settings)) as api:
        await catalogue.make(api, drawn, Plan(), run_state.running(settings))
    return drawn


def _posted(settings: Settings, drawn: catalogue.Catalogue, orders: int, url: str) -> tuple[float, Latencies]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_post(drawn, WARM_UP, url, f"warm{time.time_ns()}"))
        return runner.run(_post(drawn, orders, url, f"run{time.time_ns()}"))


async def _post(drawn: catalogue.Catalogue, orders: int, url: str, run_: str) -> tuple[float, Latencies]:
    """Orders per second and latencies of plain posts over CONNECTIONS connections."""
    made = Orders(Plan(), drawn, url.removeprefix("http://"), run_, 0)
    pool = Pool(lambda: url, CONNECTIONS)
    latencies = Latencies()
    left = iter(range(orders))

    async def buy() -> None:
        for number in left:
            request = made.make(number).plain
            began = time.perf_counter()
            answer = await pool.ask(request)
            latencies.record(time.perf_counter() - began)
            assert answer.status == 202, answer.body

    began = time.perf_counter()
    await asyncio.gather(*(buy() for _ in range(CONNECTIONS)))
    took = time.perf_counter() - began
    await pool.close()
    return orders / took, latencies


# --- the other side --------------------------------------------------------------------------------------------------


def _bare(settings: Settings, drawn: catalogue.Catalogue, orders: int) -> tuple[float, Latencies]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        return _posted(settings, drawn, orders, f"http://127.0.0.1:{ours.recv()}")
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection) -> None:
    listener = listen("127.0.0.1", 0)
    tell: Callable[[], None] = lambda: ready.send(listener.getsockname()[1])  # noqa: E731
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(listener, bare_app(), tell))


def bare_app() -> FastAPI:
    """The least that a FastAPI application can do with an order: validate it and answer."""
    app = FastAPI()

    @app.post("/v1/orders", status_code=202)
    async def place(order: OrderRequest) -> dict[str, Any]:
        return {"id": "ord_0", "status": "pending", "lines": len(order.lines)}

    return app
