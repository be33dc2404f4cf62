"""The same request twice has one effect, and the same answer."""

from __future__ import annotations

import asyncio
import json

from tests.gateway.shop import ORDER, Shop, in_shop, ok, order_of, refused

KEY = {"idempotency-key": "checkout-1"}


def test_the_same_key_and_body_place_one_order() -> None:
    async def story(shop: Shop) -> None:
        first = await shop.acme.post("/v1/orders", json=ORDER, headers={**KEY, "prefer": "wait=10"})
        assert "idempotent-replayed" not in first.headers
        await shop.at_rest(first.json())
        before = shop.stored
        shop.serve()  # whichever gateway the retry gets to
        again = await shop.acme.post("/v1/orders", json=ORDER, headers=KEY)
        assert again.status_code == 202
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        assert again.json()["id"] == first.json()["id"]
        assert again.json()["status"] == "confirmed", "the resource as it is now"
        assert again.json()["customer"] == ORDER["customer"]
        assert shop.stored == before

    in_shop(story)


def test_another_spelling_of_the_same_body_is_the_same_body() -> None:
    async def story(shop: Shop) -> None:
        first = await ok(shop.acme.post("/v1/orders", json=ORDER, headers=KEY), 202)
        spelled = json.dumps({**dict(reversed(ORDER.items())), "metadata": {}, "allow_partial": False}, indent=2)
        headers = {**KEY, "content-type": "application/json"}
        again = await ok(shop.acme.post("/v1/orders", content=spelled.encode(), headers=headers), 202)
        assert again["id"] == first["id"]

    in_shop(story)


def test_the_same_key_with_another_body_is_refused() -> None:
    async def story(shop: Shop) -> None:
        first = await shop.placed(key=KEY["idempotency-key"])
        await shop.at_rest(first)
        before = shop.stored
        other = shop.acme.post("/v1/orders", json=order_of(("mug", 3)), headers=KEY)
        await refused(other, 422, "idempotency_key_reused")
        assert shop.stored == before

    in_shop(story)


def test_a_key_is_its_retailers_own() -> None:
    async def story(shop: Shop) -> None:
        await ok(shop.bolt.put("/v1/adoptions/mug", json={"supplier": "north"}))
        ours = await ok(shop.acme.post("/v1/orders", json=ORDER, headers=KEY), 202)
        theirs = await ok(shop.bolt.post("/v1/orders", json=ORDER, headers=KEY), 202)
        assert ours["id"] != theirs["id"]

    in_shop(story)


def test_a_request_refused_at_the_door_consumes_no_key() -> None:
    async def story(shop: Shop) -> None:
        unknown = shop.acme.post("/v1/orders", json=order_of(("elephant", 1)), headers=KEY)
        await refused(unknown, 422, "unknown_product")
        answer = await shop.acme.post("/v1/orders", json=ORDER, headers=KEY)
        assert answer.status_code == 202
        assert "idempotent-replayed" not in answer.headers

    in_shop(story)


def test_many_at_once_with_the_same_key_place_one_order() -> None:
    async def story(shop: Shop) -> None:
        acme = shop.acme
        answers = await asyncio.gather(*(acme.post("/v1/orders", json=ORDER, headers=KEY) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        assert sum("idempotent-replayed" in answer.headers for answer in answers) == 19

    in_shop(story)


def test_keys_that_cannot_be() -> None:
    async def story(shop: Shop) -> None:
        before = shop.stored
        for key in ("", "k" * 256, "k\u00e9y", "a\tb"):
            headers = [(b"idempotency-key", key.encode("latin-1"))]
            await refused(shop.acme.post("/v1/orders", json=ORDER, headers=headers), 400, "malformed")
        assert shop.stored == before
        await ok(shop.acme.post("/v1/orders", json=ORDER, headers={"idempotency-key": "k" * 255}), 202)

    in_shop(story)


def test_a_receipt_counts_once_per_key() -> None:
    async def story(shop: Shop) -> None:
        north = shop.north
        for turn in range(3):
            answer = await north.post("/v1/inventory/MUG/receipts", json={"quantity": 5}, headers=KEY)
            assert answer.status_code == 201
            assert answer.json()["received"] == 105
            assert ("idempotent-replayed" in answer.headers) == (turn > 0)
        other = north.post("/v1/inventory/MUG/receipts", json={"quantity": 6}, headers=KEY)
        await refused(other, 422, "idempotency_key_reused")
        assert (await ok(north.post("/v1/inventory/MUG/receipts", json={"quantity": 6}), 201))["received"] == 111
        by_ops = await ok(shop.ops.post("/v1/inventory/MUG/receipts", json={"quantity": 5}, headers=KEY), 201)
        assert by_ops["received"] == 116, "a key belongs to who used it"

    in_shop(story)


def test_a_refund_is_made_once_per_key() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        path = f"/v1/orders/{order['id']}/refunds"
        first = await shop.acme.post(path, json={"amount": 300}, headers=KEY)
        again = await shop.acme.post(path, json={"amount": 300}, headers=KEY)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["id"] == again.json()["id"]
        assert again.headers["idempotent-replayed"] == "true"
        await refused(shop.acme.post(path, json={"amount": 301}, headers=KEY), 422, "idempotency_key_reused")
        second = await ok(shop.acme.post(path, json={"amount": 300}), 201)
        assert second["id"] != first.json()["id"]
        whole = await shop.until(shop.acme, f"/v1/orders/{order['id']}", lambda o: o["refunded_amount"] == 600)
        assert len(whole["refunds"]) == 2

    in_shop(story)


def test_an_api_key_is_made_once_per_key() -> None:
    async def story(shop: Shop) -> None:
        body = {"role": "retailer", "name": "cargo"}
        first = await shop.ops.post("/v1/api_keys", json=body, headers=KEY)
        again = await shop.ops.post("/v1/api_keys", json=body, headers=KEY)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        other = shop.ops.post("/v1/api_keys", json={"role": "ops", "name": "cargo"}, headers=KEY)
        await refused(other, 422, "idempotency_key_reused")
        assert (await ok(shop.ops.post("/v1/api_keys", json=body), 201))["key"] != first.json()["key"]
        path = f"/v1/orders/ord_000{'0' * 32}"
        await refused(shop.client(first.json()["key"]).get(path), 404, "not_found")

    in_shop(story, stocked=False)


def test_a_cancellation_may_be_repeated() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed(order_of(("map", 1)), wait_s=0)
        path = f"/v1/orders/{order['id']}/cancel"
        first = await ok(shop.acme.post(path, json={"reason": "changed my mind"}, headers=KEY), 202)
        again = await shop.acme.post(path, json={"reason": "changed my mind"}, headers=KEY)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json()["id"] == first["id"]

    in_shop(story)
