"""Archived orders as the audit reads them: what is in the archive, beside what the journal has of the same orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from actors.adapters.sqlalchemy_archive import SqlArchive
from actors.runtime.archive import Damaged
from models.decision import Address
from scripts.audit.findings import Finding
from scripts.audit.spool import ORDER, Spool

MEMBERS = ("order", "orchestrator")
PAGE = 5_000


class Whole(NamedTuple):
    """An order's and its orchestrator's events. lost: it has none but those in a damaged record."""

    order: Sequence[bytes]
    saga: Sequence[bytes]
    lost: bool = False


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlArchive | None]:
    """None where there is no archive, or nothing has ever been archived."""
    if not url or not await asyncio.to_thread(_exists, url):
        yield None
        return
    archive = SqlArchive(url)
    try:
        yield archive
    finally:
        await archive.close()


def _exists(url: str) -> bool:
    return not url.startswith("sqlite:") or Path(url.removeprefix("sqlite:///")).exists()


async def compared(url: str, known: str) -> list[Finding]:
    """Is this the archive that the journal's orders have left for (`known`; '' before any has)?"""
    if not known:
        return []
    async with opened(url) as archive:
        own = "" if archive is None else await archive.id()
    if own == known:
        return []
    return [Finding("A1", "archive", f"orders have left the journal for archive {known}, and here is {own or 'none'}")]


async def size(url: str) -> int:
    """How many orders have a record in the archive."""
    async with opened(url) as archive:
        return 0 if archive is None else await archive.size()


async def spool_all(url: str, shards: int, spool: Spool) -> None:
    """Every order that has a record."""
    async with opened(url) as archive:
        for shard in range(shards if archive else 0):
            last: Address | None = None
            while homes := await archive.homes(shard, last, PAGE):  # type: ignore[union-attr] # no archive, no shards
                for home in homes:
                    spool.add(ORDER, home.id, None)
                last = homes[-1]


async def completed(
    archive: SqlArchive | None, shard: int, ids: Sequence[str], stored: Sequence[Sequence[bytes]]
) -> tuple[list[Whole], list[Finding]]:
    """Orders as journal and archive have them together; the journal's record, where there is one, counts.

    stored: the journal's events of each order and of its orchestrator, read before: what left it since is archived.
    """
    journal = [Whole(stored[2 * place], stored[2 * place + 1]) for place in range(len(ids))]
    if archive is None:
        return journal, []
    records = await archive.get(shard, [Address("order", id_) for id_ in ids])
    found: list[Finding] = []
    whole: list[Whole] = []
    for id_, here in zip(ids, journal, strict=True):
        record = records.get(Address("order", id_))
        is_here = bool(here.order or here.saga)
        if isinstance(record, Damaged):
            found.append(Finding("A9", id_, f"its record in the archive is damaged: {record.cause}", id_))
            whole.append(here if is_here else Whole((), (), lost=True))
        elif record is None or is_here:
            whole.append(here)
            if record is not None:
                kept = [record.members.get(kind, ()) for kind in MEMBERS]
                own = (here.order, here.saga)
                if any(list(new[: len(old)]) != list(old) for new, old in zip(own, kept, strict=True)):
                    found.append(Finding("A9", id_, "its record in the journal does not go on from the archive's", id_))
        else:
            order, saga = (record.members.get(kind, ()) for kind in MEMBERS)
            whole.append(Whole(order, saga))
    return whole, found
