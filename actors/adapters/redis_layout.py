"""How the journal is laid out in Redis, and commits as the arguments of their script. Pure: no I/O, no vendor.

Every key of shard 17 carries the hash tag `{s17}`, so a shard is whole on one node of a cluster (docs/journal.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from struct import pack

import orjson

from actors.runtime.ports import (
    Cell,
    Commit,
    CommitResult,
    Failed,
    Fenced,
    Record,
    Refused,
    Stored,
    StreamEntry,
    WentBack,
)
from models.decision import Address, Due, Millis

APPENDS_MAX = 3_500  # per commit, and
EVENTS_MAX = 7_000  # per append: what Lua can unpack at once
CALL_ARGUMENTS_MAX = 50_000  # of one run: Redis takes a million, and serves nobody else meanwhile
NOT_DUE, DUE, SNAPSHOT, DATA_KEY, STREAMED, FORGET, RESTORED, BASED = (1 << bit for bit in range(8))
"""An append's flags, as `commit.lua` explains them."""

QUIETLY = 1 << 8  # the script takes no notice: when nothing is due any more, the index is told since when
UNKNOWN_KIND = BASED
TIMERS = 2**50  # added to a timer's score; milliseconds stay below it for 35,000 years, and the sum is exact
QUIET = 2**51  # added to the time since when an actor that is archived has had nothing due
SYSTEM = "{dray}:system"


@dataclass(frozen=True)
class ShardKeys:
    """The keys that a shard has once."""

    tag: str
    pooled: str  # owner record; also counts the stream's entries, once a consumer has opened it
    dedicated: str  # set of actors with an owner record of their own
    bases: str
    due: str
    snapshots: str
    data_keys: str
    stream: str
    events: str  # prefix of the actors' event lists
    guard: str  # prefix

    def own(self, actor: str) -> str:
        """A dedicated actor's owner record."""
        return f"{self.pooled}:{actor}"

    def owner(self, cell: Cell) -> str:
        """The cell's owner record."""
        return self.own(cell.actor) if cell.actor else self.pooled


def shard_keys(shard: int) -> ShardKeys:
    tag = f"s{shard}"
    p = f"{{{tag}}}:"
    return ShardKeys(
        tag=tag,
        pooled=p + "owner",
        dedicated=p + "dedicated",
        bases=p + "bases",
        due=p + "due",
        snapshots=p + "snapshots",
        data_keys=p + "data-keys",
        stream=p + "stream",
        events=p + "e:",
        guard=p + "g:",
    )


def lease_key(owner: str) -> str:
    return f"lease:{{{owner}}}"


def address_of(text: bytes) -> Address:
    kind, _, name = text.decode().partition(":")
    return Address(kind, name)


def score_of(due: Due) -> int:
    """Where an entry stands in the due index: pending ones first, by time, then the timers, by time."""
    return due.at if due.pending else due.at + TIMERS


def due_of(score: int) -> Due:
    return Due(score, pending=True) if score < TIMERS else Due(score - TIMERS, pending=False)


def kind_flags(
    stream_kinds: frozenset[str], quiet_kinds: frozenset[str], whole_kinds: frozenset[str]
) -> Mapping[str, int]:
    """What `commit.lua` is told of every append of a kind, and QUIETLY; any other kind has UNKNOWN_KIND."""
    return {
        kind: STREAMED * (kind in stream_kinds) + QUIETLY * (kind in quiet_kinds) + BASED * (kind not in whole_kinds)
        for kind in stream_kinds | quiet_kinds | whole_kinds
    }


