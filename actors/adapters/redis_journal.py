"""The journal in Redis: implements `ports.Journal`.

One run of `redis_scripts/commit.lua` carries the commits of all a host's dirty shards, so one fsync serves them all.
Numbering, fencing and atomicity live in that script. docs/journal.md tells the layout.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from actors.adapters.redis_health import Health, health_of
from actors.adapters.redis_layout import (
    QUIET,
    SYSTEM,
    TIMERS,
    Call,
    ShardKeys,
    address_of,
    commit_result,
    due_of,
    kind_flags,
    lease_key,
    record_of,
    score_of,
    shard_keys,
    stream_entries,
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

FORMAT = 3
"""The version of what is stored. In 2, rows of SKUs and suppliers were stored in two levels, which is still read."""
FORMAT_MIN = 2
"""A journal of an older format is refused, as one of a newer: some of it would be read as if it were not there."""

SCRIPTS = {path.stem: path.read_text() for path in (Path(__file__).parent / "redis_scripts").glob("*.lua")}


class _Run(NamedTuple):
    """One run of the script, and where its commits stand among those that were given."""

    call: Call
    places: list[int]


class RedisJournal:
    """One process's way to the journal.

    stream_kinds: kinds of actors whose events go to the shard's stream, once a projector has opened it.
    quiet_kinds:  kinds of actors of which `quiet` tells since when they have had nothing due.
    whole_kinds:  kinds of actors that never have a snapshot, so that their version is the length of their list.
    timeout_s:    how long one round trip may take before its outcome counts as unknown.
    Raises JournalUnavailable from every method but `commit`, whose commits are Failed then.
    """

    def __init__(
        self,
        url: str,
        *,
        stream_kinds: frozenset[str] = frozenset(),
        quiet_kinds: frozenset[str] = frozenset(),
        whole_kinds: frozenset[str] = frozenset(),
        connections_max: int = 16,
        timeout_s: float = 10.0,
        now: Wall = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._wire = Wire(url, list(SCRIPTS.values()), connections_max=connections_max, timeout_s=timeout_s)
        self._kinds = kind_flags(stream_kinds, quiet_kinds, whole_kinds)
        self._failing: set[Cell] = set()
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
        by_node: dict[Node, list[_Run]] = {}
        now = self._now()
        for place in self._in_order(commits):
            commit = commits[place]
            keys = self._keys(commit.cell.shard)
            runs = by_node.setdefault(self._wire.node(keys.tag), [])
            if not runs or self._wire.seed.clustered or runs[-1].call.full():  # a cluster's runs are of one slot each
                runs.append(_Run(Call(), []))
            runs[-1].call.add(commit, keys, now, self._kinds)
            runs[-1].places.append(place)
        results: list[CommitResult] = [Failed("the run ended before it")] * len(commits)
        under_way = [self._commit_on(node, runs) for node, runs in by_node.items()]
        if len(under_way) == 1:  # a task of its own would cost as much as sending it
            answered = [await under_way[0]]
        else:
            answered = await asyncio.gather(*under_way)
        for found in answered:
            for place, result in found:
                results[place] = result
                if isinstance(result, Failed):
                    self._failing.add(commits[place].cell)
                else:
                    self._failing.discard(commits[place].cell)
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
        command = pack("ZRANGEBYSCORE", keys.due, *scores, "WITHSCORES", "LIMIT", skip, limit)
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
        """Fix the system's shard count at first start; from now on, versions of Dray that would not read all of the
        journal refuse it. Raises JournalMismatch if the count was fixed at another, or this is such a version."""
        command = self._script("claim", (SYSTEM,), FORMAT, FORMAT_MIN, shards)
        found_format, found_shards = await self._single(self._wire.node("dray"), command)
        if int(found_format) != FORMAT:
            raise JournalMismatch(
                f"this journal has format {int(found_format)}; this Dray reads formats {FORMAT_MIN} to {FORMAT}"
            )
        if int(found_shards) != shards:
            raise JournalMismatch(f"this journal was made with {int(found_shards)} shards, not {shards}")

    async def stream_open(self, shard: int) -> None:
        """From now on keep the shard's events in its stream, until they are trimmed."""
        keys = self._keys(shard)
        await self._one(keys, pack("HSETNX", keys.pooled, "position", 0))

    async def stream_position(self, shard: int) -> int:
        """The sequence of the shard's latest stream entry, trimmed or not; 0 if there never was one."""
        keys = self._keys(shard)
        return int(await self._one(keys, pack("HGET", keys.pooled, "position")) or 0)

    async def stream_read(self, shard: int, after: int, limit: int) -> Sequence[StreamEntry]:
        """Up to `limit` entries of the shard's stream with `sequence > after`, in order."""
        keys = self._keys(shard)
        return stream_entries(*await self._one(keys, self._of_stream("follow", keys, after, limit)))

    async def stream_passed(self, shard: int, through: int) -> bool:
        """True once the shard's stream has been trimmed through this entry."""
        keys = self._keys(shard)
        first, *_ = await self._one(keys, self._of_stream("follow", keys, 0, 1))
        return bool(first > through)

    async def stream_trim(self, shard: int, through: int) -> None:
        """Drop the entries with `sequence <= through`."""
        keys = self._keys(shard)
        await self._one(keys, self._of_stream("trim", keys, through))

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
        found = await self._one(keys, pack("HMGET", keys.data_keys, *map(str, addresses)))
        return [data_key.decode() if data_key else "" for data_key in found]

    async def erase_data_keys(self, shard: int, addresses: Sequence[Address]) -> None:
        """Destroy the keys of these actors' personal data: from now on nobody can read them. They are still in the log
        until `rewrite_log` has run."""
        if addresses:
            keys = self._keys(shard)
            await self._one(keys, pack("HDEL", keys.data_keys, *map(str, addresses)))

    async def rewrite_log(self) -> None:
        """Begin to rewrite every node's log from what is stored now, so that what was erased leaves the disk;
        `Health.rewriting` tells when it has ended."""
        for node in self._wire.nodes():
            await self._single(node, pack("BGREWRITEAOF"))

    async def health(self) -> Health:
        """Of the server that the URL names."""
        return health_of(parse_info(await self._single(self._wire.seed, pack("INFO"))))

    # --- inside ---

    def _keys(self, shard: int) -> ShardKeys:
        keys = self._shards.get(shard)
        if keys is None:
            keys = self._shards[shard] = shard_keys(shard)
        return keys

    def _script(self, name: str, keys: Sequence[str], *arguments: str | int) -> bytes:
        return pack("EVALSHA", self._ids[name], len(keys), *keys, *arguments)

    def _of_stream(self, script: str, keys: ShardKeys, *arguments: int) -> bytes:
        return self._script(script, (keys.pooled, keys.stream), *arguments)

    def _load(self, keys: ShardKeys, addresses: Sequence[Address], homes: Sequence[str]) -> bytes:
        names = [str(address) for address in addresses]
        lists = [keys.events + name for name in names]
        records = (keys.dedicated, keys.bases, keys.snapshots, keys.data_keys, *lists)
        return self._script("load", records, *names, *homes)

    def _in_order(self, commits: Sequence[Commit]) -> Sequence[int]:
        """The places of commits as they are sent: those that failed last time go last, since a failure ends a run."""
        if not self._failing:
            return range(len(commits))
        return sorted(range(len(commits)), key=lambda place: commits[place].cell in self._failing)

    async def _commit_on(self, node: Node, runs: Sequence[_Run]) -> list[tuple[int, CommitResult]]:
        """The results of those that there is an answer to, by place."""
        packed = [pack("EVALSHA", self._ids["commit"], *run.call.arguments()) for run in runs]
        try:
            answers = await node.call(packed)
        except (JournalUnavailable, JournalMismatch) as fault:
            self._moved = self._wire.seed.clustered
            return [(place, Failed(str(fault))) for run in runs for place in run.places]
        found: list[tuple[int, CommitResult]] = []
        for run, answer in zip(runs, answers, strict=True):
            if type(answer) is Refusal:
                failed = self._failed(answer)
                found += [(place, failed) for place in run.places]
            else:
                found += zip(run.places, map(commit_result, answer), strict=False)
        return found

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
        commands = [pack("ZRANGEBYSCORE", keys.due, *scores, "WITHSCORES", "LIMIT", skip, limit) for scores in ranges]
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
        scores = await self._one(keys, pack("ZMSCORE", keys.due, *map(str, addresses)))
        return list(zip(addresses, scores, strict=True))


def _by_time(entry: DueEntry) -> tuple[Millis, bool, str]:
    return (entry.due.at, entry.due.pending, str(entry.address))


def _by_name(entry: DueEntry) -> str:
    return str(entry.address)
