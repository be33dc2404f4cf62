"""docs/actors.md says what is true: the kinds it lists, and the tables of answers that it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from actors.kinds import KINDS
from models.decision import Accepted, Address, Command, Event
from models.order.messages import AcceptConsignment, RejectConsignment
from models.sku import ConfirmReservation, ReleaseReservation, Reserve, Restock
from models.sku import machine as sku
from models.sku import messages as sku_messages
from models.supplier import CloseTask, OfferTask, SupplierPut, WithdrawTask
from models.supplier import machine as supplier
from models.supplier import messages as supplier_messages

PAGE = Path("docs/actors.md").read_text(encoding="utf-8")


def table(heading: str) -> dict[str, dict[str, str]]:
    """The rows of the page's table whose first column has this heading, by first cell, then by column."""
    lines = PAGE.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    header, *rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in lines[start:]
        if line.startswith("|") and not line.startswith("|---")
    ][: next(i for i, line in enumerate(lines[start:]) if not line.startswith("|")) - 1]
    return {row[0].strip("`"): dict(zip(header[1:], row[1:], strict=True)) for row in rows}


def test_every_kind_is_on_the_page() -> None:
    listed = {name for cell in table("kind") for name in re.findall(r"[a-z]+", cell)}
    assert listed == set(KINDS)


ORDER = "ord_00000000000000000000000000000000001"
ASKED: dict[str, Any] = {"at": 9, "sku": "MUG", "order": ORDER, "reply_to": Address("orchestrator", ORDER)}
SKU_ROWS: dict[str, list[Event]] = {
    "no row": [],
    "reserved": [sku_messages.StockReserved(3, ORDER, 2)],
    "refused": [sku_messages.StockRefused(3, ORDER, 2)],
    "released": [sku_messages.ReservationReleased(3, ORDER)],
    "sold": [sku_messages.StockReserved(3, ORDER, 2), sku_messages.StockSold(4, ORDER)],
}
SKU_QUESTIONS: list[Command] = [
    Reserve(**ASKED, quantity=2),
    ConfirmReservation(**ASKED),
    ReleaseReservation(**ASKED),
    Restock(**ASKED, quantity=1, key="ret_1"),
]


@pytest.mark.parametrize("command", SKU_QUESTIONS, ids=lambda command: type(command).__name__)
@pytest.mark.parametrize("row", SKU_ROWS)
def test_a_sku_answers_as_the_page_says(command: Command, row: str) -> None:
    state = sku.INITIAL
    stock = [sku_messages.SkuClaimed(1, "MUG", "north"), sku_messages.StockReceived(2, 9)]
    others = [sku_messages.StockReserved(2, "other", 3), sku_messages.StockSold(2, "other")]
    for event in [*stock, *others, *SKU_ROWS[row]]:
        state = sku.evolve(state, event)
    check(table("to a SKU")[type(command).__name__][row], sku.decide(state, command))


TASK: dict[str, Any] = {"at": 9, "task": "tsk_1", "order": ORDER, "reply_to": Address("orchestrator", ORDER)}
SUPPLIER_ROWS: dict[str, list[Event]] = {
    "no row": [],
    "offered": [supplier_messages.TaskOffered(3, "tsk_1", ORDER, 99)],
    "accepted": [supplier_messages.TaskAccepted(3, "tsk_1", ORDER)],
    "refused": [supplier_messages.TaskRefused(3, "tsk_1", ORDER, "capacity")],
    "withdrawn": [supplier_messages.TaskWithdrawn(3, "tsk_1", ORDER)],
    "closed": [supplier_messages.TaskClosed(3, "tsk_1", ORDER)],
}


@pytest.mark.parametrize(
    "command",
    [OfferTask(**TASK, consignment=1), WithdrawTask(**TASK), CloseTask(**TASK)],
    ids=lambda command: type(command).__name__,
)
@pytest.mark.parametrize("row", SUPPLIER_ROWS)
def test_a_supplier_answers_as_the_page_says(command: Command, row: str) -> None:
    terms = SupplierPut(1, "north", "North", "auto", None, 60, 0, "", "poll", "platform")
    state = supplier.evolve(supplier.INITIAL, terms)
    for event in SUPPLIER_ROWS[row]:
        state = supplier.evolve(state, event)
    check(table("to a supplier")[type(command).__name__][row], supplier.decide(state, command))


def check(promised: str, decision: Any) -> None:
    """A status in backquotes is answered with no event; `again` repeats a decision to the order; anything else is a
    decision that leaves an event, and answers the status in backquotes if there is one."""
    assert isinstance(decision, Accepted)
    (answer,) = [send.command for send in decision.sends]
    status = re.search(r"`(\w+)`", promised)
    only_an_answer = bool(status) and promised.startswith("`")
    assert bool(decision.events) is not (only_an_answer or promised.endswith("again"))
    if status:
        assert answer.status == status[1]  # type: ignore[attr-defined]
    if promised.endswith("again"):
        assert isinstance(answer, AcceptConsignment if promised.startswith("accepts") else RejectConsignment)
