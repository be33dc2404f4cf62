"""Suppliers, brands, retailers, products, offers, adoptions, stock."""

from __future__ import annotations

from tests.gateway.shop import ORDER, Json, Shop, in_shop, ok, order_of, refused

SUPPLIER: Json = {
    "name": "West",
    "mode": "manual",
    "daily_capacity": 10,
    "accept_within_s": 600,
    "cancellation_policy": {"fee_bps": 100},
    "stripe_account": "acct_1",
    "delivery": {"webhook_url": "https://west.example.com/tasks"},
    "customer_emails": "brand",
}


def test_a_supplier_is_put_and_got() -> None:
    async def story(shop: Shop) -> None:
        path = "/v1/suppliers/west"
        await refused(shop.ops.get(path), 404, "not_found")
        shown = await ok(shop.ops.put(path, json=SUPPLIER))
        assert shown == {"id": "west", **SUPPLIER}
        assert await ok(shop.ops.get(path)) == shown
        plain = await ok(shop.ops.put(path, json={"name": "West"}))
        assert plain == {
            "id": "west",
            "name": "West",
            "mode": "auto",
            "daily_capacity": None,
            "accept_within_s": 86_400,
            "cancellation_policy": {"fee_bps": 0},
            "stripe_account": None,
            "delivery": "poll",
            "customer_emails": "platform",
        }, "a PUT replaces"

    in_shop(story, stocked=False)


def test_suppliers_that_cannot_be() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        for field, value in (
            ("name", ""),
            ("name", None),
            ("name", "x" * 201),
            ("mode", "lazy"),
            ("daily_capacity", -1),
            ("daily_capacity", 1.5),
            ("accept_within_s", 0),
            ("accept_within_s", 10**9),
            ("cancellation_policy", {"fee_bps": 10_001}),
            ("cancellation_policy", {"fee": 1}),
            ("stripe_account", "x"),
            ("delivery", "fax"),
            ("delivery", {"webhook_url": "ftp://x"}),
            ("delivery", {}),
            ("customer_emails", "nobody"),
            ("colour", "red"),
        ):
            problem = await refused(shop.ops.put("/v1/suppliers/west", json={**SUPPLIER, field: value}), 422, "invalid")
            assert problem["errors"][0]["field"].startswith(field)
        for name in ("-west", "we%20st", "w" * 65, "we$t", "%00"):
            await refused(shop.ops.put(f"/v1/suppliers/{name}", json=SUPPLIER), 404, "not_found")
        assert shop.stored == before

    in_shop(story, stocked=False)


def test_brands_and_retailers() -> None:
    async def story(shop: Shop) -> None:
        for kind in ("brands", "retailers"):
            path = f"/v1/{kind}/brio"
            await refused(shop.ops.get(path), 404, "not_found")
            party = {"name": "Brio", "stripe_account": "acct_2"}
            assert await ok(shop.ops.put(path, json=party)) == {"id": "brio", **party}
            assert (await ok(shop.ops.put(path, json={"name": "Brio"})))["stripe_account"] is None
            await refused(shop.ops.put(path, json={"name": "B", "mode": "auto"}), 422, "invalid")

    in_shop(story, stocked=False)


def test_products_and_offers() -> None:
    async def story(shop: Shop) -> None:
        ops = shop.ops
        path = "/v1/products/cup"
        await refused(ops.get(path), 404, "not_found")
        product = {"title": "Cup", "brand": "brio", "currency": "gbp"}
        assert await ok(ops.put(path, json=product)) == {"id": "cup", **product, "offers": {}}
        offer = {"sku": "CUP", "unit_amount": 900, "split": {"brand": 1, "supplier": 2, "retailer": 3}}
        assert await ok(shop.north.put(path + "/offers/north", json=offer)) == {
            "product": "cup",
            "supplier": "north",
            **offer,
        }
        assert (await ok(ops.get(path)))["offers"] == {"north": offer}
        assert (await ok(ops.get("/v1/inventory/CUP")))["supplier"] == "north"
        before = shop.stored
        await refused(ops.put(path, json={**product, "currency": "eur"}), 409, "currency_fixed")
        await refused(ops.put(path, json={**product, "currency": "zzz"}), 422, "invalid")
        await refused(ops.put(path, json={**product, "brand": "br/io"}), 422, "invalid")
        over = {**offer, "split": {"brand": 5000, "supplier": 5001}}
        await refused(ops.put(path + "/offers/north", json=over), 422, "invalid")
        await refused(ops.put(path + "/offers/nobody", json=offer), 422, "unknown_supplier")
        await refused(ops.put("/v1/products/none/offers/north", json=offer), 404, "not_found")
        await refused(ops.put(path + "/offers/south", json=offer), 409, "sku_taken")
        await refused(ops.put(path + "/offers/north", json={**offer, "unit_amount": -1}), 422, "invalid")
        assert shop.stored == before

    in_shop(story)


