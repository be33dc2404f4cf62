"""Twice as many orders as the system can take: what it takes it finishes, the rest it refuses, and then it is well.

First a closed loop shows how much it can take. Then an open loop sends twice that, while a second, modest client posts
a few orders a second during and after it: its view tells how soon the system is well again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from scripts import run_state
from scripts.bench.measuring import Bar, at_most, load, loaded, none_lost, show, system
from scripts.chaos.probe import Probe
from scripts.chaos.victims import Victims
from scripts.load.measured import Diary, Measured
from scripts.load.plan import OPEN_LOOP_SAMPLE
from scripts.settings import Settings

BEST_S = 15.0
MODEST_RATE = 20.0
AFTER_S = 15.0
WELL_MS = 1_000.0
TIMES = 2.0
CLIENT_RATE_MAX = 4_000


@dataclass(frozen=True)
class Row:
    """Rates are per second. refused_otherwise: anything but a 429 that says when to come again. well_after_s: from the
    last order of the overload until no order of the modest client took longer than a second or was refused."""

    best: float
    offered: float
    accepted: float
    goodput: float
    goodput_share: float
    refused_429: int
    refused_otherwise: int
    errors: int
    completion_p99_ms: float
    well_after_s: float
    deaths: int


def run(seconds: int = 60) -> list[Bar]:
    """Measure; print a table and a JSON line. Raises AssertionError if a process died or an accepted order was lost."""
    with system() as settings:
        load(settings, duration_s=BEST_S / 3, in_flight=64)
        best = load(settings, duration_s=BEST_S, in_flight=256).orders_per_second
        before = _processes(settings)
        row = asyncio.run(_overload(settings, best, float(seconds), before))
    bars = [
        Bar("goodput as a share of the best", row.goodput_share, 0.75),
        at_most("refusals other than 429 with Retry-After, and errors", row.refused_otherwise + row.errors, 0),
        at_most("seconds until well again", row.well_after_s, 5),
        at_most("processes that died", row.deaths, 0),
    ]
    return show("overload", [row], bars)


async def _overload(settings: Settings, best: float, seconds: float, before: frozenset[int]) -> Row:
    rate = TIMES * best
    modest = asyncio.ensure_future(
        loaded(settings, duration_s=seconds + AFTER_S, rate=MODEST_RATE, sample=OPEN_LOOP_SAMPLE, diary=True)
    )
    flood = await loaded(  # sampled as the best rate was: a sampled order is two requests
        settings, duration_s=seconds, rate=rate, clients=max(1, round(rate / CLIENT_RATE_MAX + 0.499))
    )
    seen = await modest
    async with Probe(settings) as probe:
        missing = await probe.until_whole(10.0)
    assert not missing, missing
    for measured in (flood, seen):
        none_lost(measured)
    total = flood.total
    refused_429 = total.refused["429"]
    goodput = flood.orders_per_second  # until the last one has ended: what was accepted has to be finished, too
    return Row(
        best, rate, total.accepted / seconds, goodput, goodput / best, refused_429,
        total.refused.total() - refused_429, total.errors, total.completion.percentile_ms(0.99),
        well_after_s(seen.diary, flood), len(before - _processes(settings)),
    )  # fmt: skip


def well_after_s(modest: Diary, flood: Measured) -> float:
    """From when the last order of the flood was due until the modest client saw nothing bad any more."""
    assert flood.begun_at is not None
    over = flood.begun_at + flood.plan.duration_s
    bad = [ended for began, ended, _ in modest.lives if (ended - began) * 1000 > WELL_MS]
    bad += [at for at, _ in modest.troubles]
    return max(0.0, max(bad, default=over) - over)


def _processes(settings: Settings) -> frozenset[int]:
    """Hosts, director, projector, and what `up` has started."""
    victims, state = Victims(settings), run_state.running(settings)
    found = {process.pid for fault in ("host", "director", "projector", "node") for process in victims.all(fault)}
    return frozenset(found | {name.pid for name in state.processes.values()})
