"""`GET /v1/orders`: who finds what, by which filter, page by page."""

from __future__ import annotations

import math

import pytest

from gateway.order_search import cursor_of, place_of
from gateway.problems import Problem
from tests.gateway.read_side import ReadSide, with_read_side
from tests.gateway.shop import ORDER, Client, Json, Shop, in_shop, ok, order_of, refused


async def found(client: Client, query: str = "") -> list[str]:
    """The ids on one page."""
    return [order["id"] for order in (await ok(client.get(f"/v1/orders?{query}")))["data"]]


def customer(email: str, name: str) -> Json:
    return {"customer": {"email": email, "name": name}}


def test_each_role_sees_its_own_as_the_order_itself_shows_it() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        both = await shop.offered(("mug", 1), ("map", 1))
        mug = await shop.placed(order_of(("mug", 1)))
        await shop.at_rest(mug)
        await side.follow()
        for client, ids in (
            (shop.ops, [mug["id"], both["id"]]), (shop.acme, [mug["id"], both["id"]]), (shop.bolt, []),
            (shop.north, [mug["id"], both["id"]]), (shop.south, [both["id"]]),
        ):  # fmt: skip
            listed = (await ok(client.get("/v1/orders")))["data"]
            assert [order["id"] for order in listed] == ids
            for order in listed:
                assert order == await ok(client.get(f"/v1/orders/{order['id']}"))

    with_read_side(story)


def test_filters_find_what_they_say_alone_and_together() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        mug = await shop.placed(order_of(("mug", 1), **customer("Ann@Example.com", "Ann O'Hara Lee")))
        hat = await shop.placed(order_of(("hat", 1), ("mug", 1), **customer("bob@example.com", "Bob Lee")))
        lost = await shop.placed(order_of(("hat", 1), payment_method="pm_card_visa_chargeDeclined"))
        await shop.at_rest(hat)
        await ok(shop.acme.post(f"/v1/orders/{mug['id']}/refunds", json={"amount": 100}), 201)
        await shop.until(shop.acme, f"/v1/orders/{mug['id']}", lambda order: order["refund_status"] == "partial")
        await side.follow()
        m, h, x = mug["id"], hat["id"], lost["id"]
        shown = await ok(shop.acme.get(f"/v1/orders/{h}"))
        intent, charge = shown["payment"]["payment_intent"], shown["payment"]["charge"]
        transfer = shown["consignments"][0]["splits"][0]["transfer"]
        for query, ids in {
            "": [x, h, m],
            "status=cancelled": [x], "status=confirmed": [h, m], "status=refunded": [m], "status=pending": [],
            "product=mug": [h, m], "product=hat": [x, h], "product=map": [], "product=hat&status=confirmed": [h],
            "supplier=north": [x, h, m], "supplier=south": [], "supplier=north&product=mug&status=refunded": [m],
            "email=ANN@example.com": [x, m], "email=ann%40example.co": [],
            "email=ann@example.com&product=hat": [x], "email=ann@example.com&product=mug": [m],
            f"created_after={mug['created_at']}": [x, h, m], f"created_before={mug['created_at']}": [],
            f"created_after={hat['created_at']}&product=mug": [h], "created_before=2001-01-01": [],
            "q=lee": [x, h, m], "q=LEE+ann": [x, m], "q=hara": [m], "q=le": [], "q=bob@example.com": [h],
            "q=mug": [h, m], f"q={h}": [h], f"q={hat['consignments'][0]['task']}": [h], f"q={intent}": [h],
            f"q={charge}": [h], f"q={transfer}": [h], "q=lee&status=cancelled": [x], "q=nobody": [], "q=%25": [],
            "q=ann@example.com&email=bob@example.com": [], "retailer=bolt": [x, h, m],
        }.items():  # fmt: skip
            assert await found(shop.acme, query) == ids, query
            if "retailer" not in query:
                assert await found(shop.ops, query) == ids, query
                assert await found(shop.bolt, query) == [], query
        assert await found(shop.ops, "retailer=bolt") == []

    with_read_side(story)


def test_a_supplier_cannot_search_by_what_it_is_not_shown() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        both = await shop.offered(("mug", 1), ("map", 1))
        await side.follow()
        intent = (await ok(shop.acme.get(f"/v1/orders/{both['id']}")))["payment"]["payment_intent"]
        for query in ("product=map", "supplier=south", "q=map", "q=ann", "q=lee+ann", f"q={both['id']}"):
            assert await found(shop.south, query) == [both["id"]], query
        for query in ("product=mug", "supplier=north", "q=mug", f"q={intent}", "q=ann@example.com"):
            assert await found(shop.south, query) == [], query
        await refused(shop.south.get("/v1/orders?email=ann@example.com"), 422, "invalid")

    with_read_side(story)


def test_what_cannot_be_meant_is_refused() -> None:
    async def story(shop: Shop, _side: ReadSide) -> None:
        for query in (
            "status=odd", "limit=0", "limit=201", "limit=x", "cursor=x", "cursor=WzEsMl0", "created_after=yesterday",
            "created_before=2026-11-22T21:00:00", "product=%2F", f"q={'x' * 201}",
        ):  # fmt: skip
            await refused(shop.acme.get(f"/v1/orders?{query}"), 422, "invalid")

    with_read_side(story)


def test_erased_customers_are_shown_as_such() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        order = await shop.placed(ORDER)
        await side.follow()
        (listed,) = (await ok(shop.acme.get("/v1/orders")))["data"]
        assert listed["customer"]["email"] == "ann@example.com"
        (kept,) = side.model.kept([order["id"]])
        assert b"ann@example.com" not in kept.snapshot and kept.data_key

    with_read_side(story)


def test_without_a_read_side_lists_are_unavailable() -> None:
    async def story(shop: Shop) -> None:
        problem = await refused(shop.acme.get("/v1/orders"), 503, "unavailable")
        assert "read side" in problem["detail"]

    in_shop(story, stocked=False)


def test_metrics_tell_how_far_lists_are_behind() -> None:
    async def lag_s(shop: Shop) -> float:
        lines = (await shop.client().get("/metrics")).text.splitlines()
        (line,) = [line for line in lines if line.startswith("dray_read_side_lag_seconds ")]
        return float(line.split()[1])

    async def story(shop: Shop, _side: ReadSide) -> None:
        assert 0 <= await lag_s(shop) < 60
        shop.wall.ahead_ms = 3_600_000
        assert await lag_s(shop) >= 3_600
        shop.serve(orders=None)
        assert math.isnan(await lag_s(shop))

    with_read_side(story)


def test_walking_the_pages_meets_every_order_once_while_others_arrive() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        before = {(await shop.placed(order_of(("mug", 1)), wait_s=0))["id"] for _ in range(9)}
        await side.follow()
        met: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await ok(shop.acme.get(f"/v1/orders?limit=2&product=mug&cursor={cursor}"))
            met += [order["id"] for order in page["data"]]
            cursor = page["next_cursor"]
            await shop.placed(order_of(("mug", 1)), wait_s=0)
            await side.follow()
        assert len(met) == len(set(met)) and set(met) == before

    with_read_side(story)


def test_a_cursor_is_its_place() -> None:
    place = (1_700_000_000_000, "ord_000" + "0" * 32)
    assert place_of(cursor_of(place)) == place
    assert place_of("") is None
    with pytest.raises(Problem):
        place_of("e30")
