"""After delivery: returns, disputes, messages, hints from Stripe, and calls for a person's attention."""

from __future__ import annotations

from models.decision import Rejected
from models.identity import inner_id
from models.order import messages as m
from models.order.draft import Draft, Verdict, check, foreign, unknown
from models.order.refunds import allocated, by_amount, record_refund, request_refund
from models.order.state import (
    Dispute,
    Order,
    Return,
    disputed,
    line,
    live,
    refundable,
    units_refunded,
    units_returning,
)
from models.order.tables import HEADLINE, allows, refused
from models.payment_split import allocate

RETURNS_MAX = 200  # per order
DISPUTES_MAX = 50  # per order
EVIDENCE_MAX = 100  # pieces per dispute
MESSAGES_MAX = 1000  # per order

OUTCOMES = ("upheld", "rejected", "withdrawn")


# --- returns ---------------------------------------------------------------------------------------------------------


def request_return(draft: Draft, command: m.RequestReturn) -> Verdict:
    order = draft.order
    if _return(draft, command.return_id):
        return None
    if len(order.returns) >= RETURNS_MAX:
        return Rejected("too_many_returns", f"an order has at most {RETURNS_MAX} returns")
    numbers = set()
    for line_id, quantity in command.lines:
        found = line(order, line_id)
        if found is None:
            return unknown("line", line_id)
        consignment = order.consignments[found.consignment - 1]
        if not allows("consignment", consignment.status, "return"):
            return refused("consignment", consignment.status, "return")
        left = 0 if found.number in consignment.dropped else found.quantity - units_returning(order, line_id)
        if not 1 <= quantity <= left:
            return Rejected("invalid_quantity", f"line {line_id} has {left} units left to return, not {quantity}")
        numbers.add(found.consignment)
    if len(numbers) != 1 or len(dict(command.lines)) != len(command.lines):
        return Rejected("invalid_return", "a return names each of its lines once, and all of them from one consignment")
    draft.add(m.ReturnRequested(draft.at, command.return_id, numbers.pop(), command.lines, command.reason, command.by))
    return None


def approve_return(draft: Draft, command: m.ApproveReturn) -> Verdict:
    found = _return(draft, command.return_id)
    if found is None:
        return unknown("return", command.return_id)
    if found.status == "approved":
        return None
    no = _may_answer(draft, found, command.by) or check("return", found.status, "approve")
    if not no:
        draft.add(m.ReturnApproved(draft.at, found.id, command.by))
    return no


def reject_return(draft: Draft, command: m.RejectReturn) -> Verdict:
    found = _return(draft, command.return_id)
    if found is None:
        return unknown("return", command.return_id)
    if found.status == "rejected":
        return None
    no = _may_answer(draft, found, command.by) or check("return", found.status, "reject")
    if not no:
        draft.add(m.ReturnRejected(draft.at, found.id, command.by, command.reason))
    return no


def receive_return(draft: Draft, command: m.ReceiveReturn) -> Verdict:
    """The goods are back. What of their price has not been refunded yet is refunded now."""
    found = _return(draft, command.return_id)
    if found is None:
        return unknown("return", command.return_id)
    if found.status in ("received", "refunded"):
        return None
    no = _may_answer(draft, found, command.by) or check("return", found.status, "receive")
    if no:
        return no
    draft.add(m.ReturnReceived(draft.at, found.id, command.by, command.restock))
    _refund_return(draft, found, command.by)
    return None


def _refund_return(draft: Draft, found: Return, by: str) -> None:
    order = draft.order
    lines = tuple(
        (line_id, min(quantity, ordered.quantity - units_refunded(order, line_id)))
        for line_id, quantity in found.lines
        if (ordered := line(order, line_id)) and ordered.quantity > units_refunded(order, line_id)
    )
    price = sum(quantity * order.lines[int(line_id) - 1].unit_amount for line_id, quantity in lines)
    amount = min(price, refundable(order, order.consignments[found.consignment - 1]))
    if amount > 0:
        refund_id = inner_id("rfd", order.id, f"auto-{len(order.refunds) + 1}")
        allocation = ((found.consignment, amount),)
        request_refund(draft, refund_id, allocation, cause=found.id, by=by, reason=found.reason, lines=lines)


def _return(draft: Draft, return_id: str) -> Return | None:
    return next((found for found in draft.order.returns if found.id == return_id), None)


