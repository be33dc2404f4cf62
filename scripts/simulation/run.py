"""One run: a world is made from a seed, goes through a storm, heals, comes to rest, and is judged."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from actors.kinds import KINDS
from actors.parking import park
from actors.runtime.ports import EffectRunner
from models.orchestrator.messages import PaymentAnswered
from scripts.simulation import invariants
from scripts.simulation.archive import Shelves
from scripts.simulation.bank import Bank
from scripts.simulation.client import Client, Impatient, Receipts, Vanished
from scripts.simulation.clock import WallClock
from scripts.simulation.cluster import Cluster
from scripts.simulation.disk import Disk
from scripts.simulation.faults import Chaos, FaultPlan, fault_plan
from scripts.simulation.history import History
from scripts.simulation.host import System
from scripts.simulation.network import Network
from scripts.simulation.payments import Counter, LinePayments
from scripts.simulation.scenario import scenario
from scripts.simulation.shoppers import People
from scripts.simulation.trace import Trace
from scripts.simulation.turns import flaky
from scripts.simulation.virtual_loop import START_S, Endless, Process, Stalled, VirtualLoop
from scripts.simulation.weather import CALM, Weather, storm
from scripts.simulation.webhooks import Webhooks

LATEST_S = 12.0
"""Longer than any message, request or payment can be on its way."""

STILL_S = 4.0
"""When nothing has happened for so long, and something is left, it waits for its time."""

LONG_S = 60.0
"""Waiting longer than this is looked into: it must be on purpose."""

REST_S_MAX = 900.0
"""Virtual seconds that a healed world gets to come to rest."""

ROUNDS_MAX = 250_000
"""Four times what the longest good run takes."""


@dataclass(frozen=True)
class Verdict:
    """What became of one seed. `digest` is the trace's: the same seed always has the same. archived: orders that have
    a record in the archive; restored: records replaced by later ones, of orders that had come back meanwhile."""

    seed: int
    violations: tuple[str, ...]
    digest: str
    events: int
    orders: int
    virtual_s: float
    archived: int = 0
    restored: int = 0
    trace: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return not self.violations


def simulate(seed: int, *, faults: FaultPlan | None = None, keep_trace: bool = False) -> Verdict:
    """Run one seed to its end, with `faults` instead of those it would draw. Deterministic: neither the machine, nor
    the time, nor the hash seed matters."""
    collecting = gc.isenabled()
    gc.disable()  # when destructors run must not depend on what ran before
    muted = _mute()
    loop = VirtualLoop(ROUNDS_MAX)
    asyncio.set_event_loop(loop)
    try:
        world = _World(loop, seed, faults, keep_trace)
        try:
            loop.run_until_complete(world.run())
        except (Stalled, Endless) as error:
            world.problems.append(f"A10: {error}")
        return world.verdict()
    finally:
        _bury(loop)
        asyncio.set_event_loop(None)
        loop.close()
        muted()
        if collecting:
            gc.enable()


def _bury(loop: VirtualLoop) -> None:
    """End what is still under way, so that no destructor complains of it: the run is over and judged."""
    for task in asyncio.all_tasks(loop):
        with contextlib.suppress(RuntimeError):  # a coroutine that awaits in its `finally`
            task.get_coro().close()


def _mute() -> Callable[[], None]:
    """Storms would fill the log. Returns what undoes it."""
    logger = logging.getLogger("dray")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    return lambda: logger.setLevel(level)


class _World:
    """Everything of one run, wired."""

    def __init__(self, loop: VirtualLoop, seed: int, faults: FaultPlan | None, keep_trace: bool) -> None:
        def random(part: str) -> Random:
            return Random(f"{seed}/{part}")

        self._loop = loop
        self._seed = seed
        self.plan = scenario(random("scenario"))
        self.storm = storm(random("weather"))
        self.problems: list[str] = []
        self.trace = Trace(keep_trace)
        self.clock = WallClock(loop)
        self.network = Network(loop, random("network"), self.trace)
        self.disk = Disk(loop, random("disk"), self.trace, self.clock.steady)
        self.shelves = Shelves()
        self.history = History(self.disk.store, self.plan.shards, loop.give_up)
        self.bank = Bank(self.clock.now)
        self.counter = Counter(loop, random("counter"), self.trace, self.bank)
        self.stormy = False
        self.kinds = flaky(
            {
                name: replace(kind, snapshot_after_events=min(kind.snapshot_after_events, 6))
                for name, kind in KINDS.items()
            },
            random("flaky"),
            lambda: self.plan.flaky if self.stormy else 0.0,
        )
        system = System(
            self.kinds,
            self.plan.limits,
            self.network,
            self.disk,
            self.shelves,
            shards=self.plan.shards,
            dedicated=self.plan.dedicated,
            park=park,
            runners=self._runners,
        )
        self.cluster = Cluster(
            loop, random("cluster"), self.trace, self.clock, system, skew_ms=self.plan.skew_ms, wire_s=self.plan.wire_s
        )
        self.disk.witnesses.append(self.history.witness)
        self.chaos = Chaos(
            loop,
            random("faults"),
            self.trace,
            faults or fault_plan(random("plan")),
            cluster=self.cluster,
            disk=self.disk,
            clock=self.clock,
            bank=self.bank,
            hosts=self.plan.hosts,
            gateways=self.plan.gateways,
        )
        self.receipts = Receipts()
        client = Client(
            self.cluster,
            random("client"),
            self.trace,
            self.receipts,
            now=self.clock.now,
            shards=self.plan.shards,
            stored=lambda address: len(self.history.of[address]) if address in self.history.of else 0,
        )
        self.webhooks = Webhooks(client, random("webhooks"))
        self.bank.tell = self.webhooks.happened
        self.people = People(client, random("people"), self.plan)

    def _runners(self, process: Process) -> dict[str, EffectRunner]:
        return {"payments": LinePayments(self.counter, process, lambda answer: PaymentAnswered(answer=answer))}

    async def run(self) -> None:
        try:
            self.chaos.start_all()
            await self.people.open_shop()
            self._weather(self.storm)
            lives = asyncio.ensure_future(self.people.live())
            ends_s = self._loop.time() + self.plan.storm_s
            await self.chaos.rage(ends_s)
            await asyncio.sleep(max(0.0, ends_s - self._loop.time()))
            self._weather(CALM)
            self.chaos.heal()
            await lives
            if not await self._rest():
                self.problems.append(f"A10: no rest within {REST_S_MAX:.0f} s")
        except Impatient as error:
            self.problems.append(f"A10: {error}")
        except Vanished as error:
            self.problems.append(f"A1: {error}")

    def verdict(self) -> Verdict:
        """Judge what there is."""
        problems = [*self.problems, *(f"A10: {accident}" for accident in self._loop.accidents)]
        problems += invariants.judge(self._evidence())
        return Verdict(
            self._seed,
            tuple(problems),
            self.trace.digest(),
            self.trace.events,
            len(self.history.kind("order")),
            self._loop.time() - START_S,
            sum(map(len, self.shelves.rows.values())),
            self.shelves.again,
            tuple(self.trace.lines),
        )

    def _weather(self, weather: Weather) -> None:
        self.stormy = weather is not CALM
        self.network.weather = self.disk.weather = self.counter.weather = self.cluster.weather = weather

    async def _rest(self) -> bool:
        """Wait until nothing is left to do, and longer than anything can still be on its way. When all that is left
        waits for its time, the wall clock is moved there."""
        began_s = still_since_s = self._loop.time()
        before: object = None
        while self._loop.time() - began_s < REST_S_MAX:
            await asyncio.sleep(1.0)
            self.chaos.start_missing()
            left = invariants.pending(self.disk.store, self.clock.now())
            now = (sum(map(len, self.history.of.values())), len(left), self.webhooks.open)
            if now != before:
                before, still_since_s = now, self._loop.time()
                continue
            still_s = self._loop.time() - still_since_s
            wait_s = (min(due.at for _, due in left) - self.clock.now()) / 1000 if left else LONG_S
            if still_s < (STILL_S if wait_s < LONG_S else LATEST_S):
                continue
            if not left:
                return True
            if wait_s >= LONG_S:
                self.problems += invariants.forgotten(self._evidence())
            self.clock.jump(max(0.0, wait_s))
            still_since_s = self._loop.time()
        return False

    def _evidence(self) -> invariants.Evidence:
        return invariants.Evidence(
            self.history,
            self.bank,
            self.receipts,
            self.disk.store,
            self.shelves,
            self.kinds,
            list(self.cluster.hosts.values()),
            self.plan,
            self.clock.now(),
        )
