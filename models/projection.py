"""What the read side keeps of an order, as rows: pure functions from the order's state.

The order's whole state is kept beside these rows, so a row holds only what lists filter and sort by.
"""

from __future__ import annotations

from typing import Any

from models.order.state import Order, captured, headline, refund_status, refunded, task_status

Row = dict[str, Any]


def order_row(order: Order) -> Row:
    """The columns by which lists of orders filter and sort. Amounts in minor units, times in milliseconds."""
    return {
        "id": order.id,
        "retailer": order.retailer,
        "status": headline(order),
        "refund_status": refund_status(order),
        "currency": order.currency,
        "amount": order.amount,
        "captured": captured(order),
        "refunded": refunded(order),
        "email_digest": order.email_digest,
        "cancel_reason": order.cancel_reason,
        "created_at": order.created_at,
        "updated_at": order.updated_at,
    }


def task_statuses(order: Order) -> dict[int, tuple[str, str]]:
    """Number of a consignment -> (supplier, status of its task), for those that have become a task."""
    return {
        consignment.number: (consignment.supplier, status)
        for consignment in order.consignments
        if (status := task_status(consignment)) is not None
    }


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


def terms(order: Order) -> set[str]:
    """Everything by which the order is looked up beyond its columns. An order's terms only ever grow."""
    found = {product_term(line.product) for line in order.lines}
    found.update(word_term(digest) for digest in order.search_digests)
    payment = order.payment
    ids = [payment.payment_intent, payment.charge, *(refund.stripe_id for refund in order.refunds)]
    for consignment in order.consignments:
        supplier = consignment.supplier
        found.add(supplier_term(supplier))
        found.update(own_product_term(supplier, order.lines[number - 1].product) for number in consignment.lines)
        ids += [transfer.id for transfer in consignment.transfers]
    found.update(stripe_term(stripe_id) for stripe_id in ids if stripe_id)
    return found
