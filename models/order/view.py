"""The order as readers see it, in plain dicts: `GET /v1/orders/{id}` of the API contract.

The gateway takes `messages`, `sealed`, `email_digest` and `search_digests` out, puts `customer` and
`shipping_address` in after unsealing, and shows suppliers their own part only. What it takes out comes last, and who
may see the order comes first, so that it need not parse the rest of an order to show it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from models.decision import Millis
from models.order.state import (
    PLATFORM,
    Consignment,
    Dispute,
    Order,
    Refund,
    Return,
    captured,
    consignment_id,
    dispute_status,
    disputed,
    headline,
    refund_status,
    refundable,
    refunded,
    task_id,
    task_status,
    units_returning,
)
from models.order.tables import CONSIGNMENT, SHOWN, allows

_MINUTE_MS = 60_000
_SECONDS = [f"{second:02d}" for second in range(60)]
_MILLIS = [f"{ms:03d}" for ms in range(1000)]  # formatting them anew costs ten times a look, a dozen times an order


def rfc3339(at: Millis) -> str:
    """Milliseconds since the epoch as `2026-11-22T21:00:00.000Z`."""
    minute, ms = divmod(at, _MINUTE_MS)
    seconds, ms = divmod(ms, 1000)
    return f"{_minute(minute)}:{_SECONDS[seconds]}.{_MILLIS[ms]}Z"


@lru_cache(maxsize=4096)
def _minute(number: int) -> str:
    """Most of what happens to an order happens within minutes, so that it takes one look at the calendar."""
    return datetime.fromtimestamp(number * 60, UTC).isoformat(timespec="minutes")[:-6]


def view(order: Order, *, brief: bool = False) -> dict[str, Any] | None:
    """The whole order, or None if it was never placed.

    brief: with an empty timeline and no allowed actions, which are two fifths of what it all costs.
    """
    if not order.id:
        return None
    payment = order.payment
    return {
        "id": order.id,
        "retailer": order.retailer,
        "status": headline(order),
        "currency": order.currency,
        "amount": order.amount,
        "captured_amount": captured(order),
        "refunded_amount": refunded(order),
        "refund_status": refund_status(order),
        "dispute_status": dispute_status(order),
        "payment": {
            "status": payment.status,
            "payment_intent": payment.payment_intent or None,
            "charge": payment.charge or None,
            "decline_code": payment.decline_code or None,
        },
        "lines": [
            {
                "id": line.id,
                "product": line.product,
                "sku": line.sku,
                "quantity": line.quantity,
                "unit_amount": line.unit_amount,
                "amount": line.amount,
                "consignment": consignment_id(order, line.consignment),
            }
            for line in order.lines
        ],
        "consignments": [_consignment(order, consignment) for consignment in order.consignments],
        "refunds": [_refund(order, refund) for refund in order.refunds],
        "returns": [_return(order, found) for found in order.returns],
        "disputes": [_dispute(dispute) for dispute in order.disputes],
        "metadata": order.metadata,
        "allow_partial": order.allow_partial,
        "timeline": [
            {"at": rfc3339(at), "event": event, "actor": actor, "detail": detail}
            for at, event, actor, detail in (() if brief else order.timeline)
        ],
        "allowed_actions": [] if brief else allowed_actions(order),
        "cancel_reason": order.cancel_reason or None,
        "attention": _attention(order),
        "created_at": rfc3339(order.created_at),
        "updated_at": rfc3339(order.updated_at),
        "messages": [
            {"id": sent.id, "at": rfc3339(sent.at), "from": sent.by, "to": sent.to, "sealed": sent.sealed}
            for sent in order.messages
        ],
        "sealed": order.sealed,
        "email_digest": order.email_digest,
        "search_digests": order.search_digests,
    }


def _where(*events: str) -> frozenset[str]:
    """The states of a consignment in whose row one of the events is."""
    return frozenset(status for status in CONSIGNMENT if any(allows("consignment", status, e) for e in events))


_CANCELLABLE = _where("cancel", "request_cancellation")
_DELIVERABLE = _where("deliver")
_RETURNABLE = _where("return")


def allowed_actions(order: Order) -> list[str]:
    """What the retailer may do now, read off the machines' tables and what money is left."""
    actions = []
    statuses = {consignment.status for consignment in order.consignments}
    if statuses & _CANCELLABLE:
        actions.append("cancel")
    if statuses & _DELIVERABLE:
        actions.append("confirm_delivery")
    if order.payment.status == "captured":
        remaining = sum(refundable(order, consignment) for consignment in order.consignments)
        if remaining > 0:
            actions.append("refund")
        if statuses & _RETURNABLE and any(_returnable(order, consignment) for consignment in order.consignments):
            actions.append("return")
        if remaining > sum(disputed(order, consignment.number) for consignment in order.consignments):
            actions.append("dispute")
    return [*actions, "message"]


