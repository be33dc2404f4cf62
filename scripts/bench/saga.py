"""Orders from POST to confirmed, closed loop: the work of design section 7, everything on."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import Bar, at_most, load, none_lost, show, system
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
    projector_ms: float
    others_ms: float
    client_share: float


def run(orders: int = 30_000) -> list[Bar]:
    """Measure 64 and 256 in flight, with lines from several suppliers and from one; print a table and a JSON line.

    The bars are for two lines of any of ten suppliers, 256 in flight.
    """
    rows = []
    for one_supplier in (False, True):
        with system() as settings:
            load(settings, orders=max(500, orders // 10), in_flight=64, one_supplier=one_supplier)  # warms up
            for in_flight in (64, 256):
                measured = load(settings, orders=orders, in_flight=in_flight, one_supplier=one_supplier)
                none_lost(measured)
                rows.append(row_of(measured))
    judged = rows[1]
    bars = [
        Bar("orders confirmed/s, 256 in flight", judged.orders_per_second, 2_000, undone=1_300),
        at_most("CPU ms per order, all but the client", judged.cpu_ms, 1.0, undone=1.6),
    ]
    return show("saga", rows, bars)


def row_of(measured: Measured) -> Row:
    cpu = measured.cpu_ms_per_order()
    total = sum(cpu.values())
    gateway, hosts, redis, projector = (cpu.get(role, 0.0) for role in ("gateway", "hosts", "redis", "projector"))
    completion, acceptance = measured.total.completion.summary_ms(), measured.total.acceptance.summary_ms()
    return Row(
        measured.plan.in_flight, "one" if measured.plan.one_supplier else "several", measured.orders_per_second,
        completion["p50"], completion["p99"], acceptance["p99"], total, gateway, hosts, redis, projector,
        total - gateway - hosts - redis - projector, measured.client_cpu_share,
    )  # fmt: skip
