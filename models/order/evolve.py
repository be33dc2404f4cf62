"""How events make the order what it is. `evolve` never fails, judges or explains: what was decided has happened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from models.decision import Event
from models.order import messages as m
from models.order.state import (
    PLATFORM,
    Consignment,
    Dispute,
    Evidence,
    Line,
    Message,
    Order,
    PaidOut,
    Party,
    Payment,
    Refund,
    Return,
    task_status,
)
from models.order.tables import CONSIGNMENT, DISPUTE, PAYMENT, REFUND, RETURN
from models.record import changed

Fields = dict[str, Any]
"""The fields of an Order that an event changes."""

Fold = Callable[[Order, Any], Fields]
Detail = Callable[[Any], str]

_FOLDS: dict[type[Event], tuple[Fold, str, str, Detail | None]] = {}


def evolve(order: Order, event: Any) -> Order:
    """The order after `event`. Raises KeyError for an event that is none of the order's: a bug, never a stored fact."""
    fold, word, actor, detail = _FOLDS[type(event)]
    fields = fold(order, event)
    fields["updated_at"] = event.at
    fields["timeline"] = (*order.timeline, (event.at, word, actor or event.by, detail(event) if detail else ""))
    return changed(order, **fields)


def _folds(event: type[Event], word: str, actor: str = "", detail: Detail | None = None) -> Callable[[Fold], Fold]:
    """Register the fold of `event`, with its word, actor (empty: the event's `by`) and detail in the timeline."""

    def register(fold: Fold) -> Fold:
        _FOLDS[event] = (fold, word, actor, detail)
        return fold

    return register


# --- placing and paying ----------------------------------------------------------------------------------------------


_COPIED = "retailer currency payment_method allow_partial metadata sealed email_digest search_digests".split()


@_folds(m.OrderPlaced, "placed")
def _placed(_order: Order, event: m.OrderPlaced) -> Fields:
    suppliers = list(dict.fromkeys([terms.supplier for terms in event.lines]))
    lines = tuple([_line(n, suppliers.index(terms.supplier) + 1, terms) for n, terms in enumerate(event.lines, 1)])
    amount = sum([line.amount for line in lines])
    fields = {name: getattr(event, name) for name in _COPIED}
    fields["id"] = event.order
    fields["amount"] = amount
    fields["created_at"] = event.at
    fields["lines"] = lines
    fields["consignments"] = tuple([_consignment(n, name, lines, event) for n, name in enumerate(suppliers, 1)])
    fields["payment"] = Payment(status="pending" if amount else "not_required")
    return fields


def _line(number: int, consignment: int, terms: m.LineTerms) -> Line:
    return Line(
        number, consignment, terms.product, terms.sku, terms.quantity, terms.unit_amount, terms.brand, terms.split
    )  # fmt: skip


def _consignment(number: int, supplier: str, lines: tuple[Line, ...], event: m.OrderPlaced) -> Consignment:
    own = [line for line in lines if line.consignment == number]
    units: dict[str, int] = {}
    for line in own:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    accounts = event.accounts
    parties = [_party("brand", brand, accounts) for brand in dict.fromkeys([line.brand for line in own])]
    parties += [_party("supplier", supplier, accounts), _party("retailer", event.retailer, accounts)]
    parties.append(_party(PLATFORM, PLATFORM, accounts))
    return Consignment(
        number=number,
        supplier=supplier,
        lines=tuple([line.number for line in own]),
        units=units,
        parties=tuple(parties),
        fee_bps=event.fees_bps.get(supplier, 0),
    )


def _party(role: str, name: str, accounts: dict[str, str]) -> Party:
    return Party(role, name, accounts.get(f"{role}:{name}", ""))


@_folds(m.PaymentAuthorised, "payment_authorised", actor="stripe")
def _authorised(order: Order, event: m.PaymentAuthorised) -> Fields:
    payment = _paying(order, "authorise", payment_intent=event.payment_intent, capture_before=event.capture_before)
    return {"payment": _released_if_ended(payment, order.consignments)}


@_folds(m.PaymentDeclined, "payment_declined", actor="stripe", detail=lambda e: e.code)
def _declined(order: Order, event: m.PaymentDeclined) -> Fields:
    learnt = {"decline_code": event.code, "payment_intent": event.payment_intent, "unsure": event.unsure}
    return {"payment": _paying(order, "give_up" if event.unsure else "decline", **learnt)}


