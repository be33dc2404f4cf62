"""An actor in memory: its members' states, what it has answered, and what of it is not durable yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from actors.runtime.codec import Remembered, encode_snapshot
from actors.runtime.envelope import Envelope, Reply
from actors.runtime.kind import ActorKind
from actors.runtime.ports import Append, Group, Guard
from models.decision import Address, Due, Effect, Millis, Send

if TYPE_CHECKING:
    from actors.runtime.cell import OwnedCell
    from actors.runtime.finding import Comeback

ReplySink = Callable[[Reply], None]


NEVER: Millis = 2**62
"""When commands from within expire: outcomes of effects, ticks, resumptions."""


class Work:
    """One envelope to be turned, where its actor was when it came in, and where its reply goes."""

    __slots__ = ("attempts", "envelope", "home", "must_load", "owned", "sink")

    def __init__(
        self, envelope: Envelope, home: Address, owned: OwnedCell | None, sink: ReplySink | None = None
    ) -> None:
        self.envelope = envelope
        self.home = home
        self.owned = owned
        self.sink = sink
        self.attempts = 0
        self.must_load = False  # a creating command whose actor turned out to exist

    @property
    def from_within(self) -> bool:
        """No queue may drop it: nobody could be told, and nobody would send it again soon."""
        return self.envelope.expires_at == NEVER

    def answer(self, reply: Reply) -> None:
        """Tell the asker, if there is one."""
        if self.sink is not None:
            self.sink(reply)


class Member:
    """One machine of a resident: an order, or the orchestrator that shares its id."""

    __slots__ = ("address", "answered", "due", "kind", "replayed", "shown", "state", "tail_events", "version")

    def __init__(self, kind: ActorKind, home: Address) -> None:
        self.kind = kind
        self.address = Address(kind.name, home.id)
        self.state: Any = kind.initial
        self.version = 0  # events decided, stored or not
        self.tail_events = 0  # events since the last snapshot
        self.answered: dict[str, Remembered] = {}
        self.due: Due | None = None  # as the index has it, or will once the commit under way is durable
        self.replayed = False  # `due` is what the stored events stand for; the index may have another time
        self.shown: tuple[int, bytes] | None = None  # the version that was last read, and its view as JSON


class Part:
    """What one resident adds to one commit, and what must not leave before it is durable."""

    __slots__ = ("appends", "effects", "guard", "replies", "resident", "sealed", "sends", "works")

    def __init__(self, resident: Resident | None = None) -> None:
        self.resident = resident  # None for an actor that is not in memory
        self.sealed = False  # part of a commit: later turns go into another one
        self.appends: dict[str, Appending] = {}
        self.guard: Guard | None = None
        self.replies: list[tuple[ReplySink, Reply]] = []
        self.sends: list[Send] = []
        self.effects: list[Effect] = []
        self.works: list[Work] = []  # turned again if the group is refused

    def group(self) -> Group:
        return Group([appending.freeze() for appending in self.appends.values()], self.guard)

    def events(self) -> int:
        """How many events the longest of its appends has."""
        return max((len(appending.events) for appending in self.appends.values()), default=0)

    def appending(self, address: Address, version: int) -> Appending:
        found = self.appends.get(address.kind)
        if found is None:
            found = self.appends[address.kind] = Appending(address, version)
        return found


class Appending:
    """An `Append` while turns still add to it."""

    __slots__ = ("address", "data_key", "due", "due_changed", "events", "snapshot_of", "version")

    def __init__(self, address: Address, version: int) -> None:
        self.address = address
        self.version = version
        self.events: list[bytes] = []
        self.snapshot_of: Member | None = None  # encoded once, when the commit is built
        self.due: Due | None = None
        self.due_changed = False
        self.data_key = ""

    def freeze(self) -> Append:
        member = self.snapshot_of
        snapshot = encode_snapshot(member.state, member.answered) if member else None
        return Append(self.address, self.version, self.events, snapshot, self.due, self.due_changed, self.data_key)


class Resident:
    """A home actor and its companions, loaded together, turned one at a time, committed together."""

    __slots__ = (
        "archived", "assumed", "data_key", "home", "last_used", "loading", "members", "part", "pending", "waiting",
    )  # fmt: skip

    def __init__(self, home: Address, kinds: tuple[ActorKind, ...]) -> None:
        self.home = home
        self.members = {kind.name: Member(kind, home) for kind in kinds}
        self.data_key = ""
        self.loading = True
        self.archived: Comeback | None = None  # the journal has nothing of it until it commits
        self.assumed = False  # taken for empty by a creating command; the first commit proves it
        self.waiting: deque[Work] = deque()  # arrived while it loads
        self.part: Part | None = None  # the latest part that is not durable yet
        self.pending = False  # an intent is under way
        self.last_used: Millis = 0
