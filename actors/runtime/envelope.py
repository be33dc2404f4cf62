"""What travels to an actor and what comes back."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from actors.runtime.ports import Guard
from models.decision import Address, Command, Millis
from models.record import dataclass


@dataclass(frozen=True)
class Read(Command):
    """Asks for the actor's view; decides nothing."""


@dataclass(frozen=True)
class Envelope:
    """A command on its way.

    expires_at: receivers drop it after this time; the sender's intent sends it again.
    command_id: the caller's idempotency key for this actor (kept 24 h); `digest` is a keyed hash of the request, so
                that the same key with another body is told apart.
    guard:      idempotency of placing: written with the first commit, if absent.
    data_key:   the wrapped data key that the first commit keeps beside the events.
    watch:      asks for a notice with the actor's view once its kind's `awaited` holds (`Prefer: wait`).
    asks:       False for messages between actors: nobody waits for a reply.
    expected_version: decide only if the actor is at this version, decisions that are not durable yet included; 0 means
                any. A command id that has been answered is answered again at whatever version.
    """

    to: Address
    command: Command
    expires_at: Millis
    command_id: str = ""
    digest: str = ""
    guard: Guard | None = None
    data_key: str = ""
    watch: bool = False
    asks: bool = True
    expected_version: int = 0


class Status(StrEnum):
    OK = "ok"
    ABSENT = "absent"  # a read of an actor that does not exist
    REJECTED = "rejected"  # the decider said no: body is {"code", "detail"}
    DUPLICATE = "duplicate"  # the guard was taken: body is the stored value
    STALE = "stale"  # the actor is not at the expected version; the reply says at which it is
    MISMATCH = "mismatch"  # the command id was used with another digest
    BUSY = "busy"  # a queue is full: back off, nothing was accepted
    MOVED = "moved"  # this host does not own the actor's cell
    EXPIRED = "expired"  # came too late, not looked at
    FAILED = "failed"  # a turn raised; the command is parked after five attempts


@dataclass(frozen=True)
class Reply:
    """The answer to one envelope. `body` is JSON; for OK it is the actor's view, or what the decision replied.

    replayed: True when `command_id` had been answered before and the view is the one of now.
    """

    status: Status
    body: bytes = b"null"
    version: int = 0
    data_key: str = ""
    replayed: bool = False


ARCHIVE_DAMAGED = b'{"code":"archive_damaged"}'
"""Of a FAILED reply: the actor is in the archive, and its record there is not what was written."""


class Overloaded(Exception):
    """Refused before acceptance: come back after `retry_after_s`."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(retry_after_s)
        self.retry_after_s = retry_after_s


class Unanswered(Exception):
    """No answer within the deadline: whether the command took effect is unknown; the same command may be sent again."""


Notice = tuple[Address, dict[str, Any]]
