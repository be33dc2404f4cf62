"""What becomes of an order: tags, cancellation, refunds, returns, disputes, messages."""

from __future__ import annotations

import asyncio

from models.sealing import Erased, Sealer
from tests.gateway.shop import Json, Shop, in_shop, ok, order_of, refused


async def delivered(shop: Shop) -> Json:
    """An order of two mugs and a hat by north, delivered."""
    order = await shop.placed(order_of(("mug", 2), ("hat", 1)))
    task = order["consignments"][0]["task"]
    await ok(shop.north.post(f"/v1/tasks/{task}/start"))
    await ok(shop.north.post(f"/v1/tasks/{task}/dispatch", json={"carrier": "DPD", "tracking_number": "1"}))
    done = await ok(shop.acme.post(f"/v1/orders/{order['id']}/confirm-delivery"))
    await shop.at_rest(done)
    return done


def test_tags() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        await shop.at_rest(order)
        path = f"/v1/orders/{order['id']}"
        answer = await shop.acme.get(path)
        tag = answer.headers["etag"]
        for wanted in (tag, "*", f'"0", {tag}'):
            unchanged = await shop.acme.get(path, headers={"if-none-match": wanted})
            assert (unchanged.status_code, unchanged.content) == (304, b"")
            assert "content-length" not in unchanged.headers
            assert unchanged.headers["etag"] == tag
        assert (await shop.acme.get(path, headers={"if-none-match": '"0"'})).status_code == 200
        before = shop.stored
        for verb, body in (("/cancel", {}), ("/refunds", {"amount": 1}), ("/messages", {"to": "ops", "text": "t"})):
            request = shop.acme.post(path + verb, json=body, headers={"if-match": '"0"'})
            await refused(request, 412, "stale")
        assert shop.stored == before
        request = shop.acme.post(path + "/messages", json={"to": "ops", "text": "t"}, headers={"if-match": tag})
        await ok(request, 201)

    in_shop(story)


def test_of_two_who_act_on_the_same_page_one_is_told_that_it_is_stale() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        await shop.at_rest(order)
        path = f"/v1/orders/{order['id']}"
        tag = {"if-match": (await shop.acme.get(path)).headers["etag"]}
        keys = [{**tag, "idempotency-key": key} for key in ("a", "b")]
        answers = await asyncio.gather(*(shop.acme.post(path + "/cancel", headers=headers) for headers in keys))
        assert sorted(answer.status_code for answer in answers) == [202, 412]
        stale = next(answer for answer in answers if answer.status_code == 412)
        assert stale.json()["code"] == "stale"
        won = keys[answers[0].status_code == 412]
        again = await shop.acme.post(path + "/cancel", headers=won)
        assert (again.status_code, again.headers["idempotent-replayed"]) == (202, "true")
        unkeyed = await shop.acme.post(path + "/messages", json={"to": "ops", "text": "t"}, headers=tag)
        assert unkeyed.status_code == 412
        now = {"if-match": (await shop.acme.get(path)).headers["etag"]}
        told = await shop.acme.post(path + "/messages", json={"to": "ops", "text": "t"}, headers=now)
        assert told.status_code == 201
        assert "idempotent-replayed" not in told.headers

    in_shop(story)


def test_cancelling_before_production() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        path = f"/v1/orders/{order['id']}"
        cancelled = await ok(shop.acme.post(path + "/cancel", json={"reason": "too slow"}), 202)
        assert (cancelled["status"], cancelled["cancel_reason"]) == ("cancelled", "customer_request")
        done = await shop.until(shop.acme, path, lambda o: o["refund_status"] == "full")
        assert done["status"] == "cancelled", "cancelled wins over refunded"
        assert done["refunded_amount"] == done["captured_amount"] == 2000
        stock = await shop.until(shop.ops, "/v1/inventory/MUG", lambda s: s["available"] == 100)
        assert (stock["reserved"], stock["sold"]) == (0, 0)
        again = await ok(shop.acme.post(path + "/cancel"), 202)
        assert again["id"] == order["id"]

    in_shop(story)


def test_ops_cancel_for_reasons_of_their_own() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        cancelled = await ok(shop.ops.post(f"/v1/orders/{order['id']}/cancel"), 202)
        assert cancelled["cancel_reason"] == "operator_request"

    in_shop(story)