def _may_answer(draft: Draft, found: Return, by: str) -> Rejected | None:
    return foreign(by, draft.order.consignments[found.consignment - 1])


# --- disputes --------------------------------------------------------------------------------------------------------


def open_dispute(draft: Draft, command: m.OpenDispute) -> Verdict:
    if _dispute(draft, command.dispute):
        return None
    return _open(draft, command, source="")


def _open(draft: Draft, command: m.OpenDispute, source: str) -> Verdict:
    """Freeze `amount`, or all that is neither refunded nor disputed yet."""
    order = draft.order
    if order.payment.status != "captured":
        return Rejected(f"payment_{order.payment.status}", "only what has been captured can be disputed")
    if len(order.disputes) >= DISPUTES_MAX:
        return Rejected("too_many_disputes", f"an order has at most {DISPUTES_MAX} disputes")
    remaining = _disputable(order)
    amount = command.amount or sum(remaining)
    if not 0 < amount <= sum(remaining):
        return Rejected("dispute_exceeds_remaining", f"{sum(remaining)} remains to be disputed, not {amount}")
    parts = allocate(amount, remaining)
    allocation = tuple((c.number, part) for c, part in zip(order.consignments, parts, strict=True) if part)
    draft.add(
        m.DisputeOpened(
            at=draft.at,
            dispute=command.dispute,
            by=command.by,
            reason=command.reason,
            amount=amount,
            allocation=allocation,
            evidence_due_at=command.evidence_due_at,
            source=source,
        )
    )
    return None


def _disputable(order: Order) -> list[int]:
    """What is neither refunded nor disputed yet, by consignment."""
    return [max(0, refundable(order, c) - disputed(order, c.number)) for c in order.consignments]


def add_evidence(draft: Draft, command: m.AddEvidence) -> Verdict:
    dispute = _dispute(draft, command.dispute)
    if dispute is None:
        return unknown("dispute", command.dispute)
    if any(piece.id == command.evidence for piece in dispute.evidence):
        return None
    no = check("dispute", dispute.status, "add_evidence")
    if no:
        return no
    if dispute.evidence_due_at and draft.at > dispute.evidence_due_at and not command.by.startswith("ops:"):
        return Rejected("evidence_too_late", "the deadline for evidence has passed")
    if len(dispute.evidence) >= EVIDENCE_MAX:
        return Rejected("too_much_evidence", f"a dispute has at most {EVIDENCE_MAX} pieces of evidence")
    draft.add(m.EvidenceAdded(draft.at, dispute.id, command.evidence, command.by, command.sealed))
    return None


def resolve_dispute(draft: Draft, command: m.ResolveDispute) -> Verdict:
    dispute = _dispute(draft, command.dispute)
    if dispute is None:
        return unknown("dispute", command.dispute)
    if dispute.status == "resolved" and dispute.outcome == command.outcome:
        return None
    no = check("dispute", dispute.status, "resolve")
    if no:
        return no
    if command.outcome not in OUTCOMES:
        return Rejected("invalid_outcome", f"an outcome is one of {', '.join(OUTCOMES)}")
    if command.refund_amount and command.outcome != "upheld":
        return Rejected("invalid_outcome", "only a dispute that is upheld refunds anything")
    allocation = allocated(draft.order, command.refund_amount, ()) if command.refund_amount else ()
    if isinstance(allocation, Rejected):
        return allocation
    draft.add(m.DisputeResolved(draft.at, dispute.id, command.by, command.outcome))
    if dispute.source:
        clear_attention(draft, m.ClearAttention(reason="disputed", by=command.by))
    if allocation:
        request_refund(draft, command.refund, allocation, cause=dispute.id, by=command.by, reason=dispute.reason)
    return None


def _dispute(draft: Draft, dispute_id: str) -> Dispute | None:
    return next((dispute for dispute in draft.order.disputes if dispute.id == dispute_id), None)


# --- messages and attention ------------------------------------------------------------------------------------------


def post_message(draft: Draft, command: m.PostMessage) -> Verdict:
    order = draft.order
    if any(message.id == command.message for message in order.messages):
        return None
    if len(order.messages) >= MESSAGES_MAX:
        return Rejected("too_many_messages", f"an order has at most {MESSAGES_MAX} messages")
    draft.add(m.MessagePosted(draft.at, command.message, command.by, command.to, command.sealed))
    return None


def raise_attention(draft: Draft, command: m.RaiseAttention) -> Verdict:
    if (command.reason, command.detail) not in draft.order.attention:
        draft.add(m.AttentionRaised(draft.at, command.reason, command.detail))
    return None


