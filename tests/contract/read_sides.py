"""A journal, a database, and the projector between them, which a test may kill."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_tables import connect, orders, tasks, terms
from actors.order import KIND as ORDER
from actors.runtime.limits import Limits
from actors.runtime.local_journal import MemoryStore
from actors.runtime.local_stream import MemoryStream
from actors.runtime.projector import Projector
from actors.runtime.reading import Overtaken
from tests.contract.order_histories import SHARDS, START, Life, Writer

FEW = Limits(projector_entries_max=3, projector_orders_known_max=2, rebuild_page_orders_max=2)
"""Bounds so small that a handful of orders meets all of them."""

BUSY = replace(FEW, projector_busy_orders_min=1)
"""Always busy: orders that begin wait for a round."""


class Side:
    """A journal, a database, and the projector between them, which a test may kill."""

    def __init__(self, url: str, limits: Limits = FEW) -> None:
        self.limits = limits
        self.store = MemoryStore()
        self.writer = Writer(self.journal())
        self.url = url
        self.model = SqlReadModel(url)
        self.projector = self.start()

    def journal(self) -> MemoryStream:
        return MemoryStream(self.store, stream_kinds=frozenset({"order"}))

    def start(self) -> Projector:
        return Projector(ORDER, self.journal(), self.model, shards=SHARDS, wall=lambda: START, limits=self.limits)

    def kill(self) -> None:
        """Whatever it knew is gone; what is stored is not."""
        self.projector = self.start()

    async def rest(self) -> None:
        """Follow until there is nothing left to do."""
        while await self.projector.round() or await self.projector.rebuild_page() or self.backlog():
            pass

    def backlog(self) -> bool:
        return any(self.store.shard(shard).stream for shard in range(SHARDS))

    def rows(self) -> dict[str, list[Any]]:
        return rows(self.url)

    def close(self) -> None:
        self.model.close()


def rows(url: str) -> dict[str, list[Any]]:
    """All that lists are made from, without what tells one rebuild from another."""
    engine = connect(url, reading=True)
    columns = [column for column in orders.c if column.name not in ("generation", "sequence", "fed_at")]
    with engine.connect() as connection:
        found = {
            "orders": sorted(map(tuple, connection.execute(select(*columns)))),
            "terms": sorted(map(tuple, connection.execute(select(terms)))),
            "tasks": sorted(map(tuple, connection.execute(select(tasks)))),
        }
    engine.dispose()
    return found


async def live(side: Side, *lives: Life) -> None:
    for one in lives:
        await side.writer.add((one, len(one.events)))


class Killed(Exception):
    """The projector's process is gone."""


async def stumble(side: Side, dice: random.Random) -> None:
    """Some steps of the projector, and perhaps its death in one of them."""
    write = side.model.write

    def dying(batches: Any, at: int) -> None:
        if dice.random() < 0.5:
            write(batches, at)
        raise Killed

    side.model.write = dying if dice.random() < 0.4 else write  # type: ignore[method-assign]
    try:
        for _ in range(dice.randrange(3)):
            await side.projector.round()
            await side.projector.rebuild_page()
    except (Killed, Overtaken):
        side.kill()
    finally:
        side.model.write = write  # type: ignore[method-assign]