@_folds(m.CaptureBegun, "capturing", actor="dray")
def _capturing(order: Order, event: m.CaptureBegun) -> Fields:
    return {
        "payment": _paying(order, "begin_capture", amount=event.amount),
        "consignments": tuple([changed(c, taking=c.status == "accepted") for c in order.consignments]),
    }


@_folds(m.PaymentCaptured, "captured", actor="stripe")
def _captured(order: Order, event: m.PaymentCaptured) -> Fields:
    return {
        "payment": _paying(order, "capture", charge=event.charge, amount=event.amount),
        "consignments": tuple([_taken(c, shares) for c, shares in zip(order.consignments, event.shares, strict=True)]),
    }


def _taken(consignment: Consignment, shares: m.Amounts) -> Consignment:
    if not consignment.taking:
        return consignment
    nothing = (0,) * len(shares)
    return changed(
        consignment,
        status=CONSIGNMENT[consignment.status].get("confirm", consignment.status),
        taking=False,
        captured=sum(shares),
        shares=shares,
        returned=nothing,
        paid=nothing,
        debts=nothing,
    )


@_folds(m.CaptureFailed, "capture_failed", actor="stripe", detail=lambda e: e.code)
def _capture_failed(order: Order, event: m.CaptureFailed) -> Fields:
    payment = _paying(order, "fail_capture", decline_code=event.code)
    return {"payment": payment, "consignments": tuple(changed(c, taking=False) for c in order.consignments)}


@_folds(m.NothingDue, "nothing_due", actor="dray")
def _nothing_due(order: Order, _event: m.NothingDue) -> Fields:
    return {"payment": _released(order.payment), "consignments": _all(order, "confirm")}


@_folds(m.PaymentVoided, "payment_voided", actor="stripe", detail=lambda e: "expired" if e.expired else "")
def _voided(order: Order, event: m.PaymentVoided) -> Fields:
    return {"payment": _paying(order, "expire" if event.expired else "void")}


def _paying(order: Order, event: str, **fields: Any) -> Payment:
    return changed(order.payment, status=PAYMENT[order.payment.status][event], **fields)


def _released(payment: Payment) -> Payment:
    """The payment once nothing of its hold is wanted. One that is under way is resolved on its outcome."""
    return changed(payment, status=PAYMENT[payment.status].get("release", payment.status))


def _released_if_ended(payment: Payment, consignments: tuple[Consignment, ...]) -> Payment:
    return payment if any(c.live for c in consignments) else _released(payment)


# --- consignments ----------------------------------------------------------------------------------------------------


def _one(order: Order, number: int, **fields: Any) -> tuple[Consignment, ...]:
    """The consignments with `fields` of one of them replaced."""
    own = order.consignments
    return (*own[: number - 1], changed(own[number - 1], **fields), *own[number:])


def _all(order: Order, event: str) -> tuple[Consignment, ...]:
    """The consignments, moved by `event` where it is in their row; the others have ended before."""
    return tuple([changed(c, status=CONSIGNMENT[c.status].get(event, c.status)) for c in order.consignments])


def _moved(order: Order, number: int, event: str, **fields: Any) -> Fields:
    """One consignment moved by `event` of its table."""
    status = CONSIGNMENT[order.consignments[number - 1].status][event]
    return {"consignments": _one(order, number, status=status, **fields)}


@_folds(m.StockReserved, "stock_reserved", actor="dray")
def _reserved(order: Order, _event: m.StockReserved) -> Fields:
    return {"consignments": _all(order, "offer")}


@_folds(m.StockShort, "out_of_stock", actor="dray", detail=lambda e: e.sku)
def _short(_order: Order, _event: m.StockShort) -> Fields:
    return {}


@_folds(m.ConsignmentOffered, "offered", actor="dray", detail=lambda e: f"consignment {e.consignment}")
def _offered(order: Order, event: m.ConsignmentOffered) -> Fields:
    return {"consignments": _one(order, event.consignment, accept_by=event.accept_by)}


@_folds(m.ConsignmentAccepted, "accepted", detail=lambda e: f"consignment {e.consignment}")
def _accepted(order: Order, event: m.ConsignmentAccepted) -> Fields:
    return _moved(order, event.consignment, "accept", dropped=event.dropped)


@_folds(m.ConsignmentRejected, "rejected", detail=lambda e: f"consignment {e.consignment}: {e.reason}")
def _rejected(order: Order, event: m.ConsignmentRejected) -> Fields:
    ended = "supplier_timeout" if event.timeout else "supplier_rejected"
    return _moved(order, event.consignment, "reject", ended=ended)


