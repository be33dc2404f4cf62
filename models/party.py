"""The machine of a party: a brand or a retailer, which has a name and perhaps a Stripe account of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models import catalogue
from models.decision import NOTHING, Accepted, Command, Decision, Event, Rejected
from models.record import changed, dataclass

NAME_CHARACTERS_MAX = 200

# --- messages --------------------------------------------------------------------------------------------------------


@catalogue.command("party.put")
@dataclass(frozen=True)
class PutParty(Command):
    """Make the party exactly this. Without a `stripe_account` its shares are recorded as payables."""

    party: str = ""
    name: str = ""
    stripe_account: str = ""


@catalogue.event("party.put/1")
@dataclass(frozen=True)
class PartyPut(Event):
    party: str
    name: str
    stripe_account: str


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Party:
    party: str = ""
    name: str = ""
    stripe_account: str = ""

    @property
    def phase(self) -> str:
        """Where the party stands in `TRANSITIONS`."""
        return "known" if self.party else "unknown"


INITIAL = Party()

# --- transitions -----------------------------------------------------------------------------------------------------

TRANSITIONS: Mapping[tuple[str, type[Event]], str] = {
    ("unknown", PartyPut): "known",
    ("known", PartyPut): "known",
}

# --- decide ----------------------------------------------------------------------------------------------------------


def decide(state: Party, command: Command) -> Decision:
    """What the party says to a command. Rejects with `invalid_party`."""
    if not isinstance(command, PutParty):
        return Rejected("unknown_command", f"a party does not know {type(command).__name__}")
    if not command.party:
        return Rejected("invalid_party", "id must not be empty")
    if not 1 <= len(command.name) <= NAME_CHARACTERS_MAX:
        return Rejected("invalid_party", f"name must have from 1 to {NAME_CHARACTERS_MAX} characters")
    content = (command.party, command.name, command.stripe_account)
    if content == (state.party, state.name, state.stripe_account):
        return NOTHING
    return Accepted(events=(PartyPut(command.at, *content),))


COMMANDS = frozenset({PutParty})

# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(state: Party, event: Event) -> Party:
    """Fold one event. Raises AssertionError on a step that the table does not have: a broken record."""
    assert (state.phase, type(event)) in TRANSITIONS, f"{event} on a party that is {state.phase}"
    assert isinstance(event, PartyPut)
    return changed(state, party=event.party, name=event.name, stripe_account=event.stripe_account)


# --- view ------------------------------------------------------------------------------------------------------------


def view(state: Party) -> dict[str, Any] | None:
    """The party as the API shows it; None until it has been put."""
    if state.phase == "unknown":
        return None
    return {"id": state.party, "name": state.name, "stripe_account": state.stripe_account or None}
