"""The simulated disk: one store for all, one unreliable connection per process, and an eye on everything stored.

The store is `MemoryStore` and each connection ends in a `MemoryJournal`, whose contract the Redis journal shares. A
request lives on when its process dies, may fail for its caller before or after it is carried out, and may even be
carried out after its caller has given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any, TypeVar

from actors.runtime.local_journal import Fault, MemoryJournal, MemoryStore
from actors.runtime.ports import (
    Cell,
    Commit,
    CommitResult,
    DueEntry,
    JournalUnavailable,
    Ownership,
    Quiet,
    Record,
    Wall,
)
from models.decision import Address, Millis
from scripts.simulation.trace import Trace
from scripts.simulation.virtual_loop import Process, VirtualLoop
from scripts.simulation.weather import CALM, Weather

T = TypeVar("T")

QUIET_KINDS = frozenset({"orchestrator"})

GIVEN_UP_S = (0.01, 1.0)
"""How long a caller waits before it hears that the connection is gone."""

Witness = Callable[[Cell, str], None]
"""Called with (cell, owner) right after a commit or an acquisition was carried out, while nothing else has happened."""


class Disk:
    """What all connections share. While `down` nothing is carried out."""

    def __init__(self, loop: VirtualLoop, random: Random, trace: Trace, wall: Wall) -> None:
        self.store = MemoryStore()
        self.weather: Weather = CALM
        self.down = False
        self.witnesses: list[Witness] = []
        self.loop = loop
        self.random = random
        self.trace = trace
        self.wall = wall

    def connect(self, process: Process, kinds: frozenset[str]) -> Connection:
        """A process's own way to the disk; events of `kinds` go to the shards' streams."""
        return Connection(self, process, kinds)

    def witness(self, cell: Cell, owner: str) -> None:
        for witness in self.witnesses:
            witness(cell, owner)


class Connection:
    """Implements `ports.Journal` for one process."""

    def __init__(self, disk: Disk, process: Process, kinds: frozenset[str]) -> None:
        self._disk = disk
        self._process = process
        self._journal = MemoryJournal(
            disk.store, now=disk.wall, faults=self._fault_of_one, stream_kinds=kinds, quiet_kinds=QUIET_KINDS
        )

    async def acquire(self, cell: Cell, owner: str) -> Ownership:
        async def acquire() -> Ownership:
            ownership = await self._journal.acquire(cell, owner)
            self._disk.witness(cell, owner)
            return ownership

        return await self.call("acquire", cell, acquire, owner)

    async def commit(self, commits: Sequence[Commit]) -> Sequence[CommitResult]:
        """One request for all; besides, a single commit may fail by itself (out of memory, a missing script)."""
        names = " ".join(f"{c.cell.shard}/{c.cell.actor}#{c.number}@{c.epoch}" for c in commits)

        async def store() -> Sequence[CommitResult]:
            results = await self._journal.commit(commits)
            for commit in commits:
                self._disk.witness(commit.cell, commit.owner)
            return results

        return await self.call("commit", None, store, names)

    async def load(self, cell: Cell, addresses: Sequence[Address]) -> Sequence[Record]:
        return await self.call("load", cell, lambda: self._journal.load(cell, addresses), len(addresses))

    async def due(self, cell: Cell, until: Millis, limit: int) -> Sequence[DueEntry]:
        return await self.call("due", cell, lambda: self._journal.due(cell, until, limit))

    async def pending(self, cell: Cell, after: Address | None, limit: int) -> Sequence[DueEntry]:
        return await self.call("pending", cell, lambda: self._journal.pending(cell, after, limit))

    async def quiet(self, cell: Cell, until: Millis, skip: int, limit: int) -> Sequence[Quiet]:
        return await self.call("quiet", cell, lambda: self._journal.quiet(cell, until, skip, limit))

    async def timers(self, cell: Cell, after: Millis, skip: int, limit: int) -> Sequence[DueEntry]:
        return await self.call("timers", cell, lambda: self._journal.timers(cell, after, skip, limit))

    async def stream_position(self, shard: int) -> int:
        return await self.call("stream_position", None, lambda: self._journal.stream_position(shard), shard)

    async def stream_passed(self, shard: int, through: int) -> bool:
        return await self.call("stream_passed", None, lambda: self._journal.stream_passed(shard, through), shard)

    async def renew(self, owner: str, ttl_ms: int) -> None:
        await self.call("renew", None, lambda: self._journal.renew(owner, ttl_ms), owner)

    async def lease_of(self, owner: str) -> int:
        return await self.call("lease_of", None, lambda: self._journal.lease_of(owner), owner)

    # --- the way there and back ---------------------------------------------------------------------------------------

    async def call(
        self, operation: str, cell: Cell | None, work: Callable[[], Coroutine[Any, Any, T]], *details: object
    ) -> T:
        """Have a request carried out, as far as the weather lets it through. Raises JournalUnavailable."""
        disk, weather, random = self._disk, self._disk.weather, self._disk.random
        answer: asyncio.Future[T] = disk.loop.create_future()
        fate = random.random()
        delay_s = random.uniform(*weather.journal_s)

        def arrive(heard: bool) -> None:
            if disk.down:
                disk.loop.later(random.uniform(*GIVEN_UP_S), _break, answer, "the journal is down")
                return
            disk.trace.note(operation, *(cell or ()), *details)
            result = _at_once(work())
            if heard:
                disk.loop.later(random.uniform(*disk.weather.journal_s), _give, answer, result)

        if self._process.cut or (fate := fate - weather.journal_lost) < 0:
            disk.loop.later(random.uniform(*GIVEN_UP_S), _break, answer, "the request was lost")
        elif (fate := fate - weather.journal_late) < 0:
            disk.loop.later(random.uniform(*GIVEN_UP_S), _break, answer, "the request was late")
            disk.loop.later(delay_s + random.uniform(0.5, 4.0), arrive, False)
        elif fate < weather.journal_unanswered:
            disk.loop.later(delay_s + random.uniform(*GIVEN_UP_S), _break, answer, "the answer was lost")
            disk.loop.later(delay_s, arrive, False)
        else:
            disk.loop.later(delay_s, arrive, True)
        return await answer

    def _fault_of_one(self, operation: str, _cell: Cell | None) -> Fault:
        weather = self._disk.weather
        if operation != "commit" or not weather.journal_lost:
            return Fault.NONE
        fate = self._disk.random.random()
        if fate < weather.journal_lost / 2:
            return Fault.LOST_REQUEST
        return Fault.LOST_ANSWER if fate < weather.journal_lost else Fault.NONE


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits: the journal in memory does not."""
    try:
        work.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    raise AssertionError("the journal in memory has waited")


def _give(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _break(answer: asyncio.Future[T], why: str) -> None:
    if not answer.done():
        answer.set_exception(JournalUnavailable(why))
