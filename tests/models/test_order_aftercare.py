"""Returns, disputes, messages, hints from Stripe, attention: what comes after delivery."""

from __future__ import annotations

from typing import Any

import pytest

from models.identity import inner_id
from models.order import aftercare
from models.order import messages as m
from models.order import refunds as refunds_module
from models.order.state import withheld
from models.order.view import view
from models.record import changed
from tests.models.order_world import ORDER_ID, a_line
from tests.models.orders import (
    ACCEPTED_1,
    ACME,
    AT,
    CONFIRMED,
    NORTH,
    OPS,
    SHARES,
    SOUTH,
    at,
    dispatched,
    order,
    refund,
    started,
)

AWAY = (*CONFIRMED, started(1), started(2), dispatched(1), dispatched(2))
AUTO_REFUND = inner_id("rfd", ORDER_ID, "auto-1")


# --- returns ---------------------------------------------------------------------------------------------------------

REQUESTED = m.ReturnRequested(9, "ret_1", 1, (("1", 1),), "torn", ACME)
APPROVED = m.ReturnApproved(10, "ret_1", NORTH)
RETURN = at(m.RequestReturn(by=ACME, return_id="ret_1", lines=(("1", 1),), reason="torn"))


def test_a_return_is_requested_approved_received_and_refunded() -> None:
    order(*AWAY).when(RETURN).then(changed(REQUESTED, at=AT)).and_again()
    approve = at(m.ApproveReturn(by=NORTH, return_id="ret_1"))
    order(*AWAY, REQUESTED).when(approve).then(m.ReturnApproved(AT, "ret_1", NORTH)).and_again()
    receive = at(m.ReceiveReturn(by=NORTH, return_id="ret_1", restock=True))
    received = order(*AWAY, REQUESTED, APPROVED).when(receive)
    received.then(
        m.ReturnReceived(AT, "ret_1", NORTH, restock=True),
        m.RefundRequested(AT, AUTO_REFUND, 1250, ((1, 1250),), (("1", 1),), "torn", NORTH, "ret_1"),
    ).and_again()
    done = order(*AWAY, REQUESTED, APPROVED, *received.decision.events).when(
        at(m.RecordRefund(refund=AUTO_REFUND, id="re_1"))
    )
    assert done.state.returns[0].status == "refunded"


def test_a_return_can_be_rejected_also_when_nothing_came_back() -> None:
    no = at(m.RejectReturn(by=NORTH, return_id="ret_1", reason="worn"))
    for before in ((REQUESTED,), (REQUESTED, APPROVED)):
        order(*AWAY, *before).when(no).then(m.ReturnRejected(AT, "ret_1", NORTH, "worn")).and_again()
    rejected = m.ReturnRejected(10, "ret_1", NORTH, "")
    order(*AWAY, REQUESTED, rejected).when(at(m.ApproveReturn(by=NORTH, return_id="ret_1"))).then_rejected(
        "return_rejected"
    )


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ((("1", 3),), "invalid_quantity"),
        ((("1", 0),), "invalid_quantity"),
        ((("1", 1), ("2", 1)), "invalid_return"),
        ((("1", 1), ("1", 1)), "invalid_return"),
        ((), "invalid_return"),
        ((("8", 1),), "not_found"),
    ],
)
def test_what_cannot_be_returned(lines: m.Quantities, code: str) -> None:
    order(*AWAY).when(changed(RETURN, lines=lines)).then_rejected(code)


def test_units_in_a_return_are_not_returned_again() -> None:
    both = changed(REQUESTED, lines=(("1", 2),))
    order(*AWAY, both).when(changed(RETURN, return_id="ret_2")).then_rejected("invalid_quantity")
    order(*CONFIRMED).when(RETURN).then_rejected("consignment_confirmed")


def test_only_the_lines_own_supplier_answers_a_return() -> None:
    order(*AWAY, REQUESTED).when(m.ApproveReturn(by=SOUTH, return_id="ret_1")).then_rejected("not_found")
    order(*AWAY).when(m.ApproveReturn(by=NORTH, return_id="ret_1")).then_rejected("not_found")


