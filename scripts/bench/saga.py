"""Orders from POST to confirmed, closed loop: the work of design section 7, everything on."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import load, show, system
from scripts.load.measured import Measured


@dataclass(frozen=True)
class Row:
    """CPU in ms per order, the client apart; latencies in ms."""

    in_flight: int
    suppliers_per_order: str
    orders_per_second: float
    completion_p50_ms: float
    completion_p99_ms: float
    acceptance_p99_ms: float
    cpu_ms: float
    gateway_ms: float
    hosts_ms: float
    redis_ms: float
    others_ms: float
    client_share: float


def run(orders: int = 10_000) -> list[Row]:
    """Measure 64 and 256 in flight, with lines from several suppliers and from one; print a table and a JSON line."""
    rows = []
    for one_supplier in (False, True):
        with system() as settings:
            load(settings, orders=orders // 10, in_flight=64, one_supplier=one_supplier)  # warms everything up
            for in_flight in (64, 256):
                measured = load(settings, orders=orders, in_flight=in_flight, one_supplier=one_supplier)
                rows.append(row_of(measured))
    show("saga", rows)
    return rows


def row_of(measured: Measured) -> Row:
    cpu = measured.cpu_ms_per_order()
    named = {role: cpu.get(role, 0.0) for role in ("gateway", "hosts", "redis")}
    completion, acceptance = measured.total.completion.summary_ms(), measured.total.acceptance.summary_ms()
    return Row(
        measured.plan.in_flight, "one" if measured.plan.one_supplier else "several", measured.orders_per_second,
        completion["p50"], completion["p99"], acceptance["p99"], sum(cpu.values()), named["gateway"], named["hosts"],
        named["redis"], sum(cpu.values()) - sum(named.values()), measured.client_cpu_share,
    )  # fmt: skip
