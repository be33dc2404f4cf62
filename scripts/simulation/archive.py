"""The simulated archive: one store for all, and each process's own unreliable way to it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from actors.runtime.archive import Archived, ArchiveUnavailable, Damaged
from actors.runtime.local_archive import MemoryArchive
from actors.runtime.ports import Cell, JournalUnavailable
from models.decision import Address
from scripts.simulation.disk import Connection

T = TypeVar("T")


class Shelves(MemoryArchive):
    """What is archived. `again` counts the records that were replaced by later ones: of orders that had come back."""

    def __init__(self) -> None:
        super().__init__()
        self.again = 0

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        for shard, some in records.items():
            rows = self.rows[shard]
            self.again += sum(str(one.home) in rows and rows[str(one.home)].version < one.version for one in some)
        await super().put(records)


class SimulatedArchive:
    """Implements `archive.Archive` for one process, over the same weather as its way to the disk.

    wrote: called with (cell, owner) right after records were written, while nothing else has happened: an order is now
    in the archive and in the journal.
    """

    def __init__(self, shelves: Shelves, way: Connection, owner: str, wrote: Callable[[Cell, str], None]) -> None:
        self._shelves = shelves
        self._way = way
        self._owner = owner
        self._wrote = wrote

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        async def put() -> None:
            await self._shelves.put(records)
            for shard in records:
                self._wrote(Cell(shard), self._owner)

        names = " ".join(f"{one.home.id}@{one.version}" for some in records.values() for one in some)
        await self._ask("archive", put, names)

    async def get(self, shard: int, homes: Sequence[Address]) -> Mapping[Address, Archived | Damaged]:
        return await self._ask("look up", lambda: self._shelves.get(shard, homes), *(home.id for home in homes))

    async def homes(self, shard: int, after: Address | None, limit: int) -> Sequence[Address]:
        return await self._ask("list", lambda: self._shelves.homes(shard, after, limit))

    async def erase_data_keys(self, shard: int, homes: Sequence[Address]) -> None:
        await self._ask("erase", lambda: self._shelves.erase_data_keys(shard, homes))

    async def close(self) -> None:
        """Nothing to give back."""

    async def _ask(self, operation: str, work: Callable[[], Coroutine[Any, Any, T]], *details: object) -> T:
        try:
            return await self._way.call(operation, None, work, *details)
        except JournalUnavailable as error:
            raise ArchiveUnavailable(str(error)) from error
