"""Acceptance alone: POST to a durable 202, beside a bare FastAPI POST of the same bodies, in one run.

One gateway process on each side, the same client, the same connections. Dray's payments never answer here, so that no
saga goes on behind the 202; all that the 202 promises is done: validation, the catalogue, sealing, the commit. Such
orders stay under way for ever, and hosts would refuse more after 2,000 each: that limit is lifted (DRAY_ARRIVALS_MAX),
so that the rate is one that lasts, with everything that piles up meanwhile.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from gateway.schemas.orders import OrderRequest
from gateway.server import listen
from scripts import client, run_state
from scripts.bench.measuring import NEVER_MS, NO_LIMIT, Bar, show, system
from scripts.load import catalogue
from scripts.load.latencies import Latencies
from scripts.load.orders import Orders
from scripts.load.plan import Plan
from scripts.load.wire import Pool
from scripts.settings import Settings

CONNECTIONS = 64
WARM_UP = 400


@dataclass(frozen=True)
class Row:
    what: str
    posts_per_second: float
    p50_ms: float
    p99_ms: float
    share_of_bare: float


def run(orders: int = 25_000) -> list[Bar]:
    """Measure both; print a table and a JSON line."""
    with system(simulated_latency_ms=NEVER_MS, arrivals_max=NO_LIMIT) as settings:
        drawn = asyncio.run(prepare(settings))
        dray = _posted(settings, drawn, orders, run_state.running(settings).url)
        bare = _bare(settings, drawn, orders)
    rows = [
        Row(what, rate, latencies.percentile_ms(0.5), latencies.percentile_ms(0.99), rate / bare[0])
        for what, (rate, latencies) in (("bare FastAPI", bare), ("Dray, durable", dray))
    ]
    return show("acceptance", rows, [Bar("share of a bare FastAPI POST", rows[1].share_of_bare, 0.5)])


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
    theirs.close()  # so that its death ends our waiting
    try:
        return _posted(settings, drawn, orders, f"http://127.0.0.1:{ours.recv()}")
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection) -> None:
    """By uvicorn as it is, on uvloop and httptools."""
    listener = listen("127.0.0.1", 0)
    ready.send(listener.getsockname()[1])  # it listens already
    config = uvicorn.Config(bare_app(), loop="uvloop", http="httptools", lifespan="off", log_config=None)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))


def bare_app() -> FastAPI:
    """The least that a FastAPI application can do with an order: validate it and answer."""
    app = FastAPI()

    @app.post("/v1/orders", status_code=202)
    async def place(order: OrderRequest) -> dict[str, Any]:
        return {"id": "ord_0", "status": "pending", "lines": len(order.lines)}

    return app
