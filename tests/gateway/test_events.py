"""The feed by polling: everybody's own events, all of them and once, also for those who wait."""

from __future__ import annotations

import asyncio

import pytest

from actors.runtime.feeding import Audience
from gateway.feed_cursor import Place, cursor_of
from tests.gateway.feeds import ACME, NORTH, OPS, QUICK, SOUTH, MemoryFeed, Stream, Told, happened, polled, with_feed
from tests.gateway.shop import Client, Shop, in_shop, ok, order_of, refused


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_whoever_polls_gets_all_of_its_own_events_once(limit: int) -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        for lines in ([("mug", 1)], [("mug", 1), ("map", 1)], [("hat", 1)]):
            await happened(shop, feed, *lines)
        for client, audience in (
            (shop.ops, OPS), (shop.acme, ACME), (shop.bolt, Audience(retailer="bolt")), (shop.north, NORTH),
            (shop.south, SOUTH),
        ):  # fmt: skip
            assert await polled(client, limit) == feed.told(audience)
        assert len(feed.told(OPS)) > 10
        assert 0 < len(feed.told(SOUTH)) < len(feed.told(NORTH)) < len(feed.told(ACME))
        assert await polled(shop.bolt) == []

    with_feed(story)


def test_sequences_are_gapless_for_each_reader_and_ids_the_same_for_all() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        order = await happened(shop, feed, ("mug", 1), ("map", 1))
        task = next(c["task"] for c in (await ok(shop.acme.get(f"/v1/orders/{order['id']}")))["consignments"][1:])
        await ok(shop.south.post(f"/v1/tasks/{task}/accept"))
        await shop.at_rest(order)
        feed.follow(shop.store)
        ids: dict[str, set[str]] = {}
        for client in (shop.ops, shop.acme, shop.north, shop.south):
            events = (await ok(client.get("/v1/events?limit=200")))["data"]
            assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
            for event in events:
                ids.setdefault(event["id"], set()).add(event["type"])
        assert all(len(types) == 1 for types in ids.values())
        assert {"order.placed", "task.offered", "task.accepted", "order.confirmed"} <= {
            type_ for types in ids.values() for type_ in types
        }

    with_feed(story)


def test_the_next_page_is_always_named_also_when_nothing_is_new() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        empty = await ok(shop.acme.get("/v1/events"))
        assert empty["data"] == []
        await happened(shop, feed)
        page = await ok(shop.acme.get(f"/v1/events?after={empty['next_cursor']}"))
        assert page["data"][0]["type"] == "order.placed"
        again = await ok(shop.acme.get(f"/v1/events?after={page['next_cursor']}"))
        assert again["data"] == []
        assert (await ok(shop.acme.get(f"/v1/events?after={again['next_cursor']}")))["data"] == []
        latest = await ok(shop.acme.get("/v1/events?after=latest"))
        assert latest["data"] == []
        await happened(shop, feed)
        (first, *_) = (await ok(shop.acme.get(f"/v1/events?after={latest['next_cursor']}")))["data"]
        assert first["type"] == "order.placed"

    with_feed(story)


def test_events_of_others_are_passed_over_by_and_by() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        await happened(shop, feed)
        first = feed.rows[0]
        foreign = [first._replace(position=n, retailer="other", suppliers=("other",)) for n in range(1, 1001)]
        feed.rows = [*foreign, first._replace(position=1001)]
        found, after, pages = [], "", 0
        while not found:
            page = await ok(shop.acme.get(f"/v1/events?after={after}"))
            found, after, pages = page["data"], page["next_cursor"], pages + 1
        assert 1 < pages < 5
        assert found[0]["order"] == first.order

    with_feed(story)


@pytest.mark.parametrize(
    "query", ["after=x", "after=" + "A" * 32, "limit=0", "limit=201", "wait=31", "wait=x", "wait="]
)
def test_what_makes_no_sense_is_refused(query: str) -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        problem = await refused(shop.acme.get(f"/v1/events?{query}"), 422, "invalid")
        assert problem["errors"][0]["field"] == query.partition("=")[0]

    with_feed(story)


