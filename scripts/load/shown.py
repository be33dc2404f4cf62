"""How a load test shows itself on a terminal: a line while it runs, a table at its end."""

from __future__ import annotations

import sys
import time

from scripts.load.cpu import CLIENT
from scripts.load.latencies import Latencies
from scripts.load.measured import Counts, Interval, Measured
from scripts.load.plan import Plan

PLAIN_EVERY_S = 5.0
BAR_CHARS = 20


class Progress:
    """One line, rewritten every second on a terminal, written every five seconds elsewhere."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._live = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, interval: Interval, total: Counts) -> None:
        counts = interval.counts
        rate = counts.ended / interval.length_s if interval.length_s else 0.0
        p99 = counts.completion.percentile_ms(0.99)
        refused = total.refused.total()
        line = (
            f"{self._bar(interval, total)} {interval.at_s:5.0f} s  {rate:6,.0f} orders/s"
            f"  {interval.in_flight:,} in flight  p99 {p99:,.0f} ms  {total.errors} errors  {refused:,} refused"
        )
        if self._live:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
        elif time.monotonic() - self._last >= PLAIN_EVERY_S:
            self._last = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        """A line that stays, above the one that is rewritten."""
        self.close()
        print(line, flush=True)

    def close(self) -> None:
        """Take the rewritten line away."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _bar(self, interval: Interval, total: Counts) -> str:
        plan = self._plan
        shares = [total.sent / plan.orders] if plan.orders else []
        shares += [interval.at_s / plan.duration_s] if plan.duration_s else []
        done = min(1.0, max(shares))
        filled = round(done * BAR_CHARS)
        return f"[{'#' * filled}{'.' * (BAR_CHARS - filled)}] {done:4.0%}"


def title(measured: Measured) -> str:
    """What kind of test it was, in one line."""
    plan = measured.plan
    loop = f"open loop, {plan.rate:,g} orders/s" if plan.open_loop else f"closed loop, {plan.in_flight} in flight"
    shape = [*(["ramp"] if plan.ramp else []), *([f"spike x{plan.spike:g}"] if plan.spike != 1 else [])]
    goods = f"{plan.lines} lines of {plan.skus} SKUs (Zipf {plan.zipf:g}), {plan.suppliers} suppliers"
    if plan.hot_units >= 0:
        goods = f"one hot SKU with {plan.hot_units:,} units"
    payments = f"{measured.payments} payments"
    return ", ".join([loop, *shape, goods, payments, f"{measured.cores} cores, client included"])


def table(measured: Measured) -> str:
    """The result, for a terminal."""
    test = ("test", title(measured) + (" (interrupted)" if measured.interrupted else ""))
    return "\n".join(f"{name:<14} {text}" for name, text in [test, *table_rows(measured)])


def table_rows(measured: Measured) -> list[tuple[str, str]]:
    """The result as pairs of name and figures."""
    total = measured.total
    cpu = measured.cpu_ms_per_order()
    return [
        ("orders", f"{total.sent:,} sent, {total.accepted:,} accepted, {total.confirmed:,} confirmed"),
        ("time", f"{measured.seconds:.1f} s"),
        ("throughput", f"{measured.orders_per_second:,.0f} confirmed/s, {measured.ended_per_second:,.0f} decided/s"),
        ("cancelled", _counts(total.cancelled)),
        ("refused", _counts(total.refused)),
        ("unfinished", f"{measured.lost():,} accepted orders had not ended when the client gave up"),
        ("errors", f"{total.errors:,} requests sent again ({total.requests:,} requests in all)"),
        ("acceptance", _latencies(total.acceptance)),
        ("completion", _latencies(total.completion)),
        *([("send lag", _latencies(total.send_lag))] if measured.plan.open_loop else []),
        ("CPU per order", f"{sum(cpu.values()):.3f} ms: " + ", ".join(f"{role} {ms:.3f}" for role, ms in cpu.items())),
        ("client", f"{measured.client_cpu_share:.1%} of all CPU, {_client_ms(measured):.3f} ms per order"),
        ("receipts", measured.receipts),
    ]  # fmt: skip


def _client_ms(measured: Measured) -> float:
    return measured.cpu_s.get(CLIENT, 0.0) * 1000 / max(1, measured.total.ended)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"


def _latencies(latencies: Latencies) -> str:
    values = latencies.summary_ms()
    names = {"p999": "p99.9"}
    text = "  ".join(f"{names.get(name, name)} {value:,.1f}" for name, value in values.items())
    return f"{text} ms  ({latencies.count:,} measured)"
