"""What an order decides, case by case: given these events, when this command, then those events."""

from __future__ import annotations

import pytest

from models.decision import Accepted, Address, Rejected
from models.identity import inner_id
from models.orchestrator.messages import Advance, Nudge
from models.order import messages as m
from models.order.decide import decide
from models.order.state import Order, headline
from models.order.view import view
from models.record import changed
from tests.models.given import given
from tests.models.order_world import ORDER_ID, a_line, an_order
from tests.models.orders import (
    ACCEPTED_1,
    ACCEPTED_2,
    ACME,
    AT,
    AUTHORISED,
    CAPTURING,
    CONFIRMED,
    MACHINE,
    N1,
    NORTH,
    OFFERED,
    OPS,
    RESERVED,
    S1,
    SHARES,
    SOUTH,
    at,
    dispatched,
    order,
    placed,
    started,
)

# --- placing ---------------------------------------------------------------------------------------------------------


def test_an_order_is_placed_once() -> None:
    order().when(changed(an_order(N1, S1), at=1)).then(placed()).and_again()


def test_another_content_under_the_same_id_is_refused() -> None:
    order(placed()).when(at(an_order(N1))).then_rejected("order_exists")
    order(placed()).when(at(an_order(N1, S1, payment_method="pm_other"))).then_rejected("order_exists")


def test_sealing_anew_makes_no_other_order() -> None:
    order(placed(sealed="a")).when(at(an_order(N1, S1, sealed="b"))).then()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (a_line("n1", 0), "invalid_lines"),
        (a_line("n1", 1, -1), "invalid_lines"),
        (changed(N1, split=(9000, 1000, 1)), "invalid_split"),
        (changed(N1, split=(-1, 1000, 1)), "invalid_split"),
    ],
)
def test_what_is_no_order_is_refused(line: m.LineTerms, code: str) -> None:
    order().when(an_order(line)).then_rejected(code)


def test_only_placing_begins_an_order() -> None:
    order().when(m.CancelOrder(by=ACME)).then_rejected("not_found")
    assert view(Order()) is None


def test_every_accepted_turn_shows_the_facts_to_the_orchestrator() -> None:
    for command in (m.CancelOrder(by=ACME), m.Proceed(), m.StripeHint(type="charge.updated")):
        decision = decide(given(MACHINE, placed()).state, command)
        assert isinstance(decision, Accepted)
        send = decision.closing
        assert send is not None
        assert send.to == Address("orchestrator", ORDER_ID)
        assert isinstance(send.command, Advance)
        assert send.command.order is decision.state
        nudges = [Nudge] if isinstance(command, m.StripeHint) else []
        assert [type(joint.command) for joint in decision.joint] == nudges


def test_units_are_summed_per_sku_and_consignments_are_made_per_supplier() -> None:
    state = order(placed(N1, S1, a_line("n1", 3, 100), a_line("n2"))).state
    assert [c.supplier for c in state.consignments] == ["north", "south"]
    assert [c.units for c in state.consignments] == [{"n1": 5, "n2": 2}, {"s1": 1}]
    assert state.amount == 2500 + 999 + 300 + 2500


def test_an_order_that_costs_nothing_needs_no_payment() -> None:
    free = placed(a_line("n1", 1, 0))
    assert headline(order(free).state) == "payment_authorised"
    order(free, RESERVED).when(at(m.AcceptConsignment(by=NORTH, consignment=1, at_once=True))).then(
        m.ConsignmentAccepted(AT, 1, NORTH, ()), m.NothingDue(AT)
    )
    done = order(free, RESERVED, ACCEPTED_1, m.NothingDue(5)).state
    assert headline(done) == "confirmed"
    assert done.payment.status == "not_required"


