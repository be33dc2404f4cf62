"""One turn: commands are decided, their events are folded, companions follow; all of it happens or none.

Nothing here waits or does I/O. A turn takes one command, or all that have piled up for its actor: the busier the host,
the fewer the turns. It first works on the side (`Turn`); only when every joint command has been accepted is it applied
to the resident and added to the part that the next commit will carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.runtime.cell import OwnedCell
from actors.runtime.codec import Answered, Remembered, encode_event
from actors.runtime.envelope import Envelope
from actors.runtime.resident import Appending, Member, Resident
from models.decision import (
    NOTHING,
    Accepted,
    Command,
    Decision,
    Due,
    Effect,
    Event,
    Millis,
    Rejected,
    Send,
    Tick,
    stamped,
)

JOINT_COMMANDS_MAX = 32


class BrokenTurn(Exception):
    """A bug: a companion refused a joint command, or joint commands did not come to an end."""


class Turn:
    """What commands do to a resident and its companions, not yet applied."""

    __slots__ = ("_members", "_now", "closing", "effects", "events", "rests", "sends", "states")

    def __init__(self, members: dict[str, Member], now: Millis) -> None:
        self._members = members
        self._now = now
        self.states: dict[str, Any] = {}
        self.events: dict[str, list[Event]] = {}
        self.sends: list[Send] = []
        self.effects: list[Effect] = []
        self.closing: dict[str, Command] = {}
        self.rests = False  # a tick's turn: the due index is to be written as it is

    def decide(self, kind_name: str, command: Command) -> Decision:
        """Decide one command on top of what has been decided so far, and fold it."""
        member = self._members[kind_name]
        kind, states = member.kind, self.states
        state = states.get(kind_name, member.state)
        decision = kind.decide(state, stamped(command, self._now))
        if type(decision) is Rejected:
            return decision
        assert type(decision) is Accepted
        events = decision.events
        if decision.state is not None:
            states[kind_name] = decision.state
        else:
            for happened in events:
                state = kind.evolve(state, happened)
            for happened in decision.notes:
                state = kind.evolve(state, happened)
            states[kind_name] = state
        if events:
            if kind_name in self.events:
                self.events[kind_name].extend(events)
            else:
                self.events[kind_name] = list(events)
        if decision.sends:
            self.sends.extend(decision.sends)
        if decision.effects:
            self.effects.extend(decision.effects)
        return decision

    def follow(self, decision: Accepted, id_: str) -> None:
        """Decide what `decision` asks of companions, and what that asks of them, all but what closes the turn."""
        if decision.closing is not None:
            self._close_with(decision.closing, id_)
        steps = list(decision.joint)
        for step in steps:  # grows while it is walked
            to, command = step.to, step.command
            assert to.id == id_, "joint commands stay with companions"
            followed = self.decide(to.kind, command)
            if type(followed) is Rejected:
                raise BrokenTurn(f"{to.kind} refused the joint {type(command).__name__}: {followed}")
            assert type(followed) is Accepted
            if followed.joint:
                steps.extend(followed.joint)
                if len(steps) > JOINT_COMMANDS_MAX:
                    raise BrokenTurn(f"joint commands of {to} do not come to an end")
            if followed.closing is not None:
                self._close_with(followed.closing, id_)

    def _close_with(self, closing: Send, id_: str) -> None:
        assert closing.to.id == id_, "joint commands stay with companions"
        self.closing[closing.to.kind] = closing.command

    def close(self, id_: str) -> None:
        """Run what closes the turn, once for each companion, and whatever follows from that."""
        rounds = 0
        while self.closing:
            kind_name, command = self.closing.popitem()
            decision = self.decide(kind_name, command)
            if type(decision) is Rejected:
                raise BrokenTurn(f"{kind_name} refused the closing {type(command).__name__}: {decision}")
            assert type(decision) is Accepted
            if decision.joint or decision.closing:
                self.follow(decision, id_)
            rounds += 1
            if rounds > JOINT_COMMANDS_MAX:
                raise BrokenTurn(f"closing commands of {id_} do not come to an end")


def take_turn(resident: Resident, asked: Sequence[Envelope], now: Millis) -> tuple[Turn, Decision]:
    """Decide all that is `asked` of an actor and its companions, in order, with every joint command that follows from
    it. Returns what the last of them got as well; each of them may be rejected, and then changes nothing.

    Raises BrokenTurn, or whatever a decider raises; the resident is then as it was before.
    """
    turn = Turn(resident.members, now)
    id_ = resident.home.id
    decision: Decision = NOTHING
    for envelope in asked:
        command = envelope.command
        decision = turn.decide(envelope.to.kind, command)
        if type(decision) is Accepted and (decision.joint or decision.closing is not None):
            turn.follow(decision, id_)
        if type(command) is Tick:
            turn.rests = True
    if turn.closing:
        turn.close(id_)
    return turn, decision


def apply_turn(cell: OwnedCell, resident: Resident, envelope: Envelope, turn: Turn, now: Millis) -> bool:
    """Make the turn the resident's state and add what must be stored to the next commit, where `resident.part` then
    waits: this turn's part, or an earlier one that is not durable yet, or None when the turn rests on durable facts.

    envelope: the command that was asked, for what is stored beside its events; of several none has any of that.
    Returns whether something due has changed.
    """
    if envelope.command_id and turn.events:
        kind_name = next(iter(turn.events))
        turn.events[kind_name].append(Answered(now, envelope.command_id, envelope.digest))
        resident.members[kind_name].answered[envelope.command_id] = Remembered(envelope.digest, now)
    any_due_changed = False
    members, decided = resident.members, turn.events
    for kind_name, state in turn.states.items():
        member = members[kind_name]
        member.state = state
        events = decided.get(kind_name)
        due = member.kind.due(state)
        due_changed = (member.replayed and due is not None) or (
            due != member.due and (turn.rests or not _covered(member.due, due))
        )
        if not events and not due_changed:
            continue
        appending = cell.part_of(resident).appending(member.address, member.version)
        if due_changed:
            any_due_changed = True
            member.due, member.replayed = due, False
            appending.due = due
            appending.due_changed = True
        if events:
            appending.events += map(encode_event, events)
            member.version += len(events)
            member.tail_events += len(events)
            _snapshot_if_due(member, appending)
    part = resident.part
    if part is not None and turn.events:
        part.guard = envelope.guard or part.guard
        if envelope.data_key and not resident.data_key:
            resident.data_key = envelope.data_key
            part.appending(resident.members[envelope.to.kind].address, 0).data_key = envelope.data_key
    return any_due_changed


def _covered(indexed: Due | None, due: Due | None) -> bool:
    """True while the index may keep an earlier entry: a tick too soon does no harm and puts it right, and a saga moves
    its time on with every step."""
    return indexed is not None and due is not None and indexed.pending and due.pending and indexed.at <= due.at


def _snapshot_if_due(member: Member, appending: Appending) -> None:
    least = member.kind.snapshot_after_events
    if least and member.tail_events >= least and member.tail_events >= member.kind.weight(member.state):
        appending.snapshot_of = member
        member.tail_events = 0


def answered_before(resident: Resident, envelope: Envelope, memory_ms: int, now: Millis) -> Remembered | None:
    """The memory of an earlier answer to this command id, if it is younger than `memory_ms`. Older ones are forgotten,
    lest an actor that lives for years takes them all along in every snapshot."""
    for member in resident.members.values():
        answered = member.answered
        while answered and now - answered[oldest := next(iter(answered))].at > memory_ms:
            del answered[oldest]
        remembered = answered.get(envelope.command_id)
        if remembered is not None and now - remembered.at <= memory_ms:
            return remembered
    return None