class Call:
    """Commits on their way to one run of `commit.lua`, whose head comment explains what it is given."""

    def __init__(self) -> None:
        self.commits = 0
        self._names: list[str] = []
        self._values: list[str | bytes | int] = []

    def full(self) -> bool:
        """True once another run should carry what follows."""
        return len(self._names) + len(self._values) > CALL_ARGUMENTS_MAX

    def arguments(self) -> tuple[str | bytes | int, ...]:
        """KEYS and ARGV, preceded by the number of keys."""
        return (len(self._names), *self._names, self.commits, *self._values)

    def add(self, commit: Commit, keys: ShardKeys, now: Millis, kinds: Mapping[str, int]) -> None:
        """One commit more. Assertions: `APPENDS_MAX` and `EVENTS_MAX`; no snapshot of a kind that is kept whole.

        The busiest function of the adapter: plain loops on purpose.
        """
        prefix = keys.events
        names: list[str] = []
        plan: list[int] = []
        values: list[str | bytes | int] = []
        based: list[str] = []
        used = appends = 0  # flags of all appends together, and their number
        for group in commit.groups:
            guard = group.guard
            if guard is None:
                plan.append(2 * len(group.appends))
            else:
                plan.append(2 * len(group.appends) + 1)
                names.append(keys.guard + guard.key)
                values += (guard.value, now + guard.ttl_ms)
            extras: list[str | bytes | int] = []
            appends += len(group.appends)
            for append in group.appends:
                kind, name = append.address
                names.append(f"{prefix}{kind}:{name}")
                flags = kinds.get(kind, UNKNOWN_KIND)
                if flags & BASED:
                    based.append(f"{kind}:{name}")
                events = append.events
                values += events
                if append.due_changed or append.forget:
                    due = append.due
                    if due is not None:
                        flags |= DUE
                        extras.append(score_of(due))
                    elif flags & QUIETLY and not append.forget:
                        flags |= DUE
                        extras.append(QUIET + now)
                    else:
                        flags |= NOT_DUE
                if append.forget:
                    assert not events and append.snapshot is None, "an actor that is forgotten says nothing more"
                    flags |= FORGET
                if append.snapshot is not None:
                    assert flags & BASED, f"a {kind} is kept whole"
                    flags |= SNAPSHOT
                    extras.append(append.snapshot)
                if append.data_key:
                    flags |= DATA_KEY
                    extras.append(append.data_key)
                if append.restored:
                    flags |= RESTORED
                    extras.append(append.restored)
                used |= flags
                assert len(events) <= EVENTS_MAX, f"an append holds at most {EVENTS_MAX} events"
                plan += (append.expected_version, len(events), flags)
            values += extras
        assert appends <= APPENDS_MAX, f"a commit holds at most {APPENDS_MAX} appends"
        touched, shared = _shared_keys(keys, used, dedicated=bool(commit.cell.actor))
        first = (keys.owner(commit.cell), keys.bases, *shared)
        head = (len(first) + len(names), 4 + len(based) + len(values), touched, len(prefix) + 1, len(based))
        self._names += first
        self._names += names
        packed = pack(f"<{len(head) + 1 + len(plan)}I", *head, len(commit.groups), *plan)
        self._values += (commit.epoch, commit.owner, commit.number, packed, *based)
        self._values += values
        self.commits += 1


def _shared_keys(keys: ShardKeys, used: int, *, dedicated: bool) -> tuple[int, list[str]]:
    """Those of a shard's keys that a commit touches, beside its owner record and the bases, and which they are."""
    wanted = (
        (dedicated and used & STREAMED, keys.pooled),
        (used & (DUE | NOT_DUE), keys.due),
        (used & (SNAPSHOT | FORGET), keys.snapshots),
        (used & (DATA_KEY | FORGET), keys.data_keys),
        (used & STREAMED, keys.stream),
    )
    touched = sum([1 << place for place, (is_used, _) in enumerate(wanted) if is_used])
    return touched, [key for is_used, key in wanted if is_used]


STORED = Stored()


def commit_result(answer: bytes | list[bytes | int]) -> CommitResult:
    """What `commit.lua` answered."""
    if not answer:
        return STORED
    if isinstance(answer, bytes):
        return Stored(tuple(Refused(no[0], no[1] if len(no) > 1 else None) for no in orjson.loads(answer)))
    if answer[0] == b"FENCED":
        return Fenced()
    if answer[0] == b"FAILED":
        assert isinstance(answer[1], bytes)
        return Failed(answer[1].decode(errors="replace"))
    assert answer[0] == b"WENT_BACK", answer
    assert isinstance(answer[1], int)
    return WentBack(answer[1])


def record_of(base: bytes | None, snapshot: bytes | None, events: Sequence[bytes], data_key: bytes | None) -> Record:
    return Record(int(base or 0) + len(events), snapshot, tuple(events), data_key.decode() if data_key else "")


def stream_entries(first: int, *entries: bytes) -> list[StreamEntry]:
    """A shard's stream as `follow.lua` tells it: the first sequence, then the entries. The lines of an entry are, per
    append, `address version events` and then its events."""
    found = []
    for sequence, entry in enumerate(entries, first):
        appends = []
        lines = iter(entry.split(b"\n"))
        for head in lines:
            name, version, events = head.rsplit(b" ", 2)
            appends.append((address_of(name), int(version), tuple(islice(lines, int(events)))))
        found.append(StreamEntry(sequence, appends))
    return found
