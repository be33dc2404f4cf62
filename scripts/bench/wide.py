"""Orders with a hundred lines, of ten suppliers."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import load, show, system

LINES, SKUS, SUPPLIERS = 100, 1_000, 10


@dataclass(frozen=True)
class Row:
    lines: int
    orders_per_second: float
    lines_per_second: float
    completion_p50_ms: float
    completion_p99_ms: float
    cpu_ms: float


def run(orders: int = 1_500) -> list[Row]:
    """Measure; print a table and a JSON line."""
    with system() as settings:
        measured = load(
            settings, orders=orders, in_flight=64, lines=LINES, skus=SKUS, suppliers=SUPPLIERS, zipf=0.5
        )  # fmt: skip
    completion = measured.total.completion.summary_ms()
    rate = measured.orders_per_second
    cpu_ms = sum(measured.cpu_ms_per_order().values())
    row = Row(LINES, rate, rate * LINES, completion["p50"], completion["p99"], cpu_ms)
    show("wide", [row])
    return [row]
