"""The feed by server-sent events: resumable, bounded, and ended by either side at once."""

from __future__ import annotations

import asyncio

import pytest

from actors.runtime.feeding import FeedForgotten
from actors.runtime.reading import ReadModelUnavailable
from gateway.feed_cursor import Place, cursor_of
from models.feed import EVENT_TYPES
from models.keyring import KEYRING, RevokeKey
from tests.gateway.feeds import ACME, OPS, SOUTH, MemoryFeed, Stream, happened, polled, with_feed
from tests.gateway.shop import Shop, ok, refused


def test_a_stream_tells_what_happens_from_now_on() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        await happened(shop, feed)
        before = len(feed.told(ACME))
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        await asyncio.sleep(0.05)
        await happened(shop, feed)
        told = feed.told(ACME)[before:]
        await stream.until(len(told))
        assert stream.told == told
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.frames[0] == {"retry": "2000"}
        assert {event["type"] for event in stream.events} <= set(EVENT_TYPES)
        await stream.close()

    with_feed(story)


def test_a_stream_resumes_after_any_event_and_so_does_a_poll() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        await happened(shop, feed, ("mug", 1), ("hat", 1))
        told = feed.told(ACME)
        for path in ("/v1/stream", f"/v1/orders/{feed.rows[0].order}/stream"):
            start = (await ok(shop.acme.get("/v1/events?limit=1")))["next_cursor"]
            whole = Stream(shop.app, f"{path}?after={start}", "retailer-acme")
            await whole.until(len(told) - 1)
            assert whole.told == told[1:]
            ids = [frame["id"] for frame in whole.frames if "data" in frame]
            await whole.close()
            for taken, last in enumerate(ids, 2):
                rest = Stream(shop.app, path, "retailer-acme", last_event_id=last)
                await rest.until(len(told) - taken)
                assert rest.told == told[taken:]
                assert await polled(shop.acme, after=last) == told[taken:]
                await rest.close()

    with_feed(story)


def test_an_orders_stream_begins_at_its_beginning_and_shows_no_other() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        order = await happened(shop, feed, ("mug", 1), ("map", 1))
        streams = {key: Stream(shop.app, f"/v1/orders/{order['id']}/stream", key) for key in (
            "retailer-acme", "supplier-south", "ops-olga",
        )}  # fmt: skip
        await asyncio.sleep(0.05)
        await happened(shop, feed)
        await ok(shop.acme.post(f"/v1/orders/{order['id']}/cancel"), 202)
        await shop.at_rest(order)
        feed.follow(shop.store)
        for (key, stream), audience in zip(streams.items(), (ACME, SOUTH, OPS), strict=True):
            told = feed.told(audience, order["id"])
            await stream.until(len(told))
            assert stream.told == told, key
            assert told[-1][2] in ("task.withdrawn", "payment.voided")
            await stream.close()

    with_feed(story)


def test_whose_order_it_is_not_gets_no_stream() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        order = await happened(shop, feed)
        for key in ("retailer-bolt", "supplier-south"):
            stream = Stream(shop.app, f"/v1/orders/{order['id']}/stream", key)
            await stream.over()
            assert stream.status == 404

    with_feed(story)


def test_a_slow_client_gets_everything_in_the_end_and_holds_little_meanwhile() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        await asyncio.sleep(0.05)
        stream.slow()
        for _ in range(6):
            await happened(shop, feed)
            await asyncio.sleep(0.02)
        tail = shop.gateway.feed.tail
        (listener,) = tail._everybody()
        assert listener.behind
        assert len(listener._rows) == 0
        stream.slow(False)
        told = feed.told(ACME)
        await stream.until(len(told))
        assert stream.told == told
        await stream.close()
        assert tail._everybody() == []

    with_feed(story, stream_queue_rows_max=2, stream_stalled_s=20.0)


def test_a_client_that_takes_nothing_any_more_is_let_go() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        await asyncio.sleep(0.05)
        stream.slow()
        await happened(shop, feed)
        await stream.over()
        assert shop.gateway.feed.followers == 0

    with_feed(story)


