"""Hosts that are killed at 300 orders a second: how long any order has to wait for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from scripts.bench.measuring import Bar, at_most, load, none_lost, show, silent, system
from scripts.chaos.run import unleash
from scripts.chaos.schedule import Strike
from scripts.load.measured import Counts, Interval
from scripts.load.plan import OPEN_LOOP_SAMPLE, Plan

RATE = 300.0
FIRST_S, EVERY_S = 5.0, 8.0
WARM_UP_S = 5.0
OLDEST = 0.0
"""A host that was killed stands by afterwards, so the oldest process is one that has shards."""


@dataclass(frozen=True)
class Row:
    """One kill. stall: the longest life of an order that overlapped it, less its payment calls; quiet_p99_ms: what
    orders take in this run otherwise. recovery_s: until the host is back and has its share."""

    killed_at_s: float
    longest_stall_ms: float
    recovery_s: float
    quiet_p99_ms: float
    answers_5xx: int
    no_answer: int


class _Silent:
    def __call__(self, interval: Interval, total: Counts) -> None:
        silent(interval, total)

    def say(self, line: str) -> None:
        """Its table says it all."""


def run(seconds: int = 45) -> list[Bar]:
    """Kill one host after the other; print a table and a JSON line. Raises AssertionError if an order was lost."""
    strikes = [
        Strike(FIRST_S + number * EVERY_S, "host", OLDEST)
        for number in range(max(1, int((seconds - FIRST_S) // EVERY_S)))
    ]
    plan = Plan(duration_s=float(seconds), rate=RATE, sample=OPEN_LOOP_SAMPLE, diary=True)
    with system() as settings:
        load(settings, duration_s=WARM_UP_S, rate=RATE)
        outcome = asyncio.run(unleash(settings, plan, strikes, _Silent()))
    none_lost(outcome.measured)
    assert not outcome.missing, outcome.missing
    p99_ms = outcome.measured.total.completion.percentile_ms(0.99)
    rows = [
        Row(
            row.at_s, row.longest_stall_ms, row.recovery_s or 0.0, p99_ms,
            sum(count for status, count in row.answers.items() if status.startswith("5")),
            row.answers.get("no answer", 0),
        )
        for row in outcome.rows
        if row.target
    ]  # fmt: skip
    assert rows, "nobody was killed"
    longest_ms = max(row.longest_stall_ms for row in rows)
    bars = [
        at_most("longest stall beyond payment calls, ms", longest_ms, 1_500),
        at_most("orders lost", outcome.measured.lost(), 0),
    ]
    return show("crash", rows, bars)
