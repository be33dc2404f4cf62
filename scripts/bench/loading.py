"""Fills a read model as the projector would have filled it, only faster: the journal is a list in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_rollups import SqlRollUps
from actors.order import KIND
from actors.runtime.ports import Record, StreamEntry
from actors.runtime.projector import Projector
from actors.runtime.rollups import RollUps
from models.decision import Address, Millis

CHUNK_ORDERS = 4_000


class Placed(Protocol):
    """An order that is to be loaded."""

    @property
    def id(self) -> str: ...

    @property
    def shard(self) -> int: ...

    @property
    def events(self) -> Sequence[bytes]: ...

    @property
    def data_key(self) -> str: ...


class Given:
    """A journal of which there is nothing but the streams: implements `reading.Stream`."""

    def __init__(self) -> None:
        self._entries: dict[int, list[StreamEntry]] = {}
        self._keys: dict[Address, str] = {}
        self._sequences: dict[int, int] = {}

    def add(self, order: Placed) -> None:
        """One order's whole life, in one commit."""
        address = Address(KIND.name, order.id)
        sequence = self._sequences[order.shard] = self._sequences.get(order.shard, 0) + 1
        self._entries.setdefault(order.shard, []).append(StreamEntry(sequence, [(address, 0, order.events)]))
        self._keys[address] = order.data_key

    @property
    def behind(self) -> bool:
        """Is there anything that the projector has not trimmed?"""
        return any(self._entries.values())

    async def stream_open(self, shard: int) -> None:
        self._sequences.setdefault(shard, 0)

    async def stream_position(self, shard: int) -> int:
        return self._sequences[shard]

    async def stream_read_all(self, after: Mapping[int, int], limit: int) -> Mapping[int, Sequence[StreamEntry]]:
        found = {}
        for shard, entries in self._entries.items():
            if new := [entry for entry in entries if entry.sequence > after[shard]][:limit]:
                found[shard] = new
        return found

    async def stream_trim_all(self, through: Mapping[int, int]) -> None:
        """What has been taken in is not kept."""
        for shard, last in through.items():
            entries = self._entries.get(shard, [])
            for entry in entries:
                if entry.sequence <= last:
                    self._keys.pop(entry.appends[0][0], None)
            self._entries[shard] = [entry for entry in entries if entry.sequence > last]

    async def data_keys_all(self, addresses: Mapping[int, Sequence[Address]]) -> Mapping[Address, str]:
        return {address: self._keys[address] for some in addresses.values() for address in some}

    async def addresses_all(self, shards: Sequence[int]) -> Mapping[int, Sequence[Address]]:
        return dict.fromkeys(shards, ())

    async def records(self, _shard: int, addresses: Sequence[Address]) -> Sequence[Record]:
        return [Record(0, None, (), "") for _ in addresses]


class Loader:
    """Loads one database."""

    def __init__(self, url: str, shards: int) -> None:
        self._given = Given()
        self._model, self._counting = SqlReadModel(url), SqlRollUps(url)
        self._projector = Projector(KIND, self._given, self._model, shards=shards, wall=_wall)
        self._rollups = RollUps(KIND, self._counting, wall=_wall)
        self._prepared = False

    async def load(self, orders: Sequence[Placed]) -> float:
        """Take them in; the CPU seconds that took."""
        if not self._prepared:
            await self._projector.prepare()
            await self._follow()
            self._prepared = True
        for order in orders:
            self._given.add(order)
        began = time.process_time()
        await self._follow()
        return time.process_time() - began

    async def count(self) -> float:
        """Count in the roll-ups what was loaded; the CPU seconds that took."""
        began = time.process_time()
        while await asyncio.to_thread(self._rollups.step):
            pass
        return time.process_time() - began

    async def _follow(self) -> None:
        while await self._projector.round() or self._given.behind or await self._projector.rebuild_page():
            pass

    def close(self) -> None:
        self._model.close()
        self._counting.close()


def _wall() -> Millis:
    return time.time_ns() // 1_000_000
