"""The journal in Redis as the projector follows it: implements `reading.Stream`, each step in one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from actors.adapters.redis_journal import RedisJournal
from actors.adapters.redis_layout import address_of, shard_keys, stream_entries
from actors.adapters.redis_wire import Answer, Node, pack
from actors.runtime.ports import StreamEntry
from models.decision import Address

KEYS_PER_PAGE = 5_000


class RedisStream(RedisJournal):
    """A journal that is asked about all its shards at once. Asking them one by one cost the projector a seventh of its
    time, and Redis an fsync for each that was trimmed."""

    async def stream_read_all(self, after: Mapping[int, int], limit: int) -> Mapping[int, Sequence[StreamEntry]]:
        """Of each shard up to `limit` entries beyond the sequence given, in order. Shards without any are left out."""
        found = await self._of_all({
            shard: self._of_stream("follow", self._keys(shard), sequence, limit) for shard, sequence in after.items()
        })  # fmt: skip
        return {shard: stream_entries(*entries) for shard, entries in found.items() if len(entries) > 1}

    async def stream_trim_all(self, through: Mapping[int, int]) -> None:
        """Of each shard drop the entries up to the sequence given."""
        await self._of_all({
            shard: self._of_stream("trim", self._keys(shard), sequence)
            for shard, sequence in through.items()
        })  # fmt: skip

    async def data_keys_all(self, addresses: Mapping[int, Sequence[Address]]) -> Mapping[Address, str]:
        """The wrapped data keys of these actors, by shard; '' where there is none."""
        found = await self._of_all({
            shard: pack("HMGET", shard_keys(shard).data_keys, *map(str, wanted))
            for shard, wanted in addresses.items()
            if wanted
        })  # fmt: skip
        return {
            address: data_key.decode() if data_key else ""
            for shard, data_keys in found.items()
            for address, data_key in zip(addresses[shard], data_keys, strict=True)
        }

    async def addresses_all(self, shards: Sequence[int]) -> Mapping[int, Sequence[Address]]:
        """By shard every actor of which something is stored, in no order. Looks through all keys once."""
        bases = await self._of_all({shard: pack("HKEYS", shard_keys(shard).bases) for shard in shards})
        found = {shard: {address_of(name) for name in names} for shard, names in bases.items()}
        tags = {shard_keys(shard).events.partition(":")[0].encode(): found[shard] for shard in shards}
        for node in self._wire.nodes():
            cursor = b"0"
            while True:
                command = pack("SCAN", cursor, "MATCH", "[{]s*[}]:e:*", "COUNT", KEYS_PER_PAGE)
                ((cursor, names),) = await self._several(node, [command])
                for name in names:
                    tag, _, actor = name.partition(b":e:")
                    if tag in tags:
                        tags[tag].add(address_of(actor))
                if cursor == b"0":
                    break
        return {shard: list(addresses) for shard, addresses in found.items()}

    async def _of_all(self, commands: Mapping[int, bytes]) -> dict[int, Answer]:
        """The answers to a command about each of these shards: one pipeline, or one for each node of a cluster."""
        by_node: dict[Node, list[int]] = {}
        for shard in commands:
            by_node.setdefault(await self._node(self._keys(shard)), []).append(shard)
        answers = await asyncio.gather(
            *[self._several(node, [commands[shard] for shard in shards]) for node, shards in by_node.items()]
        )
        return {
            shard: answer
            for shards, some in zip(by_node.values(), answers, strict=True)
            for shard, answer in zip(shards, some, strict=True)
        }
