"""The judge's own arithmetic agrees with the machines', which it must not use."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from models.payment_split import returned
from scripts.simulation.history import Happened, Shelf
from scripts.simulation.order_book import OrderBook, given_back

SHARES = st.lists(st.integers(0, 500), min_size=1, max_size=5)


@given(SHARES, st.integers(0, 2_500))
def test_two_readings_of_the_refund_rule_agree(shares: list[int], refunded: int) -> None:
    refunded = min(refunded, sum(shares))
    assert tuple(given_back(shares, refunded)) == returned(shares, refunded)


def happened(name: str, **fields: object) -> Happened:
    return Happened(name, dict(fields), name.encode() + b" " + orjson.dumps(fields))


def test_a_shelf_notices_units_that_are_sold_twice() -> None:
    shelf = Shelf()
    assert not shelf.count(happened("sku.received/1", quantity=3))
    assert not shelf.count(happened("sku.reserved/1", order="a", quantity=2))
    assert "available" in shelf.count(happened("sku.reserved/1", order="b", quantity=2))


def test_a_shelf_notices_a_sale_without_a_reservation() -> None:
    shelf = Shelf()
    assert not shelf.count(happened("sku.received/1", quantity=3))
    assert "not reserved" in shelf.count(happened("sku.sold/1", order="a"))


def test_an_order_book_refuses_a_capture_that_nobody_authorised() -> None:
    line = {"product": "p", "sku": "s", "quantity": 1, "unit_amount": 10, "supplier": "n", "brand": "b"}
    placed = happened("order.placed/1", lines=[line], accounts={}, retailer="r")
    book = OrderBook("ord", [placed, happened("order.capturing/1", amount=10)])
    assert "capturing while the payment is pending" in book.wrong
    assert "captures before every supplier has answered" in book.wrong
