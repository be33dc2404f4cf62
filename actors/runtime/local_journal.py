"""The journal in memory: for tests and the simulator. The same contract as the Redis one, plus faults on demand.

`MemoryStore` is the disk; a `MemoryJournal` is one process's connection to it. Several processes share a store by
making one `MemoryJournal` each, so that a fault can hit the connection of one of them only. Deterministic: it draws no
randomness and reads no clock but the one it is given.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum

from actors.runtime.ports import (
    Append,
    Cell,
    Commit,
    CommitResult,
    DueEntry,
    Failed,
    Fenced,
    Group,
    JournalMismatch,
    JournalUnavailable,
    Ownership,
    Quiet,
    Record,
    Refused,
    Stored,
    StreamEntry,
    Wall,
    WentBack,
)
from models.decision import Address, Due, Millis
from models.identity import home_of


class Fault(StrEnum):
    """What happens to one request on its way."""

    NONE = "none"
    LOST_REQUEST = "lost request"  # it never arrives: nothing is stored
    LOST_ANSWER = "lost answer"  # it is carried out; the caller does not hear of it


Faults = Callable[[str, Cell | None], Fault]
"""Asked once per operation (`acquire commit load due pending renew lease_of`) and, for `commit`, once per commit."""

Travel = Callable[[str], Awaitable[None]]
"""Awaited with the operation's name before a request arrives and again before its answer does: latency on demand."""


@dataclass
class _Lock:
    """A cell's owner record."""

    epoch: int = 0
    owner: str = ""  # empty: nobody can commit
    number: int = 0
    by: str = ""  # who stored commit `number`
    refused: tuple[Refused, ...] = ()


@dataclass
class _Actor:
    base: int = 0  # events that the snapshot stands for
    snapshot: bytes | None = None
    events: list[bytes] = field(default_factory=list)
    data_key: str = ""

    @property
    def version(self) -> int:
        return self.base + len(self.events)


@dataclass
class _Shard:
    pooled: _Lock = field(default_factory=_Lock)
    own: dict[str, _Lock] = field(default_factory=dict)
    actors: dict[Address, _Actor] = field(default_factory=dict)
    due: dict[Address, Due] = field(default_factory=dict)
    quiet: dict[Address, Millis] = field(default_factory=dict)  # since when
    guards: dict[str, tuple[str, Millis]] = field(default_factory=dict)  # value, expiry
    streaming: bool = False
    stream: list[StreamEntry] = field(default_factory=list)
    sequence: int = 0

    def lock(self, cell: Cell) -> _Lock:
        return self.own.setdefault(cell.actor, _Lock()) if cell.actor else self.pooled


@dataclass
class _Contents:
    shards: dict[int, _Shard] = field(default_factory=dict)
    leases: dict[str, Millis] = field(default_factory=dict)  # owner -> end
    shard_count: int = 0


class MemoryStore:
    """What outlives every process. `checkpoint` and `restore` make it go back in time, as a disk that lied would."""

    def __init__(self) -> None:
        self._contents = _Contents()

    def shard(self, number: int) -> _Shard:
        return self._contents.shards.setdefault(number, _Shard())

    @property
    def contents(self) -> _Contents:
        return self._contents

    def checkpoint(self) -> object:
        """A copy of everything, for `restore`."""
        return deepcopy(self._contents)

    def restore(self, checkpoint: object) -> None:
        """Forget all that was stored since `checkpoint` was made."""
        assert isinstance(checkpoint, _Contents)
        self._contents = deepcopy(checkpoint)


def wall_clock() -> Millis:
    return time.time_ns() // 1_000_000


