"""The types of public events: ONE table, from which `docs/events.md` is made (`python -m models.feed.page`).

Types and the meaning of their fields never change: what was published is kept, and clients rely on it. A new fact is a
new type or a new field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OWNER = 1
"""The bit of the retailer in the mask that says who sees an event. Ops see everything."""


def supplier_bit(consignment: int) -> int:
    """The bit of the supplier of a consignment (its number, from 1)."""
    return 1 << consignment


class EventType(NamedTuple):
    """meaning: when it is published. fields: what `data` has. suppliers: is the consignment's supplier told as well?
    withheld: fields that suppliers are not shown."""

    meaning: str
    fields: tuple[str, ...] = ()
    suppliers: bool = False
    withheld: tuple[str, ...] = ()


TASK = ("task", "consignment", "supplier")

EVENT_TYPES: Mapping[str, EventType] = {
    "order.placed": EventType("The order is durable.", ("status", "currency", "amount")),
    "order.payment_authorised": EventType("The sum is held on the customer's card.", ("payment_intent",)),
    "order.out_of_stock": EventType("A SKU could not be reserved; the order ends.", ("sku",)),
    "order.confirmed": EventType("Stock is reserved and the payment taken.", ("captured_amount", "charge")),
    "order.in_production": EventType("Every live consignment is at least in production."),
    "order.dispatched": EventType("Every live consignment is at least on its way."),
    "order.delivered": EventType("Every live consignment has been delivered."),
    "order.cancelled": EventType("Nothing of the order is left.", ("cancel_reason",)),
    "order.partially_cancelled": EventType("Some consignments are cancelled.", ("cancel_reason", "consignments")),
    "order.refunded": EventType("The whole captured sum has been returned."),
    "order.attention_raised": EventType("A person is needed.", ("reason",)),
    "order.attention_cleared": EventType("The reason is gone.", ("reason",)),
    "payment.declined": EventType("The card was declined; the order ends.", ("decline_code",)),
    "payment.capture_failed": EventType("The held sum could not be taken; the order ends.", ("decline_code",)),
    "payment.voided": EventType("The hold is gone.", ("expired",)),
    "task.offered": EventType("A supplier is asked, until `accept_by`.", (*TASK, "accept_by"), suppliers=True),
    "task.accepted": EventType("The supplier takes it on.", (*TASK, "dropped_lines"), suppliers=True),
    "task.rejected": EventType("The supplier does not, or never answered.", (*TASK, "timed_out"), suppliers=True),
    "task.confirmed": EventType("It is paid for: production may begin.", TASK, suppliers=True),
    "task.in_production": EventType("Production has begun.", TASK, suppliers=True),
    "task.dispatched": EventType("The parcel is on its way.", (*TASK, "tracking"), suppliers=True),
    "task.delivered": EventType("The parcel has arrived.", TASK, suppliers=True),
    "task.cancellation_requested": EventType("The supplier is asked to stop.", TASK, suppliers=True),
    "task.cancellation_refused": EventType("The supplier goes on.", TASK, suppliers=True),
    "task.withdrawn": EventType(
        "The task has been cancelled.", (*TASK, "cancellation_fee"), suppliers=True, withheld=("cancellation_fee",)
    ),
    "transfer.created": EventType("Shares have been paid out.", ("transfers",)),
    "transfer.reversed": EventType("A share was taken back.", ("consignment", "party", "name", "transfer", "amount")),
    "transfer.debt_recorded": EventType(
        "A share could not be taken back: it is owed.", ("consignment", "party", "name", "amount", "code")
    ),
    "refund.requested": EventType("A refund is under way.", ("refund", "amount", "currency", "cause", "consignments")),
    "refund.issued": EventType(
        "A refund has succeeded.", ("refund", "amount", "currency", "refund_status", "refunded_amount")
    ),
    "refund.failed": EventType("A refund has failed.", ("refund", "failure_code")),
    "return.initiated": EventType("Goods are to come back.", ("return", "consignment", "lines"), suppliers=True),
    "return.approved": EventType("They may.", ("return", "consignment"), suppliers=True),
    "return.rejected": EventType("They may not.", ("return", "consignment"), suppliers=True),
    "return.received": EventType("They have.", ("return", "consignment", "restocked"), suppliers=True),
    "return.refunded": EventType("Their price has been returned.", ("return", "consignment"), suppliers=True),
    "dispute.opened": EventType(
        "Somebody disputes the order.",
        ("dispute", "amount", "evidence_due_at"),
        suppliers=True,
        withheld=("amount",),
    ),
    "dispute.evidence_added": EventType(
        "Evidence was given. Suppliers are told of their own.", ("dispute", "evidence", "from"), suppliers=True
    ),
    "dispute.resolved": EventType("It is decided.", ("dispute", "outcome"), suppliers=True),
    "message.posted": EventType("There is a message to read.", ("message", "from", "to"), suppliers=True),
}
