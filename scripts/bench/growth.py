"""What stored orders cost: memory per live order, and whether the rate and the memory of hosts and gateways depend on
how many there are.

The same load again and again on one system: the first row stands for a young system, the last for one that has seen all
the orders. The archive takes none away meanwhile (`--archive-after 0`), so that what Redis holds is what live orders
need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from actors.adapters.redis_journal import RedisJournal
from scripts import run_state
from scripts.bench.measuring import Bar, at_most, load, none_lost, show, system
from scripts.load.measured import Measured
from scripts.settings import Settings

STEPS = 12
IN_FLIGHT = 256
RATE = "orders_per_second"
YOUNG = 1_000
"""So many orders are stored when the first row begins."""


@dataclass(frozen=True)
class Row:
    """stored: orders at the end of it. redis_kb_per_order: what Redis holds more than at the beginning, for each of
    them."""

    stored: int
    orders_per_second: float
    completion_p99_ms: float
    cpu_ms: float
    redis_mb: float
    redis_kb_per_order: float
    log_mb: float
    hosts_mb: float
    gateway_mb: float


def run(orders: int = 300_000) -> list[Bar]:
    """Measure in twelve steps; print a table and a JSON line."""
    rows: list[Row] = []
    step_orders = orders // STEPS
    with system(archive_after="0") as settings:
        first_bytes = _redis(settings)[0]
        load(settings, orders=YOUNG, in_flight=64)
        for step in range(1, STEPS + 1):
            measured = load(settings, orders=step_orders, in_flight=IN_FLIGHT)
            none_lost(measured)
            rows.append(_row(settings, measured, YOUNG + step * step_orders, first_bytes))
            print(f"{rows[-1].stored:,} orders stored, {rows[-1].orders_per_second:,.0f}/s", flush=True)
    return show("growth", rows, _bars(rows))


def _bars(rows: Sequence[Row]) -> list[Bar]:
    """Hosts keep the tasks that suppliers have accepted and not dispatched, here all of them, and for ten minutes what
    was settled: half a kilobyte an order."""
    old = rows[-3:]
    middle = rows[STEPS // 2 - 1 : STEPS // 2 + 2]
    return [
        at_most("KB in Redis for each live order", rows[-1].redis_kb_per_order, 8),
        *(
            at_most(f"{whose} memory at the end, against the middle", _mean(old, name) / _mean(middle, name), 1.1)
            for whose, name in (("hosts'", "hosts_mb"), ("gateways'", "gateway_mb"))
        ),
        Bar("rate at the end, against the beginning", _mean(old, RATE) / _mean(rows[:3], RATE), 0.9),
    ]


def _mean(rows: Sequence[Row], name: str) -> float:
    return float(sum(getattr(row, name) for row in rows) / len(rows))


def _row(settings: Settings, measured: Measured, stored: int, first_bytes: int) -> Row:
    used_bytes, log_bytes = _redis(settings)
    resident = measured.intervals[-1].resident_bytes
    return Row(
        stored, measured.orders_per_second, measured.total.completion.percentile_ms(0.99),
        sum(measured.cpu_ms_per_order().values()), used_bytes / 1e6, (used_bytes - first_bytes) / stored / 1e3,
        log_bytes / 1e6, resident.get("hosts", 0) / 1e6, resident.get("gateway", 0) / 1e6,
    )  # fmt: skip


def _redis(settings: Settings) -> tuple[int, int]:
    """Bytes in memory and in the log."""

    async def ask() -> tuple[int, int]:
        journal = RedisJournal(run_state.running(settings).redis)
        try:
            health = await journal.health()
            return health.used_bytes, health.aof_bytes
        finally:
            await journal.close()

    return asyncio.run(ask())
