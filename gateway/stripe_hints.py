"""Stripe's webhooks as hints for orders: what an event is about is fetched, so that only what is true now counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.services import StripeEvents
from models.identity import is_order_id
from models.order.messages import StripeHint

Object = Mapping[str, Any]

KINDS = frozenset({"payment_intent", "charge", "dispute", "refund"})
"""Objects that an order knows of. Events about anything else are acknowledged and dropped."""

CLOSED_DISPUTES = frozenset({"won", "lost", "warning_closed", "prevented"})


class Hint(NamedTuple):
    order: str
    command: StripeHint


async def hint_of(stripe: StripeEvents, event: Mapping[str, Any]) -> Hint | None:
    """The hint that an event gives, and the order it is for; None if it is none of an order's business.

    Raises ConnectionError when Stripe cannot be asked.
    """
    named = event["data"]["object"]
    kind = named.get("object")
    if kind not in KINDS:
        return None
    found = await stripe.fetched(kind, named["id"])
    if found is None:
        return None
    order = await _order_of(stripe, found)
    if order is None:
        return None
    due_by = (found.get("evidence_details") or {}).get("due_by") or 0
    command = StripeHint(
        type=event["type"] if _still_true(event["type"], found) else "",
        object=found["id"],
        status=found.get("status") or "",
        amount=returned(found) if kind == "charge" else found.get("amount") or 0,
        reason=found.get("reason") or "",
        evidence_due_at=due_by * 1000,
    )
    return Hint(order, command)


def returned(charge: Object) -> int:
    """What the customer got back of a charge. Stripe's `amount_refunded` also counts what a partial capture released
    of the hold (https://docs.stripe.com/api/charges/object): money that never moved."""
    released = charge.get("amount", 0) - charge.get("amount_captured", 0) if charge.get("captured") else 0
    return int(max(0, charge.get("amount_refunded", 0) - released))


def _still_true(event_type: str, found: Object) -> bool:
    """Events come late and out of order. One that the object no longer bears out only makes the order look again."""
    if event_type == "payment_intent.canceled":
        return bool(found["status"] == "canceled")
    if event_type == "charge.dispute.closed":
        return found["status"] in CLOSED_DISPUTES
    if event_type == "charge.refunded":
        return bool(found["captured"])  # else a hold was released, which Stripe counts as refunded: no money has moved
    return True


async def _order_of(stripe: StripeEvents, found: Object) -> str | None:
    """The order that an object belongs to: its own metadata or transfer group, else those of its payment."""
    order = _named_order(found)
    for kind in ("payment_intent", "charge"):
        reference = found.get(kind)
        if order is None and reference:
            payment = await stripe.fetched(kind, reference if isinstance(reference, str) else reference["id"])
            order = _named_order(payment) if payment is not None else None
    return order


def _named_order(found: Object) -> str | None:
    for name in ((found.get("metadata") or {}).get("order"), found.get("transfer_group")):
        if isinstance(name, str) and is_order_id(name):
            return name
    return None
