"""A shop with its read side: SQLite in a directory of the test's, filled by a projector whenever the test says so."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from actors.adapters.sqlalchemy_analytics import SqlAnalytics
from actors.adapters.sqlalchemy_feed import SqlFeed
from actors.adapters.sqlalchemy_projection import SqlReadModel
from actors.adapters.sqlalchemy_reading import SqlOrders
from actors.adapters.sqlalchemy_rollups import SqlRollUps
from actors.order import KIND as ORDER
from actors.runtime.local_stream import MemoryStream
from actors.runtime.projector import Projector
from actors.runtime.rollups import RollUps
from tests.gateway.shop import SHARDS, Shop, in_shop


class ReadSide:
    """Follows one shop's orders."""

    def __init__(self, shop: Shop) -> None:
        self._directory = TemporaryDirectory()
        url = f"sqlite:///{Path(self._directory.name) / 'read.db'}"
        self.model = SqlReadModel(url)
        self._projector = Projector(ORDER, MemoryStream(shop.store), self.model, shards=SHARDS, wall=shop.wall)
        self.orders = SqlOrders(url)
        self.analytics = SqlAnalytics(url)
        self.feed = SqlFeed(url)
        self._counting = SqlRollUps(url)
        self._rollups = RollUps(ORDER, self._counting, wall=shop.wall)
        shop.serve(orders=self.orders, analytics=self.analytics, feed=self.feed)

    async def open(self) -> None:
        await self._projector.prepare()
        await self.follow()

    async def follow(self) -> None:
        """Take in everything that has happened so far."""
        while await self._projector.round() or await self._projector.rebuild_page():
            pass

    async def count(self) -> None:
        """The same, and count it in the roll-ups."""
        await self.follow()
        while self._rollups.step():
            pass

    def close(self) -> None:
        self.orders.close()
        self.analytics.close()
        self.feed.close()
        self._counting.close()
        self.model.close()
        self._directory.cleanup()


Story = Callable[[Shop, ReadSide], Coroutine[Any, Any, None]]


def with_read_side(story: Story) -> None:
    """Run a story in a shop whose orders are followed."""

    async def run(shop: Shop) -> None:
        side = ReadSide(shop)
        try:
            await side.open()
            await story(shop, side)
        finally:
            side.close()

    in_shop(run)
