"""The journal in memory as a projector follows it: implements `reading.Stream`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.runtime.local_journal import MemoryJournal
from actors.runtime.ports import StreamEntry
from models.decision import Address


class MemoryStream(MemoryJournal):
    """A journal that is asked about all its shards at once."""

    async def stream_read_all(self, after: Mapping[int, int], limit: int) -> Mapping[int, Sequence[StreamEntry]]:
        """Of each shard up to `limit` entries beyond the sequence given, in order. Shards without any are left out."""
        found = {shard: await self.stream_read(shard, sequence, limit) for shard, sequence in after.items()}
        return {shard: entries for shard, entries in found.items() if entries}

    async def stream_trim_all(self, through: Mapping[int, int]) -> None:
        """Of each shard drop the entries up to the sequence given."""
        for shard, sequence in through.items():
            await self.stream_trim(shard, sequence)

    async def data_keys_all(self, addresses: Mapping[int, Sequence[Address]]) -> Mapping[Address, str]:
        """The wrapped data keys of these actors, by shard; '' where there is none."""
        return {
            address: data_key
            for shard, wanted in addresses.items()
            for address, data_key in zip(wanted, await self.data_keys(shard, wanted), strict=True)
        }

    async def addresses_all(self, shards: Sequence[int]) -> Mapping[int, Sequence[Address]]:
        """By shard every actor of which something is stored, in no order."""
        return {shard: await self.addresses(shard) for shard in shards}
