"""Tasks: what a supplier is asked, and what it reports."""

from __future__ import annotations

from tests.gateway.read_side import ReadSide, with_read_side
from tests.gateway.shop import Client, Json, Shop, in_shop, ok, refused


async def walked(client: Client, query: str = "") -> list[str]:
    """The ids of all pages, one after the other."""
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await ok(client.get(f"/v1/tasks?{query}&cursor={cursor}"))
        seen += [task["id"] for task in page["data"]]
        cursor = page["next_cursor"]
    return seen


def task_by(order: Json, supplier: str) -> str:
    return next(str(c["task"]) for c in order["consignments"] if c["supplier"] == supplier)


def test_a_task_from_offer_to_delivery() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.offered(("map", 3))
        south, path = shop.south, f"/v1/tasks/{task_by(order, 'south')}"
        task = await ok(south.get(path))
        assert task["order"] == order["id"]
        assert [(line["product"], line["quantity"], line["dropped"]) for line in task["lines"]] == [("map", 3, False)]
        assert "unit_amount" not in task["lines"][0]
        assert task["customer"] == {"name": "Ann Lee", "phone": "+44 1134 960000"}
        assert task["shipping_address"]["city"] == "Leeds"
        assert task["accept_by"] is not None
        await refused(south.post(path + "/start"), 409, "consignment_offered")
        assert (await ok(south.post(path + "/accept")))["status"] == "accepted"
        await shop.until(shop.acme, f"/v1/orders/{order['id']}", lambda o: o["status"] == "confirmed")
        await refused(south.post(path + "/reject"), 409, "consignment_confirmed")
        assert (await ok(south.post(path + "/start", json={})))["status"] == "in_production"
        parcel = {"carrier": "DPD", "tracking_number": "X1", "tracking_url": "https://example.com/X1"}
        sent = await ok(south.post(path + "/dispatch", json=parcel))
        assert (sent["status"], sent["tracking"]) == ("dispatched", parcel)
        assert (await ok(south.post(path + "/deliver")))["status"] == "delivered"
        done = await ok(shop.acme.get(f"/v1/orders/{order['id']}"))
        assert done["status"] == "delivered"
        assert done["consignments"][0]["tracking"] == parcel

    in_shop(story)


def test_a_rejection_ends_the_order() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.offered(("map", 1))
        await ok(shop.south.post(f"/v1/tasks/{task_by(order, 'south')}/reject", json={"reason": "no paper"}))
        done = await shop.until(shop.acme, f"/v1/orders/{order['id']}", lambda o: o["payment"]["status"] == "voided")
        assert (done["status"], done["cancel_reason"]) == ("cancelled", "supplier_rejected")
        assert any("no paper" in moment["detail"] for moment in done["timeline"])

    in_shop(story)


def test_some_lines_may_be_accepted_where_the_order_allows_it() -> None:
    async def story(shop: Shop) -> None:
        south = shop.south
        whole = await shop.offered(("map", 1), ("map", 2))
        path = f"/v1/tasks/{task_by(whole, 'south')}/accept"
        await refused(south.post(path, json={"lines": ["1"]}), 409, "partial_not_allowed")
        await refused(south.post(path, json={"lines": ["7"]}), 404, "not_found")
        await refused(south.post(path, json={"lines": []}), 422, "invalid")
        partial = await shop.offered(("map", 1), ("map", 2), allow_partial=True)
        task = await ok(south.post(f"/v1/tasks/{task_by(partial, 'south')}/accept", json={"lines": ["1"]}))
        assert [line["dropped"] for line in task["lines"]] == [False, True]
        done = await shop.until(shop.acme, f"/v1/orders/{partial['id']}", lambda o: o["status"] == "confirmed")
        assert done["captured_amount"] == 700

    in_shop(story)


def test_lists_are_paged_and_filtered() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        orders = [await shop.offered(("map", 1)) for _ in range(5)]
        tasks = [task_by(order, "south") for order in reversed(orders)]
        await ok(shop.south.post(f"/v1/tasks/{tasks[4]}/accept"))
        await side.follow()
        for limit in (1, 2, 5):
            assert await walked(shop.south, f"limit={limit}") == tasks
        assert await walked(shop.south, "status=accepted") == tasks[4:]
        assert await walked(shop.south, "status=offered&limit=3") == tasks[:4]
        assert await walked(shop.south, "status=delivered") == []
        assert await walked(shop.north) == []
        assert await walked(shop.ops, "supplier=south") == tasks
        assert await walked(shop.ops, "supplier=nobody") == []
        (listed,) = (await ok(shop.south.get("/v1/tasks?status=accepted")))["data"]
        assert listed == await ok(shop.south.get(f"/v1/tasks/{tasks[4]}"))
        for query in ("status=lost", "limit=0", "limit=201", "limit=x", "limit=%C2%B2", "cursor=" + "z" * 50):
            await refused(shop.south.get(f"/v1/tasks?{query}"), 422, "invalid")
        await refused(shop.ops.get("/v1/tasks"), 422, "invalid")
        await refused(shop.south.get("/v1/tasks?status=%FF"), 400, "malformed")

    with_read_side(story)


def test_a_task_that_was_answered_is_on_offer_no_more_however_late_the_read_side_is() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        orders = [await shop.offered(("map", 1)) for _ in range(4)]
        await side.follow()
        last, third, second, first = [task_by(order, "south") for order in reversed(orders)]
        await ok(shop.south.post(f"/v1/tasks/{last}/accept"))
        await ok(shop.south.post(f"/v1/tasks/{third}/reject"))
        assert await walked(shop.south, "status=offered") == [second, first]
        page = await ok(shop.south.get("/v1/tasks?status=offered&limit=1"))
        assert [task["id"] for task in page["data"]] == [second]
        statuses = {task["id"]: task["status"] for task in (await ok(shop.south.get("/v1/tasks")))["data"]}
        assert statuses == {last: "accepted", third: "rejected", second: "offered", first: "offered"}
        assert await walked(shop.south, "status=rejected") == []
        await side.follow()
        assert await walked(shop.south, "status=rejected") == [third]

    with_read_side(story)


def test_without_a_read_side_lists_are_unavailable() -> None:
    async def story(shop: Shop) -> None:
        await refused(shop.south.get("/v1/tasks"), 503, "unavailable")

    in_shop(story)


def test_reports_that_cannot_be() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.offered(("map", 1))
        south, path = shop.south, f"/v1/tasks/{task_by(order, 'south')}"
        for body in (
            {},
            {"carrier": ""},
            {"carrier": "DPD", "tracking_url": "javascript:alert(1)"},
            {"carrier": "DPD", "weight": 3},
        ):
            await refused(south.post(path + "/dispatch", json=body), 422, "invalid")
        await refused(south.post(path + "/cancellation", json={"accept": "yes"}), 422, "invalid")
        await refused(south.post(path + "/cancellation", json={"accept": True}), 409, "consignment_offered")
        for task in ("tsk_x", f"cns_{order['id'][4:]}_1", f"tsk_{order['id'][4:]}_9", "ord_1"):
            await refused(south.get(f"/v1/tasks/{task}"), 404, "not_found")

    in_shop(story)
