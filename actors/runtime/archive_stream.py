"""Journal and archive as one, for the projector: a rebuild makes the rows of archived orders anew, too."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from actors.runtime.archive import Archive, Archived, ArchiveUnavailable, Damaged, all_homes
from actors.runtime.ports import JournalUnavailable, Record, StreamEntry
from actors.runtime.reading import Stream
from models.decision import Address
from models.identity import home_of

log = logging.getLogger("dray.archive")


class ArchiveStream:
    """Implements `reading.Stream`. What the journal has counts; what it has nothing of is looked for in the archive.
    That is always asked last: an order that leaves the journal meanwhile is there by then."""

    def __init__(self, stream: Stream, archive: Archive) -> None:
        self._stream = stream
        self._archive = archive

    async def stream_open(self, shard: int) -> None:
        await self._stream.stream_open(shard)

    async def stream_position(self, shard: int) -> int:
        return await self._stream.stream_position(shard)

    async def stream_read_all(self, after: Mapping[int, int], limit: int) -> Mapping[int, Sequence[StreamEntry]]:
        return await self._stream.stream_read_all(after, limit)

    async def stream_trim_all(self, through: Mapping[int, int]) -> None:
        await self._stream.stream_trim_all(through)

    async def data_keys_all(self, addresses: Mapping[int, Sequence[Address]]) -> Mapping[Address, str]:
        """Asked for orders that are new, so never for one that has left the journal."""
        return await self._stream.data_keys_all(addresses)

    async def addresses_all(self, shards: Sequence[int]) -> Mapping[int, Sequence[Address]]:
        """Of the archive, the homes alone: their companions are in no list."""
        journal = await self._stream.addresses_all(shards)
        async with _translated():
            archive = {shard: await all_homes(self._archive, shard) for shard in shards}
        return {shard: list({*journal.get(shard, ()), *archive[shard]}) for shard in shards}

    async def records(self, shard: int, addresses: Sequence[Address]) -> Sequence[Record]:
        records = list(await self._stream.records(shard, addresses))
        missing = [place for place, record in enumerate(records) if not record.version]
        if not missing:
            return records
        homes = {place: home_of(addresses[place]) for place in missing}
        async with _translated():
            found = await self._archive.get(shard, list(dict.fromkeys(homes.values())))
        for place, home in homes.items():
            archived = found.get(home)
            if isinstance(archived, Damaged):
                log.critical("the archive's record of %s is damaged, and is no row: %s", home, archived.cause)
            elif isinstance(archived, Archived):
                records[place] = archived.record(addresses[place].kind)
        return records


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except ArchiveUnavailable as error:
        raise JournalUnavailable(str(error)) from error
