"""An order's books and its vendor's: whatever does not agree is named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from scripts.books import Booked, disagreements, imbalances, read_simulated, unsettled

ORDER: dict[str, Any] = {
    "amount": 1000,
    "captured_amount": 1000,
    "refunded_amount": 300,
    "payment": {"status": "captured"},
    "lines": [{"amount": 1000}],
    "refunds": [{"id": "rfd_1", "status": "succeeded", "amount": 300}],
    "consignments": [
        {
            "number": 1, "status": "confirmed", "captured_amount": 1000, "refunded_amount": 300,
            "splits": [
                {"party": "supplier", "name": "north", "account": "acct_n", "amount": 900, "returned": 270,
                 "transferred": 900, "reversed": 270, "debt": 0},
                {"party": "platform", "name": "platform", "account": None, "amount": 100, "returned": 30,
                 "transferred": 0, "reversed": 0, "debt": 0},
            ],
        }
    ],
}  # fmt: skip
BOOKED = Booked(captures=1, captured=1000, refunded=300, paid={"acct_n": 630})


def changed(*path: Any, to: Any) -> dict[str, Any]:
    order = copy.deepcopy(ORDER)
    where: Any = order
    for step in path[:-1]:
        where = where[step]
    where[path[-1]] = to
    return order


def test_an_order_at_rest_that_agrees() -> None:
    assert (unsettled(ORDER), imbalances(ORDER), disagreements(ORDER, BOOKED)) == ([], [], [])


@pytest.mark.parametrize(
    ("order", "what"),
    [
        (changed("payment", "status", to="capturing"), "the payment is capturing"),
        (changed("refunds", 0, "status", to="pending"), "refund rfd_1 is pending"),
        (changed("consignments", 0, "status", to="offered"), "consignment 1 is offered"),
        (changed("consignments", 0, "splits", 0, "reversed", to=0), "supplier north has 900 of 630"),
    ],
)
def test_what_is_under_way(order: dict[str, Any], what: str) -> None:
    assert unsettled(order) == [what]


@pytest.mark.parametrize(
    ("order", "what"),
    [
        (changed("lines", 0, "amount", to=999), "lines do not add up"),
        (changed("captured_amount", to=999), "captured_amount"),
        (changed("refunds", 0, "amount", to=299), "refunds add up to 299"),
        (changed("consignments", 0, "splits", 0, "amount", to=899), "1000 captured"),
        (changed("consignments", 0, "splits", 1, "returned", to=29), "300 refunded"),
        (changed("consignments", 0, "splits", 1, "returned", to=101), "gives back more than it got"),
    ],
)
def test_what_does_not_add_up(order: dict[str, Any], what: str) -> None:
    assert any(what in found for found in imbalances(order))


@pytest.mark.parametrize(
    ("booked", "what"),
    [
        (Booked(0, 0, 300, 0, {"acct_n": 630}), "captured: Dray 1000, vendor 0"),
        (Booked(1, 1000, 0, 0, {"acct_n": 630}), "refunded: Dray 300, vendor 0"),
        (Booked(1, 1000, 300, 5, {"acct_n": 630}), "held: Dray 0, vendor 5"),
        (Booked(1, 1000, 300, 0, {"acct_n": 900}), "paid to acct_n: Dray 630, vendor 900"),
        (Booked(1, 1000, 300, 0, {"acct_n": 630, "acct_x": 1}), "paid to acct_x: Dray 0, vendor 1"),
        (Booked(2, 1000, 300, 0, {"acct_n": 630}), "captured 2 times"),
    ],
)
def test_what_the_vendor_says_differently(booked: Booked, what: str) -> None:
    assert disagreements(ORDER, booked) == [what]


def test_the_simulated_vendors_file(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    lines = [
        ("k1", "authorise", "o1", 1000, "pi_1", "pm", "", ""),
        ("k2", "capture", "o1", 1000, "ch_1", "pi_1", "", ""),
        ("k2", "capture", "o1", 1000, "ch_1", "pi_1", "", ""),  # a retry of the same effect
        ("k3", "transfer", "o1", 900, "tr_1", "ch_1", "acct_n cns_1 supplier:north", ""),
        ("k4", "refund", "o1", 300, "re_1", "pi_1", "rfd_1", ""),
        ("k5", "reverse", "o1", 270, "trr_1", "tr_1", "rfd_1", ""),
        ("k6", "authorise", "o2", 500, "pi_2", "pm", "", "generic_decline"),
        ("k7", "authorise", "o3", 700, "pi_3", "pm", "", ""),
        ("k8", "authorise", "o4", 800, "pi_4", "pm", "", ""),
        ("k9", "void", "o4", 0, "pi_4", "pi_4", "", ""),
        ("k10", "authorise", "o5", 900, "pi_5", "pm", "", ""),
        ("k11", "void", "o5", 0, "", "", "", ""),
    ]
    ledger.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    books = read_simulated(ledger)
    assert books.balanced is None
    assert disagreements(ORDER, books.of("o1")) == []
    assert [books.of(order).held for order in ("o2", "o3", "o4", "o5", "unknown")] == [0, 700, 0, 0, 0]
