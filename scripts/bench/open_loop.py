"""Orders that come when they come, 500 a second: latencies count from when each was due."""

from __future__ import annotations

from dataclasses import dataclass

from scripts.bench.measuring import Bar, at_most, load, none_lost, show, system
from scripts.load.plan import OPEN_LOOP_SAMPLE

RATE = 500.0
WARM_UP_S = 5.0


@dataclass(frozen=True)
class Row:
    """acceptance: of the plain posts, every fourth one; completion: of all. send_lag: how late the client was."""

    rate: float
    orders: int
    acceptance_p50_ms: float
    acceptance_p99_ms: float
    completion_p50_ms: float
    completion_p99_ms: float
    send_lag_p99_ms: float
    errors: int
    refused: int
    cpu_ms: float


def run(seconds: int = 60) -> list[Bar]:
    """Measure with simulated payments of 20 ms; print a table and a JSON line."""
    with system() as settings:
        load(settings, duration_s=WARM_UP_S, rate=RATE, sample=OPEN_LOOP_SAMPLE)
        measured = load(settings, duration_s=float(seconds), rate=RATE, sample=OPEN_LOOP_SAMPLE)
    none_lost(measured)
    total = measured.total
    acceptance, completion = total.acceptance.summary_ms(), total.completion.summary_ms()
    row = Row(
        RATE, total.sent, acceptance["p50"], acceptance["p99"], completion["p50"], completion["p99"],
        total.send_lag.percentile_ms(0.99), total.errors, total.refused.total(),
        sum(measured.cpu_ms_per_order().values()),
    )  # fmt: skip
    bars = [
        at_most("acceptance p50, ms", row.acceptance_p50_ms, 10),
        at_most("acceptance p99, ms", row.acceptance_p99_ms, 50),
        at_most("completion p50, ms", row.completion_p50_ms, 150),
        at_most("completion p99, ms", row.completion_p99_ms, 400),
        at_most("errors and refusals", row.errors + row.refused, 0),
    ]
    return show("open_loop", [row], bars)
