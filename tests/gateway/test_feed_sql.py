"""The feed from the journal to the client: projector, tables and gateway together."""

from __future__ import annotations

from tests.gateway.feeds import Stream, polled
from tests.gateway.read_side import ReadSide, with_read_side
from tests.gateway.shop import Shop, ok, order_of


def test_what_has_happened_reaches_everybody_whom_it_concerns() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        order = await shop.placed(order_of(("mug", 1), ("hat", 2)))
        await side.follow()
        await shop.at_rest(order)
        await side.follow()
        both = await shop.offered(("mug", 1), ("map", 1))
        await ok(shop.acme.post(f"/v1/orders/{both['id']}/cancel"), 202)
        await shop.at_rest(both)
        await side.follow()
        found = {name: await polled(getattr(shop, name), 3) for name in ("ops", "acme", "north", "south", "bolt")}
        assert [told for told in found["acme"] if told[0] == order["id"]][:3] == [
            (order["id"], 1, "order.placed"), (order["id"], 2, "order.payment_authorised"),
            (order["id"], 3, "task.accepted"),
        ]  # fmt: skip
        assert found["ops"] == found["acme"]
        assert found["south"] == [(both["id"], 1, "task.offered"), (both["id"], 2, "task.withdrawn")]
        assert {told[2] for told in found["north"]} == {"task.accepted", "task.confirmed", "task.withdrawn"}
        assert found["bolt"] == []
        for id_ in (order["id"], both["id"]):
            stream = Stream(shop.app, f"/v1/orders/{id_}/stream", "retailer-acme")
            wanted = [told for told in found["acme"] if told[0] == id_]
            await stream.until(len(wanted))
            assert stream.told == wanted
            await stream.close()

    with_read_side(story)


def test_a_rebuild_tells_nothing_twice() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        order = await shop.placed()
        await shop.at_rest(order)
        await side.follow()
        before = await ok(shop.acme.get("/v1/events?limit=200"))
        side.model.request_rebuild()
        await side.follow()
        assert (await ok(shop.acme.get(f"/v1/events?after={before['next_cursor']}")))["data"] == []
        assert await ok(shop.acme.get("/v1/events?limit=200")) == before

    with_read_side(story)
