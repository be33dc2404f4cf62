"""The host: takes batches in, runs turns, commits, and lets answers, messages and effects out.

One host runs in one process on one event loop; turns are plain function calls on it, so an actor's turns never overlap.
It owns cells; `director` decides which. Everything it knows can be lost at any moment without harm: the journal holds
what was answered, and whoever owns the cell next resumes what was under way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from actors.runtime.cell import OwnedCell
from actors.runtime.codec import decode_batch, decode_item, encode_answers
from actors.runtime.committer import Committer
from actors.runtime.envelope import Envelope, Read, Reply, Status
from actors.runtime.kind import ActorKind, Kinds
from actors.runtime.lease import Lease
from actors.runtime.limits import LIMITS, Limits
from actors.runtime.loader import Loader
from actors.runtime.notices import Notices, Watch
from actors.runtime.outbox import Outbox, Tell
from actors.runtime.parking import Park, Parking
from actors.runtime.ports import Cell, Journal, Runners, Wall
from actors.runtime.redrive import Redrive
from actors.runtime.resident import Part, Resident, Work
from actors.runtime.turn import Turn, answered_before, apply_turn, take_turn, view_of
from models.decision import Address, Command, Rejected, Send
from models.identity import shard_of

log = logging.getLogger("dray.host")


class HostCore:
    """A host without its vendor: the Ray actor, and every test, wraps one of these.

    kinds:     every kind of actor this host can run.
    owner:     the id of this process incarnation, new on every start.
    tell:      hands a message for an actor elsewhere to the router; at least once until it expires.
    park:      makes the messages that record a parked command (see `parking`).
    dedicated: the rule that says whether an actor has a cell of its own.
    on_lost:   called with a cell that another owner has taken.
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
        dedicated: Callable[[Address], bool] = lambda _home: False,
        on_lost: Callable[[Cell], None] = lambda _cell: None,
        limits: Limits = LIMITS,
    ) -> None:
        self.owner = owner
        self.limits = limits
        self.journal = journal
        self.wall = wall
        self.cells: dict[Cell, OwnedCell] = {}
        self.lease = Lease(journal, owner, limits)
        self.notices = Notices(limits.watches_max)
        self.turns = 0
        self.pending_residents = 0
        self.refusing = ""  # why new orders are refused now ("" while they are not)
        self._kinds = kinds
        self._homes = homes_of(kinds)
        self._shards = shards
        self._dedicated = dedicated
        self._on_lost = on_lost
        self._arrivals: deque[Work] = deque()
        self._continuations: deque[Work] = deque()
        self._running = False
        self._outbox = Outbox(self, runners, tell)
        self._parking = Parking(self, park)
        self._loader = Loader(self)
        self._committer = Committer(self, self._outbox)
        self._redrive = Redrive(self)
        self._closed = False

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the lease and begin to commit. Raises JournalUnavailable if the journal does not answer."""
        await self.lease.start()
        self._committer.start()
        self._redrive.start()

    async def close(self) -> None:
        """Give up everything at once. What was not committed was never answered."""
        self._closed = True
        await self._redrive.close()
        await self._committer.close()
        await self._loader.close()
        await self.lease.close()
        await self._outbox.close()

    async def own(self, cell: Cell) -> None:
        """Take a cell over and resume what was under way in it. Raises JournalUnavailable."""
        if cell in self.cells:
            return
        ownership = await self.journal.acquire(cell, self.owner)
        self.cells[cell] = owned = OwnedCell(ownership)
        await self._redrive.resume(owned)

    async def disown(self, cell: Cell) -> None:
        """Hand a cell over in good order: no new work, everything decided made durable, then let go."""
        owned = self.cells.get(cell)
        if owned is None:
            return
        owned.closing = True
        while owned.commit is not None or owned.accumulating:
            self._committer.dirty()
            await asyncio.sleep(0.002)
        self.drop(owned)

    def drop(self, owned: OwnedCell) -> None:
        """Forget a cell that is no longer ours; whoever waits for it is told to ask its new owner."""
        if self.cells.get(owned.cell) is not owned:
            return
        del self.cells[owned.cell]
        moved = Reply(Status.MOVED)
        for parts in (owned.in_flight, owned.accumulating):
            for part in parts.values():
                for sink, _ in part.replies:
                    sink(moved)
        for resident in owned.residents.values():
            self.pending_residents -= resident.pending
            for work in resident.waiting:
                self.answer(work, moved)
        self.notices.moved(list(owned.residents))

    def lost(self, owned: OwnedCell) -> None:
        """Fenced: somebody else owns this cell."""
        log.warning("lost %s at epoch %d", owned.cell, owned.ownership.epoch)
        self.drop(owned)
        self._on_lost(owned.cell)

    # --- taking in ----------------------------------------------------------------------------------------------------

    async def deliver(self, data: bytes) -> bytes:
        """One batch in, its answers out. No item waits for I/O other than the journal's."""
        batch = decode_batch(data)
        if batch.linger:
            notices = await self.notices.linger(batch.sender, self.limits.linger_s)
            return encode_answers([], notices)
        self.notices.call_begins(batch.sender)
        replies: list[Reply | None] = [None] * len(batch.items)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        remaining = len(batch.items)

        def sink_for(index: int) -> Callable[[Reply | None], None]:
            def sink(reply: Reply | None) -> None:
                nonlocal remaining
                replies[index] = reply
                remaining -= 1
                if not remaining and not done.done():
                    done.set_result(None)

            return sink

        try:
            for index, item in enumerate(batch.items):
                sink = sink_for(index)
                try:
                    envelope, watch_id = decode_item(item)
                except (KeyError, ValueError, TypeError) as error:
                    log.error("an item that this version cannot read: %s", error)
                    sink(Reply(Status.FAILED, b'{"code":"unreadable"}'))
                    continue
                if watch_id:
                    sink = self._watching(envelope, batch.sender, watch_id, sink)
                if envelope.asks:
                    self.accept(Work(envelope, sink))
                else:
                    sink(self.accept(Work(envelope)) or Reply(Status.OK))
            if remaining:
                await done
        finally:
            notices = self.notices.call_ends(batch.sender)
        return encode_answers(replies, notices)

    def _watching(
        self, envelope: Envelope, sender: str, watch_id: int, sink: Callable[[Reply | None], None]
    ) -> Callable[[Reply | None], None]:
        """The reply to a watched command waits until its actor has got there; a refusal is told at once."""
        home = self.home_of(envelope.to)

        def watched(reply: Reply | None) -> None:
            if reply is None or reply.status is not Status.OK or self.notices.full():
                sink(reply)
                return
            owned = self.owned(home)
            resident = owned.residents.get(home) if owned else None
            member = resident.members[envelope.to.kind] if resident else None
            if member is None or (member.kind.awaited(member.state) and resident and resident.part is None):
                sink(reply)
                return
            self.notices.watch(home, Watch(sender, watch_id, envelope.to.kind, envelope.expires_at))
            sink(None)

        return watched

    def accept(self, work: Work) -> Reply | None:
        """Queue one envelope, or refuse it: returns the refusal, which an asker has then been told."""
        envelope = work.envelope
        refusal = self._refusal(envelope)
        if refusal is not None:
            self.answer(work, refusal)
            return refusal
        if type(envelope.command) in self._kinds[envelope.to.kind].arrivals:
            self._arrivals.append(work)
        else:
            self._continuations.append(work)
        self._schedule()
        return None

    def enqueue(self, to: Address, command: Command) -> None:
        """A command from within: an effect's outcome, a timer. Never refused; its number is bounded by its source."""
        expires_at = self.wall() + int(self.limits.message_ttl_s * 1000)
        self._continuations.append(Work(Envelope(to, command, expires_at, asks=False)))
        self._schedule()

    def again(self, work: Work) -> None:
        """Turn a work again, after its actor has been loaded or a refused group has been dropped."""
        self._continuations.append(work)
        self._schedule()

    def _refusal(self, envelope: Envelope) -> Reply | None:
        kind = self._kinds.get(envelope.to.kind)
        if kind is None:
            return Reply(Status.FAILED, b'{"code":"unknown_kind"}')
        owned = self.owned(self.home_of(envelope.to))
        if owned is None or owned.closing:
            return Reply(Status.MOVED)
        queued = len(self._arrivals) + len(self._continuations)
        if queued >= self.limits.host_queue_messages_max:
            return Reply(Status.BUSY)
        if type(envelope.command) in kind.arrivals and (
            self.refusing or self.pending_residents + len(self._arrivals) >= self.limits.arrivals_in_flight_max
        ):
            return Reply(Status.BUSY)
        return None

    @staticmethod
    def answer(work: Work, reply: Reply) -> None:
        if work.sink is not None:
            work.sink(reply)

    # --- where things are ---------------------------------------------------------------------------------------------

    def home_of(self, address: Address) -> Address:
        kind = self._kinds[address.kind]
        return Address(kind.home, address.id) if kind.home else address

    def cell_of(self, home: Address) -> Cell:
        shard = shard_of(home, self._shards)
        return Cell(shard, str(home)) if self._dedicated(home) else Cell(shard)

    def owned(self, home: Address) -> OwnedCell | None:
        try:
            return self.cells.get(self.cell_of(home))
        except ValueError:
            return None

    # --- turning ------------------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        """Turn a slice of what is queued: continuations first, so that what was begun is finished first."""
        self._running = False
        if self._closed:
            return
        for _ in range(self.limits.turns_per_slice_max):
            if self._continuations:
                work = self._continuations.popleft()
            elif self._arrivals:
                work = self._arrivals.popleft()
            else:
                return
            self._turn(work)
        self._schedule()

    def _turn(self, work: Work) -> None:
        envelope = work.envelope
        now = self.wall()
        if envelope.expires_at < now:
            self.answer(work, Reply(Status.EXPIRED))
            return
        home = self.home_of(envelope.to)
        owned = self.owned(home)
        if owned is None:
            self.answer(work, Reply(Status.MOVED))
            return
        resident = owned.resident(home, self._homes[home.kind])
        if resident.loading and not self._loader.ready(owned, resident, work):
            return
        resident.last_used = now
        if type(envelope.command) is Read:
            self._read(owned, resident, work)
            return
        if envelope.command_id:
            before = answered_before(resident, envelope, int(self.limits.command_memory_s * 1000), now)
            if before is not None:
                self._replayed(resident, work, before.digest)
                return
        try:
            turn = take_turn(resident, envelope.to, envelope.command, now)
        except Exception as error:  # a bug in a decider must not stop the host
            self._parking.broken(work, error)
            return
        self.turns += 1
        if isinstance(turn, Rejected):
            self._hold(resident, work, _rejection(turn))
            if resident.assumed and resident.part is None:
                self.forget(owned, home)
            return
        self._commit_turn(owned, resident, work, turn, now)

    def _commit_turn(self, owned: OwnedCell, resident: Resident, work: Work, turn: Turn, now: int) -> None:
        part = apply_turn(owned, resident, work.envelope, turn, now)
        self.count_pending(resident)
        if part is None:
            if resident.assumed:
                self.forget(owned, resident.home)  # nothing was stored, so nothing has proved that the record is empty
            self._outbox.release(turn.sends, turn.effects)
        else:
            part.sends.extend(turn.sends)
            part.effects.extend(turn.effects)
            part.works.append(work)
            self._committer.dirty()
        if work.sink is not None:
            self._reply(resident, work, turn)

    def _reply(self, resident: Resident, work: Work, turn: Turn) -> None:
        envelope = work.envelope
        if turn.accepted.reply is not None:
            self._hold(resident, work, Reply(Status.OK, _json(turn.accepted.reply), data_key=resident.data_key))
        elif envelope.watch:
            self._hold(resident, work, Reply(Status.OK))  # the view comes with the notice
        else:
            self._hold(resident, work, self.view(resident, envelope.to.kind))

    def view(self, resident: Resident, kind_name: str) -> Reply:
        body = view_of(resident, kind_name)
        if body is None:
            return Reply(Status.ABSENT)
        return Reply(Status.OK, body, resident.members[kind_name].version, resident.data_key)

    def _read(self, owned: OwnedCell, resident: Resident, work: Work) -> None:
        reply = self.view(resident, work.envelope.to.kind)
        self._hold(resident, work, reply)
        if reply.status is Status.ABSENT and resident.part is None:
            self.forget(owned, resident.home)  # a stranger's id leaves nothing in memory

    def _replayed(self, resident: Resident, work: Work, digest: str) -> None:
        if digest != work.envelope.digest:
            self._hold(resident, work, Reply(Status.MISMATCH))
            return
        reply = self.view(resident, work.envelope.to.kind)
        self._hold(
            resident, work, Reply(reply.status, reply.body, reply.version, reply.data_key, replayed=True)
        )

    def _hold(self, resident: Resident, work: Work, reply: Reply) -> None:
        """Give a reply no sooner than what it rests on is durable; without a commit, only under a valid lease."""
        if work.sink is None:
            return
        if resident.part is not None:
            resident.part.replies.append((work.sink, reply))
        elif self.lease.valid():
            work.sink(reply)
        else:
            work.sink(Reply(Status.MOVED))

    # --- residents ----------------------------------------------------------------------------------------------------

    def count_pending(self, resident: Resident) -> None:
        """Keep the number of actors with intents under way, which bounds how much new work is let in."""
        pending = any(member.due is not None and member.due.pending for member in resident.members.values())
        if pending is not resident.pending:
            resident.pending = pending
            self.pending_residents += 1 if pending else -1

    def forget(self, owned: OwnedCell, home: Address) -> Part | None:
        """Drop a resident, and give back the part that it had accumulated."""
        resident = owned.residents.get(home)
        if resident is not None:
            self.pending_residents -= resident.pending
        return owned.forget(home)

    def reload(self, address: Address) -> None:
        """Replace what is in memory by what is stored, once nothing of it is unsettled: its last turn raised."""
        home = self.home_of(address)
        owned = self.owned(home)
        resident = owned.residents.get(home) if owned else None
        if owned is not None and resident is not None:
            self._loader.want(owned, resident)

    def send(self, send: Send) -> None:
        """A message that rests on nothing undecided."""
        self._outbox.send(send)

    def stopped(self, owned: OwnedCell) -> None:
        """The journal lost acknowledged writes of this cell: answer nothing from it until a person has looked."""
        self.refusing = f"the journal of {owned.cell} went back in time"
        self.drop(owned)

    # --- housekeeping and sight ---------------------------------------------------------------------------------------

    def passivate(self) -> int:
        """Drop residents that have been idle for long, or are too many; returns how many went."""
        before = self.wall() - int(self.limits.resident_idle_s * 1000)
        total = sum(len(owned.residents) for owned in self.cells.values())
        excess = total - self.limits.resident_actors_max
        gone = 0
        for owned in self.cells.values():
            for home, resident in list(owned.residents.items()):
                if resident.last_used > before and gone >= excess:
                    break
                if resident.loading or resident.pending or resident.part or self.notices.watched(home):
                    continue
                del owned.residents[home]
                gone += 1
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
            "queue": {"arrivals": len(self._arrivals), "continuations": len(self._continuations)},
            "pending": self.pending_residents,
            "turns": self.turns,
            "refusing": self.refusing,
            "watches": len(self.notices),
            "lease_valid": self.lease.valid(),
            **self._committer.status(),
            **self._outbox.status(),
            **self._parking.status(),
        }


def homes_of(kinds: Kinds) -> Mapping[str, tuple[ActorKind, ...]]:
    """Each home kind with the kinds that live with it, itself first."""
    return {
        name: (kind, *(other for other in kinds.values() if other.home == name))
        for name, kind in kinds.items()
        if not kind.home
    }


def _rejection(rejected: Rejected) -> Reply:
    return Reply(Status.REJECTED, _json({"code": rejected.code, "detail": rejected.detail}))


def _json(value: Any) -> bytes:
    return orjson.dumps(value)
