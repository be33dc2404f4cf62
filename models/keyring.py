"""The machine of the keyring: API keys, created and revoked. Only their hashes are known here.

There is one keyring, `KEYRING`. Gateways read its view, which finds a key's owner by hash; they keep it for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Literal

from models import catalogue
from models.decision import NOTHING, Accepted, Address, Command, Decision, Event, Millis, Rejected
from models.identity import NAME
from models.record import changed, dataclass

KEYRING = Address("keyring", "keyring")
KEYS_MAX = 10_000

Role = Literal["retailer", "supplier", "ops"]
ROLES: tuple[Role, ...] = ("retailer", "supplier", "ops")

# --- messages --------------------------------------------------------------------------------------------------------


@catalogue.command("keyring.create")
@dataclass(frozen=True)
class CreateKey(Command):
    """Let the holder of the key that hashes to `hash` act as `name` in `role`. `id` was minted with the key."""

    id: str = ""
    role: Role = "retailer"
    name: str = ""
    hash: str = ""


@catalogue.command("keyring.revoke")
@dataclass(frozen=True)
class RevokeKey(Command):
    """The key opens nothing any more."""

    id: str = ""


@catalogue.event("keyring.created/1")
@dataclass(frozen=True)
class KeyCreated(Event):
    id: str
    role: Role
    name: str
    hash: str


@catalogue.event("keyring.revoked/1")
@dataclass(frozen=True)
class KeyRevoked(Event):
    id: str


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """One API key. `revoked_at` is 0 while it is in force."""

    id: str
    role: Role
    name: str
    hash: str
    created_at: Millis
    revoked_at: Millis = 0


@dataclass(frozen=True)
class Keyring:
    """`keys` by id, revoked ones too."""

    keys: dict[str, Key] = field(default_factory=dict)


INITIAL = Keyring()


def phase(state: Keyring, key_id: str) -> str:
    """Where a key stands in `TRANSITIONS`."""
    key = state.keys.get(key_id)
    if key is None:
        return "unknown"
    return "revoked" if key.revoked_at else "in_force"


# --- transitions -----------------------------------------------------------------------------------------------------

TRANSITIONS: Mapping[tuple[str, type[Event]], str] = {
    ("unknown", KeyCreated): "in_force",
    ("in_force", KeyRevoked): "revoked",
}

# --- decide ----------------------------------------------------------------------------------------------------------


def decide(state: Keyring, command: Command) -> Decision:
    """What the keyring says to a command. Rejects with `invalid_key`, `key_exists`, `too_many_keys` or `not_found`."""
    decider = _DECIDERS.get(type(command))
    if decider is None:
        return Rejected("unknown_command", f"a keyring does not know {type(command).__name__}")
    return decider(state, command)


def _create(state: Keyring, command: CreateKey) -> Decision:
    if command.role not in ROLES or not NAME.match(command.name) or not (command.id and command.hash):
        return Rejected("invalid_key", "a key has an id, a role, a name and a hash")
    known = state.keys.get(command.id)
    created = KeyCreated(command.at, command.id, command.role, command.name, command.hash)
    if known is not None:
        same = (known.role, known.name, known.hash) == (command.role, command.name, command.hash)
        return NOTHING if same else Rejected("key_exists", f"there is another key {command.id}")
    if any(key.hash == command.hash for key in state.keys.values()):
        return Rejected("key_exists", "the same key has another id")
    if len(state.keys) >= KEYS_MAX:
        return Rejected("too_many_keys", f"there are {KEYS_MAX} keys")
    return Accepted(events=(created,))


def _revoke(state: Keyring, command: RevokeKey) -> Decision:
    now = phase(state, command.id)
    if now == "unknown":
        return Rejected("not_found", f"no key {command.id}")
    if (now, KeyRevoked) not in TRANSITIONS:
        return NOTHING
    return Accepted(events=(KeyRevoked(command.at, command.id),))


_DECIDERS: Mapping[type[Command], Callable[[Keyring, Any], Decision]] = {CreateKey: _create, RevokeKey: _revoke}
COMMANDS = frozenset(_DECIDERS)

# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(state: Keyring, event: Event) -> Keyring:
    """Fold one event. Raises AssertionError on a step that the table does not have: a broken record."""
    assert isinstance(event, KeyCreated | KeyRevoked), f"{event} is not a keyring's"
    now = phase(state, event.id)
    assert (now, type(event)) in TRANSITIONS, f"{event} on a key that is {now}"
    if isinstance(event, KeyCreated):
        key = Key(event.id, event.role, event.name, event.hash, event.at)
    else:
        key = changed(state.keys[event.id], revoked_at=event.at)
    return changed(state, keys={**state.keys, event.id: key})


# --- view ------------------------------------------------------------------------------------------------------------


def view(state: Keyring) -> dict[str, Any]:
    """All keys, oldest first, with their hashes: for gateways and the operator's command line, never for the API."""
    return {
        "keys": [
            {
                "id": key.id,
                "role": key.role,
                "name": key.name,
                "hash": key.hash,
                "created_at": key.created_at,
                "revoked_at": key.revoked_at or None,
            }
            for key in state.keys.values()
        ]
    }


def weight(state: Keyring) -> int:
    """Rows in the state: what a snapshot of it costs."""
    return len(state.keys)