def test_adoptions() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        await refused(shop.acme.put("/v1/adoptions/none", json={"supplier": "north"}), 404, "not_found")
        await refused(shop.acme.put("/v1/adoptions/mug", json={"supplier": "south"}), 422, "unknown_offer")
        await refused(shop.acme.put("/v1/adoptions/mug", json={"supplier": "north", "unit_amount": -1}), 422, "invalid")
        assert shop.stored == before
        adopted = await ok(shop.bolt.put("/v1/adoptions/mug", json={"supplier": "north", "unit_amount": 1234}))
        assert adopted == {"retailer": "bolt", "product": "mug", "supplier": "north", "unit_amount": 1234}

    in_shop(story)


def test_prices_come_from_the_line_the_adoption_or_the_offer() -> None:
    async def story(shop: Shop) -> None:
        await ok(shop.acme.put("/v1/adoptions/hat", json={"supplier": "north", "unit_amount": 650}))
        lines = [
            {"product": "mug", "quantity": 1},
            {"product": "hat", "quantity": 1},
            {"product": "hat", "quantity": 2, "unit_amount": 10},
            {"product": "hat", "quantity": 1, "unit_amount": 0},
        ]
        order = await ok(shop.acme.post("/v1/orders", json={**ORDER, "lines": lines}), 202)
        assert [line["unit_amount"] for line in order["lines"]] == [1000, 650, 10, 0]
        assert order["amount"] == 1670

    in_shop(story)


def test_an_orders_terms_are_frozen() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        split = {"brand": 0, "supplier": 10_000, "retailer": 0}
        offer = {"sku": "MUG", "unit_amount": 5000, "split": split}
        await ok(shop.ops.put("/v1/products/mug/offers/north", json=offer))
        read = await ok(shop.acme.get(f"/v1/orders/{order['id']}"))
        assert read["lines"] == order["lines"]
        shares = {split["party"]: split["amount"] for split in read["consignments"][0]["splits"]}
        assert shares == {"brand": 200, "supplier": 1200, "retailer": 400, "platform": 200}
        accounts = {split["party"]: split["account"] for split in read["consignments"][0]["splits"]}
        assert accounts == {"brand": "acct_brio", "supplier": "acct_north", "retailer": None, "platform": None}
        assert (await shop.placed())["amount"] == 10_000

    in_shop(story)


def test_stock() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        for quantity in (0, -1, 1.5, "1", None, 10**12):
            receipt = shop.north.post("/v1/inventory/MUG/receipts", json={"quantity": quantity})
            await refused(receipt, 422, "invalid")
        await refused(shop.ops.post("/v1/inventory/NONE/receipts", json={"quantity": 1}), 404, "not_found")
        await refused(shop.ops.get("/v1/inventory/NONE"), 404, "not_found")
        assert shop.stored == before
        assert await ok(shop.north.get("/v1/inventory/MUG")) == {
            "sku": "MUG",
            "supplier": "north",
            "received": 100,
            "available": 100,
            "reserved": 0,
            "sold": 0,
        }
        order = await shop.placed(order_of(("mug", 7)))
        await shop.at_rest(order)
        stock = await ok(shop.north.get("/v1/inventory/MUG"))
        assert (stock["available"], stock["reserved"], stock["sold"]) == (93, 0, 7)

    in_shop(story)


def test_shortages_and_declines_are_outcomes_not_errors() -> None:
    async def story(shop: Shop) -> None:
        short = await shop.placed(order_of(("mug", 101)))
        assert (short["status"], short["cancel_reason"]) == ("cancelled", "out_of_stock")
        declined = await shop.placed(order_of(payment_method="pm_card_visa_chargeDeclinedInsufficientFunds"))
        assert (declined["status"], declined["cancel_reason"]) == ("cancelled", "payment_declined")
        assert declined["payment"]["decline_code"] == "insufficient_funds"

    in_shop(story)