# --- paying ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "unsure", "reason"),
    [
        ("card_declined", False, "payment_declined"),
        ("insufficient_funds", False, "payment_declined"),
        ("authentication_required", False, "payment_authentication_required"),
        ("amount_too_small", False, "payment_failed"),
        ("resource_missing", False, "payment_failed"),
        ("no_answer", True, "payment_failed"),
    ],
)
def test_a_decline_ends_the_order(code: str, unsure: bool, reason: str) -> None:
    outcome = order(placed()).when(at(m.RecordDecline(code=code, unsure=unsure)))
    outcome.then(m.PaymentDeclined(AT, code, "", unsure), m.OrderCancelled(AT, reason, "dray", "", (1, 2))).and_again()
    assert outcome.state.payment.status == ("voiding" if unsure else "declined")
    assert headline(outcome.state) == "cancelled"


def test_out_of_stock() -> None:
    outcome = order(placed(), AUTHORISED).when(at(m.RecordShortage(sku="s1")))
    outcome.then(m.StockShort(AT, "s1"), m.OrderCancelled(AT, "out_of_stock", "dray", "", (1, 2))).and_again()
    assert outcome.state.payment.status == "voiding"


def test_a_capture_is_split_by_the_accepted_lines_own_splits() -> None:
    borealis = changed(a_line("n2", 1, 1000, brand="borealis"), split=(3000, 5000, 0))
    begun = (placed(N1, borealis), AUTHORISED, RESERVED, ACCEPTED_1, m.CaptureBegun(5, 3500))
    outcome = order(*begun).when(at(m.RecordCapture(charge="ch_1")))
    outcome.then(m.PaymentCaptured(AT, "ch_1", 3500, ((250, 300, 2000, 625, 325),))).and_again()


def test_a_refused_capture_ends_the_order_and_voids_the_hold() -> None:
    begun = (placed(), AUTHORISED, RESERVED, ACCEPTED_1, ACCEPTED_2, CAPTURING)
    outcome = order(*begun).when(at(m.RecordCaptureFailure(code="charge_expired_for_capture")))
    outcome.then(
        m.CaptureFailed(AT, "charge_expired_for_capture"),
        m.OrderCancelled(AT, "capture_failed", "dray", "", (1, 2)),
    ).and_again()
    assert outcome.state.payment.status == "voiding"


# --- suppliers answer ------------------------------------------------------------------------------------------------

PARTIAL = (placed(allow_partial=True), AUTHORISED, RESERVED)


def test_the_capture_begins_with_the_last_yes() -> None:
    yes_1 = at(m.AcceptConsignment(by=NORTH, consignment=1, at_once=True))
    yes_2 = at(m.AcceptConsignment(by=SOUTH, consignment=2, at_once=True))
    order(*OFFERED).when(yes_1).then(m.ConsignmentAccepted(AT, 1, NORTH, ())).and_again()
    order(*OFFERED, ACCEPTED_1).when(yes_2).then(
        m.ConsignmentAccepted(AT, 2, SOUTH, ()), m.CaptureBegun(AT, 3499)
    ).and_again()


def test_who_is_asked_may_say_yes_once_the_offer_has_been_counted() -> None:
    yes = at(m.AcceptConsignment(by=NORTH, consignment=1))
    order(*OFFERED).when(yes).then_rejected("consignment_pending")
    shown = view(order(*OFFERED).state)
    assert shown is not None
    assert [(c["task_status"], c["task_actions"]) for c in shown["consignments"]] == [(None, []), (None, [])]
    asked = (*OFFERED, m.ConsignmentOffered(4, 1, 9_000))
    order(*asked).when(yes).then(m.ConsignmentAccepted(AT, 1, NORTH, ())).and_again()
    shown = view(order(*asked).state)
    assert shown is not None
    assert [(c["task_status"], c["task_actions"]) for c in shown["consignments"]] == [
        ("offered", ["accept", "reject"]),
        (None, []),
    ]


