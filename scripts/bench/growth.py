"""What stored orders cost: memory per live order, and whether rate and hosts' memory depend on how many there are.

The same load again and again on one system: the first row stands for a young system, the last for one that has seen all
the orders. Some 300,000 orders take minutes: `dray bench growth --orders 300000`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from actors.adapters.redis_journal import RedisJournal
from scripts import run_state
from scripts.bench.measuring import load, show, system
from scripts.load.measured import Measured
from scripts.settings import Settings

STEPS = 6
IN_FLIGHT = 256


@dataclass(frozen=True)
class Row:
    """redis_kb_per_order: what Redis holds more than at the beginning, for each order stored since."""

    stored: int
    orders_per_second: float
    completion_p99_ms: float
    cpu_ms: float
    redis_mb: float
    redis_kb_per_order: float
    log_mb: float
    hosts_mb: float


def run(orders: int = 30_000) -> list[Row]:
    """Measure in six steps; print a table and a JSON line."""
    rows: list[Row] = []
    with system() as settings:
        load(settings, orders=1_000, in_flight=64)
        first_bytes = _redis(settings)[0]
        for step in range(1, STEPS + 1):
            measured = load(settings, orders=orders // STEPS, in_flight=IN_FLIGHT)
            rows.append(_row(settings, measured, step * (orders // STEPS), first_bytes))
    show("growth", rows)
    return rows


def _row(settings: Settings, measured: Measured, stored: int, first_bytes: int) -> Row:
    used_bytes, log_bytes = _redis(settings)
    return Row(
        stored, measured.orders_per_second, measured.total.completion.percentile_ms(0.99),
        sum(measured.cpu_ms_per_order().values()), used_bytes / 1e6, (used_bytes - first_bytes) / stored / 1e3,
        log_bytes / 1e6, measured.intervals[-1].resident_bytes.get("hosts", 0) / 1e6,
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