def test_a_return_refunds_no_more_than_remains() -> None:
    refunded = (
        m.RefundRequested(9, "rfd_1", 2000, ((1, 2000),), (), "", ACME, "request"),
        m.RefundSucceeded(9, "rfd_1", "re_1", ((200, 1200, 500, 100), (0, 0, 0, 0))),
    )
    receive = at(m.ReceiveReturn(by=NORTH, return_id="ret_1"))
    order(*AWAY, *refunded, REQUESTED, APPROVED).when(receive).then(
        m.ReturnReceived(AT, "ret_1", NORTH, restock=False),
        m.RefundRequested(
            AT, inner_id("rfd", ORDER_ID, "auto-2"), 500, ((1, 500),), (("1", 1),), "torn", NORTH, "ret_1"
        ),
    )


# --- disputes --------------------------------------------------------------------------------------------------------

OPENED = m.DisputeOpened(9, "dsp_1", ACME, "never came", 350, ((1, 250), (2, 100)), 0, "")
OPEN = at(m.OpenDispute(by=ACME, dispute="dsp_1", reason="never came", amount=350))


def test_a_dispute_freezes_the_disputed_sum_and_no_more() -> None:
    outcome = order(*CONFIRMED).when(OPEN)
    outcome.then(changed(OPENED, at=AT)).and_again()
    assert [sum(withheld(outcome.state, c)) for c in outcome.state.consignments] == [250, 100]
    whole = order(*CONFIRMED).when(changed(OPEN, amount=0)).state
    assert [withheld(whole, c) for c in whole.consignments] == list(SHARES)


def test_no_more_is_disputed_than_remains() -> None:
    order(*CONFIRMED).when(changed(OPEN, amount=3500)).then_rejected("dispute_exceeds_remaining")
    order(*CONFIRMED, changed(OPENED, amount=3499, allocation=((1, 2500), (2, 999)))).when(
        changed(OPEN, dispute="dsp_2", amount=1)
    ).then_rejected("dispute_exceeds_remaining")
    order(*CONFIRMED[:3]).when(OPEN).then_rejected("payment_authorised")


def test_evidence_until_the_deadline() -> None:
    piece = at(m.AddEvidence(by=NORTH, dispute="dsp_1", evidence="evd_1", sealed="..."))
    order(*CONFIRMED, OPENED).when(piece).then(m.EvidenceAdded(AT, "dsp_1", "evd_1", NORTH, "...")).and_again()
    late = changed(OPENED, evidence_due_at=AT - 1)
    order(*CONFIRMED, late).when(piece).then_rejected("evidence_too_late")
    order(*CONFIRMED, late).when(changed(piece, by=OPS)).then(m.EvidenceAdded(AT, "dsp_1", "evd_1", OPS, "..."))
    order(*CONFIRMED).when(piece).then_rejected("not_found")


def test_ops_resolve_a_dispute_with_or_without_a_refund() -> None:
    resolve = at(m.ResolveDispute(by=OPS, dispute="dsp_1", outcome="upheld", refund="rfd_d", refund_amount=350))
    resolved = m.DisputeResolved(AT, "dsp_1", OPS, "upheld")
    order(*CONFIRMED, OPENED).when(resolve).then(
        resolved, m.RefundRequested(AT, "rfd_d", 350, ((1, 250), (2, 100)), (), "never came", OPS, "dsp_1")
    ).and_again()
    order(*CONFIRMED, OPENED).when(changed(resolve, refund_amount=0)).then(resolved).and_again()
    order(*CONFIRMED, OPENED).when(changed(resolve, outcome="rejected")).then_rejected("invalid_outcome")
    order(*CONFIRMED, OPENED).when(changed(resolve, outcome="maybe")).then_rejected("invalid_outcome")
    order(*CONFIRMED, OPENED).when(changed(resolve, refund_amount=9999)).then_rejected("refund_exceeds_remaining")
    done = changed(resolved, at=9)
    order(*CONFIRMED, OPENED, done).when(changed(resolve, outcome="withdrawn")).then_rejected("dispute_resolved")


# --- messages and attention ------------------------------------------------------------------------------------------


def test_messages_are_kept_sealed() -> None:
    post = at(m.PostMessage(by=ACME, message="msg_1", to="supplier", sealed="..."))
    outcome = order(*CONFIRMED).when(post)
    outcome.then(m.MessagePosted(AT, "msg_1", ACME, "supplier", "...")).and_again()
    shown = view(outcome.state)
    assert shown is not None
    assert shown["messages"] == [
        {"id": "msg_1", "at": "1970-01-01T00:00:01.000Z", "from": ACME, "to": "supplier", "sealed": "..."}
    ]


