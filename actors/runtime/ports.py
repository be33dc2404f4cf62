"""What the runtime asks of the world: a journal, a transport, effect runners. Adapters implement these; tests and the
simulator use the local implementations in `actors.runtime.local_*`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import NamedTuple, Protocol

from models.decision import Address, Command, Due, Effect, Millis
from models.record import dataclass

# --- journal ---------------------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """The unit of ownership: a whole shard (`actor` empty), or one dedicated actor inside a shard (`actor` is the
    `kind:id` of its home address, which stands for its companions too)."""

    shard: int
    actor: str = ""


class Ownership(NamedTuple):
    """Proof of holding a cell: the fencing token and the last commit number stored under it."""

    cell: Cell
    epoch: int
    owner: str
    number: int


@dataclass(frozen=True)
class Guard:
    """An idempotency key written with a group if absent; if present, the group is refused whole.

    key: opaque, unique within the shard. value: what a later holder of the same key gets to see.
    """

    key: str
    value: str
    ttl_ms: int


@dataclass(frozen=True)
class Append:
    """One actor's part of a commit.

    expected_version: events the actor has had so far; the commit is refused as a conflict if the journal disagrees.
    events:           stored form, `name SPACE json`, in order.
    snapshot:         the state after `events`; replaces the events before it.
    due:              the new entry of the due index; None removes it; `due_changed` False leaves it alone.
    data_key:         the wrapped data key to keep beside the events (write once).
    forget:           delete all that is stored of this actor, its data key too; it has no events then. `due` is what
                      its due entry is then: None removes it. For what the archive holds, at exactly this version.
    restored:         how many of the events, the first ones, come back from the archive: they are kept out of the
                      stream, which has had them.
    """

    address: Address
    expected_version: int
    events: Sequence[bytes]
    snapshot: bytes | None = None
    due: Due | None = None
    due_changed: bool = False
    data_key: str = ""
    forget: bool = False
    restored: int = 0


@dataclass(frozen=True)
class Group:
    """Appends that stand or fall together."""

    appends: Sequence[Append]
    guard: Guard | None = None


@dataclass(frozen=True)
class Commit:
    """Everything one cell writes at once, numbered and fenced."""

    cell: Cell
    epoch: int
    owner: str
    number: int
    groups: Sequence[Group]

    def events(self) -> int:
        """How many events it holds."""
        return sum([len(append.events) for group in self.groups for append in group.appends])


class Refused(NamedTuple):
    """A group that was not written: `duplicate` carries the guard's stored value, else it was a version conflict."""

    group: int  # index in Commit.groups
    duplicate: str | None


@dataclass(frozen=True)
class Stored:
    """The commit is durable, except for the groups in `refused`. Storing the same (owner, number) again gives the
    same answer and appends nothing."""

    refused: Sequence[Refused] = ()


@dataclass(frozen=True)
class Fenced:
    """Somebody else owns the cell now; nothing was written."""


@dataclass(frozen=True)
class Failed:
    """Unknown or refused for now (lost connection, out of memory, loading): send the same commit again."""

    cause: str


@dataclass(frozen=True)
class WentBack:
    """The journal's number is below one it has acknowledged: it lost writes. Stop the shard and raise the alarm."""

    stored: int


CommitResult = Stored | Fenced | Failed | WentBack


@dataclass(frozen=True)
class Record:
    """All that is stored of one actor: replaying `events` on `snapshot` (or the initial state) gives its state."""

    version: int  # events ever, including those the snapshot replaced
    snapshot: bytes | None
    events: Sequence[bytes]
    data_key: str = ""


class DueEntry(NamedTuple):
    address: Address
    due: Due


class Quiet(NamedTuple):
    """An actor of a kind that is archived which has had nothing due since then."""

    address: Address
    since: Millis


class StreamEntry(NamedTuple):
    """One commit's part of a shard's ordered stream: for each append its actor, the version before, and its events."""

    sequence: int  # grows by one per entry, per shard
    appends: Sequence[tuple[Address, int, Sequence[bytes]]]


class JournalUnavailable(Exception):
    """The journal cannot be reached or cannot answer now. Trying again later is right."""


