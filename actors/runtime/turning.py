"""Turning a work: find its actor, decide, and hold back everything until what it rests on is durable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from actors.runtime.cell import OwnedCell
from actors.runtime.codec import to_json
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
    """Turns what is queued for one actor on the host's residents."""

    def __init__(self, host: HostCore, loader: Loader, outbox: Outbox, parking: Parking) -> None:
        self._host = host
        self._loader = loader
        self._outbox = outbox
        self._parking = parking
        self._memory_ms = int(host.limits.command_memory_s * 1000)
        self._part_events_max = host.limits.part_events_max
        self.turns = 0

    def turn(self, works: Sequence[Work]) -> None:
        """Turn works that are all for one actor, in the order in which they came. Those that nobody waits for share a
        turn: they would share a commit all the same."""
        now = self._host.wall()
        several: list[Work] = []
        for work in works:
            if work.envelope.expires_at < now:
                work.answer(Reply(Status.EXPIRED))
            elif work.sink is None and not work.envelope.asks and not work.attempts:
                several.append(work)
            else:
                if several:
                    self._turn_several(several, now)
                    several = []
                self._turn_one(work, now)
        if several:
            self._turn_several(several, now)

    def _turn_one(self, work: Work, now: Millis) -> None:
        owned = self._owned(work)
        if owned is None:
            return
        resident = owned.resident(work.home, self._host.families[work.home.kind])
        if resident.loading and not self._loader.ready(owned, resident, work):
            return
        resident.last_used = now
        envelope = work.envelope
        if type(envelope.command) is Read:
            self._read(owned, resident, work)
        elif not (envelope.command_id and self._replayed(resident, work, now)):
            self._decide(owned, resident, work, now)

    def _turn_several(self, works: list[Work], now: Millis) -> None:
        owned = self._owned(works[0])
        if owned is None:
            return
        resident = owned.resident(works[0].home, self._host.families[works[0].home.kind])
        if len(works) == 1 or resident.loading or self._full(resident):
            for work in works:
                self._turn_one(work, now)
            return
        resident.last_used = now
        try:
            turn, _ = take_turn(resident, [work.envelope for work in works], now)
        except Exception:  # whichever it is that cannot be turned, the others can
            for work in works:
                self._turn_one(work, now)
            return
        self.turns += 1
        self._apply(owned, resident, works, turn, now)

    def _owned(self, work: Work) -> OwnedCell | None:
        """The cell that the work is for; None, and its asker told so, if it has moved."""
        owned = work.owned
        if owned is None or owned.gone:
            owned = work.owned = self._host.owned(work.home)  # taken over anew since it came in, or gone
            if owned is None:
                work.answer(Reply(Status.MOVED))
        return owned

    def _full(self, resident: Resident) -> bool:
        """True if the journal is away and too much waits for it. Senders of messages have intents, and ask again."""
        part = resident.part
        return part is not None and len(part.works) >= self._part_events_max <= part.events()

    def _decide(self, owned: OwnedCell, resident: Resident, work: Work, now: Millis) -> None:
        envelope = work.envelope
        if envelope.expected_version and self._stale(resident, work):
            return
        if not work.from_within and self._full(resident):
            work.answer(Reply(Status.BUSY))
            return
        try:
            turn, decision = take_turn(resident, (envelope,), now)
        except Exception as error:
            self._parking.broken(work, error)
            return
        self.turns += 1
        if isinstance(decision, Rejected):
            self._hold(resident, work, Reply(Status.REJECTED, to_json(decision)))
        else:
            self._apply(owned, resident, (work,), turn, now)
            if work.sink is not None:
                self._hold(resident, work, self._reply(resident, work, decision.reply))
        if resident.assumed and resident.part is None:
            # Nothing was stored, so nothing has proved that the record is as empty as it was assumed to be.
            self._host.forget(owned, resident.home)

    def _apply(self, owned: OwnedCell, resident: Resident, works: Sequence[Work], turn: Turn, now: Millis) -> None:
        if apply_turn(owned, resident, works[0].envelope, turn, now):
            self._host.count_pending(resident)
        part = resident.part
        if part is None:
            self._outbox.release(turn.sends, turn.effects)
        else:
            part.sends.extend(turn.sends)
            part.effects.extend(turn.effects)
            part.works.extend(works)
            self._host.dirty()

    def _reply(self, resident: Resident, work: Work, reply: Any) -> Reply:
        if reply is not None:
            return Reply(Status.OK, orjson.dumps(reply), data_key=resident.data_key)
        if work.envelope.watch:
            return Reply(Status.OK)  # the view comes with the notice
        return self._host.view(resident, work.envelope.to.kind)

    def _read(self, owned: OwnedCell, resident: Resident, work: Work) -> None:
        reply = self._host.read(resident, work.envelope.to.kind)
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
