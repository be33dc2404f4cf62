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
FIXED_KEYS = 8
EVENTS_KEY_FIRST = FIXED_KEYS + 1
SYSTEM = "{dray}:system"


@dataclass(frozen=True)
class ShardKeys:
    """The keys that a shard has once."""

    tag: str
    pooled: str  # owner record
    dedicated: str  # set of actors with an owner record of their own
    due: str
    pending: str
    snapshots: str
    bases: str
    data_keys: str
    position: str  # of the stream; there once a consumer has opened it
    stream: str
    events: str  # prefix of the actors' event lists
    guard: str  # prefix

    def own(self, actor: str) -> str:
        """A dedicated actor's owner record."""
        return f"{self.pooled}:{actor}"

    def fixed(self, cell: Cell) -> tuple[str, ...]:
        """The commit script's first keys."""
        owner = self.own(cell.actor) if cell.actor else self.pooled
        return (owner, self.due, self.pending, self.snapshots, self.bases, self.data_keys, self.position, self.stream)


def shard_keys(shard: int) -> ShardKeys:
    tag = f"s{shard}"
    p = f"{{{tag}}}:"
    return ShardKeys(
        tag=tag, pooled=p + "owner", dedicated=p + "dedicated", due=p + "due", pending=p + "pending",
        snapshots=p + "snapshots", bases=p + "bases", data_keys=p + "data-keys", position=p + "position",
        stream=p + "stream", events=p + "e:", guard=p + "g:",
    )  # fmt: skip


def lease_key(owner: str) -> str:
    return f"lease:{{{owner}}}"


def address_of(text: bytes) -> Address:
    kind, _, name = text.decode().partition(":")
    return Address(kind, name)


def score_of(due: Due) -> int:
    """The due index's score: the time, doubled, plus whether an intent is pending. Exact below 2**53."""
    return due.at * 2 + due.pending


def due_of(score: int) -> Due:
    return Due(score >> 1, bool(score & 1))


def commit_arguments(
    commit: Commit, keys: ShardKeys, fixed: tuple[str, ...], now: Millis, stream_kinds: frozenset[str]
) -> tuple[str | bytes | int, ...]:
    """KEYS and ARGV of `commit.lua`, preceded by the number of keys. Its head comment explains the plan."""
    events_prefix = keys.events
    lists: dict[Address, int] = {}
    guards: list[str] = []
    guard_places: list[int] = []
    plan = [0, len(events_prefix) + 1, 0]
    values: list[str | bytes] = []
    for group in commit.groups:
        guard = group.guard
        head = len(plan)
        before = len(values)
        if guard is not None:
            guards.append(keys.guard + guard.key)
            guard_places.append(head)
            values.append(guard.value)
            plan += (0, now + guard.ttl_ms, 0, len(group.appends))
        else:
            plan += (0, 0, 0, len(group.appends))
        for append in group.appends:
            address = append.address
            actor = lists.get(address)
            if actor is None:
                lists[address] = actor = len(lists) + 1
            events = append.events
            values += events
            extras = 0
            if append.snapshot is not None:
                values.append(append.snapshot)
                extras = 1
            if append.data_key:
                values.append(append.data_key)
                extras += 2
            if address.kind in stream_kinds:
                plan[2] = 1
                extras += 4
            due = append.due
            if not append.due_changed:
                plan += (actor, append.expected_version, len(events), 0, 0, extras)
            elif due is None:
                plan += (actor, append.expected_version, len(events), 1, 0, extras)
            else:
                pending = due.pending
                plan += (actor, append.expected_version, len(events), 2 + pending, due.at * 2 + pending, extras)
        plan[head + 2] = len(values) - before
    actors = plan[0] = len(lists)
    assert actors <= ACTORS_MAX, f"a commit holds at most {ACTORS_MAX} actors"
    first_guard = EVENTS_KEY_FIRST + actors
    for place in guard_places:
        plan[place] = first_guard
        first_guard += 1
    return (
        first_guard - 1,
        *fixed,
        *[f"{events_prefix}{kind}:{name}" for kind, name in lists],
        *guards,
        commit.epoch,
        commit.owner,
        commit.number,
        orjson.dumps(plan),
        *values,
    )


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