class JournalMismatch(Exception):
    """The journal belongs to a system of another shape (shard count, format), or is set up so that it could lose what
    it acknowledges. Trying again does not help: the message says what to change."""


class LeaseLost(Exception):
    """The journal says that this owner does not hold the cell."""


class Journal(Protocol):
    """Durable memory of all actors. Every method may raise JournalUnavailable."""

    async def acquire(self, cell: Cell, owner: str) -> Ownership:
        """Take the cell over: bump its epoch and make `owner` the only one who can commit. Also drops the own owner
        records of actors that are no longer dedicated, as they are met by `load`."""
        ...

    async def commit(self, commits: Sequence[Commit]) -> Sequence[CommitResult]:
        """Store the commits in one round trip; results in the same order. Durable when it returns. Never raises for
        one commit's sake: a commit whose outcome is unknown is Failed."""
        ...

    async def load(self, cell: Cell, addresses: Sequence[Address]) -> Sequence[Record]:
        """The records of `addresses`, all of `cell`, in one round trip; an empty Record (version 0) for a stranger."""
        ...

    async def due(self, cell: Cell, until: Millis, limit: int) -> Sequence[DueEntry]:
        """Entries of the due index with `at <= until`, earliest first."""
        ...

    async def pending(self, cell: Cell, after: Address | None, limit: int) -> Sequence[DueEntry]:
        """Entries with pending intents, page by page in a stable order, for a new owner to resume."""
        ...

    async def quiet(self, cell: Cell, until: Millis, skip: int, limit: int) -> Sequence[Quiet]:
        """Actors of the kinds that are archived (`quiet_kinds`) whose due entry was removed by then, and that have had
        none since: the longest quiet first, without the first `skip` of them."""
        ...

    async def timers(self, cell: Cell, after: Millis, skip: int, limit: int) -> Sequence[DueEntry]:
        """Entries of the due index without pending intents and with `at > after`, earliest first, without the first
        `skip` of them."""
        ...

    async def stream_position(self, shard: int) -> int:
        """The sequence of the shard's latest stream entry, trimmed or not; 0 if there never was one."""
        ...

    async def stream_passed(self, shard: int, through: int) -> bool:
        """True once the shard's stream has been trimmed through this entry."""
        ...

    async def renew(self, owner: str, ttl_ms: int) -> None:
        """Keep the owner's lease alive for `ttl_ms` from now."""
        ...

    async def lease_of(self, owner: str) -> int:
        """Milliseconds that the owner's lease still runs; 0 when it has none."""
        ...


# --- transport -------------------------------------------------------------------------------------------------------


class HostUnavailable(Exception):
    """The host cannot be reached, or died before it answered: whether the batch was taken is unknown."""


class Transport(Protocol):
    """Moves one batch of bytes to a host and its answer back."""

    async def deliver(self, host: str, batch: bytes) -> bytes:
        """Raises HostUnavailable."""
        ...


class Directory(Protocol):
    """Says which host serves a cell: a hint that may be stale."""

    async def placement(self) -> Placement: ...

    async def host_of(self, cell: Cell) -> str:
        """The host of one dedicated cell, created if need be."""
        ...


@dataclass(frozen=True)
class Placement:
    """Which host serves each shard (index = shard; '' while nobody does) and which actors have hosts of their own.

    dedicated: rules such as `supplier` or `sku:HOT-1` (`DRAY_DEDICATED`).
    """

    version: int
    hosts: Sequence[str]
    dedicated: frozenset[str] = field(default_factory=frozenset)


# --- effects ---------------------------------------------------------------------------------------------------------

Deliver = Callable[[Address, Command], None]
"""Hands an effect's outcome, as a command, to the actor that asked."""


class EffectRunner(Protocol):
    """Runs the effects of one port. `start` returns at once and calls `deliver` later, exactly once per effect, with
    the outcome as a command for `effect.reply_to`; a failure that the runner cannot explain is an `Unknown` outcome."""

    def start(self, effect: Effect, deliver: Deliver) -> None: ...

    async def close(self) -> None: ...


Runners = Mapping[str, EffectRunner]
Wall = Callable[[], Millis]
"""The wall clock."""
