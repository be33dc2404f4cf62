"""The HTML page of a load test: one file, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from scripts.load import svg
from scripts.load.cpu import CLIENT
from scripts.load.latencies import Latencies
from scripts.load.measured import Interval, Measured
from scripts.load.shown import table_rows, title

MEGABYTE = 1_000_000
NINES = ((0.0, "0"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"))
SHORTEST_INTERVAL_S = 0.3
"""The last interval may be so short that a rate says nothing."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #6b7480; --card: #fff; --page: #f3f5f8; --line: #dfe4ea; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --faint: #98a2b0; --card: #1b2028; --page: #12161c; --line: #2c343f; } }
body { margin: 0 auto; max-width: 1360px; padding: 28px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 16px; margin: 0 0 10px; }
.sub { color: var(--faint); margin: 0 0 22px; }
.tiles, .plots { display: grid; gap: 16px; } .tiles { grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.plots { grid-template-columns: repeat(auto-fit, minmax(480px, 1fr)); margin-top: 16px; }
section, .tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; }
.tile b { display: block; font-size: 22px; white-space: nowrap; font-weight: 650; } .tile span { color: var(--faint); }
.good b { color: #2e9e5b; } .bad b { color: #d1495b; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 11px; fill: var(--faint); }
.grid { stroke: var(--line); } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 8px 0 0; padding: 0;
  font-size: 13px; }
.legend span { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; }
.none, .note { color: var(--faint); font-size: 13px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td, th { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.failed { color: #d1495b; font-weight: 600; } .ok { color: #2e9e5b; }
"""


def write(measured: Measured, directory: Path) -> Path:
    """Write `index.html` and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "index.html"
    path.write_text(page(measured))
    return path


def page(measured: Measured) -> str:
    """The whole page."""
    plots = "".join(_section(name, drawn, note) for name, drawn, note in _plots(measured))
    details = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in table_rows(measured))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Dray load test</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>Load test {escape(measured.run)}</h1>"
        f'<p class="sub">{escape(title(measured))}. Began {escape(measured.began_at)}.</p>'
        f'<div class="tiles">{"".join(_tiles(measured))}</div><div class="plots">{plots}</div>'
        f'<div class="plots">{_section("Figures", f"<table>{details}</table>")}'
        f"{_section('Audit', _audit(measured))}</div></body></html>\n"
    )


def _tiles(measured: Measured) -> Iterable[str]:
    total = measured.total
    completion, acceptance = total.completion.summary_ms(), total.acceptance.summary_ms()
    yield _tile(f"{measured.orders_per_second:,.0f} /s", "orders confirmed")
    yield _tile(f"{completion['p50']:,.0f} / {completion['p99']:,.0f} ms", "completion, p50 / p99")
    if total.acceptance.count:
        yield _tile(f"{acceptance['p50']:,.0f} / {acceptance['p99']:,.0f} ms", "acceptance, p50 / p99")
    yield _tile(f"{sum(measured.cpu_ms_per_order().values()):.2f} ms", "CPU per order, client apart")
    refused = total.refused.total()
    yield _tile(f"{refused:,}", "refused", "good" if not refused else "")
    lost = measured.lost()
    yield _tile(f"{lost:,}", "accepted and not ended", "bad" if lost else "good")
    if measured.audit:
        passed = measured.audit["passed"]
        yield _tile("passed" if passed else "FAILED", "audit, A1 to A10", "good" if passed else "bad")


def _tile(value: str, label: str, kind: str = "") -> str:
    return f'<div class="tile {kind}"><b>{escape(value)}</b><span>{escape(label)}</span></div>'


def _section(name: str, drawn: str, note: str = "") -> str:
    text = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(name)}</h2>{drawn}{text}</section>"


