"""What the read side costs: the same load with the projector at work, and with the projector stopped, on one system.

Stopped means SIGSTOP: hosts write their streams as ever, nobody reads them. Between the two the projector is let catch
up, which is timed as well: it is how fast rows can be made.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from scripts import run_state
from scripts.bench.measuring import Bar, load, none_lost, show, system
from scripts.chaos.victims import Paused, Victims
from scripts.cli.status import read_side_lag_s
from scripts.load.measured import Measured
from scripts.settings import Settings

IN_FLIGHT = 256
CAUGHT_UP_S = 2.0
CATCHES_UP_WITHIN_S = 300.0


@dataclass(frozen=True)
class Row:
    """caught_up_s: how long the projector took, after this load, until lists were up to date."""

    read_side: str
    orders_per_second: float
    completion_p99_ms: float
    cpu_ms: float
    projector_ms: float
    caught_up_s: float


def run(orders: int = 15_000) -> list[Bar]:
    """Measure on and off twice, in turns; print a table and a JSON line."""
    rows = []
    with system() as settings:
        load(settings, orders=max(500, orders // 10), in_flight=64)
        _caught_up_s(settings)
        for on in (True, False, True, False):
            paused = [] if on else [Paused(process) for process in Victims(settings).all("projector")]
            assert on or paused, "there is no projector"
            try:
                measured = load(settings, orders=orders, in_flight=IN_FLIGHT)
            finally:
                for projector in paused:
                    projector.resume()
            none_lost(measured)
            rows.append(_row("on" if on else "off", measured, _caught_up_s(settings)))
    share = sum(r.orders_per_second for r in rows[::2]) / sum(r.orders_per_second for r in rows[1::2])
    return show("projecting", rows, note=f"with the read side on: {share:.0%} of the rate without")


def _row(what: str, measured: Measured, caught_up_s: float) -> Row:
    cpu = measured.cpu_ms_per_order()
    return Row(
        what, measured.orders_per_second, measured.total.completion.percentile_ms(0.99), sum(cpu.values()),
        cpu.get("projector", 0.0), caught_up_s,
    )  # fmt: skip


def _caught_up_s(settings: Settings) -> float:
    """Wait until lists are up to date. Raises AssertionError if they never are."""
    began = time.monotonic()
    database = run_state.running(settings).database
    while (lag_s := read_side_lag_s(database)) is None or lag_s > CAUGHT_UP_S:
        assert time.monotonic() - began < CATCHES_UP_WITHIN_S, "the read side does not catch up"
        time.sleep(0.1)
    return time.monotonic() - began