def test_attention_is_raised_once_and_cleared() -> None:
    raised = m.AttentionRaised(AT, "command_parked", "order.cancel")
    outcome = order(*CONFIRMED).when(at(m.RaiseAttention(reason="command_parked", detail="order.cancel")))
    outcome.then(raised).and_again()
    shown = view(outcome.state)
    assert shown is not None
    assert shown["attention"] == {"reason": "command_parked", "detail": "order.cancel"}
    order(*CONFIRMED, raised).when(at(m.ClearAttention(by=OPS, reason="command_parked"))).then(
        m.AttentionCleared(AT, "command_parked", OPS)
    ).and_again()


def test_a_refund_that_fails_needs_a_person_and_leaves_the_money_to_be_refunded_again() -> None:
    asked = order(*CONFIRMED).when(refund(350))
    failed = order(*CONFIRMED, *asked.decision.events).when(
        at(m.RecordRefundFailure(refund="rfd_x_1", code="charge_disputed"))
    )
    failed.then(
        m.RefundFailed(AT, "rfd_x_1", "charge_disputed"),
        m.AttentionRaised(AT, "refund_failed", "rfd_x_1: charge_disputed"),
    ).and_again()
    again = order(*CONFIRMED, *asked.decision.events, *failed.decision.events)
    again.when(refund(3499, id_="rfd_x_2")).then(
        m.RefundRequested(AT, "rfd_x_2", 3499, ((1, 2500), (2, 999)), (), "", ACME, "request")
    )


# --- hints from Stripe: only what is further on than the order -------------------------------------------------------


def hint(type_: str, **fields: Any) -> m.StripeHint:
    command: m.StripeHint = at(m.StripeHint(type=type_, **fields))
    return command


def test_a_hold_that_is_gone_ends_the_order() -> None:
    gone = hint("payment_intent.canceled", object="pi_1", status="canceled")
    order(*CONFIRMED[:3]).when(gone).then(
        m.PaymentVoided(AT, expired=True),
        m.OrderCancelled(AT, "capture_failed", "stripe", "the hold has expired", (1, 2)),
    ).and_again()
    for late in (CONFIRMED, CONFIRMED[:1], CONFIRMED[:6]):
        order(*late).when(gone).then()
    short = m.OrderCancelled(4, "out_of_stock", "dray", "", (1, 2))
    refused = m.AttentionRaised(5, "void_failed", "pi: payment_intent_unexpected_state")
    order(*CONFIRMED[:2], short, refused).when(gone).then(
        m.PaymentVoided(AT, expired=True), m.AttentionCleared(AT, "void_failed", "stripe")
    ).and_again()


def test_a_dispute_at_stripe_is_opened_once_and_a_lost_one_is_a_refund_that_needs_no_call() -> None:
    created = hint("charge.dispute.created", object="dp_1", amount=0, reason="fraudulent")
    dispute = inner_id("dsp", ORDER_ID, "stripe-1")
    opened = order(*CONFIRMED).when(created)
    opened.then(
        m.DisputeOpened(AT, dispute, "stripe", "fraudulent", 3499, ((1, 2500), (2, 999)), 0, "dp_1"),
        m.AttentionRaised(AT, "disputed", "dp_1"),
    ).and_again()
    closed = hint("charge.dispute.closed", object="dp_1", status="lost", amount=3499)
    lost = order(*CONFIRMED, *opened.decision.events).when(closed)
    lost.then(
        m.DisputeResolved(AT, dispute, "stripe", "upheld"),
        m.AttentionCleared(AT, "disputed", "stripe"),
        m.RefundRequested(AT, AUTO_REFUND, 3499, ((1, 2500), (2, 999)), (), "chargeback", "stripe", dispute),
        m.RefundSucceeded(AT, AUTO_REFUND, "dp_1", SHARES),
    ).and_again()
    won = order(*CONFIRMED, *opened.decision.events).when(changed(closed, status="won"))
    won.then(m.DisputeResolved(AT, dispute, "stripe", "rejected"), m.AttentionCleared(AT, "disputed", "stripe"))


