"""Orders with a hundred lines, of ten suppliers."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import Bar, load, none_lost, show, system

LINES, SKUS, SUPPLIERS = 100, 1_000, 10


@dataclass(frozen=True)
class Row:
    lines: int
    orders_per_second: float
    lines_per_second: float
    completion_p50_ms: float
    completion_p99_ms: float
    cpu_ms: float


def run(orders: int = 1_500) -> list[Bar]:
    """Measure; print a table and a JSON line."""
    shape = {"lines": LINES, "skus": SKUS, "suppliers": SUPPLIERS, "zipf": 0.5, "in_flight": 64}
    with system() as settings:
        load(settings, orders=max(50, orders // 10), **shape)
        measured = load(settings, orders=orders, **shape)
    none_lost(measured)
    completion = measured.total.completion.summary_ms()
    rate = measured.orders_per_second
    cpu_ms = sum(measured.cpu_ms_per_order().values())
    row = Row(LINES, rate, rate * LINES, completion["p50"], completion["p99"], cpu_ms)
    return show("wide", [row], [Bar("orders of 100 lines confirmed/s", rate, 80)])