def test_a_cursor_that_was_changed_is_refused() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        await happened(shop, feed)
        cursor = (await ok(shop.acme.get("/v1/events?limit=1")))["next_cursor"]
        for place in (0, 8, 15, 25, 31):
            other = "A" if cursor[place] != "A" else "B"
            changed = cursor[:place] + other + cursor[place + 1 :]
            await refused(shop.acme.get(f"/v1/events?after={changed}"), 422, "invalid")

    with_feed(story)


def test_a_cursor_whose_events_are_gone_says_so() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        await happened(shop, feed)
        cursor = (await ok(shop.acme.get("/v1/events?limit=1")))["next_cursor"]
        elsewhere = cursor_of(shop.sealer, "another feed", Place(0))
        beyond = cursor_of(shop.sealer, feed.identity, Place(99))
        feed.floor = 1
        for gone in (cursor, elsewhere, beyond):
            await refused(shop.acme.get(f"/v1/events?after={gone}"), 410, "cursor_expired")
            stream = Stream(shop.app, "/v1/stream", "retailer-acme", last_event_id=gone)
            await stream.over()
            assert stream.status == 410
        assert await polled(shop.acme) == feed.told(ACME, since=1)

    with_feed(story)


def test_without_a_read_side_it_is_unavailable() -> None:
    async def story(shop: Shop) -> None:
        await refused(shop.acme.get("/v1/events"), 503, "unavailable")

    in_shop(story)


def test_while_the_database_is_away_it_is_unavailable() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        feed.away = True
        await refused(shop.acme.get("/v1/events"), 503, "unavailable")

    with_feed(story)


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_a_poll_that_waits_is_answered_when_something_happens() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        waiting = asyncio.ensure_future(shop.acme.get("/v1/events?wait=20"))
        foreign = asyncio.ensure_future(shop.bolt.get("/v1/events?wait=1"))
        await asyncio.sleep(0.1)
        await happened(shop, feed)
        page = await ok(waiting)
        assert page["data"][0]["type"] == "order.placed"
        assert (await ok(foreign))["data"] == []

    with_feed(story)


def test_those_who_wait_share_one_who_asks() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        clients = [shop.acme, shop.north, shop.south, shop.ops, shop.bolt] * 10
        waiting = [asyncio.ensure_future(client.get("/v1/events?wait=1")) for client in clients]
        await asyncio.sleep(0.5)
        before = feed.questions
        await asyncio.sleep(0.2)
        assert 0 < feed.questions - before < 0.2 / QUICK.feed_poll_s + 5
        for answer in await asyncio.gather(*waiting):
            assert answer.json()["data"] == []
        await asyncio.sleep(0.3)
        before = feed.questions
        await asyncio.sleep(0.1)
        assert feed.questions == before, "nobody waits, so nobody asks"

    with_feed(story)


def test_a_client_that_polls_misses_nothing_while_things_happen() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        done = False

        async def follow() -> None:
            while not done:
                feed.follow(shop.store)
                await asyncio.sleep(0.002)

        async def poll(client: Client) -> list[Told]:
            found: list[Told] = []
            after = ""
            while True:
                page = await ok(client.get(f"/v1/events?after={after}&limit=3&wait=1"))
                found += [(event["order"], event["sequence"], event["type"]) for event in page["data"]]
                after = page["next_cursor"]
                if done and not page["data"]:
                    return found

        following = asyncio.ensure_future(follow())
        polling = [asyncio.ensure_future(poll(client)) for client in (shop.acme, shop.north, shop.ops)]
        streams = [Stream(shop.app, "/v1/stream", key) for key in ("retailer-acme", "supplier-north", "ops-olga")]
        await asyncio.sleep(0.05)
        for n in range(12):
            order = await shop.placed(order_of(("mug", 1 + n % 2), ("hat", 1)))
        await shop.at_rest(order)
        feed.follow(shop.store)
        done = True
        await following
        for client, stream, audience in zip(polling, streams, (ACME, NORTH, OPS), strict=True):
            told = feed.told(audience)
            assert await client == told
            await stream.until(len(told))
            assert stream.told == told
            await stream.close()

    with_feed(story)
