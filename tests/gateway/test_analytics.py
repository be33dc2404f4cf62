"""`GET /v1/analytics/...`: what users of a report rely on. That its figures are right, the contract tests show."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.routers.analytics import routes
from tests.gateway.read_side import ReadSide, with_read_side
from tests.gateway.shop import Client, Json, Shop, in_shop, ok, order_of, refused

PATHS = [endpoint.path for endpoint in routes.endpoints]
GBP = {"currency": "gbp"}


def figures(orders: int, units: int, revenue: int, refunds: int, **more: Any) -> Json:
    net = revenue - refunds
    return {**GBP, "orders": orders, "units": units, "revenue": revenue, "refunds": refunds, "net": net, **more}


async def report(client: Client, name: str, query: str = "") -> list[Json]:
    found: list[Json] = (await ok(client.get(f"/v1/analytics/{name}?{query}")))["data"]
    return found


async def traded(shop: Shop, side: ReadSide) -> None:
    """Two mugs and a hat of which 5.00 went back; a declined mug; a map that is on offer."""
    order = await shop.placed(order_of(("mug", 2), ("hat", 1)))
    await shop.placed(order_of(("mug", 1), payment_method="pm_card_visa_chargeDeclined"))
    await shop.offered(("map", 3))
    refund = {"lines": [{"id": "2", "quantity": 1}]}
    await ok(shop.acme.post(f"/v1/orders/{order['id']}/refunds", json=refund), 201)
    await shop.until(shop.acme, f"/v1/orders/{order['id']}", lambda order: order["refund_status"] == "partial")
    task = order["consignments"][0]["task"]
    await ok(shop.north.post(f"/v1/tasks/{task}/start"))
    await ok(shop.north.post(f"/v1/tasks/{task}/dispatch", json={"carrier": "DPD", "tracking_number": "1"}))
    await side.count()


def test_reports_tell_what_the_orders_came_to() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        await traded(shop, side)
        today = datetime.now(UTC).date()
        for client in (shop.acme, shop.ops):
            whole = await ok(client.get("/v1/analytics/days"))
            assert whole["data"] == [figures(3, 7, 2500, 500, day=str(today))]
            assert whole["totals"] == [figures(3, 7, 2500, 500)]
            assert (whole["from"], whole["to"]) == (str(today - timedelta(29)), str(today + timedelta(1)))
            assert whole["as_of"].startswith(str(today)) and whole["next_cursor"] is None
            assert await report(client, "statuses") == [
                figures(1, 3, 0, 0, status="payment_authorised"), figures(1, 3, 2500, 500, status="dispatched"),
                figures(1, 1, 0, 0, status="cancelled"),
            ]  # fmt: skip
            assert await report(client, "suppliers") == [
                figures(2, 4, 2500, 500, supplier="north"), figures(1, 3, 0, 0, supplier="south"),
            ]  # fmt: skip
            assert await report(client, "brands") == [figures(3, 7, 2500, 500, brand="brio")]
            assert await report(client, "products") == [
                figures(2, 3, 2000, 0, product="mug"), figures(1, 1, 500, 500, product="hat"),
                figures(1, 3, 0, 0, product="map"),
            ]  # fmt: skip
            assert await report(client, "cancellations") == [figures(1, 1, 0, 0, reason="payment_declined")]
        (north,) = await report(shop.acme, "times")
        assert (north["acceptance"]["count"], north["dispatch"]["count"]) == (1, 1)
        assert 0 <= north["dispatch"]["p50_s"] <= north["dispatch"]["p90_s"] < 60

    with_read_side(story)


def test_retailers_see_their_own_ops_may_choose_and_suppliers_none() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        await traded(shop, side)
        for path in PATHS:
            name = path.rpartition("/")[2]
            for client, query in ((shop.bolt, ""), (shop.ops, "retailer=bolt"), (shop.bolt, "retailer=acme")):
                empty = await ok(client.get(f"{path}?{query}"))
                assert empty["data"] == []
                assert not empty["totals"] or empty["totals"]["acceptance"]["mean_s"] is None
            assert await report(shop.ops, name, "retailer=acme") == await report(shop.ops, name)
            await refused(shop.south.get(path), 403, "forbidden")

    with_read_side(story)


def test_a_period_begins_with_its_first_day_and_ends_before_its_last() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        await shop.placed()
        await side.count()
        today = datetime.now(UTC).date()
        tomorrow, yesterday = today + timedelta(1), today - timedelta(1)
        for since, until, count in ((today, tomorrow, 1), (yesterday, today, 0), (tomorrow, None, 0)):
            query = f"from={since}&to={until or tomorrow + timedelta(1)}"
            assert len(await report(shop.acme, "days", query)) == count, query
        for query in (
            "from=2026-13-01", "from=20261101", "to=yesterday", "to=1969-12-31", "from=2026-01-02&to=2026-01-02",
            "from=2024-01-01&to=2026-01-01", "limit=0", "limit=1001", "cursor=x", "cursor=W10", "cursor=bnVsbA",
        ):  # fmt: skip
            for path in PATHS:
                await refused(shop.acme.get(f"{path}?{query}"), 422, "invalid")
        await refused(shop.ops.get("/v1/analytics/days?retailer=%00"), 422, "invalid")

    with_read_side(story)


def test_pages_hold_every_line_once_and_their_cursors_are_their_own() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        await traded(shop, side)
        for path in PATHS:
            name = path.rpartition("/")[2]
            whole, seen, cursor = await report(shop.acme, name), [], ""
            while cursor is not None:
                page = await ok(shop.acme.get(f"{path}?limit=1&cursor={cursor}"))
                seen += page["data"]
                cursor = page["next_cursor"]
            assert seen == whole
        cursor = (await ok(shop.acme.get("/v1/analytics/products?limit=1")))["next_cursor"]
        await refused(shop.acme.get(f"/v1/analytics/cancellations?cursor={cursor}"), 422, "invalid")

    with_read_side(story)


def test_accounting_reads_them_as_csv() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        await traded(shop, side)

        async def rows(name: str) -> list[dict[str, str]]:
            answer = await shop.acme.get(f"/v1/analytics/{name}?limit=1", headers={"accept": "text/csv"})
            assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
            return list(csv.DictReader(io.StringIO(answer.text)))

        assert (await rows("products"))[0] == {
            "product": "mug", "currency": "gbp", "orders": "2", "units": "3", "revenue": "20.00", "refunds": "0.00",
            "net": "20.00",
        }  # fmt: skip
        assert [row["product"] for row in await rows("products")] == ["mug", "hat", "map"]
        (north,) = await rows("times")
        assert north["acceptance_count"] == "1" and float(north["dispatch_mean_s"]) >= 0

    with_read_side(story)


@pytest.mark.parametrize("path", PATHS)
def test_without_a_read_side_reports_are_unavailable(path: str) -> None:
    async def story(shop: Shop) -> None:
        await refused(shop.acme.get(path), 503, "unavailable")

    in_shop(story, stocked=False)