def test_a_dispute_at_stripe_freezes_what_it_is_about() -> None:
    created = hint("charge.dispute.created", object="dp_1", amount=350, reason="fraudulent")
    dispute = inner_id("dsp", ORDER_ID, "stripe-1")
    order(*CONFIRMED).when(created).then(
        m.DisputeOpened(AT, dispute, "stripe", "fraudulent", 350, ((1, 250), (2, 100)), 0, "dp_1"),
        m.AttentionRaised(AT, "disputed", "dp_1"),
    ).and_again()
    refunded = m.RefundRequested(8, "rfd_1", 3200, ((1, 2300), (2, 900)), (), "", ACME, "request")
    order(*CONFIRMED, refunded).when(created).then(
        m.DisputeOpened(AT, dispute, "stripe", "fraudulent", 299, ((1, 200), (2, 99)), 0, "dp_1"),
        m.AttentionRaised(AT, "disputed", "dp_1"),
    )


def test_a_refund_elsewhere_does_not_hide_behind_a_partial_capture() -> None:
    silent = m.ConsignmentRejected(4, 2, "dray", "no", timeout=True)
    part = (changed(CONFIRMED[0], allow_partial=True), *CONFIRMED[1:3], silent)
    taken = (ACCEPTED_1, m.CaptureBegun(5, 2500), m.PaymentCaptured(6, "ch_1", 2500, (SHARES[0], ())))
    order(*part, *taken).when(hint("charge.refunded", object="ch_1", amount=10)).then(
        m.AttentionRaised(AT, "refunded_elsewhere", "10 refunded at Stripe, 0 known here")
    )


def test_what_somebody_refunded_elsewhere_needs_a_person() -> None:
    order(*CONFIRMED).when(hint("charge.refunded", object="ch_1", amount=10)).then(
        m.AttentionRaised(AT, "refunded_elsewhere", "10 refunded at Stripe, 0 known here")
    ).and_again()
    known = m.RefundRequested(8, "rfd_1", 10, ((1, 10),), (), "", ACME, "request")
    order(*CONFIRMED, known).when(hint("charge.refunded", object="ch_1", amount=10)).then()


def test_a_refund_that_bounces_needs_a_person() -> None:
    asked = order(*CONFIRMED).when(refund(350)).decision.events
    done = m.RefundSucceeded(9, "rfd_x_1", "re_1", (SHARES[0], SHARES[1]))
    order(*CONFIRMED, *asked, done).when(hint("refund.failed", object="re_1", status="failed")).then(
        m.AttentionRaised(AT, "refund_bounced", "rfd_x_1")
    ).and_again()
    order(*CONFIRMED).when(hint("refund.failed", object="re_9", status="failed")).then()


# --- corners ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        m.StartConsignment(by=NORTH, consignment=3),
        m.DispatchConsignment(by=NORTH, consignment=0),
        m.DeliverConsignment(by=NORTH, consignment=-1),
        m.AnswerCancellation(by=NORTH, consignment=3),
        m.RejectConsignment(by=NORTH, consignment=3),
        m.ApproveReturn(by=NORTH, return_id="ret_0"),
        m.RejectReturn(by=NORTH, return_id="ret_0"),
        m.ReceiveReturn(by=NORTH, return_id="ret_0"),
        m.AddEvidence(by=NORTH, dispute="dsp_0"),
        m.ResolveDispute(by=OPS, dispute="dsp_0"),
    ],
)
def test_what_the_order_does_not_have_is_not_found(command: Any) -> None:
    order(*CONFIRMED).when(command).then_rejected("not_found")


