"""Who may do what, and who may see what."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.app import endpoints
from gateway.auth import EVERYONE
from gateway.endpoint import Endpoint
from tests.gateway.read_side import ReadSide, with_read_side
from tests.gateway.shop import ORDER, Shop, in_shop, ok, order_of, refused

WITH_KEY = [endpoint for endpoint in endpoints() if endpoint.roles]
KEYS = {"ops": "ops-olga", "retailer": "retailer-acme", "supplier": "supplier-north"}


def path_of(endpoint: Endpoint) -> str:
    return endpoint.path.replace("{", "").replace("}", "")


def test_every_endpoint_but_a_few_needs_a_key() -> None:
    public = {f"{endpoint.method} {endpoint.path}" for endpoint in endpoints() if not endpoint.roles}
    assert public == {"GET /healthz", "GET /readyz", "GET /metrics", "POST /v1/stripe/webhook"}


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nope",
        "Basic retailer-acme",
        "retailer-acme",
        "Bearer " + "x" * 5000,
        "Bearer retailer-acme x",
        "Bearer retailer-ac\u00e9",
    ],
)
def test_without_a_known_key_nothing_is_answered(authorization: str) -> None:
    async def story(shop: Shop) -> None:
        client = shop.client()
        headers = [(b"authorization", authorization.encode("latin-1"))] if authorization else []
        for endpoint in WITH_KEY:
            answer = await client.request(endpoint.method, path_of(endpoint), headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert answer.headers["www-authenticate"].startswith("Bearer")

    in_shop(story, stocked=False)


def test_other_roles_are_forbidden() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        for endpoint in WITH_KEY:
            for role in EVERYONE - endpoint.roles:
                await refused(shop.client(KEYS[role]).request(endpoint.method, path_of(endpoint)), 403, "forbidden")
        assert shop.stored == before

    in_shop(story, stocked=False)


def test_the_scheme_is_case_insensitive() -> None:
    async def story(shop: Shop) -> None:
        headers = {"authorization": "bearer ops-olga"}
        assert (await shop.client().get("/v1/api_keys", headers=headers)).status_code == 200

    in_shop(story, stocked=False)


def test_orders_of_others_do_not_exist() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed(order_of(("mug", 1)))
        path = f"/v1/orders/{order['id']}"
        await shop.at_rest(order)
        before = shop.stored
        bolt, south = shop.bolt, shop.south
        await refused(bolt.get(path), 404, "not_found")
        await refused(south.get(path), 404, "not_found")  # north makes the mug
        tries: list[tuple[Any, str, dict[str, Any]]] = [
            (bolt, "/cancel", {}),
            (bolt, "/confirm-delivery", {}),
            (bolt, "/refunds", {"amount": 1}),
            (bolt, "/refunds?preview=true", {"amount": 1}),
            (bolt, "/returns", {"lines": [{"id": "1", "quantity": 1}]}),
            (bolt, "/disputes", {"reason": "r"}),
            (bolt, "/messages", {"to": "ops", "text": "t"}),
            (south, "/messages", {"to": "ops", "text": "t"}),
        ]
        for client, verb, body in tries:
            await refused(client.post(path + verb, json=body), 404, "not_found")
        task = order["consignments"][0]["task"]
        await refused(south.get(f"/v1/tasks/{task}"), 404, "not_found")
        for verb, body in (("start", {}), ("reject", {}), ("cancellation", {"accept": True})):
            await refused(south.post(f"/v1/tasks/{task}/{verb}", json=body), 404, "not_found")
        assert shop.stored == before

    in_shop(story)


def test_a_supplier_sees_its_own_part_only() -> None:
    async def story(shop: Shop) -> None:
        order = await ok(shop.acme.post("/v1/orders", json=order_of(("mug", 2), ("map", 1))), 202)
        path = f"/v1/orders/{order['id']}"
        offered = await shop.until(
            shop.ops, path, lambda o: all(c["task_status"] in ("offered", "accepted") for c in o["consignments"])
        )
        whole = await ok(shop.ops.get(path))
        seen = await ok(shop.south.get(path))
        assert [c["supplier"] for c in seen["consignments"]] == ["south"]
        assert [line["product"] for line in seen["lines"]] == ["map"]
        hidden = {
            "payment",
            "amount",
            "captured_amount",
            "refunds",
            "metadata",
            "retailer",
            "cancel_reason",
            "attention",
            "refunded_amount",
            "refund_status",
            "dispute_status",
            "allow_partial",
        }
        assert not hidden & set(seen)
        assert hidden <= set(whole)
        assert not {"splits", "captured_amount", "refunded_amount", "cancellation_fee"} & set(seen["consignments"][0])
        assert seen["customer"] == {"name": "Ann Lee", "phone": "+44 1134 960000"}, "no e-mail address"
        assert seen["shipping_address"] == whole["shipping_address"]
        assert "north" not in str(seen)
        assert "stripe" not in str(seen)
        assert seen["allowed_actions"] == ["accept", "reject", "message"]
        assert offered["allowed_actions"] == ["cancel", "message"]

    in_shop(story)


def test_a_supplier_acts_on_its_own_offers_and_stock_only() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        offer = {"sku": "MUG", "unit_amount": 1, "split": {}}
        await refused(shop.south.put("/v1/products/mug/offers/north", json=offer), 403, "forbidden")
        await refused(shop.south.put("/v1/products/mug/offers/south", json=offer), 409, "sku_taken")
        await refused(shop.south.post("/v1/inventory/MUG/receipts", json={"quantity": 1}), 404, "not_found")
        await refused(shop.south.get("/v1/inventory/MUG"), 404, "not_found")
        assert shop.stored == before
        assert (await ok(shop.north.get("/v1/inventory/MUG")))["available"] == 100

    in_shop(story)


def test_keys_are_made_listed_and_revoked() -> None:
    async def story(shop: Shop) -> None:
        made = await ok(shop.ops.post("/v1/api_keys", json={"role": "retailer", "name": "cargo"}), 201)
        assert made["key"].startswith("dray_")
        assert len(made["key"]) > 40
        client = shop.client(made["key"])
        await refused(client.get(f"/v1/orders/ord_000{'0' * 32}"), 404, "not_found")
        listed = await ok(shop.ops.get("/v1/api_keys"))
        assert made["id"] in [key["id"] for key in listed["data"]]
        assert made["key"] not in str(listed)
        assert "hash" not in str(listed)
        revoked = await ok(shop.ops.delete(f"/v1/api_keys/{made['id']}"))
        assert revoked["revoked_at"] is not None
        await refused(client.get(f"/v1/orders/ord_000{'0' * 32}"), 401, "unauthenticated")
        assert (await ok(shop.ops.delete(f"/v1/api_keys/{made['id']}"))) == revoked
        await refused(shop.ops.delete("/v1/api_keys/key_nobody"), 404, "not_found")

    in_shop(story, stocked=False)


def test_a_key_revoked_elsewhere_dies_within_a_second() -> None:
    async def story(shop: Shop) -> None:
        made = await ok(shop.ops.post("/v1/api_keys", json={"role": "retailer", "name": "cargo"}), 201)
        client = shop.client(made["key"])
        path = f"/v1/orders/ord_000{'0' * 32}"
        await refused(client.get(path), 404, "not_found")
        shop.serve()  # revoked through another gateway
        await ok(shop.ops.delete(f"/v1/api_keys/{made['id']}"))
        await asyncio.sleep(1.05)
        await refused(client.get(path), 401, "unauthenticated")

    in_shop(story, stocked=False)


def test_a_key_made_elsewhere_opens_at_once() -> None:
    async def story(shop: Shop) -> None:
        early = shop.client()
        path = f"/v1/orders/ord_000{'0' * 32}"
        await refused(early.get(path), 401, "unauthenticated")
        old_gateway = shop.client()
        shop.serve()
        made = await ok(shop.ops.post("/v1/api_keys", json={"role": "retailer", "name": "cargo"}), 201)
        await refused(old_gateway.get(path, headers={"authorization": f"Bearer {made['key']}"}), 404, "not_found")

    in_shop(story, stocked=False)


def test_a_supplier_never_hears_of_what_it_was_not_asked_for() -> None:
    """An order that was declined is no task of anybody's, and its customer nobody's business."""

    async def story(shop: Shop, side: ReadSide) -> None:
        declined = await shop.placed({**ORDER, "payment_method": "pm_card_chargeDeclined"})
        assert declined["cancel_reason"] == "payment_declined"
        await side.follow()
        (consignment,) = declined["consignments"]
        assert consignment["task_status"] is None
        for path in (f"/v1/orders/{declined['id']}", f"/v1/tasks/{consignment['task']}"):
            await refused(shop.north.get(path), 404, "not_found")
        for path in ("/v1/orders", "/v1/tasks", "/v1/events"):
            assert (await ok(shop.north.get(path)))["data"] == []
        assert (await ok(shop.acme.get(f"/v1/orders/{declined['id']}")))["status"] == "cancelled"

    with_read_side(story)
