"""Money that goes back: allocated to consignments first, so that one supplier never pays for another's line, then to
each consignment's parties by the rule of `models.payment_split.returned`."""

from __future__ import annotations

from typing import Any

from models.decision import Rejected
from models.identity import inner_id
from models.order import messages as m
from models.order.draft import Draft, Verdict, check, unknown
from models.order.state import (
    Order,
    consignment_id,
    line,
    refundable,
    under_way,
    units_refunded,
)
from models.payment_split import allocate, returned

REFUNDS_MAX = 200  # per order


def refund(draft: Draft, command: m.RefundOrder) -> Verdict:
    if any(existing.id == command.refund for existing in draft.order.refunds):
        return None
    if len(draft.order.refunds) >= REFUNDS_MAX:
        return Rejected("too_many_refunds", f"an order has at most {REFUNDS_MAX} refunds")
    allocation = allocated(draft.order, command.amount, command.lines)
    if isinstance(allocation, Rejected):
        return allocation
    request_refund(
        draft,
        command.refund,
        allocation,
        cause="request",
        by=command.by,
        reason=command.reason,
        lines=command.lines,
    )
    return None


def preview(draft: Draft, command: m.PreviewRefund) -> Verdict:
    """What each party would give back, if the refund were asked for now and all refunds under way succeeded before."""
    allocation = allocated(draft.order, command.amount, command.lines)
    if isinstance(allocation, Rejected):
        return allocation
    return {
        "amount": sum(part for _, part in allocation),
        "currency": draft.order.currency,
        "consignments": [_preview(draft.order, number, part) for number, part in allocation],
    }


def _preview(order: Order, number: int, part: int) -> dict[str, Any]:
    consignment = order.consignments[number - 1]
    before = consignment.refunded + under_way(order, number)
    then, now = returned(consignment.shares, before + part), returned(consignment.shares, before)
    return {
        "id": consignment_id(order, number),
        "amount": part,
        "splits": [
            {"party": party.role, "name": party.name, "account": party.account or None, "amount": t - n}
            for party, t, n in zip(consignment.parties, then, now, strict=True)
        ],
    }


def allocated(order: Order, amount: int, lines: m.Quantities) -> m.Allocation | Rejected:
    """Where a refund of `amount`, or of `lines`, goes: pairs of consignment and part, never more than remains."""
    if order.payment.status != "captured":
        return Rejected(f"payment_{order.payment.status}", "only what has been captured can be refunded")
    if bool(amount) == bool(lines):
        return Rejected("invalid_refund", "a refund is of an amount or of lines: exactly one of the two")
    return _by_lines(order, lines) if lines else by_amount(order, amount)


def by_amount(order: Order, amount: int) -> m.Allocation | Rejected:
    """In proportion to what remains of each consignment."""
    remaining = [refundable(order, consignment) for consignment in order.consignments]
    if amount < 0:
        return Rejected("invalid_refund", "an amount is at least 1")
    if amount > sum(remaining):
        return _too_much(amount, sum(remaining))
    parts = allocate(amount, remaining)
    return tuple((c.number, part) for c, part in zip(order.consignments, parts, strict=True) if part)


def _by_lines(order: Order, lines: m.Quantities) -> m.Allocation | Rejected:
    """Exactly to the consignments of the lines."""
    units: dict[str, int] = {}
    for line_id, quantity in lines:
        units[line_id] = units.get(line_id, 0) + quantity
    parts: dict[int, int] = {}
    for line_id, quantity in units.items():
        found = line(order, line_id)
        if found is None:
            return unknown("line", line_id)
        consignment = order.consignments[found.consignment - 1]
        left = 0 if found.number in consignment.dropped else found.quantity - units_refunded(order, line_id)
        if not 1 <= quantity <= left:
            return Rejected("invalid_quantity", f"line {line_id} has {left} units left to refund, not {quantity}")
        parts[found.consignment] = parts.get(found.consignment, 0) + quantity * found.unit_amount
    for number, part in parts.items():
        remaining = refundable(order, order.consignments[number - 1])
        if part > remaining:
            return _too_much(part, remaining)
    if not any(parts.values()):
        return Rejected("nothing_to_refund", "these lines cost nothing")
    return tuple((number, part) for number, part in sorted(parts.items()) if part)