def test_one_no_ends_the_order_unless_it_may_be_partial() -> None:
    no = at(m.RejectConsignment(by=NORTH, consignment=1, reason="broken loom"))
    rejected = m.ConsignmentRejected(AT, 1, NORTH, "broken loom", timeout=False)
    cancelled = m.OrderCancelled(AT, "supplier_rejected", "dray", "", (2,))
    order(*OFFERED).when(no).then(rejected, cancelled).and_again()
    order(*PARTIAL).when(no).then(rejected).and_again()
    order(*PARTIAL, ACCEPTED_2).when(no).then(rejected, m.CaptureBegun(AT, 999)).and_again()


def test_an_order_whose_parts_are_all_rejected_is_cancelled() -> None:
    first = m.ConsignmentRejected(4, 1, NORTH, "no", timeout=False)
    outcome = order(*PARTIAL, first).when(at(m.RecordTimeout(consignments=(2,))))
    outcome.then(
        m.ConsignmentRejected(AT, 2, "dray", "no answer in time", timeout=True),
        m.OrderCancelled(AT, "supplier_timeout", "dray", "", ()),
    ).and_again()
    assert outcome.state.cancel_reason == "supplier_timeout"


def test_some_lines_can_be_taken_on_where_the_order_allows_it() -> None:
    two = (a_line("n1", 2, 100), a_line("n2", 1, 900))
    some = at(m.AcceptConsignment(by=NORTH, consignment=1, lines=("2",), at_once=True))
    order(placed(*two), AUTHORISED, RESERVED).when(some).then_rejected("partial_not_allowed")
    order(placed(*two, allow_partial=True), AUTHORISED, RESERVED).when(some).then(
        m.ConsignmentAccepted(AT, 1, NORTH, (1,)), m.CaptureBegun(AT, 900)
    ).and_again()
    other = at(m.AcceptConsignment(by=NORTH, consignment=1, lines=("7",)))
    order(*PARTIAL).when(other).then_rejected("not_found")


def test_a_supplier_acts_on_its_own_consignments_only() -> None:
    for command in (m.AcceptConsignment, m.RejectConsignment):
        order(*OFFERED).when(command(by=SOUTH, consignment=1)).then_rejected("not_found")
    order(*CONFIRMED).when(m.StartConsignment(by=SOUTH, consignment=1)).then_rejected("not_found")
    order(*OFFERED).when(m.AcceptConsignment(by=NORTH, consignment=9)).then_rejected("not_found")


# --- cancelling ------------------------------------------------------------------------------------------------------

CANCEL = at(m.CancelOrder(by=ACME, reason="changed my mind"))


def cancelled(*numbers: int) -> m.OrderCancelled:
    return m.OrderCancelled(AT, "customer_request", ACME, "changed my mind", numbers)


def test_cancelling_while_the_authorisation_is_under_way_is_resolved_on_its_outcome() -> None:
    order(placed()).when(CANCEL).then(cancelled(1, 2)).and_again()
    ended = order(placed(), cancelled(1, 2))
    authorised = ended.when(at(m.RecordAuthorisation(payment_intent="pi_1")))
    authorised.then(m.PaymentAuthorised(AT, "pi_1", 0)).and_again()
    assert authorised.state.payment.status == "voiding"
    declined = ended.when(at(m.RecordDecline(code="card_declined")))
    declined.then(m.PaymentDeclined(AT, "card_declined", "", False)).and_again()
    assert declined.state.cancel_reason == "customer_request"


def test_cancelling_while_the_capture_is_under_way_is_resolved_on_its_outcome() -> None:
    begun = (*CONFIRMED[:5], CAPTURING)
    order(*begun).when(CANCEL).then(cancelled(1, 2)).and_again()
    ended = order(*begun, cancelled(1, 2))
    assert ended.state.payment.status == "capturing"
    taken = ended.when(at(m.RecordCapture(charge="ch_1")))
    refund = inner_id("rfd", ORDER_ID, "auto-1")
    taken.then(
        m.PaymentCaptured(AT, "ch_1", 3499, SHARES),
        m.RefundRequested(AT, refund, 3499, ((1, 2500), (2, 999)), (), "cancelled", "dray", "cancellation"),
    ).and_again()
    refused = ended.when(at(m.RecordCaptureFailure(code="expired")))
    refused.then(m.CaptureFailed(AT, "expired")).and_again()
    assert refused.state.payment.status == "voiding"