def _plots(measured: Measured) -> Iterable[tuple[str, str, str]]:
    intervals = [i for i in measured.intervals if i.length_s >= SHORTEST_INTERVAL_S] or measured.intervals
    time = "seconds"
    yield "Throughput", svg.lines(_throughput(intervals), x_label=time, y_label="orders per second"), ""
    latencies = {
        "completion p50": _percentile(intervals, "completion", 0.5),
        "completion p99": _percentile(intervals, "completion", 0.99),
        "completion max": _percentile(intervals, "completion", 1.0),
        "acceptance p99": _percentile(intervals, "acceptance", 0.99),
    }
    yield "Latency over time", svg.lines(latencies, x_label=time, y_label="ms", logarithmic=True), _how(measured)
    distribution = {
        name: _nines(latencies)
        for name, latencies in (("completion", measured.total.completion), ("acceptance", measured.total.acceptance))
        if latencies.count
    }
    drawn = svg.lines(distribution, x_label="share of orders", y_label="ms", logarithmic=True, x_ticks=NINES)
    yield "Latency by percentile", drawn, "Each step to the right leaves a tenth of the orders: the slow ones."
    queues = {
        "in flight": _over(intervals, lambda i: i.in_flight),
        "waiting in hosts": _over([i for i in intervals if i.queued >= 0], lambda i: i.queued),
        "actors with something under way": _over([i for i in intervals if i.pending >= 0], lambda i: i.pending),
    }
    yield "Queues", svg.lines(queues, x_label=time, y_label="orders, commands, actors"), ""
    total = measured.total
    outcomes = {
        "confirmed": total.confirmed, **total.cancelled, "not ended": measured.lost(),
        **{f"refused {status}": count for status, count in total.refused.items()},
    }  # fmt: skip
    yield "Outcomes", svg.bar(outcomes, ""), ""
    yield (
        "CPU per order by process",
        svg.bar(measured.cpu_ms_per_order(), " ms"),
        (f"The client's own share of all CPU was {measured.client_cpu_share:.1%}; it is not counted here."),
    )
    roles = sorted({role for interval in intervals for role in interval.cpu_s})
    cores = {role: _over(intervals, lambda i, r=role: i.cpu_s.get(r, 0.0) / i.length_s) for role in roles}  # type: ignore[misc]
    yield "CPU over time", svg.lines(cores, x_label=time, y_label=f"of {measured.cores} cores"), ""
    shown = [role for role in roles if role != CLIENT]
    memory = {
        "Redis data": _over([i for i in intervals if i.redis_bytes >= 0], lambda i: i.redis_bytes / MEGABYTE),
        **{r: _over(intervals, lambda i, r=r: i.resident_bytes.get(r, 0) / MEGABYTE) for r in shown},  # type: ignore[misc]
    }
    yield "Memory over time", svg.lines(memory, x_label=time, y_label="MB resident"), ""


def _how(measured: Measured) -> str:
    plan = measured.plan
    if plan.open_loop:
        return f"From the moment an order was due, sent or not. Acceptance: every {plan.sample}th order."
    return f"From POST. Acceptance: every {plan.sample}th order."


def _throughput(intervals: Sequence[Interval]) -> dict[str, svg.Points]:
    series = {
        "confirmed": _over(intervals, lambda i: i.counts.confirmed / i.length_s),
        "cancelled": _over(intervals, lambda i: i.counts.cancelled.total() / i.length_s),
        "refused": _over(intervals, lambda i: i.counts.refused.total() / i.length_s),
        "sent": _over(intervals, lambda i: i.counts.sent / i.length_s),
    }
    return {name: points for name, points in series.items() if any(y for _, y in points)}


def _over(intervals: Sequence[Interval], value: Callable[[Interval], float]) -> svg.Points:
    return [(interval.at_s, value(interval)) for interval in intervals]


def _percentile(intervals: Sequence[Interval], which: str, share: float) -> svg.Points:
    return [
        (interval.at_s, latencies.percentile_ms(share))
        for interval in intervals
        if (latencies := getattr(interval.counts, which)).count
    ]


def _nines(latencies: Latencies) -> svg.Points:
    """Latency over -log10 of the share that was slower: 1 is the 90th percentile, 2 the 99th, and so on."""
    points, seen = [], 0
    for ms, count in latencies.distribution():
        slower = 1 - seen / latencies.count
        points.append((-math.log10(slower), ms))
        seen += count
    return points


def _audit(measured: Measured) -> str:
    if not measured.audit:
        return '<p class="none">not made</p>'
    rows = []
    for name, result in measured.audit["invariants"].items():
        verdict = '<span class="ok">ok</span>' if result["passed"] else '<span class="failed">failed</span>'
        offending = "<br>".join(escape(text) for text in result["offending"][:10])
        rows.append(
            f"<tr><th>{name}</th><td>{verdict}</td><td>{result['checked']:,} checked</td><td>{offending}</td></tr>"
        )
    return f"<table>{''.join(rows)}</table>"
