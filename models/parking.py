"""Parked commands: what could not be turned, kept with its cause until a person retries or discards it.

One actor, `parking:parking`, holds them all. Poison is rare by nature, so one list and one mailbox do.
"""

from __future__ import annotations

from dataclasses import field

from models.catalogue import COMMANDS, command, event
from models.decision import NOTHING, Accepted, Address, Command, Decision, Event, Rejected, Send
from models.record import changed, dataclass

PARKING = Address("parking", "parking")
PARKED_MAX = 10_000
"""Beyond this many the oldest are still kept and new ones are refused: the log has them."""


@command("parking.park")
@dataclass(frozen=True)
class ParkCommand(Command):
    """`command_name` and `command` (JSON) are as on the wire; `cause` is what its turn raised."""

    kind: str = ""
    id: str = ""
    command_name: str = ""
    command: str = ""
    cause: str = ""


@command("parking.retry")
@dataclass(frozen=True)
class RetryParked(Command):
    """Send the command to its actor again; if it still raises it will be parked anew."""

    parked: str = ""


@command("parking.discard")
@dataclass(frozen=True)
class DiscardParked(Command):
    parked: str = ""


@dataclass(frozen=True)
class Parked:
    """One parked command. `id` is `prk_` and a number that only grows."""

    id: str
    at: int
    kind: str
    actor: str
    command_name: str
    command: str
    cause: str


@event("parking.parked/1")
@dataclass(frozen=True)
class CommandParked(Event):
    parked: Parked


@event("parking.retried/1")
@dataclass(frozen=True)
class ParkedRetried(Event):
    parked: str


@event("parking.discarded/1")
@dataclass(frozen=True)
class ParkedDiscarded(Event):
    parked: str


@dataclass(frozen=True)
class Parking:
    """Parked commands by id, oldest first; `count` is how many there have ever been."""

    count: int = 0
    entries: dict[str, Parked] = field(default_factory=dict)


def decide(parking: Parking, asked: Command) -> Decision:
    if isinstance(asked, ParkCommand):
        return _park(parking, asked)
    assert isinstance(asked, RetryParked | DiscardParked)
    entry = parking.entries.get(asked.parked)
    if entry is None:
        return Rejected("not_parked", f"{asked.parked} is not parked (any more)")
    if isinstance(asked, DiscardParked):
        return Accepted((ParkedDiscarded(asked.at, entry.id),))
    again = COMMANDS[entry.command_name].from_json(entry.command.encode())
    return Accepted(
        (ParkedRetried(asked.at, entry.id),), sends=(Send(Address(entry.kind, entry.actor), again),)
    )


def _park(parking: Parking, asked: ParkCommand) -> Decision:
    same = (asked.kind, asked.id, asked.command_name, asked.command)
    if any((e.kind, e.actor, e.command_name, e.command) == same for e in parking.entries.values()):
        return NOTHING
    if len(parking.entries) >= PARKED_MAX:
        return Rejected("parking_full", f"{PARKED_MAX} commands are parked")
    parked = Parked(f"prk_{parking.count + 1}", asked.at, *same, cause=asked.cause)
    return Accepted((CommandParked(asked.at, parked),))


def evolve(parking: Parking, happened: Event) -> Parking:
    match happened:
        case CommandParked(parked=parked):
            return changed(parking, count=parking.count + 1, entries={**parking.entries, parked.id: parked})
        case ParkedRetried(parked=gone) | ParkedDiscarded(parked=gone):
            kept = {key: entry for key, entry in parking.entries.items() if key != gone}
            return changed(parking, entries=kept)
    return parking


def view(parking: Parking) -> dict[str, list[Parked]]:
    return {"parked": list(parking.entries.values())}
