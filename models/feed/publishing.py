"""Which public events a stored event of an order is. Runs in the projector for every event of every order: no clock, no
formatting, and nothing that grows with the order's history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from models.decision import Event, Millis
from models.feed.types import OWNER
from models.order import messages as m
from models.order.state import Consignment, Order, headline, live, refund_status, refunded, task_status

Data = dict[str, Any]
Entry = tuple[str, Millis, Data, int]
"""Type, time, compact data, and who sees it: a mask of `OWNER` and `supplier_bit`; 0 is for ops alone. Data name
consignments by number and times in milliseconds; `models.feed.showing` writes them out."""

Tell = Callable[[Order, Any, Order], Sequence[Entry]]

_TELLS: dict[type[Event], Tell] = {}


def published(before: Order, event: Event, after: Order) -> Sequence[Entry]:
    """The public events that a stored event is, given the order around it. Raises KeyError for an event that is none
    of the order's."""
    return _TELLS[type(event)](before, event, after)


def _tells(*events: type[Event]) -> Callable[[Tell], Tell]:
    def register(tell: Tell) -> Tell:
        for event in events:
            _TELLS[event] = tell
        return tell

    return register


@_tells(m.StockReserved, m.CaptureBegun)
def _nothing(_before: Order, _event: Event, _after: Order) -> Sequence[Entry]:
    """Steps on the way: what they lead to is told."""
    return ()


def _moved(before: Order, event: Event, after: Order, data: Data | None = None) -> Sequence[Entry]:
    """The order's headline, if it has changed. That nothing is left of an order is told by `order.cancelled`."""
    status = headline(after)
    if status == headline(before) or status == "cancelled":
        return ()
    return ((f"order.{status}", event.at, data or {}, OWNER),)


def _task(name: str, event: Event, number: int, **more: Any) -> Entry:
    return (name, event.at, {"consignment": number, **more}, OWNER | 1 << number)


def _knows(consignment: Consignment) -> bool:
    """Has the consignment's supplier been asked?"""
    return task_status(consignment) is not None


def _suppliers(order: Order) -> int:
    """The mask of all suppliers that know of the order."""
    return sum(1 << consignment.number for consignment in order.consignments if _knows(consignment))


@_tells(m.OrderPlaced)
def _placed(_before: Order, event: m.OrderPlaced, after: Order) -> Sequence[Entry]:
    data = {"status": headline(after), "currency": event.currency, "amount": after.amount}
    return (("order.placed", event.at, data, OWNER),)


@_tells(m.PaymentAuthorised)
def _authorised(before: Order, event: m.PaymentAuthorised, after: Order) -> Sequence[Entry]:
    return _moved(before, event, after, {"payment_intent": event.payment_intent})


@_tells(m.PaymentDeclined)
def _declined(_before: Order, event: m.PaymentDeclined, _after: Order) -> Sequence[Entry]:
    return (("payment.declined", event.at, {"decline_code": event.code}, OWNER),)


@_tells(m.CaptureFailed)
def _capture_failed(_before: Order, event: m.CaptureFailed, _after: Order) -> Sequence[Entry]:
    return (("payment.capture_failed", event.at, {"decline_code": event.code}, OWNER),)


@_tells(m.PaymentVoided)
def _voided(_before: Order, event: m.PaymentVoided, _after: Order) -> Sequence[Entry]:
    return (("payment.voided", event.at, {"expired": event.expired}, OWNER),)


@_tells(m.StockShort)
def _short(_before: Order, event: m.StockShort, _after: Order) -> Sequence[Entry]:
    return (("order.out_of_stock", event.at, {"sku": event.sku}, OWNER),)


@_tells(m.PaymentCaptured, m.NothingDue)
def _confirmed(before: Order, event: m.PaymentCaptured | m.NothingDue, after: Order) -> Sequence[Entry]:
    amount, charge = (event.amount, event.charge) if isinstance(event, m.PaymentCaptured) else (0, None)
    return (
        *_moved(before, event, after, {"captured_amount": amount, "charge": charge}),
        *[
            _task("task.confirmed", event, now.number)
            for then, now in zip(before.consignments, after.consignments, strict=True)
            if now.status == "confirmed" and then.status != "confirmed"
        ],
    )


# --- tasks -----------------------------------------------------------------------------------------------------------


@_tells(m.ConsignmentOffered)
def _offered(_before: Order, event: m.ConsignmentOffered, _after: Order) -> Sequence[Entry]:
    return (_task("task.offered", event, event.consignment, accept_by=event.accept_by),)


