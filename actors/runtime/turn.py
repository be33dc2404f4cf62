"""One turn: a command is decided, its events are folded, companions follow; all of it happens or none.

Nothing here waits or does I/O. A turn first works on the side (`Turn`); only when every joint command has been
accepted is it applied to the resident and added to the part that the next commit will carry.
"""

from __future__ import annotations

from typing import Any

from actors.runtime.cell import OwnedCell
from actors.runtime.codec import Answered, Remembered, encode_event
from actors.runtime.envelope import Envelope
from actors.runtime.kind import Evolve
from actors.runtime.resident import Appending, Member, Part, Resident
from models.decision import NOTHING, Accepted, Address, Command, Due, Effect, Event, Millis, Rejected, Send, Tick
from models.record import stamped

JOINT_COMMANDS_MAX = 32


class BrokenTurn(Exception):
    """A bug: a companion refused a joint command, or joint commands did not come to an end."""


class Turn:
    """What one command does to a resident and its companions, not yet applied."""

    __slots__ = ("accepted", "effects", "events", "sends", "states")

    def __init__(self) -> None:
        self.accepted: Accepted = NOTHING  # what the command itself got
        self.states: dict[str, Any] = {}
        self.events: dict[str, list[Event]] = {}
        self.sends: list[Send] = []
        self.effects: list[Effect] = []

    def fold(self, kind_name: str, evolve: Evolve, state: Any, decision: Accepted) -> None:
        """Add what one companion has decided."""
        if decision.state is not None:
            state = decision.state
        else:
            for happened in decision.events:
                state = evolve(state, happened)
            for happened in decision.notes:
                state = evolve(state, happened)
        self.states[kind_name] = state
        if decision.events:
            self.events.setdefault(kind_name, []).extend(decision.events)
        if decision.sends:
            self.sends.extend(decision.sends)
        if decision.effects:
            self.effects.extend(decision.effects)


def take_turn(resident: Resident, to: Address, command: Command, now: Millis) -> Turn | Rejected:
    """Decide `command` and every joint command that follows from it.

    Raises BrokenTurn, or whatever a decider raises; the resident is then as it was before.
    """
    turn = Turn()
    steps = [Send(to, command)]
    for step in steps:  # grows while it is walked
        kind_name = step.to.kind
        member = resident.members[kind_name]
        state = turn.states.get(kind_name, member.state)
        decision = member.kind.decide(state, stamped(step.command, now))
        if type(decision) is Rejected:
            if len(steps) == 1:
                return decision
            raise BrokenTurn(f"{kind_name} refused the joint {type(step.command).__name__}: {decision}")
        assert type(decision) is Accepted
        if step is steps[0]:
            turn.accepted = decision
        turn.fold(kind_name, member.kind.evolve, state, decision)
        for send in decision.joint:
            assert send.to.id == to.id, "joint commands stay with companions"
            steps.append(send)
        if len(steps) > JOINT_COMMANDS_MAX:
            raise BrokenTurn(f"joint commands of {to} do not come to an end")
    return turn


def apply_turn(cell: OwnedCell, resident: Resident, envelope: Envelope, turn: Turn, now: Millis) -> Part | None:
    """Make the turn the resident's state and add what must be stored to the next commit.

    Returns the part that everything this turn lets out must wait for: the new one, or an earlier one that is not
    durable yet, or None when the turn rests on durable facts alone.
    """
    if envelope.command_id and turn.events:
        kind_name = next(iter(turn.events))
        turn.events[kind_name].append(Answered(now, envelope.command_id, envelope.digest))
        resident.members[kind_name].answered[envelope.command_id] = Remembered(envelope.digest, now)
    ticked = type(envelope.command) is Tick
    for kind_name, state in turn.states.items():
        member = resident.members[kind_name]
        member.state = state
        events = turn.events.get(kind_name)
        due = member.kind.due(state)
        due_changed = due != member.due and not (_covered(member.due, due) and not ticked)
        if not events and not due_changed:
            continue
        appending = cell.part_of(resident).appending(member.address, member.version)
        if due_changed:
            member.due = due
            appending.due = due
            appending.due_changed = True
        if events:
            appending.events.extend([encode_event(happened) for happened in events])
            member.version += len(events)
            member.tail_events += len(events)
            _snapshot_if_due(member, appending)
    part = resident.part
    if part is not None and turn.events:
        part.guard = envelope.guard or part.guard
        if envelope.data_key and not resident.data_key:
            resident.data_key = envelope.data_key
            part.appending(resident.members[envelope.to.kind].address, 0).data_key = envelope.data_key
    return part


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