def test_heartbeats_move_the_place_on() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        stream = Stream(shop.app, "/v1/stream", "retailer-bolt")
        await asyncio.sleep(0.05)
        await happened(shop, feed)
        await asyncio.sleep(0.3)
        assert stream.events == []
        assert stream.frames[-1][""] == "still here"
        assert stream.last_id == cursor_of(shop.sealer, feed.identity, Place(len(feed.rows)))
        await stream.close()

    with_feed(story)


@pytest.mark.parametrize("trouble", [ReadModelUnavailable("away"), FeedForgotten("too far"), ValueError("a bug")])
def test_streams_live_through_a_database_that_is_away(trouble: Exception) -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        feed.trouble = trouble
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        await asyncio.sleep(0.05)
        feed.away = True
        await happened(shop, feed)
        await asyncio.sleep(0.1)
        assert stream.events == []
        feed.away = False
        told = feed.told(ACME)
        await stream.until(len(told))
        assert stream.told == told
        await stream.close()

    with_feed(story)


def test_streams_end_when_the_feed_is_another_one() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        await asyncio.sleep(0.05)
        feed.identity = "feed-2"
        await stream.over()
        again = Stream(shop.app, "/v1/stream", "retailer-acme", last_event_id=stream.last_id)
        await again.over()
        assert again.status == 410

    with_feed(story, stream_heartbeat_s=0.02)


def test_there_is_a_bound_on_streams() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        streams = [Stream(shop.app, "/v1/stream", "retailer-acme") for _ in range(2)]
        await asyncio.sleep(0.05)
        await refused(shop.acme.get("/v1/events?wait=1"), 429, "too_many_streams")
        streams.append(Stream(shop.app, "/v1/stream", "ops-olga"))
        await asyncio.sleep(0.05)
        more = Stream(shop.app, "/v1/stream", "supplier-north")
        await more.over()
        assert (more.status, more.headers["retry-after"]) == (429, "5")
        await streams[0].close()
        assert (await ok(shop.acme.get("/v1/events?wait=1")))["data"] == []
        for stream in streams[1:]:
            await stream.close()
        assert shop.gateway.feed.followers == 0

    with_feed(story, streams_per_key_max=2, streams_max=3)


def test_a_revoked_key_ends_its_streams() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        other = Stream(shop.app, "/v1/stream", "ops-olga")
        await asyncio.sleep(0.05)
        await shop.router.ask(KEYRING, RevokeKey(id="key_retailer-acme"))
        await stream.over()
        assert not other.ended
        await other.close()

    with_feed(story)


def test_shutting_down_ends_streams_and_polls_at_once() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        streams = [Stream(shop.app, "/v1/stream", key) for key in ("retailer-acme", "ops-olga")]
        waiting = asyncio.ensure_future(shop.acme.get("/v1/events?wait=20"))
        await asyncio.sleep(0.05)
        shop.gateway.stop()
        for stream in streams:
            await stream.over()
        assert (await ok(waiting))["data"] == []
        late = Stream(shop.app, "/v1/stream", "retailer-acme")
        await late.over()
        assert late.status == 200

    with_feed(story)


def test_a_client_that_has_gone_is_forgotten() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        order = await happened(shop, feed)
        paths = ("/v1/stream", f"/v1/orders/{order['id']}/stream", "/v1/events?wait=20&after=latest")
        streams = [Stream(shop.app, path, "retailer-acme") for path in paths]
        await asyncio.sleep(0.05)
        assert shop.gateway.feed.followers == 3
        for stream in streams:
            await stream.close()
        assert shop.gateway.feed.followers == 0

    with_feed(story)


def test_streams_are_counted_in_the_metrics() -> None:
    async def story(shop: Shop, feed: MemoryFeed) -> None:
        stream = Stream(shop.app, "/v1/stream", "retailer-acme")
        await asyncio.sleep(0.05)
        shown = (await shop.client().get("/metrics")).text
        assert "\ndray_http_streams 1.0\n" in shown
        await stream.close()

    with_feed(story)
