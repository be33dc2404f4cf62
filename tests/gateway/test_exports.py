"""Orders as CSV: who gets which columns, what accounting reads, and what a spreadsheet must not run."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.reading import Found, OrderQuery, ReadModelUnavailable
from gateway.exports import FORMULA, body, header
from gateway.routers import order_lists
from tests.gateway.read_side import ReadSide, with_read_side
from tests.gateway.shop import Client, Shop, ok, order_of, refused
from tests.gateway.test_order_lists import customer


async def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = await client.get(f"/v1/orders?{query}", headers={"accept": "text/csv"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_accounting_reads_orders_lines_and_splits() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        order = await shop.placed(order_of(("mug", 2), ("hat", 1), **customer("a@example.com", '=1+1, "Lee"')))
        await shop.at_rest(order)
        await side.follow()
        (row,) = await exported(shop.acme)
        assert row["order"] == order["id"] and row["created_at"] == order["created_at"]
        assert (row["currency"], row["amount"], row["captured"], row["refunded"]) == ("gbp", "25.00", "25.00", "0.00")
        assert (row["customer_email"], row["customer_name"]) == ("a@example.com", "'=1+1, \"Lee\"")
        lines = await exported(shop.acme, "rows=lines")
        assert [(line["product"], line["quantity"], line["unit_amount"], line["amount"]) for line in lines] == [
            ("mug", "2", "10.00", "20.00"), ("hat", "1", "5.00", "5.00"),
        ]  # fmt: skip
        splits = await exported(shop.ops, "rows=splits")
        assert sum(float(split["amount"]) for split in splits) == 25
        assert {split["party"] for split in splits} == {"brand", "supplier", "retailer", "platform"}
        await refused(shop.acme.get("/v1/orders?rows=odd", headers={"accept": "text/csv"}), 422, "invalid")

    with_read_side(story)


def test_suppliers_export_what_they_are_shown() -> None:
    async def story(shop: Shop, side: ReadSide) -> None:
        both = await shop.offered(("mug", 1), ("map", 2))
        await side.follow()
        (row,) = await exported(shop.south)
        assert row["order"] == both["id"] and row["customer_name"] == "Ann Lee"
        assert not {"customer_email", "amount", "payment_intent", "retailer"} & set(row)
        (line,) = await exported(shop.south, "rows=lines")
        assert (line["product"], line["quantity"], line["supplier"]) == ("map", "2", "south")
        await refused(shop.south.get("/v1/orders?rows=splits", headers={"accept": "text/csv"}), 422, "invalid")

    with_read_side(story)


def test_an_export_goes_through_all_pages_and_keeps_to_the_filters(monkeypatch: Any) -> None:
    monkeypatch.setattr(order_lists, "EXPORT_PAGE_ORDERS", 2)
    monkeypatch.setattr(order_lists, "EXPORT_SLICE_S", 0)

    async def story(shop: Shop, side: ReadSide) -> None:
        placed = [await shop.placed(order_of((product, 1))) for product in ("mug", "hat", "mug", "mug", "mug")]
        await side.follow()
        mugs = [order["id"] for order in reversed(placed) if order["lines"][0]["product"] == "mug"]
        assert [row["order"] for row in await exported(shop.acme, "product=mug")] == mugs
        assert len(await exported(shop.acme)) == 5
        assert await exported(shop.acme, "product=map") == []
        page = await ok(shop.acme.get("/v1/orders?product=mug&limit=3"))
        rest = await exported(shop.acme, f"product=mug&cursor={page['next_cursor']}")
        assert [row["order"] for row in rest] == mugs[3:]

    with_read_side(story)


def test_a_page_that_cannot_be_read_breaks_the_export_off(monkeypatch: Any) -> None:
    """Whoever gets an answer that ends in good order has all there is."""
    monkeypatch.setattr(order_lists, "EXPORT_PAGE_ORDERS", 2)

    async def story(shop: Shop, side: ReadSide) -> None:
        for product in ("mug", "hat", "mug"):
            await shop.placed(order_of((product, 1)))
        await side.follow()
        find, asked = side.orders.find, []

        def once(query: OrderQuery) -> Sequence[Found]:
            asked.append(query)
            if len(asked) > 1:
                raise ReadModelUnavailable("gone")
            return find(query)

        monkeypatch.setattr(side.orders, "find", once)
        with pytest.raises(AssertionError):  # a second beginning of the answer, on which a server closes the connection
            await exported(shop.acme)
        assert len(asked) == 2

    with_read_side(story)


@given(text=st.text(max_size=20))
def test_no_cell_is_a_formula_and_every_cell_can_be_read_back(text: str) -> None:
    columns = ("a", "b")
    made = header(columns) + body(lambda view: iter([view]), columns, [{"a": text, "b": 1}])
    (row,) = csv.DictReader(io.StringIO(made.decode(errors="surrogatepass"), newline=""))
    assert not row["a"].startswith(FORMULA)
    assert row["a"].removeprefix("'") == text.removeprefix("'")
    assert row["b"] == "1"
