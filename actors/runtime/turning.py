"""Turning a work: find its actor, decide, and hold back everything until what it rests on is durable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from actors.runtime.cell import OwnedCell
from actors.runtime.envelope import Read, Reply, Status
from actors.runtime.loader import Loader
from actors.runtime.outbox import Outbox
from actors.runtime.parking import Parking
from actors.runtime.resident import Resident, Work
from actors.runtime.turn import Turn, answered_before, apply_turn, take_turn
from models.decision import Millis, Rejected

if TYPE_CHECKING:
    from actors.runtime.host import HostCore


class Turning:
    """Runs one work at a time on the host's residents. `dirty` wakes the committer."""

    def __init__(self, host: HostCore, loader: Loader, outbox: Outbox, parking: Parking) -> None:
        self._host = host
        self._loader = loader
        self._outbox = outbox
        self._parking = parking
        self._memory_ms = int(host.limits.command_memory_s * 1000)
        self._part_events_max = host.limits.part_events_max
        self.turns = 0

    def turn(self, work: Work) -> None:
        host = self._host
        envelope = work.envelope
        now = host.wall()
        if envelope.expires_at < now:
            work.answer(Reply(Status.EXPIRED))
            return
        home, owned = work.home, work.owned
        if owned is None or owned.gone:
            owned = work.owned = host.owned(home)  # taken over anew since it came in, or gone
            if owned is None:
                work.answer(Reply(Status.MOVED))
                return
        resident = owned.resident(home, host.families[home.kind])
        if resident.loading and not self._loader.ready(owned, resident, work):
            return
        resident.last_used = now
        if type(envelope.command) is Read:
            self._read(owned, resident, work)
        elif not (envelope.command_id and self._replayed(resident, work, now)):
            self._decide(owned, resident, work, now)

    def _decide(self, owned: OwnedCell, resident: Resident, work: Work, now: Millis) -> None:
        envelope = work.envelope
        if envelope.expected_version and self._stale(resident, work):
            return
        part = resident.part
        if part is not None and len(part.works) >= self._part_events_max <= part.events() and not work.from_within:
            work.answer(Reply(Status.BUSY))  # the journal is away; whoever sent a message has an intent, and asks again
            return
        try:
            turn = take_turn(resident, envelope.to, envelope.command, now)
        except Exception as error:
            self._parking.broken(work, error)
            return
        self.turns += 1
        if isinstance(turn, Rejected):
            self._hold(resident, work, Reply(Status.REJECTED, orjson.dumps(turn)))
        else:
            self._accepted(owned, resident, work, turn, now)
        if resident.assumed and resident.part is None:
            # Nothing was stored, so nothing has proved that the record is as empty as it was assumed to be.
            self._host.forget(owned, resident.home)

    def _accepted(self, owned: OwnedCell, resident: Resident, work: Work, turn: Turn, now: Millis) -> None:
        part = apply_turn(owned, resident, work.envelope, turn, now)
        self._host.count_pending(resident)
        if part is None:
            self._outbox.release(turn.sends, turn.effects)
        else:
            part.sends.extend(turn.sends)
            part.effects.extend(turn.effects)
            part.works.append(work)
            self._host.dirty()
        if work.sink is not None:
            self._hold(resident, work, self._reply(resident, work, turn.accepted.reply))

    def _reply(self, resident: Resident, work: Work, reply: Any) -> Reply:
        if reply is not None:
            return Reply(Status.OK, orjson.dumps(reply), data_key=resident.data_key)
        if work.envelope.watch:
            return Reply(Status.OK)  # the view comes with the notice
        return self._host.view(resident, work.envelope.to.kind)

    def _read(self, owned: OwnedCell, resident: Resident, work: Work) -> None:
        reply = self._host.view(resident, work.envelope.to.kind)
        self._hold(resident, work, reply)
        if reply.status is Status.ABSENT and resident.part is None:
            self._host.forget(owned, resident.home)  # a stranger's id leaves nothing in memory

    def _replayed(self, resident: Resident, work: Work, now: Millis) -> bool:
        """Answer a command id that has been answered before: with the view of now, or with MISMATCH."""
        envelope = work.envelope
        before = answered_before(resident, envelope, self._memory_ms, now)
        if before is None:
            return False
        if before.digest != envelope.digest:
            self._hold(resident, work, Reply(Status.MISMATCH))
        else:
            view = self._host.view(resident, envelope.to.kind)
            self._hold(resident, work, Reply(view.status, view.body, view.version, view.data_key, replayed=True))
        return True

    def _stale(self, resident: Resident, work: Work) -> bool:
        """Refuse what was meant for another version: one of two who act on the same page comes second."""
        version = resident.members[work.envelope.to.kind].version
        if version == work.envelope.expected_version:
            return False
        self._hold(resident, work, Reply(Status.STALE, version=version))
        return True

    def _hold(self, resident: Resident, work: Work, reply: Reply) -> None:
        """Give a reply no sooner than what it rests on is durable; without a commit, only under a valid lease that has
        not lapsed since the cell was last known to be ours."""
        if work.sink is None:
            return
        if resident.part is not None:
            resident.part.replies.append((work.sink, reply))
        elif self._host.lease.valid() and not (work.owned and work.owned.unproven):
            work.sink(reply)
        else:
            work.sink(Reply(Status.MOVED))
