"""What a decider says: the vocabulary shared by every machine.

A machine is two pure functions, `decide(state, command) -> Accepted | Rejected` and `evolve(state, event) -> state`.
Neither reads a clock, does I/O or draws randomness: the time and every new id arrive inside the command.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from models.record import dataclass

Millis = int
"""A point in time: milliseconds since the Unix epoch, UTC."""


class Address(NamedTuple):
    """Names one virtual actor for ever: `kind:id`."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True)
class Command:
    """Asks an actor to decide something. Named in the imperative.

    `at` is the time of the turn; the host sets it just before it calls `decide`, whatever the sender wrote.
    """

    at: Millis = 0


def stamped(command: Any, at: int) -> Any:
    """The same command with its time set, in place: for the runtime alone, which owns a command that it is about to
    turn. A copy instead costs a microsecond, for each of some thirty steps of an order."""
    command.at = at
    return command


@dataclass(frozen=True)
class Event:
    """A fact an actor has decided. Named in the past tense and stored under a permanent name (`models.catalogue`)."""

    at: Millis


@dataclass(frozen=True)
class Send:
    """A command for another actor, delivered at least once, after the commit that holds what it rests on."""

    to: Address
    command: Command


@dataclass(frozen=True)
class Effect:
    """A request to the outside world, as data.

    It leaves after the commit. Its outcome comes back to `reply_to` as the command that the runner of `port` makes.
    """

    port: str
    request: Any
    reply_to: Address


@dataclass(frozen=True)
class Accepted:
    """A yes.

    events:  facts to append, in order.
    notes:   events folded into memory and never stored: answers to a fan-out that are being gathered. After a
             takeover they are gone, and whoever needs them asks again.
    joint:   commands for companions: actors of the same id, whose turns run at once and commit together with this one.
    closing: a joint command that shows a companion the whole of this actor's state. It runs when all else in the turn
             is through, and of several for one companion only the last runs: it shows what the others would have.
    sends:   commands for any other actor, after the commit.
    effects: requests to ports, after the commit.
    reply:   what the asker gets; None means the actor's view as it is after this turn.
    state:   exactly what folding `events` and `notes` gives, from a decider that had to fold them anyway; None leaves
             it to the runtime.
    """

    events: tuple[Event, ...] = ()
    notes: tuple[Event, ...] = ()
    joint: tuple[Send, ...] = ()
    closing: Send | None = None
    sends: tuple[Send, ...] = ()
    effects: tuple[Effect, ...] = ()
    reply: Any = None
    state: Any = None


@dataclass(frozen=True)
class Rejected:
    """A no: a value, never an exception. `code` is stable and public; `detail` is for people."""

    code: str
    detail: str = ""


Decision = Accepted | Rejected

NOTHING = Accepted()
"""Accepted, and nothing changes: what a repeat of a settled command gets."""


@dataclass(frozen=True)
class Due:
    """What an actor still has to do, derived from its state after every turn and written by the same commit.

    at:      when the actor wants a `Tick`, if nothing else happens before.
    pending: True while an intent is under way (an effect or a message that awaits its answer). A new owner sends
             `Resume` at once to actors with pending intents, and waits for `at` with the others (timers).
    """

    at: Millis
    pending: bool


@dataclass(frozen=True)
class Tick(Command):
    """The time that the actor's `Due` named has come."""


@dataclass(frozen=True)
class Resume(Command):
    """A new owner has taken the actor over: whatever was under way may be lost; send it again."""


@dataclass(frozen=True)
class Remind(Command):
    """A host has died, not the actor's own: what it told actors there, and their answers, may be lost; tell them again.
    Effects are not concerned."""
