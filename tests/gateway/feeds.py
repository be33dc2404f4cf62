"""A feed in memory, filled from a shop's journal as the projector would; a shop that has it; a client of streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import httpx
import orjson

from actors.runtime.codec import Answered
from actors.runtime.feeding import Audience, FeedForgotten, FeedPage, FeedRow, FeedState, seen
from actors.runtime.local_journal import MemoryStore
from actors.runtime.reading import ReadModelUnavailable
from gateway.limits import GATEWAY_LIMITS
from models.catalogue import decode_event
from models.feed import OWNER, Entry, published, supplier_bit
from models.order.evolve import evolve
from models.order.state import Order
from tests.gateway.shop import Client, Json, Shop, in_shop, ok, order_of

SCAN_MAX = 50

Told = tuple[str, int, str]
"""Order, sequence and type of an event."""


class MemoryFeed:
    """Implements `FeedReader`. `follow` is a round of the projector; while it is `away`, `trouble` is the answer."""

    def __init__(self, identity: str = "feed-1") -> None:
        self.identity = identity
        self.rows: list[FeedRow] = []
        self.floor = 0
        self.away = False
        self.trouble: Exception = ReadModelUnavailable("away")
        self.questions = 0
        self._orders: dict[str, tuple[Order, int]] = {}
        self._numbers: dict[str, tuple[int, ...]] = {}

    # --- writing ------------------------------------------------------------------------------------------------------

    def follow(self, store: MemoryStore) -> None:
        """A row for each order of which there is something new."""
        for shard in store.contents.shards.values():
            for address, actor in list(shard.actors.items()):
                if address.kind == "order":
                    self._catch_up(address.id, actor.events)

    def _catch_up(self, id_: str, events: Sequence[bytes]) -> None:
        order, done = self._orders.get(id_, (Order(), 0))
        entries: list[Entry] = []
        for stored in events[done:]:
            happened = decode_event(stored)
            if type(happened) is not Answered:
                before, order = order, evolve(order, happened)
                entries += published(before, happened, order)
        self._orders[id_] = (order, len(events))
        if entries:
            self.append(order, entries)

    def append(self, order: Order, entries: Sequence[Entry]) -> None:
        numbers = self._numbers.get(order.id) or (0,) * (2 + len(order.consignments))
        suppliers = tuple(consignment.supplier for consignment in order.consignments)
        events = orjson.dumps(entries)
        self.rows.append(FeedRow(len(self.rows) + 1, order.id, order.retailer, suppliers, numbers, events, 0, 0))
        bits = [OWNER, *[supplier_bit(consignment.number) for consignment in order.consignments]]
        told = [sum(1 for *_, mask in entries if mask & bit) for bit in bits]
        self._numbers[order.id] = tuple(n + new for n, new in zip(numbers, [len(entries), *told], strict=True))

    # --- reading ------------------------------------------------------------------------------------------------------

    def state(self) -> FeedState:
        self.questions += 1
        if self.away:
            raise self.trouble
        return FeedState(self.identity, len(self.rows), self.floor)

    def after(self, position: int, audience: Audience, limit: int) -> FeedPage:
        state = self.state()
        if position < self.floor:
            raise FeedForgotten
        looked_at = self.rows[position : position + SCAN_MAX]
        found = [row for row in looked_at if _concerns(row, audience)][:limit]
        reached = found[-1].position if len(found) == limit else position + len(looked_at)
        return FeedPage(found, reached, state)

    def of_order(self, order: str, position: int, limit: int) -> Sequence[FeedRow]:
        self.state()
        return [row for row in self.rows[position:] if row.order == order and row.position > self.floor][:limit]

    def told(self, audience: Audience, order: str = "", since: int = 0) -> list[Told]:
        """What this audience is to be told in all: (order, sequence, type)."""
        return [
            (row.order, event.sequence, event.type)
            for row in self.rows[since:]
            for event in seen(row, audience)
            if order in ("", row.order)
        ]


def _concerns(row: FeedRow, audience: Audience) -> bool:
    if audience.supplier:
        return audience.supplier in row.suppliers
    return audience.retailer in ("", row.retailer)


class Stream:
    """A client of server-sent events, right at the application. It takes what it is sent unless it is `slow`."""

    def __init__(self, app: Any, path: str, key: str, **headers: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = False
        self._takes = asyncio.Event()
        self._takes.set()
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._asked = False
        given = {"authorization": f"Bearer {key}", **headers}
        url = httpx.URL(f"http://dray{path}")
        scope = {
            "type": "http",
            "method": "GET",
            "path": url.path,
            "raw_path": url.raw_path,
            "query_string": url.query,
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        }
        self._running = asyncio.ensure_future(self._run(app, scope))

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        finally:
            self.ended = True
            self._news.set()

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        await self._takes.wait()
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]
        self._news.set()

    def slow(self, slow: bool = True) -> None:
        if slow:
            self._takes.clear()
        else:
            self._takes.set()

    async def close(self) -> None:
        """Go away, and wait until the application has noticed."""
        self._gone.set()
        self._takes.set()
        await asyncio.wait_for(self._running, 5)

    async def over(self) -> None:
        await asyncio.wait_for(self._running, 5)

    @property
    def frames(self) -> list[dict[str, str]]:
        """All whole frames so far; comments under ''."""
        *whole, _ = self.body.decode().split("\n\n")
        return [
            {name: value.strip() for name, _, value in (line.partition(":") for line in frame.split("\n"))}
            for frame in whole
        ]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(frame["data"]) for frame in self.frames if "data" in frame]

    @property
    def told(self) -> list[Told]:
        return [(event["order"], event["sequence"], event["type"]) for event in self.events]

    @property
    def last_id(self) -> str:
        return [frame["id"] for frame in self.frames if "id" in frame][-1]

    async def until(self, count: int) -> list[dict[str, Any]]:
        """The events, once there are so many; or however many there are when the stream has ended."""
        async with asyncio.timeout(5):
            while len(self.events) < count and not self.ended:
                self._news.clear()
                await self._news.wait()
        return self.events


# --- a shop ----------------------------------------------------------------------------------------------------------

QUICK = replace(
    GATEWAY_LIMITS, feed_poll_s=0.005, feed_retry_s=0.02, feed_linger_s=0.05, stream_heartbeat_s=0.1,
    stream_stalled_s=0.3, cache_age_s_max=0.05,
)  # fmt: skip
OPS, ACME = Audience(), Audience(retailer="acme")
NORTH, SOUTH = Audience(supplier="north"), Audience(supplier="south")

Story = Callable[[Shop, MemoryFeed], Coroutine[Any, Any, None]]


def with_feed(story: Story, **limits: Any) -> None:
    """Run a story in a shop whose events can be read."""

    async def run(shop: Shop) -> None:
        feed = MemoryFeed()
        shop.serve(feed=feed)
        await story(shop, feed)

    in_shop(run, limits=replace(QUICK, **limits))


async def happened(shop: Shop, feed: MemoryFeed, *lines: tuple[str, int]) -> Json:
    """An order of acme's, and all that has come of it, row by row."""
    order = await shop.placed(order_of(*lines), wait_s=0 if ("map", 1) in lines else 10)
    feed.follow(shop.store)
    await shop.at_rest(order)
    feed.follow(shop.store)
    return order


async def polled(client: Client, limit: int = 20, after: str = "", wait: int = 0) -> list[Told]:
    """Everything there is, page by page."""
    found: list[Told] = []
    while True:
        page = await ok(client.get("/v1/events", params={"after": after, "limit": limit, "wait": wait}))
        found += [(event["order"], event["sequence"], event["type"]) for event in page["data"]]
        if not page["data"]:
            return found
        after = page["next_cursor"]
