"""Parked commands over HTTP."""

from __future__ import annotations

import json

from actors.runtime.envelope import Status
from models.parking import PARKING, ParkCommand
from tests.gateway.shop import Shop, in_shop, ok, refused


async def park(shop: Shop, quantity: int) -> None:
    """Park a receipt, as a host does with a command that it could not turn."""
    command = ParkCommand(
        kind="sku",
        id="MUG",
        command_name="sku.receive",
        command=json.dumps({"sku": "MUG", "quantity": quantity, "supplier": ""}),
        cause="ZeroDivisionError",
    )
    assert (await shop.router.ask(PARKING, command)).status is Status.OK


def test_parked_commands_are_listed_retried_and_discarded() -> None:
    async def story(shop: Shop) -> None:
        assert await ok(shop.ops.get("/v1/parked")) == {"data": [], "next_cursor": None}
        await park(shop, 5)
        await park(shop, 7)
        first, second = (await ok(shop.ops.get("/v1/parked")))["data"]
        assert (first["kind"], first["actor"], first["cause"]) == ("sku", "MUG", "ZeroDivisionError")
        for _ in range(2):
            retried = shop.ops.post(f"/v1/parked/{first['id']}/retry", headers={"idempotency-key": "again"})
            assert await ok(retried) == {"id": first["id"]}
        await shop.until(shop.ops, "/v1/inventory/MUG", lambda stock: stock["received"] == 105)
        assert await ok(shop.ops.post(f"/v1/parked/{second['id']}/discard")) == {"id": second["id"]}
        assert (await ok(shop.ops.get("/v1/parked")))["data"] == []
        assert (await ok(shop.ops.get("/v1/inventory/MUG")))["received"] == 105
        for verb in ("retry", "discard"):
            await refused(shop.ops.post(f"/v1/parked/{first['id']}/{verb}"), 404, "not_parked")

    in_shop(story)