def test_cancelling_in_production_asks_the_supplier_whose_policy_keeps_a_fee() -> None:
    async def story(shop: Shop) -> None:
        placed = await ok(shop.acme.post("/v1/orders", json=order_of(("map", 10))), 202)
        path, task = f"/v1/orders/{placed['id']}", placed["consignments"][0]["task"]
        await shop.until(shop.ops, path, lambda o: o["consignments"][0]["task_status"] == "offered")
        await ok(shop.south.post(f"/v1/tasks/{task}/accept"))
        await shop.until(shop.acme, path, lambda o: o["status"] == "confirmed")
        await ok(shop.south.post(f"/v1/tasks/{task}/start"))
        asked = await ok(shop.acme.post(path + "/cancel", json={}), 202)
        assert asked["status"] == "in_production"
        assert asked["consignments"][0]["cancellation_requested"] is True
        shown = await ok(shop.south.get(f"/v1/tasks/{task}"))
        assert shown["cancellation_requested"] is True
        assert "cancellation" in shown["allowed_actions"]
        answered = await ok(shop.south.post(f"/v1/tasks/{task}/cancellation", json={"accept": True}))
        assert answered["status"] == "withdrawn"
        done = await shop.until(shop.acme, path, lambda o: o["refunded_amount"] > 0)
        assert (done["status"], done["refunded_amount"], done["captured_amount"]) == ("cancelled", 5250, 7000)

    in_shop(story)


def test_what_is_dispatched_is_not_cancelled() -> None:
    async def story(shop: Shop) -> None:
        order = await delivered(shop)
        before = shop.stored
        problem = await refused(shop.acme.post(f"/v1/orders/{order['id']}/cancel"), 409, "consignment_delivered")
        assert "delivered" in problem["detail"]
        assert shop.stored == before

    in_shop(story)


def test_nothing_is_delivered_before_it_is_dispatched() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        path = f"/v1/orders/{order['id']}/confirm-delivery"
        await refused(shop.acme.post(path), 409, "consignment_confirmed")

    in_shop(story)


def test_refunds_by_amount_by_line_and_previewed() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed(order_of(("mug", 2), ("hat", 1)))
        await shop.at_rest(order)
        path = f"/v1/orders/{order['id']}"
        before = shop.stored
        preview = await ok(shop.acme.post(path + "/refunds?preview=true", json={"lines": [{"id": "2", "quantity": 1}]}))
        assert preview["amount"] == 500
        splits = preview["consignments"][0]["splits"]
        assert sum(split["amount"] for split in splits) == 500
        assert shop.stored == before
        by_line = await ok(shop.acme.post(path + "/refunds", json={"lines": [{"id": "2", "quantity": 1}]}), 201)
        assert (by_line["amount"], by_line["status"]) == (500, "pending")
        assert by_line["lines"] == [{"id": "2", "quantity": 1}]
        by_amount = await ok(shop.ops.post(path + "/refunds", json={"amount": 300, "reason": "scratched"}), 201)
        assert by_amount["reason"] == "scratched"
        done = await shop.until(shop.acme, path, lambda o: o["refunded_amount"] == 800)
        assert done["refund_status"] == "partial"
        assert done["status"] == "confirmed"
        await ok(shop.acme.post(path + "/refunds", json={"amount": 1700}), 201)
        done = await shop.until(shop.acme, path, lambda o: o["refund_status"] == "full")
        assert done["status"] == "refunded"

    in_shop(story)


def test_refunds_that_cannot_be() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed()
        await shop.at_rest(order)
        before = shop.stored
        path = f"/v1/orders/{order['id']}/refunds"
        acme = shop.acme
        one = [{"id": "1", "quantity": 1}]
        wrong: list[Json] = [
            {},
            {"amount": 1, "lines": one},
            {"amount": 0},
            {"amount": -5},
            {"amount": 1.5},
            {"lines": []},
            {"lines": [{"id": "1", "quantity": 0}]},
            {"lines": [{"id": "0", "quantity": 1}]},
            {"sum": 1},
        ]
        for body in wrong:
            await refused(acme.post(path, json=body), 422, "invalid")
        await refused(acme.post(path, json={"amount": 2001}), 422, "refund_exceeds_remaining")
        await refused(acme.post(path, json={"lines": [{"id": "1", "quantity": 3}]}), 422, "invalid_quantity")
        await refused(acme.post(path, json={"lines": [{"id": "9", "quantity": 1}]}), 404, "not_found")
        await refused(acme.post(path + "?preview=maybe", json={"amount": 1}), 422, "invalid")
        assert shop.stored == before
        pending = await ok(acme.post("/v1/orders", json=order_of(("map", 1))), 202)
        answer = await acme.post(f"/v1/orders/{pending['id']}/refunds", json={"amount": 1})
        assert answer.status_code == 409
        assert answer.json()["code"].startswith("payment_")

    in_shop(story)


