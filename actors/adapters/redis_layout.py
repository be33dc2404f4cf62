"""How the journal is laid out in Redis, and a commit as the arguments of its script. Pure: no I/O, no vendor.

Every key of shard 17 carries the hash tag `{s17}`, so a shard is whole on one node of a cluster (docs/journal.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from actors.runtime.ports import Cell, Commit, CommitResult, Fenced, Record, Refused, Stored, WentBack
from models.decision import Address, Due, Millis

ACTORS_MAX = 3_500  # per commit, and
EVENTS_MAX = 7_000  # per append: what Lua can unpack at once
PLAN_HEAD = 7
TIMERS = 2**50  # added to a timer's score; milliseconds stay below it for 35,000 years, and the sum is exact
QUIET = 2**51  # added to the time since when an actor that is archived has had nothing due
SYSTEM = "{dray}:system"


@dataclass(frozen=True)
class ShardKeys:
    """The keys that a shard has once; the tuples are those that go together."""

    tag: str
    pooled: str  # owner record
    dedicated: str  # set of actors with an owner record of their own
    bases: str
    due: tuple[str]
    snapshots: tuple[str]
    data_keys: tuple[str]
    stream: tuple[str, str]  # its position, there once a consumer has opened it, and the stream itself
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
        due=(p + "due",),
        snapshots=(p + "snapshots",),
        data_keys=(p + "data-keys",),
        stream=(p + "position", p + "stream"),
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
    at, pending = due
    return at if pending else at + TIMERS


def due_of(score: int) -> Due:
    return Due(score, pending=True) if score < TIMERS else Due(score - TIMERS, pending=False)


def commit_arguments(
    commit: Commit, keys: ShardKeys, now: Millis, stream_kinds: frozenset[str], quiet_kinds: frozenset[str]
) -> tuple[str | bytes | int, ...]:
    """KEYS and ARGV of `commit.lua`, preceded by the number of keys. Its head comment explains the plan.

    Assertions: `ACTORS_MAX` and `EVENTS_MAX`. The busiest function of the adapter: plain loops on purpose.
    """
    lists: dict[Address, int] = {}
    guards: list[str] = []
    plan = [0] * PLAN_HEAD
    values: list[str | bytes | int] = []
    used = 0  # flags of all appends together
    for group in commit.groups:
        guard = group.guard
        if guard is None:
            plan += (0, len(group.appends))
        else:
            plan += (1, len(group.appends))
            guards.append(keys.guard + guard.key)
            values += (guard.value, now + guard.ttl_ms)
        extras: list[str | bytes | int] = []
        for append in group.appends:
            address = append.address
            actor = lists.get(address)
            if actor is None:
                lists[address] = actor = len(lists) + 1
            events = append.events
            values += events
            flags = 16 if address.kind in stream_kinds else 0
            if append.forget:
                assert not events and append.snapshot is None, "an actor that is forgotten says nothing more"
                flags = 32 + (1 if append.due is None else 2)
                if append.due is not None:
                    extras.append(score_of(append.due))
            elif append.due_changed:
                if append.due is not None:
                    flags += 2
                    extras.append(score_of(append.due))
                elif address.kind in quiet_kinds:
                    flags += 2
                    extras.append(QUIET + now)
                else:
                    flags += 1
            if append.snapshot is not None:
                flags += 4
                extras.append(append.snapshot)
            if append.data_key:
                flags += 8
                extras.append(append.data_key)
            if append.restored:
                flags += 64
                extras.append(append.restored)
            used |= flags
            assert len(events) <= EVENTS_MAX, f"an append holds at most {EVENTS_MAX} events"
            plan += (actor, append.expected_version, len(events), flags)
        values += extras
    assert len(lists) <= ACTORS_MAX, f"a commit holds at most {ACTORS_MAX} actors"
    prefix = keys.events
    names = [keys.owner(commit.cell), keys.bases, *[f"{prefix}{kind}:{name}" for kind, name in lists]]
    plan[:3] = len(lists), len(prefix) + 1, len(names) + 1
    names += guards
    on_demand = ((3, 1 + 2, keys.due), (4, 4 + 32, keys.snapshots), (5, 8 + 32, keys.data_keys), (6, 16, keys.stream))
    for place, flags, touched in on_demand:
        if used & flags:
            plan[place] = len(names) + 1
            names += touched
    return (len(names), *names, commit.epoch, commit.owner, commit.number, orjson.dumps(plan), *values)


STORED = Stored()


def commit_result(answer: bytes | list[bytes | int]) -> CommitResult:
    """What `commit.lua` answered."""
    if not answer:
        return STORED
    if isinstance(answer, bytes):
        return Stored(tuple(Refused(no[0], no[1] if len(no) > 1 else None) for no in orjson.loads(answer)))
    if answer[0] == b"FENCED":
        return Fenced()
    assert answer[0] == b"WENT_BACK", answer
    assert isinstance(answer[1], int)
    return WentBack(answer[1])


def record_of(base: bytes | None, snapshot: bytes | None, events: Sequence[bytes], data_key: bytes | None) -> Record:
    return Record(int(base or 0) + len(events), snapshot, tuple(events), data_key.decode() if data_key else "")