def clear_attention(draft: Draft, command: m.ClearAttention) -> Verdict:
    if any(reason == command.reason for reason, _ in draft.order.attention):
        draft.add(m.AttentionCleared(draft.at, command.reason, command.by or "dray"))
    return None


# --- hints from Stripe -----------------------------------------------------------------------------------------------


def hint(draft: Draft, command: m.StripeHint) -> Verdict:
    """Apply what is further on than the order; anything else only makes the orchestrator look at what is under way."""
    if command.type == "payment_intent.canceled":
        _hold_expired(draft)
    elif command.type == "charge.dispute.created":
        _disputed_at_stripe(draft, command)
    elif command.type == "charge.dispute.closed":
        _dispute_closed_at_stripe(draft, command)
    elif command.type == "charge.refunded":
        _refunded_elsewhere(draft, command)
    elif command.status == "failed":
        _refund_bounced(draft, command)
    return None


def _hold_expired(draft: Draft) -> None:
    """The hold is gone, whoever saw to it. A capture that is under way answers for itself."""
    if not allows("payment", draft.order.payment.status, "expire"):
        return
    draft.add(m.PaymentVoided(draft.at, expired=True))
    clear_attention(draft, m.ClearAttention(reason="void_failed", by="stripe"))
    ending = tuple(c.number for c in live(draft.order) if HEADLINE[c.status].headline == "payment_authorised")
    if ending:
        draft.add(m.OrderCancelled(draft.at, "capture_failed", "stripe", "the hold has expired", ending))


def _disputed_at_stripe(draft: Draft, command: m.StripeHint) -> None:
    """What the customer's bank disputes is frozen, as far as it has not been refunded meanwhile."""
    order = draft.order
    if any(dispute.source == command.object for dispute in order.disputes):
        return
    opening = m.OpenDispute(
        by="stripe",
        dispute=inner_id("dsp", order.id, f"stripe-{len(order.disputes) + 1}"),
        reason=command.reason,
        amount=min(command.amount, sum(_disputable(order))),
        evidence_due_at=command.evidence_due_at,
    )
    if isinstance(_open(draft, opening, command.object), Rejected):
        raise_attention(draft, m.RaiseAttention(reason="dispute_unmatched", detail=command.object))
        return
    draft.add(m.AttentionRaised(draft.at, "disputed", command.object))


def _dispute_closed_at_stripe(draft: Draft, command: m.StripeHint) -> None:
    """A lost dispute has taken the money back already: it is recorded as a refund that needs no call."""
    order = draft.order
    dispute = next((d for d in order.disputes if d.source == command.object), None)
    if dispute is None or dispute.status != "open":
        return
    lost = command.status == "lost"
    draft.add(m.DisputeResolved(draft.at, dispute.id, "stripe", "upheld" if lost else "rejected"))
    clear_attention(draft, m.ClearAttention(reason="disputed", by="stripe"))
    remaining = sum(refundable(draft.order, consignment) for consignment in draft.order.consignments)
    allocation = by_amount(draft.order, min(command.amount or dispute.amount, remaining))
    if lost and allocation and not isinstance(allocation, Rejected):
        refund_id = inner_id("rfd", order.id, f"auto-{len(order.refunds) + 1}")
        request_refund(draft, refund_id, allocation, cause=dispute.id, by="stripe", reason="chargeback")
        record_refund(draft, m.RecordRefund(refund=refund_id, id=command.object))


def _refund_bounced(draft: Draft, command: m.StripeHint) -> None:
    """A refund that Stripe had taken on did not reach the customer (https://docs.stripe.com/refunds#failed-refunds)."""
    bounced = next((refund for refund in draft.order.refunds if refund.stripe_id == command.object), None)
    if bounced is not None:
        raise_attention(draft, m.RaiseAttention(reason="refund_bounced", detail=bounced.id))


def _refunded_elsewhere(draft: Draft, command: m.StripeHint) -> None:
    """`amount` is all that the customer has ever got back of the charge. More than Dray knows of is a person's
    business."""
    order = draft.order
    known = sum(refund.amount for refund in order.refunds if refund.status != "failed")
    if command.amount > known:
        detail = f"{command.amount} refunded at Stripe, {known} known here"
        raise_attention(draft, m.RaiseAttention(reason="refunded_elsewhere", detail=detail))
