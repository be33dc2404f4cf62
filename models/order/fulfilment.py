"""From confirmed to delivered, and every way to cancel on the road."""

from __future__ import annotations

from models.decision import Rejected
from models.money import basis_points
from models.order import messages as m
from models.order.draft import Draft, Verdict, check, foreign, unknown
from models.order.refunds import refund_what_was_cancelled
from models.order.state import Consignment, live, refundable
from models.order.tables import HEADLINE, allows, refused


def start(draft: Draft, command: m.StartConsignment) -> Verdict:
    consignment = draft.consignment(command.consignment)
    if consignment is None:
        return unknown("consignment", command.consignment)
    if consignment.status == "in_production":
        return None
    no = foreign(command.by, consignment) or check("consignment", consignment.status, "start")
    if not no:
        draft.add(m.ConsignmentStarted(draft.at, consignment.number, command.by))
    return no


def dispatch(draft: Draft, command: m.DispatchConsignment) -> Verdict:
    consignment = draft.consignment(command.consignment)
    if consignment is None:
        return unknown("consignment", command.consignment)
    if consignment.status == "dispatched" and consignment.tracking == command.tracking:
        return None
    no = foreign(command.by, consignment) or check("consignment", consignment.status, "dispatch")
    if not no:
        draft.add(m.ConsignmentDispatched(draft.at, consignment.number, command.by, command.tracking))
    return no


def deliver(draft: Draft, command: m.DeliverConsignment) -> Verdict:
    consignment = draft.consignment(command.consignment)
    if consignment is None:
        return unknown("consignment", command.consignment)
    if consignment.status == "delivered":
        return None
    no = foreign(command.by, consignment) or check("consignment", consignment.status, "deliver")
    if not no:
        draft.add(m.ConsignmentDelivered(draft.at, consignment.number, command.by))
    return no


def confirm_delivery(draft: Draft, command: m.ConfirmDelivery) -> Verdict:
    """Everything that is on its way has arrived."""
    on_their_way = [c for c in draft.order.consignments if allows("consignment", c.status, "deliver")]
    if not on_their_way:
        if any(consignment.status == "delivered" for consignment in draft.order.consignments):
            return None
        return _no_one(draft, "deliver")
    for consignment in on_their_way:
        draft.add(m.ConsignmentDelivered(draft.at, consignment.number, command.by))
    return None


def _no_one(draft: Draft, event: str) -> Rejected:
    """The no when none of the consignments allows `event`: that of the least advanced live one."""
    statuses = [consignment.status for consignment in live(draft.order)]
    status = min(statuses, key=lambda status: HEADLINE[status].rank, default=draft.order.consignments[0].status)
    return refused("consignment", status, event)


# --- cancelling ------------------------------------------------------------------------------------------------------


def cancel(draft: Draft, command: m.CancelOrder) -> Verdict:
    """Cancel at once what has not begun, and ask the suppliers of what has. What is dispatched can only be returned.

    While an authorisation or a capture is under way the payment stays as it is, and is voided or refunded, one of the
    two, once its outcome is known.
    """
    order = draft.order
    reason = "operator_request" if command.by.startswith("ops:") else "customer_request"
    at_once = tuple(c.number for c in order.consignments if allows("consignment", c.status, "cancel"))
    to_ask = [c.number for c in order.consignments if allows("consignment", c.status, "request_cancellation")]
    if not at_once and not to_ask:
        asked_before = any(consignment.status == "cancellation_requested" for consignment in order.consignments)
        if asked_before or order.cancel_reason == reason:
            return None
        return _no_one(draft, "cancel")
    if at_once:
        draft.add(m.OrderCancelled(draft.at, reason, command.by, command.reason, at_once))
        refund_what_was_cancelled(draft)
    for number in to_ask:
        draft.add(m.CancellationRequested(draft.at, number, reason, command.by, command.reason))
    return None


def answer_cancellation(draft: Draft, command: m.AnswerCancellation) -> Verdict:
    consignment = draft.consignment(command.consignment)
    if consignment is None:
        return unknown("consignment", command.consignment)
    if _answered_alike(consignment, command.accept):
        return None
    event = "accept_cancellation" if command.accept else "refuse_cancellation"
    no = foreign(command.by, consignment) or check("consignment", consignment.status, event)
    if no:
        return no
    fee = basis_points(refundable(draft.order, consignment), consignment.fee_bps) if command.accept else 0
    reason = consignment.ended
    draft.add(m.CancellationAnswered(draft.at, consignment.number, command.by, command.accept, fee))
    if command.accept:
        if not live(draft.order):
            draft.add(m.OrderCancelled(draft.at, reason, command.by, "", ()))
        refund_what_was_cancelled(draft)
    return None


def _answered_alike(consignment: Consignment, accept: bool) -> bool:
    """The same answer has been given before: a repeat, not a contradiction."""
    if accept:
        return consignment.status == "cancelled"
    return consignment.cancellation_refused and consignment.status == "in_production"