def test_everything_that_grows_has_a_bound() -> None:
    def many(of: Any, field: str, count: int) -> list[Any]:
        return [changed(of, **{field: f"x_{number}"}) for number in range(count)]

    returns = many(changed(REQUESTED, lines=()), "return_id", aftercare.RETURNS_MAX)
    order(*AWAY, *returns).when(RETURN).then_rejected("too_many_returns")
    disputes = many(changed(OPENED, amount=0, allocation=()), "dispute", aftercare.DISPUTES_MAX)
    order(*CONFIRMED, *disputes).when(OPEN).then_rejected("too_many_disputes")
    pieces = many(m.EvidenceAdded(9, "dsp_1", "", ACME, ""), "evidence", aftercare.EVIDENCE_MAX)
    more = m.AddEvidence(by=ACME, dispute="dsp_1", evidence="one more")
    order(*CONFIRMED, OPENED, *pieces).when(more).then_rejected("too_much_evidence")
    messages = many(m.MessagePosted(9, "", ACME, "ops", ""), "message", aftercare.MESSAGES_MAX)
    order(*CONFIRMED, *messages).when(m.PostMessage(by=ACME, message="one more")).then_rejected("too_many_messages")
    refunds = many(m.RefundRequested(9, "", 0, (), (), "", ACME, "request"), "refund", refunds_module.REFUNDS_MAX)
    order(*CONFIRMED, *refunds).when(refund(1)).then_rejected("too_many_refunds")


def test_evidence_is_not_added_to_a_resolved_dispute() -> None:
    done = m.DisputeResolved(10, "dsp_1", OPS, "withdrawn")
    order(*CONFIRMED, OPENED, done).when(m.AddEvidence(by=ACME, dispute="dsp_1", evidence="e")).then_rejected(
        "dispute_resolved"
    )


def test_a_return_is_received_only_once_it_is_approved() -> None:
    order(*AWAY, REQUESTED).when(m.ReceiveReturn(by=NORTH, return_id="ret_1")).then_rejected("return_requested")


def test_ops_may_settle_a_dispute_that_stripe_has_raised() -> None:
    stripe = changed(OPENED, source="dp_1", by="stripe")
    raised = m.AttentionRaised(9, "disputed", "dp_1")
    order(*CONFIRMED, stripe, raised).when(at(m.ResolveDispute(by=OPS, dispute="dsp_1", outcome="rejected"))).then(
        m.DisputeResolved(AT, "dsp_1", OPS, "rejected"), m.AttentionCleared(AT, "disputed", OPS)
    ).and_again()


def test_a_dispute_at_stripe_with_nothing_left_to_dispute_needs_a_person() -> None:
    whole = changed(OPENED, amount=3499, allocation=((1, 2500), (2, 999)))
    created = hint("charge.dispute.created", object="dp_9", reason="duplicate")
    order(*CONFIRMED, whole).when(created).then(m.AttentionRaised(AT, "dispute_unmatched", "dp_9")).and_again()


def test_lines_refund_no_more_than_remains_of_their_consignment() -> None:
    half = m.RefundRequested(8, "rfd_1", 2000, ((1, 2000),), (), "", ACME, "request")
    order(*CONFIRMED, half).when(refund(lines=(("1", 1),))).then_rejected("refund_exceeds_remaining")


def test_lines_that_cost_nothing_are_not_refunded() -> None:
    free = (changed(CONFIRMED[0], lines=(a_line("n1", 2, 1250), a_line("n2", 1, 0))), *CONFIRMED[1:4])
    taken = (m.CaptureBegun(5, 2500), m.PaymentCaptured(6, "ch_1", 2500, (SHARES[0],)))
    order(*free, *taken).when(refund(lines=(("2", 1),))).then_rejected("nothing_to_refund")


def test_what_the_customer_has_is_delivered() -> None:
    confirm = at(m.ConfirmDelivery(by=ACME))
    order(*AWAY).when(confirm).then(
        m.ConsignmentDelivered(AT, 1, ACME), m.ConsignmentDelivered(AT, 2, ACME)
    ).and_again()
    some = (*CONFIRMED, started(1), dispatched(1))
    order(*some).when(confirm).then(m.ConsignmentDelivered(AT, 1, ACME)).and_again()


def test_the_view_shows_returns_and_disputes() -> None:
    shown = view(order(*AWAY, REQUESTED, OPENED, m.EvidenceAdded(9, "dsp_1", "evd_1", NORTH, "...")).state)
    assert shown is not None
    (returned,), (dispute,) = shown["returns"], shown["disputes"]
    assert (returned["id"], returned["status"], returned["lines"]) == (
        "ret_1",
        "requested",
        [{"id": "1", "quantity": 1}],
    )
    assert (dispute["status"], dispute["amount"], dispute["source"]) == ("open", 350, None)
    assert [piece["by"] for piece in dispute["evidence"]] == [NORTH]
    assert shown["dispute_status"] == "open"
