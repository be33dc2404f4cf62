"""A town whose accounts are archived when they have been at rest for long enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from actors.runtime.archive import Archived, ArchiveUnavailable, Damaged
from actors.runtime.envelope import Reply
from actors.runtime.host import HostCore
from actors.runtime.limits import LIMITS
from actors.runtime.local_archive import MemoryArchive
from actors.runtime.ports import Cell, Record
from models.decision import Address
from models.identity import shard_of
from tests.runtime.toys import KINDS, SHARDS, Deposit, Open, Pay, Town, in_town

AFTER_MS = 600_000
ARCHIVED_KINDS = {
    **KINDS,
    "account": replace(
        KINDS["account"], minted_at=lambda id_: int(id_.partition("-")[0]), snapshot_after_events=0
    ),
}
BY_HAND = replace(LIMITS, archive_poll_s=3_600.0, commit_retry_s=0.001)
"""Sweeps happen when the test says so."""


class Watched(MemoryArchive):
    """Counts what it is asked, and can be away or slow."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Address] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def put(self, records: Mapping[int, Sequence[Archived]]) -> None:
        if self.away:
            raise ArchiveUnavailable("on purpose")
        await self.gate.wait()
        await super().put(records)

    async def get(self, shard: int, homes: Sequence[Address]) -> Mapping[Address, Archived | Damaged]:
        self.asked += homes
        if self.away:
            raise ArchiveUnavailable("on purpose")
        return await super().get(shard, homes)


class Bank(Town):
    """A town whose accounts are archived."""

    archive: Watched

    @property
    def host(self) -> HostCore:
        return next(iter(self.hosts.values()))

    async def at_rest(self, name: str, balance: int = 50) -> Address:
        """An account that had something to do, has done it, and has been quiet for long enough."""
        at = Address("account", f"{self.now}-{name}")
        await self.router.ask(at, Open(owner=at.id))
        await self.router.ask(at, Deposit(amount=balance))
        await self.router.ask(at, Pay(amount=10, ring=True))
        for _ in range(100):
            if not (await self.journal().pending(self.cell(at), None, 1)):
                break
            await asyncio.sleep(0.001)
        self.now += AFTER_MS + 1_000
        self.archive.asked.clear()
        return at

    def name_in(self, shard: int) -> str:
        """What an account of this shard can be called now."""
        names = map(str, range(999))
        return next(name for name in names if self.cell(Address("account", f"{self.now}-{name}")) == Cell(shard))

    def cell(self, at: Address) -> Cell:
        return Cell(shard_of(at, SHARDS))

    async def stored(self, at: Address) -> Record:
        (record,) = await self.journal().records(self.cell(at).shard, [at])
        return record

    async def kept(self, at: Address) -> Archived | Damaged | None:
        return (await MemoryArchive.get(self.archive, self.cell(at).shard, [at])).get(at)

    async def sweep(self) -> None:
        """One sweep, and the commits that follow from it."""
        await self.host.archiver.sweep()
        await self.settled()

    async def settled(self) -> None:
        while any(owned.accumulating or owned.commit for owned in self.host.cells.values()):
            await asyncio.sleep(0.001)


def in_bank(story: Callable[[Bank], Coroutine[Any, Any, None]], **more: Any) -> None:
    async def told(town: Town) -> None:
        town.__class__ = Bank
        assert isinstance(town, Bank)
        await story(town)

    in_town(told, **{"limits": BY_HAND, "kinds": ARCHIVED_KINDS, "archive": Watched(), **more})


def auditor(at: Address) -> Address:
    return Address("auditor", at.id)


def body(reply: Reply) -> Any:
    return json.loads(reply.body)


NOTHING = Record(0, None, ())