@_folds(m.OrderCancelled, "cancelled", detail=lambda e: f"{e.reason}: {e.note}" if e.note else e.reason)
def _cancelled(order: Order, event: m.OrderCancelled) -> Fields:
    consignments = tuple(
        changed(c, status=CONSIGNMENT[c.status]["cancel"], ended=event.reason, unasked=task_status(c) is None)
        if c.number in event.consignments
        else c
        for c in order.consignments
    )
    return {
        "consignments": consignments,
        "payment": _released_if_ended(order.payment, consignments),
        "cancel_reason": "" if any(c.live for c in consignments) else event.reason,
    }


@_folds(m.CancellationRequested, "cancellation_requested", detail=lambda e: e.note)
def _cancellation_requested(order: Order, event: m.CancellationRequested) -> Fields:
    return _moved(order, event.consignment, "request_cancellation", ended=event.reason, cancellation_refused=False)


@_folds(
    m.CancellationAnswered,
    "cancellation_answered",
    detail=lambda e: f"consignment {e.consignment}: {'accepted' if e.accepted else 'refused'}",
)
def _cancellation_answered(order: Order, event: m.CancellationAnswered) -> Fields:
    if event.accepted:
        return _moved(order, event.consignment, "accept_cancellation", fee=event.fee)
    return _moved(order, event.consignment, "refuse_cancellation", ended="", cancellation_refused=True)


@_folds(m.ConsignmentStarted, "in_production", detail=lambda e: f"consignment {e.consignment}")
def _started(order: Order, event: m.ConsignmentStarted) -> Fields:
    return _moved(order, event.consignment, "start")


@_folds(m.ConsignmentDispatched, "dispatched", detail=lambda e: f"consignment {e.consignment}")
def _dispatched(order: Order, event: m.ConsignmentDispatched) -> Fields:
    return _moved(order, event.consignment, "dispatch", ended="", tracking=event.tracking)


@_folds(m.ConsignmentDelivered, "delivered", detail=lambda e: f"consignment {e.consignment}")
def _delivered(order: Order, event: m.ConsignmentDelivered) -> Fields:
    return _moved(order, event.consignment, "deliver")


# --- paying out and paying back --------------------------------------------------------------------------------------


def _plus(amounts: m.Amounts, index: int, amount: int) -> m.Amounts:
    """The amounts with one of them increased."""
    return (*amounts[:index], amounts[index] + amount, *amounts[index + 1 :])


@_folds(m.SharesTransferred, "transferred", actor="stripe", detail=lambda e: f"{len(e.made)} transfers")
def _transferred(order: Order, event: m.SharesTransferred) -> Fields:
    return {"consignments": tuple([_paid_out(c, event.made) for c in order.consignments])}


def _paid_out(consignment: Consignment, made: tuple[m.Made, ...]) -> Consignment:
    transfers, paid = list(consignment.transfers), list(consignment.paid)
    for number, party, amount, id_ in made:
        if number == consignment.number:
            transfers.append(PaidOut(party, id_, amount))
            paid[party] += amount
    return changed(consignment, transfers=tuple(transfers), paid=tuple(paid))


@_folds(m.ShareReversed, "reversed", actor="stripe", detail=lambda e: f"{e.amount} of {e.transfer}")
def _reversed(order: Order, event: m.ShareReversed) -> Fields:
    """What comes back settles what was owed last: a debt never exceeds what the party has too much."""
    consignment = order.consignments[event.consignment - 1]
    transfers = tuple(
        changed(t, reversed=t.reversed + event.amount) if t.id == event.transfer else t for t in consignment.transfers
    )
    consignment = changed(consignment, paid=_plus(consignment.paid, event.party, -event.amount))
    forgiven = max(0, consignment.debts[event.party] - consignment.overpaid(event.party))
    debts = _plus(consignment.debts, event.party, -forgiven)
    paid = consignment.paid
    return {"consignments": _one(order, event.consignment, transfers=transfers, paid=paid, debts=debts)}


@_folds(m.DebtRecorded, "debt_recorded", actor="stripe", detail=lambda e: e.code)
def _debt(order: Order, event: m.DebtRecorded) -> Fields:
    debts = _plus(order.consignments[event.consignment - 1].debts, event.party, event.amount)
    return {"consignments": _one(order, event.consignment, debts=debts)}


@_folds(m.RefundRequested, "refund_requested", detail=lambda e: e.reason)
def _refund_requested(order: Order, event: m.RefundRequested) -> Fields:
    refund = Refund(event.refund, event.at, event.amount, event.allocation, event.lines, event.reason, event.cause)
    return {"refunds": (*order.refunds, refund)}