class MemoryJournal:
    """One process's way to a `MemoryStore`; implements `ports.Journal`.

    now:          the clock of leases and guards.
    faults:       says what happens to each request; may be replaced at any time.
    travel:       latency; None answers without giving way to other tasks.
    stream_kinds: kinds of actors whose events go to the shard's stream, once it has been opened.
    quiet_kinds:  kinds of actors of which `quiet` tells since when they have had nothing due.
    """

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        now: Wall = wall_clock,
        faults: Faults | None = None,
        travel: Travel | None = None,
        stream_kinds: frozenset[str] = frozenset(),
        quiet_kinds: frozenset[str] = frozenset(),
    ) -> None:
        self.store = store if store is not None else MemoryStore()
        self.faults = faults
        self.travel = travel
        self._now = now
        self._stream_kinds = stream_kinds
        self._quiet_kinds = quiet_kinds

    # --- ports.Journal ---

    async def acquire(self, cell: Cell, owner: str) -> Ownership:
        assert owner, "an owner has a name"
        fault = await self._arrive("acquire", cell)
        shard = self.store.shard(cell.shard)
        lock = shard.lock(cell)
        if cell.actor and not lock.owner:  # becomes dedicated: the pooled owner may hold its state, so fence it
            shard.pooled.epoch += 1
            shard.pooled.owner = ""
        lock.epoch += 1
        lock.owner = owner
        ownership = Ownership(cell, lock.epoch, owner, lock.number)
        await self._answer("acquire", fault)
        return ownership

    async def commit(self, commits: Sequence[Commit]) -> Sequence[CommitResult]:
        if self.travel:
            await self.travel("commit")
        results: list[CommitResult] = []
        for commit in commits:
            fault = self._fault("commit", commit.cell)
            if fault is Fault.LOST_REQUEST:
                results.append(Failed(fault))
                continue
            result = self._store(commit)
            results.append(Failed(fault) if fault is Fault.LOST_ANSWER else result)
        if self.travel:
            await self.travel("commit")
        return results

    async def load(self, cell: Cell, addresses: Sequence[Address]) -> Sequence[Record]:
        fault = await self._arrive("load", cell)
        shard = self.store.shard(cell.shard)
        if not cell.actor:
            for address in addresses:
                own = shard.own.get(str(home_of(address)))
                if own is not None and own.owner:
                    own.epoch += 1
                    own.owner = ""
        records = [_record(shard.actors.get(address)) for address in addresses]
        await self._answer("load", fault)
        return records

    async def due(self, cell: Cell, until: Millis, limit: int) -> Sequence[DueEntry]:
        fault = await self._arrive("due", cell)
        entries = [entry for entry in self._entries(cell) if entry.due.at <= until]
        entries.sort(key=lambda entry: (entry.due.at, entry.due.pending, str(entry.address)))
        await self._answer("due", fault)
        return entries[:limit]

    async def pending(self, cell: Cell, after: Address | None, limit: int) -> Sequence[DueEntry]:
        fault = await self._arrive("pending", cell)
        entries = [entry for entry in self._entries(cell) if entry.due.pending]
        entries.sort(key=lambda entry: str(entry.address))
        first = bisect_right(entries, str(after), key=lambda entry: str(entry.address)) if after else 0
        await self._answer("pending", fault)
        return entries[first : first + limit]

    async def quiet(self, cell: Cell, until: Millis, skip: int, limit: int) -> Sequence[Quiet]:
        fault = await self._arrive("quiet", cell)
        quiet = self.store.shard(cell.shard).quiet.items()
        found = [Quiet(a, since) for a, since in quiet if since <= until and _sees(cell, a)]
        found.sort(key=lambda entry: (entry.since, str(entry.address)))
        await self._answer("quiet", fault)
        return found[skip : skip + limit]

    async def timers(self, cell: Cell, after: Millis, skip: int, limit: int) -> Sequence[DueEntry]:
        fault = await self._arrive("timers", cell)
        entries = [entry for entry in self._entries(cell) if not entry.due.pending and entry.due.at > after]
        entries.sort(key=lambda entry: (entry.due.at, str(entry.address)))
        await self._answer("timers", fault)
        return entries[skip : skip + limit]

    async def renew(self, owner: str, ttl_ms: int) -> None:
        fault = await self._arrive("renew", None)
        self.store.contents.leases[owner] = self._now() + ttl_ms
        await self._answer("renew", fault)

    async def lease_of(self, owner: str) -> int:
        fault = await self._arrive("lease_of", None)
        left = max(0, self.store.contents.leases.get(owner, 0) - self._now())
        await self._answer("lease_of", fault)
        return left

    # --- the system and its stream ---

    async def claim(self, shards: int) -> None:
        """Fix the system's shard count at first start. Raises JournalMismatch if it was fixed at another."""
        contents = self.store.contents
        if contents.shard_count not in (0, shards):
            raise JournalMismatch(f"this journal was made with {contents.shard_count} shards, not {shards}")
        contents.shard_count = shards

    async def stream_open(self, shard: int) -> None:
        """From now on keep the shard's events in its stream, until they are trimmed."""
        self.store.shard(shard).streaming = True

    async def stream_position(self, shard: int) -> int:
        """The sequence of the shard's latest stream entry, trimmed or not; 0 if there never was one."""
        return self.store.shard(shard).sequence

    async def stream_read(self, shard: int, after: int, limit: int) -> Sequence[StreamEntry]:
        """Up to `limit` entries of the shard's stream with `sequence > after`, in order."""
        return [entry for entry in self.store.shard(shard).stream if entry.sequence > after][:limit]

    async def stream_passed(self, shard: int, through: int) -> bool:
        """True once the shard's stream has been trimmed through this entry."""
        return not await self.stream_read(shard, 0, 1) or self.store.shard(shard).stream[0].sequence > through

    async def stream_trim(self, shard: int, through: int) -> None:
        """Drop the entries with `sequence <= through`."""
        of = self.store.shard(shard)
        of.stream = [entry for entry in of.stream if entry.sequence > through]

    async def addresses(self, shard: int) -> Sequence[Address]:
        """Every actor of the shard of which something is stored, in no order."""
        actors = self.store.shard(shard).actors.items()
        return [address for address, actor in actors if actor.events or actor.snapshot is not None]

    async def records(self, shard: int, addresses: Sequence[Address]) -> Sequence[Record]:
        """As `load`, for those who only read."""
        actors = self.store.shard(shard).actors
        return [_record(actors.get(address)) for address in addresses]

    async def data_keys(self, shard: int, addresses: Sequence[Address]) -> Sequence[str]:
        """The wrapped data keys of these actors; '' where there is none."""
        return [record.data_key for record in await self.records(shard, addresses)]

    async def erase_data_keys(self, shard: int, addresses: Sequence[Address]) -> None:
        """Destroy the keys of these actors' personal data: from now on nobody can read them."""
        for address in addresses:
            actor = self.store.shard(shard).actors.get(address)
            if actor is not None:
                actor.data_key = ""

    # --- inside ---

    def _fault(self, operation: str, cell: Cell | None) -> Fault:
        return self.faults(operation, cell) if self.faults else Fault.NONE

    async def _arrive(self, operation: str, cell: Cell | None) -> Fault:
        if self.travel:
            await self.travel(operation)
        fault = self._fault(operation, cell)
        if fault is Fault.LOST_REQUEST:
            raise JournalUnavailable(fault)
        return fault

    async def _answer(self, operation: str, fault: Fault) -> None:
        if self.travel:
            await self.travel(operation)
        if fault is Fault.LOST_ANSWER:
            raise JournalUnavailable(fault)

    def _entries(self, cell: Cell) -> list[DueEntry]:
        """A dedicated cell sees its own entries, the pooled one the whole shard's: whoever wakes the shard up also
        wakes the dedicated actors in it."""
        due = self.store.shard(cell.shard).due
        return [DueEntry(a, d) for a, d in due.items() if _sees(cell, a)]

    def _store(self, commit: Commit) -> CommitResult:
        shard = self.store.shard(commit.cell.shard)
        lock = shard.lock(commit.cell)
        if lock.by == commit.owner and lock.number == commit.number:
            return Stored(lock.refused)
        if lock.epoch < commit.epoch:
            return WentBack(lock.number)  # epochs only grow: the journal has lost this owner's acquisition
        if lock.epoch != commit.epoch or lock.owner != commit.owner or commit.number <= lock.number:
            return Fenced()
        if commit.number > lock.number + 1:
            return WentBack(lock.number)
        refused = []
        streamed: list[tuple[Address, int, Sequence[bytes]]] = []
        for index, group in enumerate(commit.groups):
            no = self._refusal(shard, index, group)
            if no is not None:
                refused.append(no)
                continue
            if group.guard is not None:
                shard.guards[group.guard.key] = (group.guard.value, self._now() + group.guard.ttl_ms)
            for append in group.appends:
                self._write(shard, append)
                known = append.restored
                if len(append.events) > known and append.address.kind in self._stream_kinds:
                    streamed.append((append.address, append.expected_version + known, tuple(append.events[known:])))
        if shard.streaming and streamed:
            shard.sequence += 1
            shard.stream.append(StreamEntry(shard.sequence, streamed))
        lock.number, lock.by, lock.refused = commit.number, commit.owner, tuple(refused)
        return Stored(lock.refused)

    def _refusal(self, shard: _Shard, index: int, group: Group) -> Refused | None:
        if group.guard is not None:
            value, expiry = shard.guards.get(group.guard.key, ("", 0))
            if expiry > self._now():
                return Refused(index, value)
        assert len({append.address for append in group.appends}) == len(group.appends), "one append per actor and group"
        for append in group.appends:
            actor = shard.actors.get(append.address)
            if append.expected_version != (actor.version if actor else 0):
                return Refused(index, None)
        return None

    def _write(self, shard: _Shard, append: Append) -> None:
        if append.forget:
            assert not append.events and append.snapshot is None, "an actor that is forgotten says nothing more"
            shard.actors.pop(append.address, None)
            shard.due.pop(append.address, None)
            shard.quiet.pop(append.address, None)
            if append.due is not None:
                shard.due[append.address] = append.due
            return
        actor = shard.actors.setdefault(append.address, _Actor())
        actor.events.extend(append.events)
        actor.data_key = actor.data_key or append.data_key
        if append.snapshot is not None:
            actor.base, actor.snapshot, actor.events = actor.version, append.snapshot, []
        if append.due_changed:
            shard.due.pop(append.address, None)
            shard.quiet.pop(append.address, None)
            if append.due is not None:
                shard.due[append.address] = append.due
            elif append.address.kind in self._quiet_kinds:
                shard.quiet[append.address] = self._now()


def _sees(cell: Cell, address: Address) -> bool:
    """A dedicated cell sees its own entries of an index, the pooled one the whole shard's."""
    return not cell.actor or str(home_of(address)) == cell.actor


def _record(actor: _Actor | None) -> Record:
    if actor is None:
        return Record(0, None, ())
    return Record(actor.version, actor.snapshot, tuple(actor.events), actor.data_key)
