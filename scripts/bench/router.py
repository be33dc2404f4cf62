"""The way to an actor and back: router, Ray, host and a turn that reads, measured from a driver of the system's Ray."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import uvloop

from actors.runtime.envelope import Status
from models.decision import Address
from scripts import run_state
from scripts.bench.measuring import Bar, load, show, system
from scripts.load.latencies import Latencies
from scripts.settings import Settings
from scripts.spec import spec_of
from scripts.supervision import ray_head

IN_FLIGHT = (1, 16, 256)


@dataclass(frozen=True)
class Row:
    in_flight: int
    reads_per_second: float
    p50_ms: float
    p99_ms: float
    driver_cpu_us: float


def run(orders: int = 20_000) -> list[Bar]:
    """Measure `orders` reads (fewer where one waits for the other); print a table and a JSON line."""
    context = multiprocessing.get_context("spawn")  # Ray reads the environment when it is imported
    with system() as settings:
        load(settings, orders=200, in_flight=16)
        before = dict(os.environ)
        os.environ.update(ray_head.environment(settings.ray_token))
        try:
            with ProcessPoolExecutor(1, context) as pool:
                rows = pool.submit(_in_driver, settings, orders).result()
        finally:
            os.environ.clear()
            os.environ.update(before)
    return show("router", rows)


def _in_driver(settings: Settings, reads: int) -> list[Row]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_measure(settings, reads))


async def _measure(settings: Settings, reads: int) -> list[Row]:
    from actors.adapters import ray_cluster
    from scripts.composition import Reach

    state = run_state.running(settings)
    ray_cluster.join(state.ray)
    reach = Reach(spec_of(settings, state.redis, state.stripe_url), "bench")
    await reach.open()
    try:
        return [await _read(reach.router, in_flight, max(500, reads * in_flight // 256)) for in_flight in IN_FLIGHT]
    finally:
        await reach.close()
        ray_cluster.leave()


async def _read(router: Any, in_flight: int, reads: int) -> Row:
    latencies = Latencies()
    left = iter(range(reads))
    addresses = [Address("sku", f"LOAD-REGULAR-{number:05d}") for number in range(100)]

    async def ask() -> None:
        for number in left:
            began = time.perf_counter()
            reply = await router.read(addresses[number % len(addresses)])
            latencies.record(time.perf_counter() - began)
            assert reply.status is Status.OK, reply

    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(in_flight)))
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    return Row(
        in_flight, reads / took, latencies.percentile_ms(0.5), latencies.percentile_ms(0.99), spent / reads * 1e6
    )
