"""Clients of the feed in any weather: cut off, slow, the database away, all by the dice of a seed. At the end each of
them has exactly what there was for it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from actors.runtime.feeding import Audience
from models.feed import Entry
from models.order.state import Order
from models.record import changed
from tests.gateway.feeds import ACME, NORTH, OPS, QUICK, SOUTH, MemoryFeed, Stream, Told
from tests.gateway.shop import Client, Shop, in_shop
from tests.models.orders import CONFIRMED, order
from tests.models.test_feed import told

ROUNDS = 60
LIFE = order(*CONFIRMED).state
ENTRIES: list[Entry] = told(Order(), *CONFIRMED)
LIMITS = replace(
    QUICK, stream_queue_rows_max=4, stream_chunk_events_max=3, feed_rows_per_read_max=5, stream_stalled_s=9.0
)  # fmt: skip


class Viewer:
    """A client of a stream that is cut off now and then, and goes on from the last whole frame."""

    def __init__(self, shop: Shop, path: str, key: str) -> None:
        self._shop, self._path, self._key = shop, path, key
        self._before: list[Told] = []
        self._last = ""
        self.connect()

    def connect(self) -> None:
        headers = {"last_event_id": self._last} if self._last else {}
        self.stream = Stream(self._shop.app, self._path, self._key, **headers)

    async def cut(self) -> None:
        await self.stream.close()
        ids = [frame["id"] for frame in self.stream.frames if "id" in frame]
        self._last = ids[-1] if ids else self._last
        self._before += self.stream.told
        self.connect()

    async def until(self, count: int) -> None:
        """Until so many events have come in all, cut off however often."""
        while len(self.told) < count:
            await self.stream.until(count - len(self._before))
            if self.stream.ended:  # the database was away when it began
                assert self.stream.status == 503
                await self.cut()

    @property
    def told(self) -> list[Told]:
        return self._before + self.stream.told


async def poll(client: Client, dice: random.Random, found: list[Told]) -> None:
    """For ever."""
    after = ""
    while True:
        query = {"after": after, "limit": dice.randrange(1, 9), "wait": dice.choice([0, 1])}
        answer = await client.get("/v1/events", params=query)
        if answer.status_code == 200:
            found += [(event["order"], event["sequence"], event["type"]) for event in answer.json()["data"]]
            after = answer.json()["next_cursor"]
        else:
            assert answer.status_code == 503
            await asyncio.sleep(0.005)


def something_happens(feed: MemoryFeed, dice: random.Random, left: dict[str, list[Entry]]) -> None:
    """Some of what is left of some orders' lives, a row for each."""
    for id_ in dice.sample(sorted(left), min(len(left), dice.randrange(4))):
        some = dice.randrange(1, 4)
        feed.append(changed(LIFE, id=id_), left[id_][:some])
        left[id_] = left[id_][some:]
        if not left[id_]:
            del left[id_]


@pytest.mark.parametrize("seed", range(8))
def test_nobody_misses_anything_in_any_weather(seed: int) -> None:
    async def story(shop: Shop) -> None:
        dice = random.Random(seed)
        feed = MemoryFeed()
        shop.serve(feed=feed)
        ids = [f"ord_000{n:032x}" for n in range(40)]
        left = {id_: list(ENTRIES) for id_ in ids}
        keys: dict[Audience, str] = {
            OPS: "ops-olga", ACME: "retailer-acme", NORTH: "supplier-north", SOUTH: "supplier-south",
        }  # fmt: skip
        start = "?after=" + (await shop.ops.get("/v1/events?limit=1")).json()["next_cursor"]
        viewers = {audience: Viewer(shop, f"/v1/stream{start}", key) for audience, key in keys.items()}
        polls: dict[Audience, list[Told]] = {audience: [] for audience in keys}
        polling = [asyncio.ensure_future(poll(shop.client(keys[a]), dice, found)) for a, found in polls.items()]
        for _ in range(ROUNDS):
            something_happens(feed, dice, left)
            viewer = dice.choice(list(viewers.values()))
            roll = dice.random()
            if roll < 0.3 and not feed.away:
                await viewer.cut()
            elif roll < 0.6:
                viewer.stream.slow(dice.random() < 0.6)
            elif roll < 0.75:
                feed.away = dice.random() < 0.4
            await asyncio.sleep(dice.choice([0, 0.001, 0.01]))
        feed.away = False
        for audience, viewer in viewers.items():
            wanted = feed.told(audience)
            viewer.stream.slow(False)
            await viewer.until(len(wanted))
            assert viewer.told == wanted
            while len(polls[audience]) < len(wanted):
                await asyncio.sleep(0.005)
            assert polls[audience] == wanted
            await viewer.stream.close()
        for one in polling:
            one.cancel()
        assert len(feed.rows) > 40

    in_shop(story, limits=LIMITS, stocked=False)