def _returnable(order: Order, consignment: Consignment) -> bool:
    return consignment.status in _RETURNABLE and any(
        order.lines[n - 1].quantity > units_returning(order, str(n))
        for n in consignment.lines
        if n not in consignment.dropped
    )


_TASK_WORDS = {
    "accept": "accept",
    "reject": "reject",
    "start": "start",
    "dispatch": "dispatch",
    "deliver": "deliver",
    "accept_cancellation": "cancellation",
}
_TASK_ACTIONS = {
    status: [word for event, word in _TASK_WORDS.items() if event in row] for status, row in CONSIGNMENT.items()
}


def task_actions(consignment: Consignment) -> list[str]:
    """What the supplier may do with its task now, in the API's words."""
    return list(_TASK_ACTIONS[consignment.status]) if task_status(consignment) else []


def _consignment(order: Order, consignment: Consignment) -> dict[str, Any]:
    tracking = consignment.tracking
    return {
        "id": consignment_id(order, consignment.number),
        "number": consignment.number,
        "task": task_id(order, consignment.number),
        "supplier": consignment.supplier,
        "status": SHOWN[consignment.status],
        "task_status": task_status(consignment),
        "task_actions": task_actions(consignment),
        "cancellation_requested": consignment.status == "cancellation_requested",
        "accept_by": rfc3339(consignment.accept_by) if consignment.accept_by else None,
        "dropped_lines": [str(number) for number in consignment.dropped],
        "captured_amount": consignment.captured,
        "refunded_amount": consignment.refunded,
        "cancellation_fee": consignment.fee,
        "tracking": tracking
        and {
            "carrier": tracking.carrier,
            "tracking_number": tracking.tracking_number,
            "tracking_url": tracking.tracking_url,
        },
        "splits": _splits(consignment),
    }


def _splits(consignment: Consignment) -> list[dict[str, Any]]:
    """`payable` is what a party without an account is owed outside Stripe. Before the capture there is nothing yet."""
    nothing = (0,) * len(consignment.parties)
    shares, back = consignment.shares or nothing, consignment.returned or nothing
    debts = consignment.debts or nothing
    splits: list[dict[str, Any]] = [
        {
            "party": party.role,
            "name": party.name,
            "account": party.account or None,
            "amount": shares[index],
            "returned": back[index],
            "transfer": None,
            "transferred": 0,
            "reversed": 0,
            "debt": debts[index],
            "payable": shares[index] - back[index] if party.role != PLATFORM and not party.account else 0,
        }
        for index, party in enumerate(consignment.parties)
    ]
    for transfer in consignment.transfers:
        split = splits[transfer.party]
        split["transfer"] = transfer.id
        split["transferred"] += transfer.amount
        split["reversed"] += transfer.reversed
    return splits


def _refund(order: Order, refund: Refund) -> dict[str, Any]:
    return {
        "id": refund.id,
        "status": refund.status,
        "amount": refund.amount,
        "currency": order.currency,
        "reason": refund.reason,
        "cause": refund.cause,
        "lines": [{"id": line_id, "quantity": quantity} for line_id, quantity in refund.lines],
        "consignments": [{"id": consignment_id(order, n), "amount": part} for n, part in refund.allocation],
        "stripe_refund": refund.stripe_id or None,
        "failure_code": refund.failure_code or None,
        "created_at": rfc3339(refund.at),
    }


def _return(order: Order, found: Return) -> dict[str, Any]:
    return {
        "id": found.id,
        "status": found.status,
        "consignment": consignment_id(order, found.consignment),
        "lines": [{"id": line_id, "quantity": quantity} for line_id, quantity in found.lines],
        "reason": found.reason,
        "restocked": found.restock,
        "created_at": rfc3339(found.at),
    }


def _dispute(dispute: Dispute) -> dict[str, Any]:
    """`evidence` carries sealed texts, which the gateway opens."""
    return {
        "id": dispute.id,
        "status": dispute.status,
        "opened_by": dispute.by,
        "reason": dispute.reason,
        "amount": dispute.amount,
        "outcome": dispute.outcome or None,
        "source": dispute.source or None,
        "evidence_due_at": rfc3339(dispute.evidence_due_at) if dispute.evidence_due_at else None,
        "evidence": [
            {"id": piece.id, "at": rfc3339(piece.at), "by": piece.by, "sealed": piece.sealed}
            for piece in dispute.evidence
        ],
        "created_at": rfc3339(dispute.at),
    }


def _attention(order: Order) -> dict[str, str] | None:
    if not order.attention:
        return None
    reason, detail = order.attention[-1]
    return {"reason": reason, "detail": detail}
