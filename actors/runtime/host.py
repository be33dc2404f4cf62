"""The host: takes batches in, runs turns, commits, and lets answers, messages and effects out.

One host runs in one process on one event loop; turns are plain function calls on it, so an actor's turns never overlap.
It owns cells; `director` decides which. Everything it knows can be lost at any moment without harm: the journal holds
what was answered, and whoever owns the cell next resumes what was under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from actors.runtime.archive import Archive
from actors.runtime.archiving import Archiver
from actors.runtime.cell import OwnedCell
from actors.runtime.committer import Committer
from actors.runtime.envelope import Envelope, Reply, Status
from actors.runtime.finding import Finder
from actors.runtime.intake import Intake
from actors.runtime.kind import ActorKind, Kinds
from actors.runtime.lease import Lease
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.loader import Loader
from actors.runtime.notices import Notices
from actors.runtime.outbox import Outbox, Tell
from actors.runtime.parking import Park, Parking
from actors.runtime.ports import Cell, Journal, Runners, Wall
from actors.runtime.redrive import Redrive
from actors.runtime.resident import Part, ReplySink, Resident, Work
from actors.runtime.turning import Turning
from models.decision import Address, Command, Resume, Send
from models.identity import shard_of

log = logging.getLogger("dray.host")


class HostCore:
    """A host without its vendor: the Ray actor, and every test, wraps one of these.

    kinds:     every kind of actor this host can run.
    owner:     the id of this process incarnation, new on every start.
    tell:      hands a message for an actor elsewhere to the router; at least once until it expires.
    park:      makes the messages that record a parked command (see `parking`).
    dedicated: the rule that says whether an actor has a cell of its own; None where none has.
    on_lost:   called with a cell that another owner has taken.
    on_foreign: called with a dedicated cell that has something to do, found in the due index of a shard of ours: its
               own host may not be running.
    archive:   where orders at rest are kept; None keeps all of them in the journal.
    """

    def __init__(
        self,
        kinds: Kinds,
        journal: Journal,
        runners: Runners,
        *,
        owner: str,
        shards: int,
        wall: Wall,
        tell: Tell,
        park: Park,
        dedicated: Callable[[Address], bool] | None = None,
        on_lost: Callable[[Cell], None] = lambda _cell: None,
        on_foreign: Callable[[Cell], None] = lambda _cell: None,
        archive: Archive | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self.owner = owner
        self.limits = limits
        self.journal = journal
        self.wall = wall
        self.cells: dict[Cell, OwnedCell] = {}
        self._shard_cells: list[OwnedCell | None] = [None] * shards  # those of `cells` that are whole shards
        self.lease = Lease(journal, owner, limits, self._prove)
        self.notices = Notices(limits.watches_max, limits.answer_bytes_max)
        self.pending_residents = 0
        self.refusing = ""  # why new orders are refused now ("" while they are not)
        self.kinds = kinds
        self.families = families_of(kinds)
        self._home_kinds = {name: kind.home or name for name, kind in kinds.items()}
        self._shards = shards
        self._dedicated = dedicated
        self._on_lost = on_lost
        self.on_foreign = on_foreign
        self._outbox = Outbox(self, runners, tell)
        self._parking = Parking(self, park)
        self.loader = Loader(self)
        self.finder = Finder(self, archive)
        self.archiver = Archiver(self, archive)
        self._committer = Committer(self, self._outbox)
        self._redrive = Redrive(self)
        self._turning = Turning(self, self.loader, self._outbox, self._parking)
        self._intake = Intake(self, self._turning.turn)

    @property
    def turns(self) -> int:
        """Turns taken since the start."""
        return self._turning.turns

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the lease and begin to commit. Raises JournalUnavailable if the journal does not answer."""
        await self.lease.start()
        self._committer.start()
        self._redrive.start()
        self.archiver.start()

    async def close(self) -> None:
        """Give up everything at once. What was not committed was never answered."""
        self._intake.close()
        await self.archiver.close()
        await self._redrive.close()
        await self._committer.close()
        await self.loader.close()
        await self.finder.close()
        await self.lease.close()
        await self._outbox.close()

    async def own(self, cell: Cell) -> None:
        """Take a cell over and resume what was under way in it. If it is cancelled before all of that has been resumed,
        the cell is let go: nobody would resume the rest. Raises JournalUnavailable."""
        if cell in self.cells:
            return
        asked = asyncio.get_running_loop().time()
        ownership = await self.journal.acquire(cell, self.owner)
        self.cells[cell] = owned = OwnedCell(ownership)
        if not cell.actor:
            self._shard_cells[cell.shard] = owned
        if asyncio.get_running_loop().time() - asked >= self.limits.lease_lost_s:
            owned.prove()  # the answer was so long on its way that the cell may have another owner by now
            self.dirty()
        try:
            await self._redrive.resume(owned)
        except asyncio.CancelledError:
            self.drop(owned)
            raise

    async def disown(self, cell: Cell) -> None:
        """Hand a cell over in good order: no new work, everything decided made durable, then let go."""
        owned = self.cells.get(cell)
        if owned is None:
            return
        owned.closing = True
        while self.cells.get(cell) is owned and (owned.commit is not None or owned.accumulating):
            self.dirty()
            await asyncio.sleep(0.002)
        self.drop(owned)

    def drop(self, owned: OwnedCell) -> None:
        """Forget a cell that is no longer ours; whoever waits for it is told to ask its new owner."""
        if self.cells.get(owned.cell) is not owned:
            return
        del self.cells[owned.cell]
        owned.gone = True
        if not owned.cell.actor:
            self._shard_cells[owned.cell.shard] = None
        moved = Reply(Status.MOVED)
        for parts in (owned.in_flight, owned.accumulating):
            for part in parts.values():
                for sink, _ in part.replies:
                    sink(moved)
        for resident in owned.residents.values():
            self.pending_residents -= resident.pending
            for work in resident.waiting:
                work.answer(moved)
        self.notices.moved(list(owned.residents))

    def _prove(self) -> None:
        """The lease has lapsed: cells may have been given away, so nothing is answered from memory before the journal
        has confirmed that they are ours."""
        for owned in self.cells.values():
            owned.prove()
        if self.cells:
            self.dirty()

    def remind(self) -> None:
        """Another host has died: what our actors wait for may be lost with it."""
        self._redrive.remind()

    def lost(self, owned: OwnedCell) -> None:
        """Fenced: somebody else owns this cell."""
        log.warning("lost %s at epoch %d", owned.cell, owned.ownership.epoch)
        self.drop(owned)
        self._on_lost(owned.cell)

    # --- taking in ----------------------------------------------------------------------------------------------------

    async def deliver(self, data: bytes) -> bytes:
        """One batch from a router in, its answers out."""
        return await self._intake.deliver(data)

    def accept(self, work: Work) -> Reply | None:
        """Queue one envelope, or refuse it: returns the refusal, which an asker has then been told."""
        return self._intake.accept(work)

    def enqueue(self, to: Address, command: Command) -> None:
        """Queue a command from within: an effect's outcome, a timer."""
        self._intake.enqueue(to, command)

    def again(self, work: Work) -> None:
        """Turn a work again."""
        self._intake.again(work)

    # --- where things are ---------------------------------------------------------------------------------------------

    def home_of(self, address: Address) -> Address:
        home_kind = self._home_kinds[address.kind]
        return address if home_kind == address.kind else Address(home_kind, address.id)

    def cell_of(self, home: Address) -> Cell:
        shard = shard_of(home, self._shards)
        return Cell(shard, str(home)) if self._dedicated is not None and self._dedicated(home) else Cell(shard)

    def owned(self, home: Address) -> OwnedCell | None:
        """The cell that `home` lives in, if this host owns it."""
        try:
            if self._dedicated is None:
                return self._shard_cells[shard_of(home, self._shards)]  # asked for some thirty times an order
            return self.cells.get(self.cell_of(home))
        except ValueError:
            return None

    def work(self, envelope: Envelope, sink: ReplySink | None = None) -> Work:
        """An envelope for an actor of a known kind, located."""
        to = envelope.to
        home = to if to.kind in self.families else self.home_of(to)
        return Work(envelope, home, self.owned(home), sink)

    # --- residents ----------------------------------------------------------------------------------------------------

    def count_pending(self, resident: Resident) -> None:
        """Keep the number of actors with intents under way, which bounds how much new work is let in."""
        pending = False
        for member in resident.members.values():
            pending = pending or (member.due is not None and member.due.pending)
        if pending is not resident.pending:
            resident.pending = pending
            self.pending_residents += 1 if pending else -1

    def forget(self, owned: OwnedCell, home: Address) -> Part | None:
        """Drop a resident, and give back the part that it had accumulated."""
        resident = owned.residents.get(home)
        if resident is not None:
            self.pending_residents -= resident.pending
        return owned.forget(home)

    def reload(self, address: Address, *, resume: bool) -> None:
        """Replace what is in memory by what is stored, once nothing of it is unsettled: its last turn raised. What was
        gathered in notes is lost with it, so `resume` asks again for what was under way."""
        home = self.home_of(address)
        owned = self.owned(home)
        resident = owned.residents.get(home) if owned else None
        if owned is None or resident is None:
            return
        self.loader.want(owned, resident)
        for name, member in resident.members.items():
            if resume and member.due is not None and member.due.pending:
                self.enqueue(Address(name, home.id), Resume())

    def view(self, resident: Resident, kind_name: str) -> Reply:
        """What a reader of this member gets now: its view, or ABSENT."""
        member = resident.members[kind_name]
        view = member.kind.view(member.state)
        if view is None:
            return Reply(Status.ABSENT)
        return Reply(Status.OK, orjson.dumps(view), member.version, resident.data_key)

    def read(self, resident: Resident, kind_name: str) -> Reply:
        """As `view`, for those who only read. Gateways read the catalogue once a second, changed or not, so what they
        read is kept as it was sent; of orders, which are many and seldom read twice, it is not, and not of companions,
        whose notes change them without another version."""
        member = resident.members[kind_name]
        if member.kind.minted_at is not None or member.kind.home:
            return self.view(resident, kind_name)
        shown = member.shown
        if shown is not None and shown[0] == member.version:
            return Reply(Status.OK, shown[1], member.version, resident.data_key)
        reply = self.view(resident, kind_name)
        if reply.status is Status.OK:
            member.shown = (member.version, reply.body)
        return reply

    def dirty(self) -> None:
        """Something has been decided: flush it as soon as the journal is free."""
        self._committer.dirty()

    def start_held_effects(self) -> None:
        """Effects that had to wait, for a valid lease or for others to come back."""
        self._outbox.start_held()

    def send(self, send: Send) -> None:
        """A message that rests on nothing undecided."""
        self._outbox.release((send,), ())

    def stopped(self, owned: OwnedCell) -> None:
        """The journal lost acknowledged writes of this cell: answer nothing from it until a person has looked."""
        self.refusing = f"the journal of {owned.cell} went back in time"
        self.drop(owned)

    # --- housekeeping and sight ---------------------------------------------------------------------------------------

    def dismiss(self, owned: OwnedCell, resident: Resident) -> None:
        """Drop an order that nothing is under way of: hardly any of them is asked for again soon, and memory that has
        just been used costs less to give back, and to use again, than it does when it has been idle."""
        home = resident.home
        minted = self.kinds[home.kind].minted_at is not None
        if minted and not self._in_use(resident) and owned.residents.get(home) is resident:
            del owned.residents[home]

    def _in_use(self, resident: Resident) -> bool:
        """Whether memory has something of it that the journal has not, or somebody waits for what becomes of it."""
        unsettled = resident.loading or resident.pending or resident.part is not None
        return unsettled or self.notices.watched(resident.home)

    def passivate(self) -> int:
        """Drop residents that have been idle for long, or are too many; returns how many went."""
        before = self.wall() - int(self.limits.resident_idle_s * 1000)
        total = sum(len(owned.residents) for owned in self.cells.values())
        excess = total - self.limits.resident_actors_max
        gone = 0
        for owned in self.cells.values():
            idle = []
            for home, resident in owned.residents.items():  # least recently used first: mostly the first one ends it
                if resident.last_used > before and gone >= excess:
                    break
                if self._in_use(resident):
                    continue
                idle.append(home)
                gone += 1
            for home in idle:
                del owned.residents[home]
        return gone

    def status(self) -> dict[str, Any]:
        """What `dray status` shows of this host."""
        return {
            "owner": self.owner,
            "cells": [
                {"shard": c.shard, "actor": c.actor, "epoch": o.ownership.epoch, "commit": o.number,
                 "residents": len(o.residents), "blocked": o.retry_s > 0}
                for c, o in self.cells.items()
            ],
            "pending": self.pending_residents,
            "turns": self._turning.turns,
            "refusing": self.refusing,
            "watches": len(self.notices),
            "lease_valid": self.lease.valid(),
            **self._intake.status(),
            **self._committer.status(),
            **self._outbox.status(),
            **self._parking.status(),
            **self.archiver.status(),
        }


def families_of(kinds: Kinds) -> Mapping[str, tuple[ActorKind, ...]]:
    """Each home kind with the kinds that live with it, itself first."""
    return {
        name: (kind, *(other for other in kinds.values() if other.home == name))
        for name, kind in kinds.items()
        if not kind.home
    }
