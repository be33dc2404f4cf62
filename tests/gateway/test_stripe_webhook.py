"""Stripe's webhooks: genuine or refused, counted once, and no more than hints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.services import BadSignature
from gateway.stripe_hints import returned
from tests.gateway.shop import Json, Shop, in_shop, ok, refused

PATH = "/v1/stripe/webhook"
SIGNED = {"stripe-signature": "genuine"}


class Stripe:
    """Stripe's side of it: objects by id; every signature but `genuine` is forged."""

    def __init__(self) -> None:
        self.objects: dict[str, Json] = {}
        self.away = False

    def verified(self, payload: bytes, signature: str) -> Mapping[str, Any]:
        if signature != "genuine":
            raise BadSignature("the signature does not fit")
        event: Mapping[str, Any] = json.loads(payload)
        return event

    async def fetched(self, kind: str, object_id: str) -> Mapping[str, Any] | None:
        if self.away:
            raise ConnectionError("closed")
        found = self.objects.get(object_id)
        assert found is None or found["object"] == kind
        return found


def event(number: int, type_: str, named: Json) -> Json:
    return {"id": f"evt_{number}", "object": "event", "type": type_, "data": {"object": named}}


def disputed(stripe: Stripe, order: Json, status: str = "needs_response") -> Json:
    """The order's charge is disputed by the customer's bank."""
    intent = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "metadata": {"order": order["id"]}}
    dispute = {
        "id": "dp_1",
        "object": "dispute",
        "status": status,
        "amount": 2000,
        "reason": "fraudulent",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "metadata": {},
        "evidence_details": {"due_by": 1_800_000_000},
    }
    stripe.objects = {"pi_1": intent, "dp_1": dispute}
    return dispute


def test_a_dispute_at_stripe_becomes_a_dispute_here_once() -> None:
    stripe = Stripe()

    async def story(shop: Shop) -> None:
        order = await shop.placed()
        path = f"/v1/orders/{order['id']}"
        opened = event(1, "charge.dispute.created", disputed(stripe, order))
        for _ in range(3):
            assert await ok(shop.client().post(PATH, json=opened, headers=SIGNED)) == {"received": True}
        (dispute,) = (await ok(shop.ops.get(path)))["disputes"]
        assert (dispute["source"], dispute["opened_by"], dispute["status"]) == ("dp_1", "stripe", "open")
        assert dispute["evidence_due_at"] == "2027-01-15T08:00:00.000Z"
        closed = event(2, "charge.dispute.closed", disputed(stripe, order, "lost"))
        await ok(shop.client().post(PATH, json=closed, headers=SIGNED))
        done = await ok(shop.ops.get(path))
        assert (done["dispute_status"], done["refund_status"]) == ("resolved", "full")

    in_shop(story, stripe=stripe)


def test_an_event_that_the_object_no_longer_bears_out_changes_nothing() -> None:
    stripe = Stripe()

    async def story(shop: Shop) -> None:
        order = await shop.placed()
        path = f"/v1/orders/{order['id']}"
        await shop.at_rest(order)
        disputed(stripe, order)
        before = (await ok(shop.ops.get(path)))["version"]
        late = event(1, "payment_intent.canceled", {"id": "pi_1", "object": "payment_intent", "status": "canceled"})
        await ok(shop.client().post(PATH, json=late, headers=SIGNED))
        early = event(2, "charge.dispute.closed", {"id": "dp_1", "object": "dispute", "status": "lost"})
        await ok(shop.client().post(PATH, json=early, headers=SIGNED))
        after = await ok(shop.ops.get(path))
        assert (after["status"], after["disputes"], after["version"]) == ("confirmed", [], before)

    in_shop(story, stripe=stripe)


def test_forged_and_foreign_events() -> None:
    stripe = Stripe()

    async def story(shop: Shop) -> None:
        order = await shop.placed()
        await shop.at_rest(order)
        before = shop.stored
        opened = event(1, "charge.dispute.created", disputed(stripe, order))
        nobody = shop.client()
        await refused(nobody.post(PATH, json=opened), 400, "bad_signature")
        await refused(nobody.post(PATH, json=opened, headers={"stripe-signature": "forged"}), 400, "bad_signature")
        broken: list[Any] = [{}, {"id": "evt_9"}, [], event(9, "t", {"object": "charge"})]
        for payload in broken:
            await refused(nobody.post(PATH, json=payload, headers=SIGNED), 400, "malformed")
        stripe.objects["ch_9"] = {"id": "ch_9", "object": "charge", "metadata": {"order": "nonsense"}}
        stripe.objects["re_9"] = {
            "id": "re_9",
            "object": "refund",
            "metadata": {"order": f"ord_000{'0' * 32}"},
            "status": "succeeded",
        }
        foreign = (
            {"id": "cus_1", "object": "customer"},
            {"id": "ch_unknown", "object": "charge"},
            {"id": "ch_9", "object": "charge"},
            {"id": "re_9", "object": "refund"},
        )
        for number, named in enumerate(foreign):
            await ok(nobody.post(PATH, json=event(number, "x.y", named), headers=SIGNED))
        await refused(nobody.post(PATH, content=b"x" * 2_000_000, headers=SIGNED), 413, "too_large")
        assert shop.stored == before

    in_shop(story, stripe=stripe)


def test_stripe_sends_again_what_could_not_be_fetched() -> None:
    stripe = Stripe()

    async def story(shop: Shop) -> None:
        order = await shop.placed()
        opened = event(1, "charge.dispute.created", disputed(stripe, order))
        stripe.away = True
        await refused(shop.client().post(PATH, json=opened, headers=SIGNED), 503, "unavailable")
        stripe.away = False
        await ok(shop.client().post(PATH, json=opened, headers=SIGNED))
        assert len((await ok(shop.ops.get(f"/v1/orders/{order['id']}")))["disputes"]) == 1

    in_shop(story, stripe=stripe)


def test_without_stripe_there_are_no_webhooks() -> None:
    async def story(shop: Shop) -> None:
        await refused(shop.client().post(PATH, json={}, headers=SIGNED), 404, "not_found")

    in_shop(story, stocked=False)


def test_a_released_hold_is_no_refund() -> None:
    """Stripe reports one as `charge.refunded`, with its whole amount as refunded."""
    stripe = Stripe()

    async def story(shop: Shop) -> None:
        order = await shop.placed()
        charge = {"id": "ch_1", "object": "charge", "amount_refunded": 2_000, "metadata": {"order": order["id"]}}
        for number, captured in enumerate((False, True)):
            stripe.objects["ch_1"] = {**charge, "captured": captured, "status": "succeeded"}
            hint = event(number, "charge.refunded", {"id": "ch_1", "object": "charge"})
            await ok(shop.client().post(PATH, json=hint, headers=SIGNED))
            seen = await ok(shop.ops.get(f"/v1/orders/{order['id']}"))
            assert (seen["attention"] is not None) is captured

    in_shop(story, stripe=stripe)


def test_what_a_partial_capture_released_is_no_refund() -> None:
    released = {"amount": 5_000, "amount_captured": 3_000, "captured": True}
    assert returned({**released, "amount_refunded": 2_000}) == 0
    assert returned({**released, "amount_refunded": 2_700}) == 700
    assert returned({"amount": 5_000, "amount_captured": 5_000, "captured": True, "amount_refunded": 5_000}) == 5_000
    assert returned({"captured": False}) == 0
