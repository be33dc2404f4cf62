"""What refunds an order allows, and who gives how much of them back."""

from __future__ import annotations

import pytest

from models.decision import Accepted
from models.order import messages as m
from models.order.decide import decide
from models.order.view import view
from models.record import changed
from tests.models.order_world import a_line
from tests.models.orders import (
    ACCEPTED_1,
    ACME,
    AT,
    AUTHORISED,
    CONFIRMED,
    OFFERED,
    RESERVED,
    SHARES,
    at,
    order,
    placed,
    refund,
)


def test_an_amount_is_allocated_in_proportion_to_what_remains() -> None:
    order(*CONFIRMED).when(refund(350)).then(
        m.RefundRequested(AT, "rfd_x_1", 350, ((1, 250), (2, 100)), (), "", ACME, "request")
    ).and_again()


def test_lines_are_allocated_to_their_own_consignments() -> None:
    order(*CONFIRMED).when(refund(lines=(("1", 1),))).then(
        m.RefundRequested(AT, "rfd_x_1", 1250, ((1, 1250),), (("1", 1),), "", ACME, "request")
    ).and_again()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (refund(3500), "refund_exceeds_remaining"),
        (refund(-1), "invalid_refund"),
        (refund(), "invalid_refund"),
        (refund(1, (("1", 1),)), "invalid_refund"),
        (refund(lines=(("1", 3),)), "invalid_quantity"),
        (refund(lines=(("1", 2), ("1", 1))), "invalid_quantity"),
        (refund(lines=(("9", 1),)), "not_found"),
        (refund(lines=(("x", 1),)), "not_found"),
    ],
)
def test_no_more_is_refunded_than_was_captured(command: m.RefundOrder, code: str) -> None:
    order(*CONFIRMED).when(command).then_rejected(code)
    preview = m.PreviewRefund(by=ACME, amount=command.amount, lines=command.lines)
    order(*CONFIRMED).when(preview).then_rejected(code)


def test_refunds_under_way_count() -> None:
    first = m.RefundRequested(7, "rfd_x_0", 3000, ((1, 2143), (2, 857)), (), "", ACME, "request")
    order(*CONFIRMED, first).when(refund(500)).then_rejected("refund_exceeds_remaining")
    order(*CONFIRMED, first, m.RefundFailed(8, "rfd_x_0", "x")).when(refund(500)).then(
        m.RefundRequested(AT, "rfd_x_1", 500, ((1, 357), (2, 143)), (), "", ACME, "request")
    )


def test_nothing_is_refunded_before_it_is_captured() -> None:
    order(*OFFERED).when(refund(1)).then_rejected("payment_authorised")


def test_a_preview_says_what_a_refund_then_does() -> None:
    decision = order(*CONFIRMED).when(at(m.PreviewRefund(by=ACME, amount=350))).then().decision
    assert isinstance(decision, Accepted)
    requested = order(*CONFIRMED).when(refund(350)).state
    returned = decide(requested, at(m.RecordRefund(refund="rfd_x_1", id="re_1")))
    assert isinstance(returned, Accepted)
    (event,) = returned.events
    assert isinstance(event, m.RefundSucceeded)
    previewed = tuple(tuple(split["amount"] for split in c["splits"]) for c in decision.reply["consignments"])
    assert event.returned == previewed
    assert decision.reply["amount"] == 350


def test_the_parties_give_back_by_the_rule_of_the_design() -> None:
    third = changed(a_line("n1", 1, 14), split=(4286, 4286, 1428))  # shares 6, 6, 2 and nothing for the platform
    shares = ((6, 6, 2, 0),)
    captured = (placed(third), AUTHORISED, RESERVED, ACCEPTED_1, m.CaptureBegun(5, 14))
    taken = (
        order(*captured).when(at(m.RecordCapture(charge="ch_1"))).then(m.PaymentCaptured(AT, "ch_1", 14, shares)).state
    )
    back = []
    for number, amount in enumerate((10, 1)):
        asked = decide(taken, refund(amount, id_=f"rfd_x_{number}"))
        assert isinstance(asked, Accepted)
        done = decide(asked.state, at(m.RecordRefund(refund=f"rfd_x_{number}", id="re")))
        assert isinstance(done, Accepted)
        taken = done.state
        back.append(taken.consignments[0].returned)
    assert [sum(t) for t in back] == [10, 11]
    assert all(old <= new for old, new in zip(*back, strict=True))


def test_the_whole_sum_back_makes_the_order_refunded_and_part_of_it_does_not() -> None:
    part = (m.RefundRequested(7, "rfd_1", 999, ((2, 999),), (), "", ACME, "request"),)
    part_done = m.RefundSucceeded(8, "rfd_1", "re_1", ((0, 0, 0, 0), SHARES[1]))
    rest = (m.RefundRequested(9, "rfd_2", 2500, ((1, 2500),), (), "", ACME, "request"),)
    rest_done = m.RefundSucceeded(10, "rfd_2", "re_2", SHARES)
    shown = [view(order(*CONFIRMED, *events).state) for events in (part, (*part, part_done))]
    assert [(s["status"], s["refund_status"]) for s in shown if s] == [("confirmed", "none"), ("confirmed", "partial")]
    whole = view(order(*CONFIRMED, *part, part_done, *rest, rest_done).state)
    assert whole is not None
    assert (whole["status"], whole["refund_status"]) == ("refunded", "full")
    assert "refund" not in whole["allowed_actions"]
