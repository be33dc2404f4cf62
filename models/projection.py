"""What the read side keeps of an order, as rows: pure functions from the order's state.

The order's whole state is kept beside these rows, so a row holds only what lists filter and sort by.
"""

from __future__ import annotations

from typing import NamedTuple

from models.decision import Millis
from models.order.state import Order, captured, headline, refund_status, refunded, task_status


class OrderRow(NamedTuple):
    """The columns by which lists of orders filter and sort. Amounts in minor units, times in milliseconds."""

    id: str
    retailer: str
    status: str
    refund_status: str
    currency: str
    amount: int
    captured: int
    refunded: int
    email_digest: str
    cancel_reason: str
    created_at: Millis
    updated_at: Millis


def order_row(order: Order) -> OrderRow:
    return OrderRow(
        order.id,
        order.retailer,
        headline(order),
        refund_status(order),
        order.currency,
        order.amount,
        captured(order),
        refunded(order),
        order.email_digest,
        order.cancel_reason,
        order.created_at,
        order.updated_at,
    )


class TaskRow(NamedTuple):
    """A consignment that has become a task, by its number."""

    consignment: int
    supplier: str
    status: str


def task_rows(before: Order, after: Order) -> list[TaskRow]:
    """The tasks that are new or have changed between two states of an order."""
    if before.consignments is after.consignments:
        return []
    then = [task_status(consignment) for consignment in before.consignments] or [None] * len(after.consignments)
    return [
        TaskRow(consignment.number, consignment.supplier, status)
        for consignment, earlier in zip(after.consignments, then, strict=True)
        if (status := task_status(consignment)) != earlier and status is not None
    ]


def product_term(product: str) -> str:
    return f"product:{product}"


def own_product_term(supplier: str, product: str) -> str:
    """What a supplier finds its own lines by; other lines of the order are not its to know of."""
    return f"product:{product}@{supplier}"


def supplier_term(supplier: str) -> str:
    return f"supplier:{supplier}"


def word_term(digest: str) -> str:
    """`digest`: the keyed hash of a word of the customer's name (see `gateway.personal_data`)."""
    return f"word:{digest}"


def stripe_term(stripe_id: str) -> str:
    return f"stripe:{stripe_id}"


def new_terms(before: Order, after: Order) -> set[str]:
    """Everything by which the order is looked up beyond its columns, as far as it was not before. An order's terms only
    ever grow, and those of its lines are all there once it is placed."""
    found = set() if before.lines else _placed_terms(after)
    if (
        before.payment is not after.payment
        or before.refunds is not after.refunds
        or before.consignments is not after.consignments
    ):
        had = set(_stripe_ids(before))
        found.update(stripe_term(id_) for id_ in _stripe_ids(after) if id_ and id_ not in had)
    return found


def _placed_terms(order: Order) -> set[str]:
    suppliers = [consignment.supplier for consignment in order.consignments]
    found = {word_term(digest) for digest in order.search_digests}
    found.update(map(supplier_term, suppliers))
    for line in order.lines:
        found.add(product_term(line.product))
        found.add(own_product_term(suppliers[line.consignment - 1], line.product))
    return found


def _stripe_ids(order: Order) -> list[str]:
    payment = order.payment
    ids = [payment.payment_intent, payment.charge, *[refund.stripe_id for refund in order.refunds]]
    for consignment in order.consignments:
        if consignment.transfers:
            ids += [transfer.id for transfer in consignment.transfers]
    return ids
