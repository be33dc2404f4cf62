"""Tasks: what a supplier is asked, and what it reports."""

from __future__ import annotations

from tests.gateway.shop import Json, Shop, in_shop, ok, order_of, refused


async def offered(shop: Shop, *lines: tuple[str, int], **fields: object) -> Json:
    """An order whose part by south is on offer."""
    placed = await ok(shop.acme.post("/v1/orders", json=order_of(*lines, **fields)), 202)
    return await shop.until(
        shop.ops,
        f"/v1/orders/{placed['id']}",
        lambda o: any(c["supplier"] == "south" and c["task_status"] == "offered" for c in o["consignments"]),
    )


def task_by(order: Json, supplier: str) -> str:
    return next(str(c["task"]) for c in order["consignments"] if c["supplier"] == supplier)


def test_a_task_from_offer_to_delivery() -> None:
    async def story(shop: Shop) -> None:
        order = await offered(shop, ("map", 3))
        south, path = shop.south, f"/v1/tasks/{task_by(order, 'south')}"
        listed = await shop.until(south, "/v1/tasks?status=offered", lambda page: len(page["data"]) == 1)
        (task,) = listed["data"]
        assert task == await ok(south.get(path))
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
        order = await offered(shop, ("map", 1))
        await ok(shop.south.post(f"/v1/tasks/{task_by(order, 'south')}/reject", json={"reason": "no paper"}))
        done = await shop.until(shop.acme, f"/v1/orders/{order['id']}", lambda o: o["payment"]["status"] == "voided")
        assert (done["status"], done["cancel_reason"]) == ("cancelled", "supplier_rejected")
        assert any("no paper" in moment["detail"] for moment in done["timeline"])

    in_shop(story)


def test_some_lines_may_be_accepted_where_the_order_allows_it() -> None:
    async def story(shop: Shop) -> None:
        south = shop.south
        whole = await offered(shop, ("map", 1), ("map", 2))
        path = f"/v1/tasks/{task_by(whole, 'south')}/accept"
        await refused(south.post(path, json={"lines": ["1"]}), 409, "partial_not_allowed")
        await refused(south.post(path, json={"lines": ["7"]}), 404, "not_found")
        await refused(south.post(path, json={"lines": []}), 422, "invalid")
        partial = await offered(shop, ("map", 1), ("map", 2), allow_partial=True)
        task = await ok(south.post(f"/v1/tasks/{task_by(partial, 'south')}/accept", json={"lines": ["1"]}))
        assert [line["dropped"] for line in task["lines"]] == [False, True]
        done = await shop.until(shop.acme, f"/v1/orders/{partial['id']}", lambda o: o["status"] == "confirmed")
        assert done["captured_amount"] == 700

    in_shop(story)


def test_lists_are_paged_and_filtered() -> None:
    async def story(shop: Shop) -> None:
        orders = [await offered(shop, ("map", 1)) for _ in range(5)]
        accepted = task_by(orders[0], "south")
        await ok(shop.south.post(f"/v1/tasks/{accepted}/accept"))
        seen: list[str] = []
        cursor = ""
        while True:
            page = await ok(shop.south.get(f"/v1/tasks?limit=2&cursor={cursor}"))
            seen += [task["id"] for task in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(task_by(order, "south") for order in orders)
        found = await ok(shop.south.get("/v1/tasks?status=accepted"))
        assert [task["id"] for task in found["data"]] == [accepted]
        assert len((await ok(shop.south.get("/v1/tasks?status=offered")))["data"]) == 4
        assert (await ok(shop.north.get("/v1/tasks")))["data"] == []
        assert len((await ok(shop.ops.get("/v1/tasks?supplier=south")))["data"]) == 5
        assert (await ok(shop.ops.get("/v1/tasks?supplier=nobody")))["data"] == []
        for query in ("status=lost", "limit=0", "limit=201", "limit=x", "limit=%C2%B2", "cursor=" + "z" * 50):
            await refused(shop.south.get(f"/v1/tasks?{query}"), 422, "invalid")
        await refused(shop.ops.get("/v1/tasks"), 422, "invalid")
        await refused(shop.south.get("/v1/tasks?status=%FF"), 400, "malformed")

    in_shop(story)


def test_reports_that_cannot_be() -> None:
    async def story(shop: Shop) -> None:
        order = await offered(shop, ("map", 1))
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