@_folds(m.RefundSucceeded, "refunded", actor="stripe", detail=lambda e: e.refund)
def _refunded(order: Order, event: m.RefundSucceeded) -> Fields:
    refund = next(r for r in order.refunds if r.id == event.refund)
    parts = dict(refund.allocation)
    return {
        "refunds": _replaced(order.refunds, refund.id, REFUND, "succeed", stripe_id=event.id),
        "returns": _replaced(order.returns, refund.cause, RETURN, "refund"),
        "consignments": tuple(
            changed(c, refunded=c.refunded + parts.get(c.number, 0), returned=returned)
            for c, returned in zip(order.consignments, event.returned, strict=True)
        ),
    }


@_folds(m.RefundFailed, "refund_failed", actor="stripe", detail=lambda e: e.code)
def _refund_failed(order: Order, event: m.RefundFailed) -> Fields:
    return {"refunds": _replaced(order.refunds, event.refund, REFUND, "fail", failure_code=event.code)}


# --- after delivery --------------------------------------------------------------------------------------------------


def _replaced(records: tuple[Any, ...], id_: str, table: Any, event: str, **fields: Any) -> tuple[Any, ...]:
    """The records with one of them, if it is there, moved by `event` of its table."""
    return tuple(changed(r, status=table[r.status][event], **fields) if r.id == id_ else r for r in records)


@_folds(m.ReturnRequested, "return_requested", detail=lambda e: e.reason)
def _return_requested(order: Order, event: m.ReturnRequested) -> Fields:
    opened = Return(event.return_id, event.at, event.consignment, event.lines, event.reason)
    return {"returns": (*order.returns, opened)}


@_folds(m.ReturnApproved, "return_approved", detail=lambda e: e.return_id)
def _return_approved(order: Order, event: m.ReturnApproved) -> Fields:
    return {"returns": _replaced(order.returns, event.return_id, RETURN, "approve")}


@_folds(m.ReturnRejected, "return_rejected", detail=lambda e: e.reason)
def _return_rejected(order: Order, event: m.ReturnRejected) -> Fields:
    return {"returns": _replaced(order.returns, event.return_id, RETURN, "reject")}


@_folds(m.ReturnReceived, "return_received", detail=lambda e: "restocked" if e.restock else "")
def _return_received(order: Order, event: m.ReturnReceived) -> Fields:
    return {"returns": _replaced(order.returns, event.return_id, RETURN, "receive", restock=event.restock)}


@_folds(m.DisputeOpened, "dispute_opened", detail=lambda e: e.reason)
def _dispute_opened(order: Order, event: m.DisputeOpened) -> Fields:
    terms: Any = {"amount": event.amount, "allocation": event.allocation, "source": event.source}
    opened = Dispute(event.dispute, event.at, event.by, event.reason, evidence_due_at=event.evidence_due_at, **terms)
    return {"disputes": (*order.disputes, opened)}


@_folds(m.EvidenceAdded, "dispute_evidence", detail=lambda e: e.dispute)
def _evidence(order: Order, event: m.EvidenceAdded) -> Fields:
    dispute = next(d for d in order.disputes if d.id == event.dispute)
    evidence = (*dispute.evidence, Evidence(event.evidence, event.at, event.by, event.sealed))
    return {"disputes": _replaced(order.disputes, event.dispute, DISPUTE, "add_evidence", evidence=evidence)}


@_folds(m.DisputeResolved, "dispute_resolved", detail=lambda e: e.outcome)
def _dispute_resolved(order: Order, event: m.DisputeResolved) -> Fields:
    return {"disputes": _replaced(order.disputes, event.dispute, DISPUTE, "resolve", outcome=event.outcome)}


@_folds(m.MessagePosted, "message", detail=lambda e: f"to {e.to}")
def _message(order: Order, event: m.MessagePosted) -> Fields:
    return {"messages": (*order.messages, Message(event.message, event.at, event.by, event.to, event.sealed))}


@_folds(m.AttentionRaised, "attention", actor="dray", detail=lambda e: e.reason)
def _attention(order: Order, event: m.AttentionRaised) -> Fields:
    others = tuple(entry for entry in order.attention if entry[0] != event.reason)
    return {"attention": (*others, (event.reason, event.detail))}


@_folds(m.AttentionCleared, "attention_cleared", detail=lambda e: e.reason)
def _attention_cleared(order: Order, event: m.AttentionCleared) -> Fields:
    return {"attention": tuple(entry for entry in order.attention if entry[0] != event.reason)}
