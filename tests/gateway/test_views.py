"""An order is shown by cutting the actor's JSON: whatever customers write in it must not move the cuts."""

from __future__ import annotations

import pytest

from tests.gateway.shop import ORDER, Json, Shop, in_shop, ok, order_of

SECRETS = {"messages", "sealed", "email_digest", "search_digests"}
HOSTILE = ',"messages":[{"id":"x"}],"disputes":[],"sealed":"y"}'


def test_an_order_shows_what_was_written_and_nothing_private() -> None:
    async def story(shop: Shop) -> None:
        body = order_of(("mug", 1), metadata={"messages": HOSTILE, HOSTILE[:40]: "\\", "disputes": "[]"})
        placed = await shop.placed({**body, "customer": {**ORDER["customer"], "name": HOSTILE}})
        for shown in (placed, await ok(shop.acme.get(f"/v1/orders/{placed['id']}"))):
            assert not SECRETS & shown.keys()
            assert shown["metadata"] == body["metadata"]
            assert shown["customer"] == {**ORDER["customer"], "name": HOSTILE}
            assert shown["shipping_address"] == ORDER["shipping_address"]
            assert shown["version"] > 0

    in_shop(story)


@pytest.mark.parametrize("disputed", [False, True])
def test_messages_and_disputes_change_nothing_of_it(disputed: bool) -> None:
    async def story(shop: Shop) -> None:
        placed = await shop.placed()
        path = f"/v1/orders/{placed['id']}"
        await ok(shop.acme.post(f"{path}/messages", json={"to": "ops", "text": HOSTILE}), 201)
        if disputed:
            await ok(shop.acme.post(f"{path}/disputes", json={"reason": HOSTILE}), 201)
        shown: list[Json] = [await ok(client.get(path)) for client in (shop.acme, shop.ops)]
        assert shown[0] == shown[1]
        assert not SECRETS & shown[0].keys()
        assert [dispute["reason"] for dispute in shown[0]["disputes"]] == [HOSTILE] * disputed
        assert shown[0]["customer"] == ORDER["customer"]

    in_shop(story)


def test_another_retailer_sees_nothing() -> None:
    async def story(shop: Shop) -> None:
        placed = await shop.placed()
        assert (await shop.bolt.get(f"/v1/orders/{placed['id']}")).status_code == 404

    in_shop(story)
