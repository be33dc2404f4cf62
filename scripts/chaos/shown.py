"""How a chaos run shows itself: a table of its faults, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from scripts.chaos.run import NO_ANSWER, Outcome, Row
from scripts.load.shown import title

HEAD = ("fault", "at", "lasted", "recovered after", "longest stall", "5xx", "429", NO_ANSWER, "whom")


def table(outcome: Outcome) -> str:
    """The result, for a terminal; the audit follows it."""
    measured, total = outcome.measured, outcome.measured.total
    orders = (
        f"{total.sent:,} sent, {total.accepted:,} accepted, {total.ended:,} ended, {measured.lost():,} lost,"
        f" {total.refused.total():,} refused, {total.errors:,} requests sent again"
    )
    lines = [
        f"test      {title(measured)}" + (" (interrupted)" if measured.interrupted else ""),
        f"seed      {measured.plan.seed}",
        *_aligned([HEAD, *(_cells(row) for row in outcome.rows)]),
        f"orders    {orders}",
    ]
    if outcome.payment_calls_ms:
        lines.append(f"stalls    payment calls apart: {outcome.payment_calls_ms:.0f} ms of each order")
    else:
        lines.append("stalls    payment calls included: how long the vendor takes is not known")
    if outcome.missing:
        lines.append(f"NOT WHOLE {outcome.missing}")
    return "\n".join(lines)


def to_json(outcome: Outcome, *, passed: bool) -> dict[str, Any]:
    """As `chaos --json` writes it: the load test's own result, and what became of each fault."""
    total = outcome.measured.total
    return {
        "seed": outcome.measured.plan.seed,
        "passed": passed,
        "faults": [row.to_json() for row in outcome.rows],
        "payment_calls_ms": outcome.payment_calls_ms,
        "orders": {
            "sent": total.sent, "accepted": total.accepted, "ended": total.ended, "lost": outcome.measured.lost(),
        },
        "missing": outcome.missing,
        "load": outcome.measured.to_json(),
    }  # fmt: skip


def _cells(row: Row) -> tuple[str, ...]:
    if not row.target:
        return (row.fault, f"{row.at_s:.1f} s", "", "", "", "", "", "", "nobody there just then")
    seen: Counter[str] = Counter()
    for status, count in row.answers.items():
        seen["5xx" if status.startswith("5") else status] += count
    recovered = "NOT" if row.recovery_s is None else f"{row.recovery_s:.2f} s"
    lasted = f"{row.lasted_s:.1f} s" if row.lasted_s >= 1 else ""
    counts = (f"{seen[name]:,}" for name in ("5xx", "429", NO_ANSWER))
    return (row.fault, f"{row.at_s:.1f} s", lasted, recovered, f"{row.longest_stall_ms:,.0f} ms", *counts, row.target)


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    last = len(HEAD) - 1
    return [
        "  ".join(
            text.ljust(width) if column in (0, last) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