@_tells(m.ConsignmentAccepted)
def _accepted(_before: Order, event: m.ConsignmentAccepted, _after: Order) -> Sequence[Entry]:
    return (_task("task.accepted", event, event.consignment, dropped_lines=[str(n) for n in event.dropped]),)


@_tells(m.ConsignmentRejected)
def _rejected(_before: Order, event: m.ConsignmentRejected, _after: Order) -> Sequence[Entry]:
    return (_task("task.rejected", event, event.consignment, timed_out=event.timeout),)


@_tells(m.ConsignmentStarted)
def _started(before: Order, event: m.ConsignmentStarted, after: Order) -> Sequence[Entry]:
    return (_task("task.in_production", event, event.consignment), *_moved(before, event, after))


@_tells(m.ConsignmentDispatched)
def _dispatched(before: Order, event: m.ConsignmentDispatched, after: Order) -> Sequence[Entry]:
    tracking = event.tracking
    shown = {"carrier": tracking.carrier, "tracking_number": tracking.tracking_number}
    task = _task("task.dispatched", event, event.consignment, tracking={**shown, "tracking_url": tracking.tracking_url})
    return (task, *_moved(before, event, after))


@_tells(m.ConsignmentDelivered)
def _delivered(before: Order, event: m.ConsignmentDelivered, after: Order) -> Sequence[Entry]:
    return (_task("task.delivered", event, event.consignment), *_moved(before, event, after))


@_tells(m.OrderCancelled)
def _cancelled(before: Order, event: m.OrderCancelled, after: Order) -> Sequence[Entry]:
    """Of what a supplier never knew, it is not told that it is off either."""
    told = [number for number in event.consignments if _knows(before.consignments[number - 1])]
    withdrawn = [_task("task.withdrawn", event, number, cancellation_fee=0) for number in told]
    data: Data = {"cancel_reason": event.reason}
    if not live(after):
        return (("order.cancelled", event.at, data, OWNER), *withdrawn)
    data["consignments"] = [{"consignment": number} for number in event.consignments]
    partially: Entry = ("order.partially_cancelled", event.at, data, OWNER)
    return (partially, *withdrawn, *_moved(before, event, after))


@_tells(m.CancellationRequested)
def _cancellation_requested(_before: Order, event: m.CancellationRequested, _after: Order) -> Sequence[Entry]:
    return (_task("task.cancellation_requested", event, event.consignment),)


@_tells(m.CancellationAnswered)
def _cancellation_answered(before: Order, event: m.CancellationAnswered, after: Order) -> Sequence[Entry]:
    if not event.accepted:
        return (_task("task.cancellation_refused", event, event.consignment),)
    withdrawn = _task("task.withdrawn", event, event.consignment, cancellation_fee=event.fee)
    return (withdrawn, *_moved(before, event, after))


# --- money -----------------------------------------------------------------------------------------------------------


def _party(order: Order, consignment: int, party: int) -> Data:
    found = order.consignments[consignment - 1].parties[party]
    return {"consignment": consignment, "party": found.role, "name": found.name}


@_tells(m.SharesTransferred)
def _transferred(_before: Order, event: m.SharesTransferred, after: Order) -> Sequence[Entry]:
    parties = [consignment.parties for consignment in after.consignments]
    transfers = []
    for number, party, amount, transfer in event.made:
        role, name, _ = parties[number - 1][party]
        transfers.append({"consignment": number, "party": role, "name": name, "amount": amount, "transfer": transfer})
    return (("transfer.created", event.at, {"transfers": transfers}, OWNER),)


@_tells(m.ShareReversed)
def _reversed(_before: Order, event: m.ShareReversed, after: Order) -> Sequence[Entry]:
    data = {**_party(after, event.consignment, event.party), "transfer": event.transfer, "amount": event.amount}
    return (("transfer.reversed", event.at, data, OWNER),)


@_tells(m.DebtRecorded)
def _debt(_before: Order, event: m.DebtRecorded, after: Order) -> Sequence[Entry]:
    data = {**_party(after, event.consignment, event.party), "amount": event.amount, "code": event.code}
    return (("transfer.debt_recorded", event.at, data, OWNER),)


@_tells(m.RefundRequested)
def _refund_requested(before: Order, event: m.RefundRequested, _after: Order) -> Sequence[Entry]:
    data = {
        "refund": event.refund,
        "amount": event.amount,
        "currency": before.currency,
        "cause": event.cause,
        "consignments": [{"consignment": number, "amount": part} for number, part in event.allocation],
    }
    return (("refund.requested", event.at, data, OWNER),)


