"""Orders over HTTP: placing, reading, and what becomes of them."""

from __future__ import annotations

from tests.gateway.shop import ORDER, Shop, in_shop, ok


def test_an_order_is_placed_and_confirmed() -> None:
    async def story(shop: Shop) -> None:
        answer = await shop.acme.post("/v1/orders", json=ORDER, headers={"prefer": "wait=10"})
        assert answer.status_code == 202, answer.text
        order = answer.json()
        assert order["status"] == "confirmed", order
        assert answer.headers["location"] == f"/v1/orders/{order['id']}"
        assert answer.headers["etag"] == f'"{order["version"]}"'
        assert answer.headers["preference-applied"] == "wait=10"
        assert (order["amount"], order["captured_amount"], order["currency"]) == (2000, 2000, "gbp")
        assert order["customer"] == ORDER["customer"]
        assert order["shipping_address"] == ORDER["shipping_address"]
        read = await ok(shop.acme.get(answer.headers["location"]))
        assert read["customer"] == ORDER["customer"]
        assert not {"sealed", "email_digest", "search_digests", "messages"} & set(read)
        assert [moment["event"] for moment in read["timeline"]][:2] == ["placed", "payment_authorised"]

    in_shop(story)


def test_without_prefer_the_answer_comes_at_once() -> None:
    async def story(shop: Shop) -> None:
        order = await ok(shop.acme.post("/v1/orders", json=ORDER), 202)
        assert order["status"] == "pending"
        assert order["version"] == 1

    in_shop(story)
