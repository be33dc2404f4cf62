"""The same orders through the Stripe SDK: five calls of each (authorise, capture, three transfers) to the sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import Bar, load, none_lost, show, system

CALLS_PER_ORDER = 5


@dataclass(frozen=True)
class Row:
    """CPU in ms per order, the client apart."""

    in_flight: int
    orders_per_second: float
    calls_per_second: float
    completion_p50_ms: float
    completion_p99_ms: float
    cpu_ms: float
    hosts_ms: float
    sandbox_ms: float


def run(orders: int = 4_000) -> list[Bar]:
    """Measure 64 and 256 in flight; print a table and a JSON line. There is no bar: the figure is to be known."""
    rows = []
    with system(payments="sandbox") as settings:
        load(settings, orders=max(200, orders // 10), in_flight=64, one_supplier=True)
        for in_flight in (64, 256):
            measured = load(settings, orders=orders, in_flight=in_flight, one_supplier=True)
            none_lost(measured)
            cpu, completion = measured.cpu_ms_per_order(), measured.total.completion.summary_ms()
            rate = measured.orders_per_second
            rows.append(
                Row(
                    in_flight, rate, rate * CALLS_PER_ORDER, completion["p50"], completion["p99"], sum(cpu.values()),
                    cpu.get("hosts", 0.0), cpu.get("sandbox", 0.0),
                )
            )  # fmt: skip
    return show("sandbox_saga", rows)