@_tells(m.RefundSucceeded)
def _refund_issued(before: Order, event: m.RefundSucceeded, after: Order) -> Sequence[Entry]:
    refund = next(refund for refund in after.refunds if refund.id == event.refund)
    data = {
        "refund": refund.id,
        "amount": refund.amount,
        "currency": after.currency,
        "refund_status": refund_status(after),
        "refunded_amount": refunded(after),
    }
    settled = [found for found in after.returns if found.id == refund.cause]
    return (
        ("refund.issued", event.at, data, OWNER),
        *[_returned("return.refunded", event, found.id, found.consignment) for found in settled],
        *_moved(before, event, after),
    )


@_tells(m.RefundFailed)
def _refund_failed(_before: Order, event: m.RefundFailed, _after: Order) -> Sequence[Entry]:
    return (("refund.failed", event.at, {"refund": event.refund, "failure_code": event.code}, OWNER),)


# --- after delivery --------------------------------------------------------------------------------------------------


def _returned(name: str, event: Event, return_id: str, consignment: int, **more: Any) -> Entry:
    data = {"return": return_id, "consignment": consignment, **more}
    return (name, event.at, data, OWNER | 1 << consignment)


def _consignment_of(order: Order, return_id: str) -> int:
    return next(found.consignment for found in order.returns if found.id == return_id)


@_tells(m.ReturnRequested)
def _return_initiated(_before: Order, event: m.ReturnRequested, _after: Order) -> Sequence[Entry]:
    lines = [{"id": line_id, "quantity": quantity} for line_id, quantity in event.lines]
    return (_returned("return.initiated", event, event.return_id, event.consignment, lines=lines),)


@_tells(m.ReturnApproved)
def _return_approved(before: Order, event: m.ReturnApproved, _after: Order) -> Sequence[Entry]:
    return (_returned("return.approved", event, event.return_id, _consignment_of(before, event.return_id)),)


@_tells(m.ReturnRejected)
def _return_rejected(before: Order, event: m.ReturnRejected, _after: Order) -> Sequence[Entry]:
    return (_returned("return.rejected", event, event.return_id, _consignment_of(before, event.return_id)),)


@_tells(m.ReturnReceived)
def _return_received(before: Order, event: m.ReturnReceived, _after: Order) -> Sequence[Entry]:
    number = _consignment_of(before, event.return_id)
    return (_returned("return.received", event, event.return_id, number, restocked=event.restock),)


@_tells(m.DisputeOpened)
def _dispute_opened(before: Order, event: m.DisputeOpened, _after: Order) -> Sequence[Entry]:
    data = {"dispute": event.dispute, "amount": event.amount, "evidence_due_at": event.evidence_due_at}
    return (("dispute.opened", event.at, data, OWNER | _suppliers(before)),)


@_tells(m.EvidenceAdded)
def _evidence_added(before: Order, event: m.EvidenceAdded, _after: Order) -> Sequence[Entry]:
    data = {"dispute": event.dispute, "evidence": event.evidence, "from": _role(event.by)}
    return (("dispute.evidence_added", event.at, data, OWNER | _own(before, event.by)),)


@_tells(m.DisputeResolved)
def _dispute_resolved(before: Order, event: m.DisputeResolved, _after: Order) -> Sequence[Entry]:
    data = {"dispute": event.dispute, "outcome": event.outcome}
    return (("dispute.resolved", event.at, data, OWNER | _suppliers(before)),)


@_tells(m.MessagePosted)
def _message(before: Order, event: m.MessagePosted, _after: Order) -> Sequence[Entry]:
    """Told to those who may read it."""
    data = {"message": event.message, "from": _role(event.by), "to": event.to}
    readers = OWNER if event.to == "retailer" or event.by == f"retailer:{before.retailer}" else 0
    readers |= _suppliers(before) if event.to == "supplier" else _own(before, event.by)
    return (("message.posted", event.at, data, readers),)


def _own(order: Order, by: str) -> int:
    """The mask of the supplier by whom something was said, if it was one."""
    return sum(1 << c.number for c in order.consignments if by == f"supplier:{c.supplier}" and _knows(c))


def _role(by: str) -> str:
    """`supplier` of `supplier:north`: names of keys may be names of people."""
    return by.partition(":")[0]


@_tells(m.AttentionRaised)
def _attention_raised(_before: Order, event: m.AttentionRaised, _after: Order) -> Sequence[Entry]:
    return (("order.attention_raised", event.at, {"reason": event.reason}, OWNER),)


@_tells(m.AttentionCleared)
def _attention_cleared(_before: Order, event: m.AttentionCleared, _after: Order) -> Sequence[Entry]:
    return (("order.attention_cleared", event.at, {"reason": event.reason}, OWNER),)