def test_a_return_from_request_to_refund() -> None:
    async def story(shop: Shop) -> None:
        order = await delivered(shop)
        path = f"/v1/orders/{order['id']}"
        assert "return" in order["allowed_actions"]
        opened = await ok(
            shop.acme.post(path + "/returns", json={"lines": [{"id": "1", "quantity": 1}], "reason": "chipped"}), 201
        )
        assert opened["status"] == "requested"
        inner = f"{path}/returns/{opened['id']}"
        await refused(shop.acme.post(inner + "/approve"), 403, "forbidden")
        await refused(shop.south.post(inner + "/approve"), 404, "not_found")
        await refused(shop.north.post(inner + "/receive", json={"restock": True}), 409, "return_requested")
        assert (await ok(shop.north.post(inner + "/approve")))["status"] == "approved"
        await refused(shop.north.post(inner + "/receive", json={}), 422, "invalid")
        received = await ok(shop.north.post(f"/v1/returns/{opened['id']}/receive", json={"restock": True}))
        assert received["status"] in ("received", "refunded")
        done = await shop.until(shop.acme, path, lambda o: o["refunded_amount"] == 1000)
        assert done["returns"][0]["status"] == "refunded"
        await shop.until(shop.ops, "/v1/inventory/MUG", lambda s: s["available"] == 99)
        await refused(shop.north.post(f"{path}/returns/ret_{order['id'][4:]}_nope/approve"), 404, "not_found")
        await refused(shop.north.post("/v1/returns/ret_nope/approve"), 404, "not_found")

    in_shop(story)


def test_a_return_may_be_rejected() -> None:
    async def story(shop: Shop) -> None:
        order = await delivered(shop)
        path = f"/v1/orders/{order['id']}/returns"
        opened = await ok(shop.acme.post(path, json={"lines": [{"id": "2", "quantity": 1}]}), 201)
        rejected = await ok(shop.ops.post(f"{path}/{opened['id']}/reject", json={"reason": "worn"}))
        assert rejected["status"] == "rejected"
        await refused(shop.ops.post(f"{path}/{opened['id']}/approve"), 409, "return_rejected")
        twice = {"lines": [{"id": "1", "quantity": 1}, {"id": "1", "quantity": 1}]}
        await refused(shop.acme.post(path, json=twice), 422, "invalid_return")

    in_shop(story)


def test_a_dispute_with_evidence_resolved_with_a_refund() -> None:
    async def story(shop: Shop) -> None:
        order = await delivered(shop)
        path = f"/v1/orders/{order['id']}"
        opened = await ok(shop.acme.post(path + "/disputes", json={"reason": "not as described", "amount": 700}), 201)
        assert (opened["status"], opened["amount"]) == ("open", 700)
        inner = f"{path}/disputes/{opened['id']}"
        await ok(shop.acme.post(inner + "/evidence", json={"text": "a photograph"}), 201)
        own = await ok(shop.north.post(f"/v1/disputes/{opened['id']}/evidence", json={"text": "our checklist"}), 201)
        assert [piece["text"] for piece in own["evidence"]] == ["our checklist"]
        seen = await ok(shop.north.get(path))
        assert "amount" not in seen["disputes"][0]
        assert [piece["text"] for piece in seen["disputes"][0]["evidence"]] == ["our checklist"]
        await refused(shop.acme.post(inner + "/resolve", json={"outcome": "upheld"}), 403, "forbidden")
        await refused(shop.ops.post(inner + "/resolve", json={"outcome": "perhaps"}), 422, "invalid")
        rejected = {"outcome": "rejected", "refund_amount": 1}
        await refused(shop.ops.post(inner + "/resolve", json=rejected), 422, "invalid_outcome")
        resolved = await ok(shop.ops.post(inner + "/resolve", json={"outcome": "upheld", "refund_amount": 700}))
        assert (resolved["status"], resolved["outcome"]) == ("resolved", "upheld")
        assert [piece["text"] for piece in resolved["evidence"]] == ["a photograph", "our checklist"]
        await shop.until(shop.acme, path, lambda o: o["refunded_amount"] == 700)
        await refused(shop.acme.post(inner + "/evidence", json={"text": "more"}), 409, "dispute_resolved")
        await refused(
            shop.acme.post(path + "/disputes", json={"reason": "r", "amount": 9999}), 422, "dispute_exceeds_remaining"
        )

    in_shop(story)


