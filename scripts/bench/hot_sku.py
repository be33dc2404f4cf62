"""A flash sale: everybody wants one unit of the same SKU, and there is a tenth of what they want."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import Bar, load, none_lost, show, system


@dataclass(frozen=True)
class Row:
    buyers: int
    units: int
    sold: int
    refused: int
    decided_per_second: float
    decision_p50_ms: float
    decision_p99_ms: float


def run(orders: int = 10_000) -> list[Bar]:
    """Measure; print a table and a JSON line. Raises AssertionError if more or less was sold than there was."""
    with system() as settings:
        load(settings, orders=max(500, orders // 10), in_flight=64)
        measured = load(settings, orders=orders, in_flight=256, hot_units=orders // 10)
    none_lost(measured)
    total = measured.total
    refused = total.cancelled["out_of_stock"]
    completion = total.completion.summary_ms()
    row = Row(
        orders, orders // 10, total.confirmed, refused, measured.ended_per_second, completion["p50"], completion["p99"]
    )
    bars = show("hot_sku", [row], [Bar("orders decided/s on one SKU", row.decided_per_second, 1_800)])
    assert (total.confirmed, refused) == (row.units, row.buyers - row.units), "sold more or less than there was"
    return bars