def test_before_production_everything_is_cancelled_and_refunded_at_once() -> None:
    refund = inner_id("rfd", ORDER_ID, "auto-1")
    order(*CONFIRMED).when(CANCEL).then(
        cancelled(1, 2),
        m.RefundRequested(AT, refund, 3499, ((1, 2500), (2, 999)), (), "cancelled", "dray", "cancellation"),
    ).and_again()


def test_what_has_begun_is_asked_for_and_the_policy_keeps_its_fee() -> None:
    begun = (*CONFIRMED, started(1))
    refund = inner_id("rfd", ORDER_ID, "auto-1")
    request = m.CancellationRequested(AT, 1, "customer_request", ACME, "changed my mind")
    order(*begun).when(CANCEL).then(
        cancelled(2),
        m.RefundRequested(AT, refund, 999, ((2, 999),), (), "cancelled", "dray", "cancellation"),
        request,
    ).and_again()
    asked = (*begun, request)
    answer = at(m.AnswerCancellation(by=NORTH, consignment=1, accept=True))
    order(*asked).when(answer).then(
        m.CancellationAnswered(AT, 1, NORTH, accepted=True, fee=250),
        m.RefundRequested(AT, refund, 2250, ((1, 2250),), (), "cancelled", "dray", "cancellation"),
    ).and_again()
    order(*asked).when(changed(answer, accept=False)).then(
        m.CancellationAnswered(AT, 1, NORTH, accepted=False, fee=0)
    ).and_again()
    order(*begun, m.CancellationRequested(7, 1, "customer_request", ACME, "")).when(at(m.CancelOrder(by=OPS))).then(
        m.OrderCancelled(AT, "operator_request", OPS, "", (2,)),
        m.RefundRequested(AT, refund, 999, ((2, 999),), (), "cancelled", "dray", "cancellation"),
    )


def test_after_dispatch_there_is_nothing_left_to_cancel() -> None:
    away = (*CONFIRMED, started(1), started(2), dispatched(1), dispatched(2))
    order(*away).when(CANCEL).then_rejected("consignment_dispatched")
    over = (m.PaymentDeclined(2, "x", "", False), m.OrderCancelled(2, "payment_declined", "dray", "", (1, 2)))
    order(placed(), *over).when(CANCEL).then_rejected("consignment_cancelled")


# --- views -----------------------------------------------------------------------------------------------------------


def test_the_view_has_every_field_of_the_contract() -> None:
    shown = view(order(*CONFIRMED).state)
    assert shown is not None
    contract = """id status currency amount captured_amount refunded_amount refund_status dispute_status payment lines
        consignments refunds returns disputes metadata timeline allowed_actions cancel_reason attention created_at
        updated_at"""
    assert set(contract.split()) <= set(shown)
    assert set(shown["payment"]) == {"status", "payment_intent", "charge", "decline_code"}
    assert {"id", "task", "supplier", "status", "tracking", "splits"} <= set(shown["consignments"][0])
    assert {"party", "account", "amount", "reversed", "transfer", "debt"} <= set(shown["consignments"][0]["splits"][0])
    assert [entry["event"] for entry in shown["timeline"]] == [
        "placed",
        "payment_authorised",
        "stock_reserved",
        "accepted",
        "accepted",
        "capturing",
        "captured",
    ]
    assert shown["created_at"] == "1970-01-01T00:00:00.001Z"


def test_a_rejection_is_a_value_with_words_for_people() -> None:
    decision = decide(order(*CONFIRMED).state, m.ConfirmDelivery(by=ACME))
    assert decision == Rejected(
        "consignment_confirmed",
        "deliver: not possible while the consignment is confirmed; possible: start, cancel",
    )