def _too_much(amount: int, remaining: int) -> Rejected:
    return Rejected(
        "refund_exceeds_remaining", f"{amount} is more than the {remaining} that were captured and not refunded yet"
    )


def request_refund(
    draft: Draft,
    refund_id: str,
    allocation: m.Allocation,
    *,
    cause: str,
    by: str,
    reason: str = "",
    lines: m.Quantities = (),
) -> None:
    amount = sum(part for _, part in allocation)
    draft.add(m.RefundRequested(draft.at, refund_id, amount, allocation, lines, reason, by, cause))


def refund_what_was_cancelled(draft: Draft) -> None:
    """Refund all that was captured for cancelled consignments, less what their suppliers' policies keep. Nothing
    happens before the capture: then there is a hold to void, and it is released with the last live consignment."""
    order = draft.order
    if order.payment.status != "captured":
        return
    owed = [
        (c.number, refundable(order, c) - c.fee) for c in order.consignments if c.status == "cancelled" and c.captured
    ]
    allocation = tuple((number, part) for number, part in owed if part > 0)
    if allocation:
        refund_id = inner_id("rfd", order.id, f"auto-{len(order.refunds) + 1}")
        request_refund(draft, refund_id, allocation, cause="cancellation", by="dray", reason="cancelled")


# --- what the orchestrator has learnt --------------------------------------------------------------------------------


def record_refund(draft: Draft, command: m.RecordRefund) -> None:
    found = next((r for r in draft.order.refunds if r.id == command.refund), None)
    if found is None or check("refund", found.status, "succeed"):
        return
    parts = dict(found.allocation)
    back = tuple(returned(c.shares, c.refunded + parts.get(c.number, 0)) for c in draft.order.consignments)
    draft.add(m.RefundSucceeded(draft.at, found.id, command.id, back))


def record_refund_failure(draft: Draft, command: m.RecordRefundFailure) -> None:
    found = next((r for r in draft.order.refunds if r.id == command.refund), None)
    if found is None or check("refund", found.status, "fail"):
        return
    draft.add(m.RefundFailed(draft.at, found.id, command.code))
    draft.add(m.AttentionRaised(draft.at, "refund_failed", f"{found.id}: {command.code}"))
    if found.cause == "request":
        refund_what_was_cancelled(draft)  # a cancellation had left to this refund what it was to give back


def record_transfers(draft: Draft, command: m.RecordTransfers) -> None:
    known = {transfer.id for consignment in draft.order.consignments for transfer in consignment.transfers}
    new = tuple([made for made in command.made if made.id not in known])
    if new:
        draft.add(m.SharesTransferred(draft.at, new))


def record_reversal(draft: Draft, command: m.RecordReversal) -> None:
    if command.code:
        _record_debt(draft, command)
        return
    draft.add(m.ShareReversed(draft.at, command.consignment, command.party, command.transfer, command.amount))
    in_debt = any(any(consignment.debts) for consignment in draft.order.consignments)
    if not in_debt and any(reason == "debt" for reason, _ in draft.order.attention):
        draft.add(m.AttentionCleared(draft.at, "debt", "dray"))


def _record_debt(draft: Draft, command: m.RecordReversal) -> None:
    """The reversal was refused. When a debt was tried again, there is nothing new to record."""
    consignment = draft.order.consignments[command.consignment - 1]
    known = consignment.debts[command.party]
    newly = min(command.amount, consignment.overpaid(command.party) - known)
    if newly > 0:
        debtor = consignment.parties[command.party]
        draft.add(m.DebtRecorded(draft.at, command.consignment, command.party, newly, command.code))
        draft.add(m.AttentionRaised(draft.at, "debt", f"{debtor.role} {debtor.name} owes {known + newly}"))
