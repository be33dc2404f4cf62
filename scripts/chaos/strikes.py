"""Carries strikes out, takes back what can be taken back, and notes when the system was whole again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from scripts import run_state
from scripts.chaos.probe import Probe
from scripts.chaos.schedule import Strike
from scripts.chaos.victims import Paused, Victims, await_end
from scripts.settings import Settings

RECOVERS_WITHIN_S = 120.0
SANDBOX_ANSWER_S = 5.0

BAD_STRIPE = {
    "latency": {"distribution": "exponential", "mean_ms": 50, "max_ms": 1000},
    "rules": [
        {"fault": "error_500_before", "probability": 0.1},
        {"fault": "error_500_after", "probability": 0.1},
        {"fault": "closed_before", "probability": 0.1},
        {"fault": "closed_after", "probability": 0.1},
        {"fault": "rate_limit", "probability": 0.1},
    ],
    "webhooks": {"duplicate": 0.2, "late": 0.2, "reorder": 0.2},
}
"""Every second call goes wrong, in one of five ways."""

Say = Callable[[str], None]


@dataclass
class Happening:
    """A strike and what came of it. Times are those of `time.monotonic`.

    target:   whom it hit; '' if there was nobody of that sort just then.
    over_at:  when the fault itself was over: at once, if it was a death.
    whole_at: when the system was whole again; None if it was not in time.
    """

    strike: Strike
    at: float
    target: str = ""
    over_at: float = 0.0
    whole_at: float | None = None

    @property
    def recovery_s(self) -> float | None:
        """From the strike on; None if it hit nobody, or the system never was whole again."""
        return self.whole_at - self.at if self.target and self.whole_at is not None else None


class Striker:
    """Strikes one system. `close` takes everything back that is still in force."""

    def __init__(self, settings: Settings, probe: Probe, say: Say) -> None:
        self._settings, self._probe, self._say = settings, probe, say
        self._victims = Victims(settings)
        self._paused: list[Paused] = []
        self._stripe_before: Any = None
        self._under_way: list[asyncio.Task[None]] = []
        self.happened: list[Happening] = []

    async def run(self, strikes: Sequence[Strike], begins: float) -> None:
        """All strikes at their times, counted from `begins`."""
        for strike in strikes:
            await asyncio.sleep(max(0.0, begins + strike.at_s - time.monotonic()))
            now = time.monotonic()
            happening = Happening(strike, now, over_at=now)
            self.happened.append(happening)
            self._under_way.append(asyncio.get_running_loop().create_task(self._strike(happening, begins)))

    async def recovered(self) -> None:
        """Until every strike has been got over, or was waited for in vain, or called off."""
        if self._under_way:
            await asyncio.wait(self._under_way)
        for task in self._under_way:
            if not task.cancelled():
                task.result()

    async def close(self) -> None:
        """Safe to call again."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        for paused in self._paused:
            paused.resume()
        await self._calm_stripe()

    # --- one strike ---------------------------------------------------------------------------------------------------

    async def _strike(self, happening: Happening, begins: float) -> None:
        strike = happening.strike
        try:
            await self._inflict(happening)
        finally:
            happening.over_at = time.monotonic()
        if not happening.target:
            self._say(f"{_at(begins, happening.at)}  {strike.fault}: there is none just now")
            return
        lists = strike.fault in ("projector", "redis", "node")
        found = await self._probe.until_whole(RECOVERS_WITHIN_S, lists=lists)
        if found:
            self._say(f"{_at(begins, time.monotonic())}  {strike.fault}: NOT RECOVERED, {found}")
            return
        happening.whole_at = time.monotonic()
        self._say(
            f"{_at(begins, happening.whole_at)}  {strike.fault}: whole again, {happening.recovery_s:.2f} s after it"
        )

    async def _inflict(self, happening: Happening) -> None:
        """Do it, and wait until it is done, or for as long as it is to last."""
        strike = happening.strike
        if strike.fault == "stripe":
            if await self._worsen_stripe():
                self._struck(happening, "sandbox", "misbehaves")
                await asyncio.sleep(strike.lasts_s)
                await self._calm_stripe()
            return
        victim = self._victims.pick(strike.fault, strike.pick)
        if victim is None:
            return
        name = f"{_name(victim)} (pid {victim.pid})"
        if strike.fault == "pause":
            paused = Paused(victim)
            self._paused.append(paused)
            self._struck(happening, name, f"SIGSTOP for {strike.lasts_s:.1f} s")
            try:
                await asyncio.sleep(strike.lasts_s)
            finally:
                paused.resume()
                self._paused.remove(paused)
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        self._struck(happening, name, "kill -9")
        await asyncio.to_thread(await_end, victim)

    def _struck(self, happening: Happening, target: str, how: str) -> None:
        happening.target = target
        self._say(f"{happening.strike.at_s:6.1f} s  {happening.strike.fault}: {how}, {target}")

    # --- Stripe -------------------------------------------------------------------------------------------------------

    async def _worsen_stripe(self) -> bool:
        """False if the sandbox cannot be told just now."""
        before = await asyncio.to_thread(self._sandbox, "GET", None)
        if before is None or self._stripe_before is not None:
            return False
        self._stripe_before = before["plan"]
        return await asyncio.to_thread(self._sandbox, "PUT", BAD_STRIPE) is not None

    async def _calm_stripe(self) -> None:
        """Put back what was in force before. A sandbox that was killed meanwhile has done so itself."""
        if self._stripe_before is not None:
            before, self._stripe_before = self._stripe_before, None
            await asyncio.to_thread(self._sandbox, "PUT", before)

    def _sandbox(self, method: str, plan: Any) -> Any:
        """The sandbox's fault plan, read or replaced; None if nobody answers."""
        state = run_state.read(self._settings)
        data = None if plan is None else json.dumps(plan).encode()
        request = urllib.request.Request(
            f"{state.stripe_url if state else ''}/_sandbox/faults", data, {"Content-Type": "application/json"},
            method=method,
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=SANDBOX_ANSWER_S) as answer:
                return json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            return None


def _at(begins: float, now: float) -> str:
    return f"{now - begins:6.1f} s"


def _name(process: psutil.Process) -> str:
    """What a process is called, in a word or two."""
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return "a process"
    if words and words[0].startswith("ray::"):
        return str(words[0]).partition(".")[0]
    return next((word for word in words[1:4] if word.startswith("scripts.")), str(process.name()))

