"""The journal in Redis: implements `ports.Journal`.

One pipeline carries the commits of all a host's dirty shards, so one fsync serves them all; each commit is one run of
`redis_scripts/commit.lua`, which is where numbering, fencing and atomicity live. docs/journal.md tells the layout.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from actors.adapters.redis_layout import (
    QUIET,
    SYSTEM,
    TIMERS,
    ShardKeys,
    address_of,
    commit_arguments,
    commit_result,
    due_of,
    lease_key,
    record_of,
    score_of,
    shard_keys,
)
from actors.adapters.redis_wire import Answer, Node, Refusal, Wire, pack, parse_info, script_id
from actors.runtime.ports import (
    Cell,
    Commit,
    CommitResult,
    DueEntry,
    Failed,
    JournalMismatch,
    JournalUnavailable,
    Ownership,
    Quiet,
    Record,
    StreamEntry,
    Wall,
)
from models.decision import Address, Due, Millis
from models.identity import HOME_KINDS, home_of

FORMAT = 1
"""The version of the layout; a journal of another format is refused."""

REDIS_READ_BYTES = 16 * 1024
CPU_TIMES = ("used_cpu_user", "used_cpu_sys", "used_cpu_user_children", "used_cpu_sys_children")

SCRIPTS = {path.stem: path.read_text() for path in (Path(__file__).parent / "redis_scripts").glob("*.lua")}


@dataclass(frozen=True)
class Health:
    """What an operator watches.

    limit_bytes: `maxmemory`; 0 means none. aof_writable: False once Redis could not write its log.
    cpu_s: what the server has cost since it started, its kernel calls and log rewrites included.
    """

    version: str
    used_bytes: int
    limit_bytes: int
    aof_writable: bool
    aof_bytes: int
    rewriting: bool
    cpu_s: float


class RedisJournal:
    """One process's way to the journal.

    stream_kinds: kinds of actors whose events go to the shard's stream, once a projector has opened it.
    quiet_kinds:  kinds of actors of which `quiet` tells since when they have had nothing due.
    timeout_s:    how long one round trip may take before its outcome counts as unknown.
    Raises JournalUnavailable from every method but `commit`, whose commits are Failed then.
    """

    def __init__(
        self,
        url: str,
        *,
        stream_kinds: frozenset[str] = frozenset(),
        quiet_kinds: frozenset[str] = frozenset(),
        connections_max: int = 16,
        timeout_s: float = 10.0,
        now: Wall = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._wire = Wire(url, list(SCRIPTS.values()), connections_max=connections_max, timeout_s=timeout_s)
        self._stream_kinds = stream_kinds
        self._quiet_kinds = quiet_kinds
        self._now = now
        self._ids = {name: script_id(script) for name, script in SCRIPTS.items()}
        self._shards: dict[int, ShardKeys] = {}
        self._moved = False

    async def open(self) -> None:
        """Connect and check that the server keeps what it acknowledges. Raises JournalMismatch if it does not."""
        await self._wire.open()

    async def close(self) -> None:
        await self._wire.close()

    # --- ports.Journal ---

    async def acquire(self, cell: Cell, owner: str) -> Ownership:
        assert owner, "an owner has a name"
        keys = self._keys(cell.shard)
        if cell.actor:
            records = (keys.owner(cell), keys.pooled, keys.dedicated)
            command = self._script("acquire", records, owner, cell.actor)
        else:
            command = self._script("acquire", (keys.pooled,), owner)
        epoch, number = await self._one(keys, command)
        return Ownership(cell, epoch, owner, number)

    async def commit(self, commits: Sequence[Commit]) -> Sequence[CommitResult]:
        if self._moved:
            try:
                await self._learn_moves()
            except JournalUnavailable as fault:
                return [Failed(str(fault))] * len(commits)
        by_node: dict[Node, list[int]] = {}
        packed = []
        now = self._now()
        for place, commit in enumerate(commits):
            keys = self._keys(commit.cell.shard)
            arguments = commit_arguments(commit, keys, now, self._stream_kinds, self._quiet_kinds)
            packed.append(pack("EVALSHA", self._ids["commit"], *arguments))
            by_node.setdefault(self._wire.node(keys.tag), []).append(place)
        if len(by_node) == 1:
            (node,) = by_node
            return await self._commit_on(node, packed)
        parts = await asyncio.gather(
            *[self._commit_on(node, [packed[place] for place in places]) for node, places in by_node.items()]
        )
        results: list[CommitResult] = [Failed("not sent")] * len(commits)
        for places, part in zip(by_node.values(), parts, strict=True):
            for place, result in zip(places, part, strict=True):
                results[place] = result
        return results

    async def load(self, cell: Cell, addresses: Sequence[Address]) -> Sequence[Record]:
        if not addresses:
            return []
        keys = self._keys(cell.shard)
        homes = [str(home_of(address)) for address in addresses]
        command = self._load(keys, addresses, homes)
        dedicated, bases, snapshots, data_keys, *events = await self._one(keys, command)
        if not cell.actor and any(dedicated):
            # They are dedicated no longer, or the pooled owner would not ask: fence their hosts, then look again.
            actors = sorted({home for home, is_one in zip(homes, dedicated, strict=True) if is_one})
            owners = [keys.own(actor) for actor in actors]
            await self._one(keys, self._script("retire", (keys.dedicated, *owners), *actors))
            _, bases, snapshots, data_keys, *events = await self._one(keys, command)
        return [record_of(*parts) for parts in zip(bases, snapshots, events, data_keys, strict=True)]

    async def due(self, cell: Cell, until: Millis, limit: int) -> Sequence[DueEntry]:
        keys = self._keys(cell.shard)
        if cell.actor:
            entries = [entry for entry in await self._own_entries(cell, keys) if entry.due.at <= until]
        else:
            late = (0, score_of(Due(until, pending=True)))
            entries = await self._entries(keys, [late, (TIMERS, score_of(Due(until, pending=False)))], limit)
        return sorted(entries, key=_by_time)[:limit]

    async def pending(self, cell: Cell, after: Address | None, limit: int) -> Sequence[DueEntry]:
        # The index is ordered by time, and times move while the pages are read; names do not. Reading all for each page
        # is cheap next to resuming them, which is what the caller does.
        keys = self._keys(cell.shard)
        entries = await (self._own_entries(cell, keys) if cell.actor else self._entries(keys, [(0, TIMERS - 1)], -1))
        last = str(after) if after else ""
        wanted = [entry for entry in entries if entry.due.pending and str(entry.address) > last]
        return heapq.nsmallest(limit, wanted, key=_by_name)

    async def quiet(self, cell: Cell, until: Millis, skip: int, limit: int) -> Sequence[Quiet]:
        keys = self._keys(cell.shard)
        if cell.actor:
            found = [(entry, int(score)) for entry, score in await self._own_scores(cell, keys) if score is not None]
            own = [Quiet(address, score - QUIET) for address, score in found if QUIET <= score <= QUIET + until]
            return sorted(own, key=lambda entry: entry.since)[skip : skip + limit]
        scores = (QUIET, QUIET + until)
        command = pack("ZRANGEBYSCORE", *keys.due, *scores, "WITHSCORES", "LIMIT", skip, limit)
        flat = await self._one(keys, command)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return [Quiet(address_of(name), int(score) - QUIET) for name, score in pairs]

    async def timers(self, cell: Cell, after: Millis, skip: int, limit: int) -> Sequence[DueEntry]:
        keys = self._keys(cell.shard)
        if cell.actor:
            own = [entry for entry in await self._own_entries(cell, keys) if not entry.due.pending]
            return sorted((entry for entry in own if entry.due.at > after), key=_by_time)[skip : skip + limit]
        return await self._entries(keys, [(TIMERS + after + 1, QUIET - 1)], limit, skip)

    async def renew(self, owner: str, ttl_ms: int) -> None:
        key = lease_key(owner)
        await self._single(self._wire.node(owner), pack("SET", key, "1", "PX", ttl_ms))

    async def lease_of(self, owner: str) -> int:
        left: int = await self._single(self._wire.node(owner), pack("PTTL", lease_key(owner)))
        return max(0, left)

    # --- the system, its stream, its health ---

    async def claim(self, shards: int) -> None:
        """Fix the system's shard count at first start. Raises JournalMismatch if it was fixed at another."""
        command = self._script("claim", (SYSTEM,), FORMAT, shards)
        found_format, found_shards = await self._single(self._wire.node("dray"), command)
        if int(found_format) != FORMAT:
            raise JournalMismatch(f"this journal has format {int(found_format)}; this Dray reads format {FORMAT}")
        if int(found_shards) != shards:
            raise JournalMismatch(f"this journal was made with {int(found_shards)} shards, not {shards}")

    async def stream_open(self, shard: int) -> None:
        """From now on keep the shard's events in its stream, until they are trimmed."""
        keys = self._keys(shard)
        await self._one(keys, pack("SETNX", keys.stream[0], 0))

    async def stream_position(self, shard: int) -> int:
        """The sequence of the shard's latest stream entry, trimmed or not; 0 if there never was one."""
        keys = self._keys(shard)
        return int(await self._one(keys, pack("GET", keys.stream[0])) or 0)

    async def stream_read(self, shard: int, after: int, limit: int) -> Sequence[StreamEntry]:
        """Up to `limit` entries of the shard's stream with `sequence > after`, in order."""
        keys = self._keys(shard)
        found = await self._one(keys, pack("XRANGE", keys.stream[1], f"{after + 1}-0", "+", "COUNT", limit))
        return [stream_entry(entry, fields) for entry, fields in found]

    async def stream_passed(self, shard: int, through: int) -> bool:
        """True once the shard's stream has been trimmed through this entry."""
        keys = self._keys(shard)
        return not await self._one(keys, pack("XRANGE", keys.stream[1], "-", f"{through}-0", "COUNT", 1))

    async def stream_trim(self, shard: int, through: int) -> None:
        """Drop the entries with `sequence <= through`."""
        keys = self._keys(shard)
        await self._one(keys, pack("XTRIM", keys.stream[1], "MINID", f"{through + 1}-0"))

    async def addresses(self, shard: int) -> Sequence[Address]:
        """Every actor of the shard of which something is stored, in no order. Looks through all keys of the server, a
        thousand at a time: for audits and rebuilds."""
        keys = self._keys(shard)
        pattern = keys.events.replace("{", "[{]").replace("}", "[}]") + "*"
        found = {address_of(name) for name in await self._one(keys, pack("HKEYS", keys.bases))}
        cursor = b"0"
        while True:
            command = pack("SCAN", cursor, "MATCH", pattern, "COUNT", 1_000)
            cursor, names = await self._one(keys, command)
            found.update(address_of(name[len(keys.events) :]) for name in names)
            if cursor == b"0":
                return list(found)

    async def records(self, shard: int, addresses: Sequence[Address]) -> Sequence[Record]:
        """As `load`, for those who only read: whoever owns these actors is left alone."""
        if not addresses:
            return []
        keys = self._keys(shard)
        command = self._load(keys, addresses, [str(home_of(address)) for address in addresses])
        _, bases, snapshots, data_keys, *events = await self._one(keys, command)
        return [record_of(*parts) for parts in zip(bases, snapshots, events, data_keys, strict=True)]

    async def data_keys(self, shard: int, addresses: Sequence[Address]) -> Sequence[str]:
        """The wrapped data keys of these actors; '' where there is none."""
        if not addresses:
            return []
        keys = self._keys(shard)
        found = await self._one(keys, pack("HMGET", *keys.data_keys, *map(str, addresses)))
        return [data_key.decode() if data_key else "" for data_key in found]

    async def erase_data_keys(self, shard: int, addresses: Sequence[Address]) -> None:
        """Destroy the keys of these actors' personal data: from now on nobody can read them. They are still in the log
        until `rewrite_log` has run."""
        if addresses:
            keys = self._keys(shard)
            await self._one(keys, pack("HDEL", *keys.data_keys, *map(str, addresses)))

    async def rewrite_log(self) -> None:
        """Begin to rewrite every node's log from what is stored now, so that what was erased leaves the disk;
        `Health.rewriting` tells when it has ended."""
        for node in self._wire.nodes():
            await self._single(node, pack("BGREWRITEAOF"))

    async def health(self) -> Health:
        """Of the server that the URL names."""
        info = parse_info(await self._single(self._wire.seed, pack("INFO")))
        return Health(
            version=info["redis_version"],
            used_bytes=int(info["used_memory"]),
            limit_bytes=int(info.get("maxmemory", 0)),
            aof_writable=info.get("aof_last_write_status") == "ok",
            aof_bytes=int(info.get("aof_current_size", 0)),
            rewriting="1" in (info.get("aof_rewrite_in_progress"), info.get("aof_rewrite_scheduled")),
            cpu_s=sum(float(info[name]) for name in CPU_TIMES),
        )

    # --- inside ---

    def _keys(self, shard: int) -> ShardKeys:
        keys = self._shards.get(shard)
        if keys is None:
            keys = self._shards[shard] = shard_keys(shard)
        return keys

    def _script(self, name: str, keys: Sequence[str], *arguments: str | int) -> bytes:
        return pack("EVALSHA", self._ids[name], len(keys), *keys, *arguments)

    def _load(self, keys: ShardKeys, addresses: Sequence[Address], homes: Sequence[str]) -> bytes:
        names = [str(address) for address in addresses]
        lists = [keys.events + name for name in names]
        records = (keys.dedicated, keys.bases, *keys.snapshots, *keys.data_keys, *lists)
        return self._script("load", records, *names, *homes)

    async def _commit_on(self, node: Node, packed: Sequence[bytes]) -> Sequence[CommitResult]:
        try:
            # Redis reads a connection in chunks and flushes its log after each: a longer pipeline would pay for several
            # fsyncs. A transaction waits for its end. (In a cluster a transaction cannot span shards.)
            together = not node.clustered and sum(map(len, packed)) > REDIS_READ_BYTES
            answers = await node.call(packed, together=together)
        except (JournalUnavailable, JournalMismatch) as fault:
            self._moved = self._wire.seed.clustered
            return [Failed(str(fault))] * len(packed)
        return [self._failed(answer) if type(answer) is Refusal else commit_result(answer) for answer in answers]

    def _failed(self, refusal: Refusal) -> Failed:
        self._moved = self._moved or refusal.code == "MOVED"
        return Failed(str(refusal))

    async def _learn_moves(self) -> None:
        await self._wire.refresh()
        self._moved = False

    async def _one(self, keys: ShardKeys, command: bytes) -> Answer:
        return await self._single(await self._node(keys), command)

    async def _node(self, keys: ShardKeys) -> Node:
        if self._moved:
            await self._learn_moves()
        return self._wire.node(keys.tag)

    async def _single(self, node: Node, command: bytes) -> Answer:
        (answer,) = await self._several(node, [command])
        return answer

    async def _several(self, node: Node, commands: Sequence[bytes]) -> list[Answer]:
        """The answers to a pipeline. Raises JournalUnavailable if one is a refusal."""
        try:
            answers = await node.call(commands)
        except JournalMismatch as fault:  # a server that was fit at the start and is not any more
            raise JournalUnavailable(str(fault)) from fault
        for answer in answers:
            if isinstance(answer, Refusal):
                raise JournalUnavailable(self._failed(answer).cause)
        return answers

    async def _entries(
        self, keys: ShardKeys, ranges: Sequence[tuple[int, int]], limit: int, skip: int = 0
    ) -> list[DueEntry]:
        """The first `limit` entries of the due index in each range of scores; -1 means all of them."""
        commands = [pack("ZRANGEBYSCORE", *keys.due, *scores, "WITHSCORES", "LIMIT", skip, limit) for scores in ranges]
        return [
            DueEntry(address_of(name), due_of(int(score)))
            for flat in await self._several(await self._node(keys), commands)
            for name, score in zip(flat[::2], flat[1::2], strict=True)
        ]

    async def _own_entries(self, cell: Cell, keys: ShardKeys) -> list[DueEntry]:
        """A dedicated cell's entries: those of its actor and its companions."""
        found = [(address, int(score)) for address, score in await self._own_scores(cell, keys) if score is not None]
        return [DueEntry(address, due_of(score)) for address, score in found if score < QUIET]

    async def _own_scores(self, cell: Cell, keys: ShardKeys) -> list[tuple[Address, bytes | None]]:
        kind, _, name = cell.actor.partition(":")
        addresses = [Address(k, name) for k in sorted(HOME_KINDS)] if kind in HOME_KINDS else [Address(kind, name)]
        scores = await self._one(keys, pack("ZMSCORE", *keys.due, *map(str, addresses)))
        return list(zip(addresses, scores, strict=True))


def _by_time(entry: DueEntry) -> tuple[Millis, bool, str]:
    return (entry.due.at, entry.due.pending, str(entry.address))


def _by_name(entry: DueEntry) -> str:
    return str(entry.address)


def stream_entry(entry: bytes, fields: Sequence[bytes]) -> StreamEntry:
    """A stream's entry as stored: one field, whose lines are, per append, `address version events`, then its events."""
    appends = []
    lines = iter(fields[1].split(b"\n"))
    for head in lines:
        name, version, events = head.rsplit(b" ", 2)
        appends.append((address_of(name), int(version), tuple(islice(lines, int(events)))))
    return StreamEntry(int(entry.partition(b"-")[0]), appends)
