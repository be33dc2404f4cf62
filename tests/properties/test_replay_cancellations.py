"""Refunds of a replay never exceed what remains, whatever is cancelled."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from scripts.replay.cancellations import SoldLine, SoldOrder, match, refund_requests
from scripts.replay.rows import Row

CODES = ("A", "B")
CUSTOMERS = ("1", "2", "")


def cancellation(line: int, customer: str, code: str, quantity: int, unit_amount: int) -> Row:
    at = datetime(2011, 1, 1)  # noqa: DTZ001
    return Row(line, f"C{line // 3}", True, code, "", quantity, unit_amount, False, at, customer, "France")


def order(line: int, customer: str, *lines: tuple[str, int, int]) -> SoldOrder:
    sold = [SoldLine(str(n), code, price, quantity) for n, (code, quantity, price) in enumerate(lines, 1)]
    return SoldOrder(f"ord_{line}", str(line), customer, line, sold)


lines = st.integers(1, 60)
amounts = st.integers(0, 3)
sold_lines = st.lists(st.tuples(st.sampled_from(CODES), st.integers(1, 6), amounts), min_size=1, max_size=4)
orders = st.lists(st.tuples(lines, st.sampled_from(CUSTOMERS), sold_lines), max_size=6, unique_by=lambda one: one[0])
rows = st.lists(
    st.builds(cancellation, lines, st.sampled_from(CUSTOMERS), st.sampled_from(CODES), st.integers(1, 9), amounts),
    max_size=10, unique_by=lambda row: row.line,
)  # fmt: skip


@given(orders, rows)
def test_refunds_never_exceed_what_remains_and_nothing_is_forgotten(
    history: list[tuple[int, str, list[tuple[str, int, int]]]], cancelled: list[Row]
) -> None:
    sold = [order(line, customer, *parts) for line, customer, parts in history]
    bought = {(one.id, part.id): part.left for one in sold for part in one.lines}
    matching = match(sold, cancelled)

    taken: Counter[tuple[str, str]] = Counter()
    for one in matching.taken:
        taken[one.order.id, one.line_id] += one.quantity
        assert one.order.line < one.line
    left = {(one.id, part.id): part.left for one in sold for part in one.lines}
    assert all(left[key] == bought[key] - taken[key] >= 0 for key in bought)

    by_row: Counter[int] = Counter()
    for one in matching.taken:
        by_row[one.line] += one.quantity
    for lost in matching.unmatched:
        by_row[lost.row.line] += lost.quantity
    assert by_row == {row.line: row.quantity for row in cancelled}
    cancelled_amount = sum(row.amount for row in cancelled)
    refunded = sum(one.amount for one in matching.taken)
    assert cancelled_amount == refunded + matching.not_refunded + matching.price_difference


@given(orders, rows)
def test_only_the_customers_own_orders_give_back_the_latest_first(
    history: list[tuple[int, str, list[tuple[str, int, int]]]], cancelled: list[Row]
) -> None:
    sold = [order(line, customer, *parts) for line, customer, parts in history]
    customers = {row.line: row.customer for row in cancelled}
    last: dict[int, int] = {}
    for one in match(sold, cancelled).taken:
        assert one.order.customer == customers[one.line] != ""
        assert one.order.line <= last.get(one.line, 10**9)
        last[one.line] = one.order.line


@given(orders, rows, st.randoms(use_true_random=False))
def test_a_second_run_asks_for_the_same_refunds(
    history: list[tuple[int, str, list[tuple[str, int, int]]]], cancelled: list[Row], dice: object
) -> None:
    def requests(shuffled: bool) -> list[object]:
        sold = [order(line, customer, *parts) for line, customer, parts in history]
        again = list(cancelled)
        if shuffled:
            dice.shuffle(sold)  # type: ignore[attr-defined]
            dice.shuffle(again)  # type: ignore[attr-defined]
        found = refund_requests(match(sold, again).taken)
        return [(one.cancellation, one.order.id, one.lines, one.amount) for one in found]

    assert requests(shuffled=False) == requests(shuffled=True)


def test_a_line_of_the_same_price_comes_first_and_the_rest_from_the_order_before() -> None:
    early, late = order(2, "1", ("A", 5, 100)), order(5, "1", ("A", 2, 90), ("A", 2, 100))
    matching = match([late, early], [cancellation(9, "1", "A", 6, 100)])
    assert [(one.order.id, one.line_id, one.quantity) for one in matching.taken] == [
        ("ord_5", "2", 2), ("ord_5", "1", 2), ("ord_2", "1", 2),
    ]  # fmt: skip
    assert matching.price_difference == 2 * 10
    assert [(one.order.id, one.lines, one.amount) for one in refund_requests(matching.taken)] == [
        ("ord_5", (("2", 2), ("1", 2)), 380), ("ord_2", (("1", 2),), 200),
    ]  # fmt: skip


def test_what_cost_nothing_is_not_refunded() -> None:
    matching = match([order(2, "1", ("A", 5, 0))], [cancellation(9, "1", "A", 1, 0)])
    assert len(matching.taken) == 1
    assert refund_requests(matching.taken) == []


def test_unmatched_rows_say_why() -> None:
    sold = [order(20, "1", ("A", 1, 100)), order(2, "2", ("A", 1, 100))]
    cancelled = [cancellation(9, "", "A", 1, 1), cancellation(10, "1", "A", 1, 1), cancellation(11, "2", "A", 3, 1)]
    reasons = [(one.row.line, one.quantity, one.reason) for one in match(sold, cancelled).unmatched]
    assert reasons == [
        (9, 1, "it names no customer"),
        (10, 1, "the customer has no earlier order with it"),
        (11, 2, "more than was ever sold to the customer"),
    ]
