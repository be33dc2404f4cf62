"""Cold activation, and starting again after a crash: everything is killed, started anew, and every order is read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvloop

from scripts import client, run_state
from scripts.bench.measuring import Bar, load, show, system
from scripts.load.latencies import Latencies
from scripts.load.receipts import read_receipts
from scripts.load.wire import Pool
from scripts.settings import Settings, flag_of
from scripts.supervision.detached import detach
from scripts.supervision.temporary import DidNotStart

IN_FLIGHT = 64


@dataclass(frozen=True)
class Row:
    """ready_s: from `up` to accepting orders, after the crash."""

    what: str
    orders: int
    log_mb: float
    ready_s: float
    reads_per_second: float
    p50_ms: float
    p99_ms: float


def run(orders: int = 5_000) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    with system() as settings:
        measured = load(settings, orders=orders, in_flight=128)
        log = settings.data / "redis" / "appendonly.aof"
        log_mb = log.stat().st_size / 1e6 if log.exists() else 0.0
        names = sorted({receipt.order for receipt in read_receipts(Path(measured.receipts)) if receipt.order})
        _kill(settings)
        ready_s = start_again(settings)
        rows = [
            Row(what, len(names), log_mb, ready_s, rate, latencies.percentile_ms(0.5), latencies.percentile_ms(0.99))
            for what in ("cold, after a crash", "warm")
            for rate, latencies in [read_all(settings, names)]
        ]
    return show("activation", rows)


def _kill(settings: Settings) -> None:
    """As a power cut would: supervisor first, so that it starts nothing again."""
    state = run_state.running(settings)
    for name in (state.supervisor, *state.processes.values()):
        for process in name.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def start_again(settings: Settings, **more: str) -> float:
    """Seconds until orders are accepted. Raises DidNotStart."""
    told = {"data": str(settings.data), "port": "0", "payments": "simulated", **more}
    began = time.perf_counter()
    if detach(settings, [part for name, text in told.items() for part in (flag_of(name), text)]):
        raise DidNotStart(f"not a second time: the logs are in {settings.logs}")
    return time.perf_counter() - began


def read_all(settings: Settings, orders: Sequence[str]) -> tuple[float, Latencies]:
    """Read every one of these orders: how many a second, and how long each took."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_read(settings, orders))


async def _read(settings: Settings, orders: Sequence[str]) -> tuple[float, Latencies]:
    key, url = client.Keys.of(settings).ops, run_state.running(settings).url
    host = url.removeprefix("http://")
    pool = Pool(lambda: url, IN_FLIGHT)
    latencies = Latencies()
    left = iter(orders)

    async def ask() -> None:
        for order in left:
            head = f"GET /v1/orders/{order} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n"
            began = time.perf_counter()
            answer = await pool.ask(head.encode())
            latencies.record(time.perf_counter() - began)
            assert answer.status == 200, answer.body

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))
    took = time.perf_counter() - began
    await pool.close()
    return len(orders) / took, latencies