def test_messages_reach_whom_they_are_for() -> None:
    async def story(shop: Shop) -> None:
        order = await shop.placed(order_of(("mug", 1)))
        path = f"/v1/orders/{order['id']}/messages"
        written = await ok(shop.acme.post(path, json={"to": "supplier", "text": "Please wrap it."}), 201)
        assert (written["from"], written["to"], written["text"]) == ("retailer:acme", "supplier", "Please wrap it.")
        await ok(shop.north.post(path, json={"to": "retailer", "text": "Wrapped."}), 201)
        await ok(shop.acme.post(path, json={"to": "ops", "text": "Is north reliable?"}), 201)

        async def texts(client: object) -> list[str]:
            listed = await ok(client.get(path))  # type: ignore[attr-defined]
            return [message["text"] for message in listed["data"]]

        assert await texts(shop.acme) == ["Please wrap it.", "Wrapped.", "Is north reliable?"]
        assert await texts(shop.north) == ["Please wrap it.", "Wrapped."]
        assert await texts(shop.ops) == ["Please wrap it.", "Wrapped.", "Is north reliable?"]
        for body in (
            {"to": "customer", "text": "t"},
            {"to": "ops"},
            {"to": "ops", "text": ""},
            {"to": "ops", "text": "x" * 5001},
        ):
            await refused(shop.acme.post(path, json=body), 422, "invalid")

    in_shop(story)


class Forgetful:
    """A sealer whose data keys were destroyed: nothing opens any more, nothing can be added."""

    def __init__(self, inner: Sealer) -> None:
        self.seal, self.keyed_digest, self.rewrap = inner.seal, inner.keyed_digest, inner.rewrap

    def unseal(self, order: str, sealed: str, wrapped_key: str) -> bytes:
        raise Erased(order)

    def seal_more(self, order: str, wrapped_key: str, plain: bytes) -> str:
        raise Erased(order)


def test_after_an_erasure_the_order_stays_and_the_customer_is_gone() -> None:
    async def story(shop: Shop) -> None:
        order = await delivered(shop)
        path = f"/v1/orders/{order['id']}"
        await ok(shop.acme.post(path + "/messages", json={"to": "ops", "text": "hello"}), 201)
        dispute = await ok(shop.acme.post(path + "/disputes", json={"reason": "r", "amount": 1}), 201)
        await ok(shop.acme.post(f"{path}/disputes/{dispute['id']}/evidence", json={"text": "proof"}), 201)
        shop.serve(sealer=Forgetful(shop.sealer))
        for client in (shop.acme, shop.ops, shop.north):
            read = await ok(client.get(path))
            assert (read["customer"], read["shipping_address"], read["status"]) == (None, None, "delivered")
            assert read["consignments"][0]["task_status"] == "delivered"
        (message,) = (await ok(shop.ops.get(path + "/messages")))["data"]
        assert message["text"] is None
        task = await ok(shop.north.get(f"/v1/tasks/{order['consignments'][0]['task']}"))
        assert (task["customer"], task["shipping_address"]) == (None, None)
        await refused(shop.acme.post(path + "/messages", json={"to": "ops", "text": "t"}), 409, "erased")
        await ok(shop.acme.post(path + "/refunds", json={"amount": 1}), 201)

    in_shop(story)


def test_what_people_write_is_never_stored_in_the_clear() -> None:
    async def story(shop: Shop) -> None:
        order = await delivered(shop)
        path = f"/v1/orders/{order['id']}"
        await ok(shop.acme.post(path + "/messages", json={"to": "ops", "text": "Zanzibar"}), 201)
        dispute = await ok(shop.acme.post(path + "/disputes", json={"reason": "r"}), 201)
        await ok(shop.acme.post(f"{path}/disputes/{dispute['id']}/evidence", json={"text": "Zanzibar"}), 201)
        stored = b"".join(
            event
            for shard in shop.store.contents.shards.values()
            for actor in shard.actors.values()
            for event in actor.events
        )
        for secret in (b"Zanzibar", b"ann@example.com", b"Ann Lee", b"High Street", b"960000"):
            assert secret not in stored
        assert b"order.placed/1" in stored

    in_shop(story)
