"""The tables are the law: the whole product of states and events is walked, and the published page is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.decision import Accepted, Address, Rejected
from models.order import messages as m
from models.order.decide import decide
from models.order.state import Order, headline
from models.order.tables import (
    CONSIGNMENT,
    HEADLINE,
    HEADLINES,
    MACHINES,
    PAYMENT,
    SHOWN,
    TASK,
    allows,
    page,
    refused,
)
from models.order.view import allowed_actions, task_actions, view
from models.record import changed
from tests.models.order_world import ORDER_ID, World, a_line, an_order

NORTH, ACME = "supplier:north", "retailer:acme"


def test_every_step_leads_to_a_state_of_the_same_table() -> None:
    for name, table in MACHINES.items():
        for row in table.values():
            assert set(row.values()) <= set(table), name


def test_every_state_can_be_reached_from_the_first() -> None:
    starts = {"payment": {"pending", "not_required"}}
    for name, table in MACHINES.items():
        reached = set(starts.get(name, {next(iter(table))}))
        while True:
            further = {after for state in reached for after in table[state].values()} - reached
            if not further:
                break
            reached |= further
        assert reached == set(table), name


def test_the_roll_up_knows_every_live_consignment_and_the_eight_headlines() -> None:
    assert set(HEADLINE) == {status for status in CONSIGNMENT if status not in ("rejected", "cancelled")}
    derived = {row.headline for row in HEADLINE.values()} | {"pending", "cancelled", "refunded"}
    assert derived == set(HEADLINES)
    assert set(TASK) | {"pending"} == set(CONSIGNMENT) == set(SHOWN)


def test_the_published_page_is_current() -> None:
    published = Path("docs/state_machines.md").read_text()
    assert published == page(), "run: python -m models.order.tables > docs/state_machines.md"


def test_a_refusal_says_what_stands_in_the_way_and_what_would_be_possible() -> None:
    no = refused("consignment", "dispatched", "cancel")
    assert no == Rejected(
        "consignment_dispatched",
        "cancel: not possible while the consignment is dispatched; possible: deliver, return",
    )
    assert refused("payment", "voided", "capture").detail.endswith("possible: nothing more")


# --- walking the whole product ---------------------------------------------------------------------------------------

COMMANDS = {
    "accept": m.AcceptConsignment(by=NORTH, consignment=1),
    "reject": m.RejectConsignment(by=NORTH, consignment=1, reason="no"),
    "start": m.StartConsignment(by=NORTH, consignment=1),
    "dispatch": m.DispatchConsignment(by=NORTH, consignment=1, tracking=m.Tracking("post", "2", "")),
    "deliver": m.DeliverConsignment(by=NORTH, consignment=1),
    "cancel": m.CancelOrder(by=ACME),
    "request_cancellation": m.CancelOrder(by=ACME),
    "accept_cancellation": m.AnswerCancellation(by=NORTH, consignment=1, accept=True),
    "refuse_cancellation": m.AnswerCancellation(by=NORTH, consignment=1, accept=False),
    "return": m.RequestReturn(by=ACME, return_id="ret_x_1", lines=(("1", 1),)),
}
"""The outside command that stands for each event of the consignment's table. `offer` and `confirm` are the saga's."""

REPEATS = {
    ("accepted", "accept"),
    ("rejected", "reject"),
    ("in_production", "start"),
    ("dispatched", "dispatch"),
    ("delivered", "deliver"),
    ("cancelled", "cancel"),
    ("cancelled", "accept_cancellation"),
    ("cancelled", "request_cancellation"),
    ("cancellation_requested", "cancel"),
    ("cancellation_requested", "request_cancellation"),
}
"""Pairs that are answered as repeats of what has happened: accepted, and without any event."""


def order_in(status: str) -> Order:
    """An order of one consignment, led into `status` by commands alone."""
    world = World(seed=1)
    world.supplier("north", "manual")
    world.stock(n1=10)
    world.tell(an_order(a_line("n1")))
    path = {
        "pending": [],
        "offered": [None],
        "accepted": [None, "accept", "back"],
        "confirmed": [None, "accept", None],
        "in_production": [None, "accept", None, "start"],
        "cancellation_requested": [None, "accept", None, "start", "cancel"],
        "dispatched": [None, "accept", None, "start", "dispatch"],
        "delivered": [None, "accept", None, "start", "dispatch", "deliver"],
        "rejected": [None, "reject"],
        "cancelled": [None, "cancel"],
    }[status]
    for step in path:
        if step is None:
            while world.post:
                world.deliver()
        elif step != "back":
            assert isinstance(world.tell(COMMANDS[step]), Accepted)
    order: Order = world.order
    assert order.consignments[0].status == status
    return order


@pytest.mark.parametrize("status", CONSIGNMENT)
@pytest.mark.parametrize("event", COMMANDS)
def test_a_consignment_does_what_its_table_says_and_nothing_else(status: str, event: str) -> None:
    order = order_in(status)
    decision = decide(order, changed(COMMANDS[event], at=order.updated_at + 1))
    if allows("consignment", status, event):
        assert isinstance(decision, Accepted)
        assert decision.events
        after = decision.state.consignments[0].status
        assert after == CONSIGNMENT[status][event]
        again = decide(decision.state, changed(COMMANDS[event], at=order.updated_at + 2))
        assert isinstance(again, Rejected) or not again.events
    elif (status, event) in REPEATS or (event in ("cancel", "request_cancellation") and _may_cancel(status)):
        assert isinstance(decision, Accepted)
        assert bool(decision.events) == ((status, event) not in REPEATS)
    else:
        assert isinstance(decision, Rejected)
        assert decision.code == f"consignment_{status}"
        assert decision.detail


def _may_cancel(status: str) -> bool:
    return allows("consignment", status, "cancel") or allows("consignment", status, "request_cancellation")


@pytest.mark.parametrize("status", CONSIGNMENT)
def test_the_actions_on_offer_are_those_of_the_table(status: str) -> None:
    order = order_in(status)
    offered = set(allowed_actions(order))
    assert ("cancel" in offered) == _may_cancel(status)
    assert ("confirm_delivery" in offered) == allows("consignment", status, "deliver")
    assert ("return" in offered) == allows("consignment", status, "return")
    for action in task_actions(order.consignments[0]):
        assert allows("consignment", status, {"cancellation": "accept_cancellation"}.get(action, action))
    shown = view(order)
    assert shown is not None
    assert shown["status"] == headline(order)
    assert shown["status"] in HEADLINES


# --- payment: its events come from the saga, which is never refused --------------------------------------------------

FACTS = {
    "authorise": m.RecordAuthorisation(payment_intent="pi_1"),
    "decline": m.RecordDecline(code="card_declined"),
    "give_up": m.RecordDecline(code="no_answer", unsure=True),
    "capture": m.RecordCapture(charge="ch_1"),
    "fail_capture": m.RecordCaptureFailure(code="capture_window_elapsed"),
    "void": m.RecordVoid(),
}


def _payment_in(status: str) -> Order:
    order = order_in("accepted" if status == "capturing" else "pending")
    return changed(order, payment=changed(order.payment, status=status, payment_intent="pi_1", amount=2500))


@pytest.mark.parametrize("status", PAYMENT)
@pytest.mark.parametrize("event", FACTS)
def test_late_facts_of_the_payment_change_nothing(status: str, event: str) -> None:
    order = _payment_in(status)
    decision = decide(order, FACTS[event])
    assert isinstance(decision, Accepted)
    assert decision.closing is not None
    assert decision.closing.to == Address("orchestrator", ORDER_ID)
    if not allows("payment", status, event):
        assert decision.events == ()
        return
    reached = decision.state.payment.status
    assert reached == PAYMENT[status][event]
