"""Invoices as orders: posted once each, however often the replay is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from scripts.client import Client, Refused
from scripts.replay.cancellations import RefundRequest, SoldLine, SoldOrder
from scripts.replay.countries import code_of
from scripts.replay.invoices import Invoice
from scripts.replay.progress import Progress
from scripts.replay.rows import Row
from scripts.replay.shop import CURRENCY, product_of

Json = dict[str, Any]

LINE_UNITS_MAX = 10_000
"""An order line holds so many units at most; a longer line of the file becomes several."""

WAIT_S = 30
CARD = "pm_card_visa"
SHAPE = 1
"""Of the orders below. Whoever changes what an invoice is posted as raises it: another body needs another key."""


class Goods(NamedTuple):
    """An order line: what the file says of it."""

    code: str
    unit_amount: int
    quantity: int


@dataclass
class Placed:
    """An invoice's order, without what need not be kept of thousands of them. line: where the invoice begins in the
    file. goods: the order's lines. posted_now: in this run. status, created_at: as read last."""

    invoice: str
    customer: str
    line: int
    amount: int
    id: str
    goods: tuple[Goods, ...]
    posted_now: bool
    status: str
    payment: str
    created_at: str

    def see(self, order: Json) -> None:
        self.status, self.payment, self.created_at = order["status"], order["payment"]["status"], order["created_at"]

    @property
    def has_ended(self) -> bool:
        """Its first part has: it is confirmed, cancelled or further."""
        return self.status not in ("pending", "payment_authorised")

    @property
    def is_sold(self) -> bool:
        return self.has_ended and self.status != "cancelled"


def lines_of(invoice: Invoice) -> list[tuple[Row, int]]:
    """The order's lines as (row, quantity): the file's own, those that are too long in pieces."""
    return [
        (row, min(LINE_UNITS_MAX, row.quantity - start))
        for row in invoice.rows
        for start in range(0, row.quantity, LINE_UNITS_MAX)
    ]


def order_of(invoice: Invoice) -> Json:
    """The body to post: each line at the invoice's own price, for a customer who is the same in every invoice of
    theirs, or nobody's but this invoice's where the file names none."""
    first = invoice.rows[0]
    name = f"customer-{first.customer}" if first.customer else f"walk-in-{invoice.number}"
    return {
        "customer": {"email": f"{name}@example.com", "name": name.replace("-", " ").capitalize()},
        "shipping_address": {
            "line1": "Unknown", "city": first.country or "Unknown", "postal_code": "0000",
            "country": code_of(first.country),
        },
        "payment_method": CARD,
        "currency": CURRENCY,
        "lines": [
            {"product": product_of(row.code), "quantity": quantity, "unit_amount": row.unit_amount}
            for row, quantity in lines_of(invoice)
        ],
        "metadata": {"invoice": invoice.number, "invoiced_at": first.at.isoformat(timespec="minutes")},
    }  # fmt: skip


class Till:
    """Posts invoices and refunds for one file, with keys that follow from the file and the invoice."""

    def __init__(self, client: Client, retailer_key: str, progress: Progress, digest: str) -> None:
        self._client = client
        self._key = retailer_key
        self._progress = progress
        self._prefix = f"replay-{digest[:32]}-{SHAPE}"

    async def place(self, invoice: Invoice) -> Placed:
        """The invoice's order as it is once it has left `pending` and `payment_authorised`, or half a minute later.
        Raises Refused and Unreachable."""
        known = self._progress.orders.get(invoice.number)
        if known is not None:
            return _placed(invoice, await self.read(known), posted_now=False)
        posted = await self._client.request(
            "POST", "/v1/orders", self._key, order_of(invoice),
            idempotency_key=f"{self._prefix}-{invoice.number}", headers={"Prefer": f"wait={WAIT_S}"},
        )  # fmt: skip
        self._progress.place(invoice.number, posted.body["id"])
        return _placed(invoice, posted.body, posted_now=True)

    async def read(self, order: str) -> Json:
        found: Json = await self._client.get(self._key, f"/v1/orders/{order}")
        return found

    async def knows(self, order: str) -> bool:
        try:
            await self.read(order)
        except Refused as refused:
            if refused.status != 404:
                raise
            return False
        return True

    async def refund(self, request: RefundRequest) -> str:
        """Ask for a refund by lines; "" or why it was refused. Asked for again it is the same refund."""
        body = {
            "lines": [{"id": line_id, "quantity": quantity} for line_id, quantity in request.lines],
            "reason": f"cancellation {request.cancellation}",
        }
        key = f"{self._prefix}-{request.cancellation}-{request.order.invoice}"
        try:
            await self._client.post(self._key, f"/v1/orders/{request.order.id}/refunds", body, idempotency_key=key)
        except Refused as refused:
            return str(refused)
        return ""


def _placed(invoice: Invoice, order: Json, *, posted_now: bool) -> Placed:
    goods = tuple(Goods(row.code, row.unit_amount, quantity) for row, quantity in lines_of(invoice))
    placed = Placed(
        invoice.number, invoice.customer, invoice.line, invoice.amount, order["id"], goods, posted_now, "", "", ""
    )
    placed.see(order)
    return placed


def sold_order(placed: Placed) -> SoldOrder:
    """What cancellations may take back from an order that was sold."""
    lines = [SoldLine(str(n), goods.code, goods.unit_amount, goods.quantity) for n, goods in enumerate(placed.goods, 1)]
    return SoldOrder(placed.id, placed.invoice, placed.customer, placed.line, lines)
