"""Reads a journal in Redis from aside, for audits: everything that is stored, and it writes nothing.

`RedisJournal.load` would not do: it is a host's, and ends the dedication of actors that it meets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

from actors.adapters.redis_layout import SYSTEM, TIMERS, address_of, due_of, record_of, shard_keys
from actors.adapters.redis_wire import Node, Refusal, Wire, pack
from actors.runtime.ports import DueEntry, JournalUnavailable, Record
from models.decision import Address, Millis

KEYS_PER_PAGE = 5_000
DUE_PER_PAGE = 5_000


class Mark(NamedTuple):
    """How far the lock and the commits of a cell have come. Both only grow."""

    epoch: int
    number: int


class Guarded(NamedTuple):
    """What an idempotency key of placing stands for: the key, and the order it has placed."""

    key: str
    order: str


class RedisReader:
    """One process's view of a journal. Raises JournalUnavailable and JournalMismatch."""

    def __init__(self, url: str, *, timeout_s: float = 60.0) -> None:
        self._wire = Wire(url, [], connections_max=2, timeout_s=timeout_s)

    async def open(self) -> None:
        await self._wire.open()

    async def close(self) -> None:
        await self._wire.close()

    async def shards(self) -> int:
        """How many there are; 0 in a Redis that has no journal."""
        return int(await self._one(self._wire.node("dray"), "HGET", SYSTEM, "shards") or 0)

    async def archive(self) -> str:
        """The id of the archive that orders have left for; '' before any has."""
        known = await self._one(self._wire.node("dray"), "HGET", SYSTEM, "archive")
        return known.decode() if known else ""

    async def size(self) -> int:
        """How many keys there are, roughly: the actors and the idempotency keys."""
        return sum([int(await self._one(node, "DBSIZE")) for node in self._wire.nodes()])

    async def names(self) -> AsyncIterator[list[str]]:
        """The names of all keys, page by page. One may come twice; one that was there all the time comes."""
        for node in self._wire.nodes():
            cursor = "0"
            while True:
                found, keys = await self._one(node, "SCAN", cursor, "COUNT", KEYS_PER_PAGE)
                yield [key.decode() for key in keys]
                cursor = found.decode()
                if cursor == "0":
                    break

    async def guards(self, names: Sequence[str]) -> list[Guarded]:
        """What those of the keys named `names`, all of one shard, stand for that have not expired."""
        node = self._node_of(names[0])
        values = await self._one(node, "MGET", *names)
        found = zip(names, values, strict=True)
        return [Guarded(name, value.decode().partition(" ")[0]) for name, value in found if value is not None]

    async def events(self, shard: int, actors: Sequence[Address]) -> list[list[bytes]]:
        """The stored events of actors of one shard, all at one instant."""
        prefix = shard_keys(shard).events
        commands = [pack("LRANGE", f"{prefix}{actor}", 0, -1) for actor in actors]
        return await self._many(self._wire.node(f"s{shard}"), commands)

    async def record(self, shard: int, actor: Address) -> Record:
        """All that is stored of one actor, at one instant."""
        keys, name = shard_keys(shard), str(actor)
        commands = [
            pack("HGET", keys.bases, name), pack("HGET", keys.snapshots, name),
            pack("LRANGE", f"{keys.events}{name}", 0, -1), pack("HGET", keys.data_keys, name),
        ]  # fmt: skip
        return record_of(*await self._many(self._wire.node(f"s{shard}"), commands))

    async def based(self, shard: int) -> tuple[Mapping[str, int], frozenset[str]]:
        """Which actors have a base, and its value; and which have a snapshot."""
        keys = shard_keys(shard)
        node = self._wire.node(f"s{shard}")
        bases, snapshots = await self._many(node, [pack("HGETALL", keys.bases), pack("HKEYS", keys.snapshots)])
        pairs = zip(bases[::2], bases[1::2], strict=True)
        return {name.decode(): int(base) for name, base in pairs}, frozenset(name.decode() for name in snapshots)

    async def marks(self, shards: int) -> dict[str, Mark]:
        """Of every cell: shards by number (`17`), actors with a host of their own (`17:sku:hot`)."""
        found = {}
        for shard in range(shards):
            keys, node = shard_keys(shard), self._wire.node(f"s{shard}")
            dedicated = [name.decode() for name in await self._one(node, "SMEMBERS", keys.dedicated)]
            for actor in ("", *dedicated):
                owner = keys.own(actor) if actor else keys.pooled
                epoch, number = await self._one(node, "HMGET", owner, "epoch", "number")
                found[f"{shard}:{actor}" if actor else str(shard)] = Mark(int(epoch or 0), int(number or 0))
        return found

    async def pending_count(self, shards: int) -> int:
        counts = [
            await self._one(self._wire.node(f"s{shard}"), "ZCOUNT", shard_keys(shard).due, 0, TIMERS - 1)
            for shard in range(shards)
        ]
        return sum(map(int, counts))

    async def unread(self, shards: int) -> dict[int, int]:
        """Stream entries that the projector has not stored yet, by shard; shards without any are left out."""
        counts = {
            shard: await self._one(self._wire.node(f"s{shard}"), "LLEN", shard_keys(shard).stream)
            for shard in range(shards)
        }
        return {shard: int(count) for shard, count in counts.items() if count}

    async def due(self, shard: int, timers_until: Millis) -> AsyncIterator[DueEntry]:
        """All entries with pending intents, and the timers up to `timers_until`."""
        node, index = self._wire.node(f"s{shard}"), shard_keys(shard).due
        for first, last in ((0, TIMERS - 1), (TIMERS, TIMERS + timers_until)):
            offset = 0
            while True:
                limits = ("LIMIT", offset, DUE_PER_PAGE)
                flat = await self._one(node, "ZRANGEBYSCORE", index, first, last, "WITHSCORES", *limits)
                for name, score in zip(flat[::2], flat[1::2], strict=True):
                    yield DueEntry(address_of(name), due_of(int(score)))
                if len(flat) < 2 * DUE_PER_PAGE:
                    break
                offset += DUE_PER_PAGE

    def _node_of(self, key: str) -> Node:
        return self._wire.node(key[1 : key.index("}")])

    async def _one(self, node: Node, *arguments: str | int) -> Any:
        (answer,) = await self._many(node, [pack(*arguments)])
        return answer

    async def _many(self, node: Node, commands: Sequence[bytes]) -> list[Any]:
        answers = await node.call(commands, together=len(commands) > 1)
        for answer in answers:
            if isinstance(answer, Refusal):
                raise JournalUnavailable(str(answer))
        return answers
