"""The archive in memory: for tests and the simulator. The same contract as the one in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from actors.runtime.archive import Archived, Damaged, Stored, erased, opened, stored
from models.decision import Address


class MemoryArchive:
    """Implements `archive.Archive`. `rows`, by shard and then by home, outlive every process that shares this."""

    def __init__(self) -> None:
        self.rows: defaultdict[int, dict[str, Stored]] = defaultdict(dict)

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        for shard, some in records.items():
            rows = self.rows[shard]
            for archived in some:
                new, old = stored(archived), rows.get(str(archived.home))
                if old is None:
                    rows[new.home] = new
                elif old.version < new.version:
                    rows[new.home] = new._replace(data_key=old.data_key)

    async def get(self, shard: int, homes: Sequence[Address]) -> Mapping[Address, Archived | Damaged]:
        rows = self.rows[shard]
        return {home: opened(kept) for home in homes if (kept := rows.get(str(home))) is not None and kept.version}

    async def homes(self, shard: int, after: Address | None, limit: int) -> Sequence[Address]:
        names = sorted(name for name, kept in self.rows[shard].items() if kept.version and name > str(after or ""))
        return [Address(*name.split(":", 1)) for name in names[:limit]]

    async def erase_data_keys(self, shard: int, homes: Sequence[Address]) -> None:
        rows = self.rows[shard]
        for home in homes:
            rows[str(home)] = rows.get(str(home), erased(home))._replace(data_key="")

    async def close(self) -> None:
        """Nothing to give back."""
