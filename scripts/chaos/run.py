"""A chaos run: load, strikes, rest, audit."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from scripts import run_state
from scripts.chaos.probe import Probe
from scripts.chaos.schedule import Strike
from scripts.chaos.strikes import Happening, Striker
from scripts.load.measured import Counts, Interval, Measured
from scripts.load.plan import Plan
from scripts.load.run import LoadTest
from scripts.settings import Settings

WHOLE_WITHIN_S = 120.0
PAYMENTS_BEFORE_CONFIRMED = 2
"""The authorisation and the capture: what an order waits for, one after the other, before it is confirmed."""

NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Row:
    """One fault and what was seen of it. Statuses are of answers while it lasted and the system recovered.

    longest_stall_ms: of all orders of which some part lay within that time, from when they were due until their end
                      was seen, less their payment calls; what an order of a sound system takes is in it. slowest:
                      that order.
    """

    fault: str
    target: str
    at_s: float
    lasted_s: float
    recovery_s: float | None
    longest_stall_ms: float
    slowest: str
    answers: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault, "target": self.target, "at_s": round(self.at_s, 3),
            "lasted_s": round(self.lasted_s, 3),
            "recovery_s": None if self.recovery_s is None else round(self.recovery_s, 3),
            "longest_stall_ms": round(self.longest_stall_ms, 1), "slowest": self.slowest, "answers": self.answers,
        }  # fmt: skip


@dataclass
class Outcome:
    """What a chaos run has shown. missing: what the system lacked at its end; '' if it was whole."""

    measured: Measured
    rows: list[Row] = field(default_factory=list)
    payment_calls_ms: float = 0.0
    missing: str = ""

    @property
    def passed(self) -> bool:
        """The audit aside."""
        return not self.missing and not self.measured.lost()


class Show(Protocol):
    """Tells somebody how it goes."""

    def __call__(self, interval: Interval, total: Counts) -> None: ...

    def say(self, line: str) -> None: ...


async def unleash(settings: Settings, plan: Plan, strikes: Sequence[Strike], show: Show) -> Outcome:
    """Run the load and the strikes, and wait until the system is whole again. The plan has to keep a diary.

    Ends early, in good order, on SIGINT and SIGTERM; whatever happens, no process stays stopped and no fault in force.
    Raises Refused, Unreachable, ClientFailed, NotRunning.
    """
    test = LoadTest(settings, plan, show)
    async with Probe(settings) as probe:
        striker = Striker(settings, probe, show.say)
        striking = asyncio.get_running_loop().create_task(_strike(test, striker, strikes))
        try:
            measured = await test.run()
            await striking
            await striker.recovered()
        finally:
            striking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await striking
            await striker.close()
        missing = await probe.until_whole(WHOLE_WITHIN_S)
    payments_s = payment_calls_s(settings)
    rows = [row_of(happening, measured, payments_s) for happening in striker.happened]
    return Outcome(measured, rows, payments_s * 1000, missing)


async def _strike(test: LoadTest, striker: Striker, strikes: Sequence[Strike]) -> None:
    """Strike until all is done; once somebody has had enough, call everything off."""
    begins = await test.begun()
    loop = asyncio.get_running_loop()
    striking, enough = loop.create_task(striker.run(strikes, begins)), loop.create_task(test.interrupted())
    try:
        await asyncio.wait([striking, enough], return_when=asyncio.FIRST_COMPLETED)
        if enough.done():
            await striker.close()
        else:
            striking.result()
    finally:
        striking.cancel()
        enough.cancel()
        await asyncio.gather(striking, enough, return_exceptions=True)


def payment_calls_s(settings: Settings) -> float:
    """How long an order's payment calls take, where that is known: simulated ones. Else 0, and stalls include them."""
    state = run_state.read(settings)
    if state is None or state.payments != "simulated":
        return 0.0
    return PAYMENTS_BEFORE_CONFIRMED * settings.simulated_latency_ms / 1000


def row_of(happening: Happening, measured: Measured, payments_s: float) -> Row:
    """Lay a strike beside what the client saw."""
    strike, diary = happening.strike, measured.diary
    until = happening.whole_at if happening.whole_at is not None else float("inf")
    if not happening.target:
        return Row(strike.fault, "", strike.at_s, 0.0, None, 0.0, "", {})
    answers = Counter(
        str(status) if status else NO_ANSWER for at, status in diary.troubles if happening.at <= at <= until
    )
    longest_s, slowest = diary.longest(happening.at, until)
    return Row(
        strike.fault, happening.target, strike.at_s, happening.over_at - happening.at, happening.recovery_s,
        max(0.0, longest_s - payments_s) * 1000, slowest, dict(answers),
    )  # fmt: skip
