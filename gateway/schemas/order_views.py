"""Orders: what is shown."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.schemas.common import ProblemDocument, Shown, Time

Headline = Literal[
    "pending",
    "payment_authorised",
    "confirmed",
    "in_production",
    "dispatched",
    "delivered",
    "cancelled",
    "refunded",
]
TaskStatus = Literal["offered", "accepted", "rejected", "in_production", "dispatched", "delivered", "withdrawn"]
PaymentStatus = Literal[
    "pending", "authorised", "capturing", "captured", "voiding", "voided", "declined", "not_required"
]
ConsignmentStatus = Literal[
    "pending",
    "offered",
    "accepted",
    "confirmed",
    "in_production",
    "dispatched",
    "delivered",
    "rejected",
    "cancelled",
]
CancelReason = Literal[
    "payment_declined",
    "payment_authentication_required",
    "payment_failed",
    "out_of_stock",
    "supplier_rejected",
    "supplier_timeout",
    "capture_failed",
    "customer_request",
    "operator_request",
]


class Payment(Shown):
    """`decline_code` as Stripe names it."""

    status: PaymentStatus
    payment_intent: str | None
    charge: str | None
    decline_code: str | None


class Line(Shown):
    id: str
    product: str
    sku: str
    quantity: int
    unit_amount: int
    amount: int
    consignment: str


class SplitShare(Shown):
    """One party's share of a consignment. `payable` is what a party without an account is owed outside Stripe,
    `debt` what it owes because a reversal was refused."""

    party: Literal["brand", "supplier", "retailer", "platform"]
    name: str
    account: str | None
    amount: int
    returned: int
    transfer: str | None
    transferred: int
    reversed: int
    debt: int
    payable: int


class Tracking(Shown):
    carrier: str
    tracking_number: str
    tracking_url: str


class OwnConsignment(Shown):
    """One supplier's part of the order, as that supplier sees it."""

    id: str
    number: int
    task: str
    supplier: str
    status: ConsignmentStatus
    task_status: TaskStatus | None
    task_actions: list[Literal["accept", "reject", "start", "dispatch", "deliver", "cancellation"]]
    cancellation_requested: bool
    accept_by: Time | None
    dropped_lines: list[str]
    tracking: Tracking | None


class Consignment(OwnConsignment):
    """One supplier's part of the order."""

    captured_amount: int
    refunded_amount: int
    cancellation_fee: int
    splits: list[SplitShare]


class ConsignmentPart(Shown):
    id: str
    amount: int


class ShownLineQuantity(Shown):
    id: str
    quantity: int


class Refund(Shown):
    """`cause` is `request`, `cancellation`, or the id of the return or dispute that the refund settles."""

    id: str
    status: Literal["pending", "succeeded", "failed"]
    amount: int
    currency: str
    reason: str
    cause: str
    lines: list[ShownLineQuantity]
    consignments: list[ConsignmentPart]
    stripe_refund: str | None
    failure_code: str | None
    created_at: Time


class PreviewShare(Shown):
    party: Literal["brand", "supplier", "retailer", "platform"]
    name: str
    account: str | None
    amount: int


class PreviewConsignment(Shown):
    id: str
    amount: int
    splits: list[PreviewShare]


class RefundPreview(Shown):
    """What each party would give back; nothing has been done."""

    amount: int
    currency: str
    consignments: list[PreviewConsignment]


class Return(Shown):
    id: str
    status: Literal["requested", "approved", "received", "refunded", "rejected"]
    consignment: str
    lines: list[ShownLineQuantity]
    reason: str
    restocked: bool
    created_at: Time


class Evidence(Shown):
    """`text` is null once the customer's data were erased."""

    id: str
    at: Time
    by: str
    text: str | None


class OwnDispute(Shown):
    """A dispute as a supplier sees it: evidence of its own only."""

    id: str
    status: Literal["open", "resolved"]
    opened_by: str
    reason: str
    outcome: str | None
    evidence_due_at: Time | None
    evidence: list[Evidence]
    created_at: Time


class Dispute(OwnDispute):
    """`source` is Stripe's id of a dispute that the customer's bank opened."""

    amount: int
    source: str | None


class Moment(Shown):
    """One entry of the timeline; `actor` is `dray`, `stripe`, or who asked, such as `retailer:acme`."""

    at: Time
    event: str
    actor: str
    detail: str


class Attention(Shown):
    """A person is needed."""

    reason: str
    detail: str


class ShownCustomer(Shown):
    email: str
    name: str
    phone: str | None = None


class ShownAddress(Shown):
    name: str | None = None
    line1: str
    line2: str | None = None
    city: str
    postal_code: str
    state: str | None = None
    country: str


class Order(Shown):
    """An order, as its retailer and ops see it. `customer` and `shipping_address` are null once they were erased.

    `version` counts what has happened to the order, and is its ETag.
    """

    id: str
    retailer: str
    status: Headline
    currency: str
    amount: int
    captured_amount: int
    refunded_amount: int
    refund_status: Literal["none", "partial", "full"]
    dispute_status: Literal["none", "open", "resolved"]
    payment: Payment
    lines: list[Line]
    consignments: list[Consignment]
    refunds: list[Refund]
    returns: list[Return]
    disputes: list[Dispute]
    customer: ShownCustomer | None
    shipping_address: ShownAddress | None
    metadata: dict[str, str]
    allow_partial: bool
    timeline: list[Moment]
    allowed_actions: list[Literal["cancel", "confirm_delivery", "refund", "return", "dispute", "message"]]
    cancel_reason: CancelReason | None
    attention: Attention | None
    created_at: Time
    updated_at: Time
    version: int


class Recipient(Shown):
    """Whom a parcel is for."""

    name: str
    phone: str | None = None


class OwnOrder(Shown):
    """An order as one of its suppliers sees it: its consignment and where it goes; not the payment, splits, or what
    others deliver."""

    id: str
    status: Headline
    currency: str
    lines: list[Line]
    consignments: list[OwnConsignment]
    returns: list[Return]
    disputes: list[OwnDispute]
    customer: Recipient | None
    shipping_address: ShownAddress | None
    timeline: list[Moment]
    allowed_actions: list[str]
    created_at: Time
    updated_at: Time
    version: int


class Orders(Shown):
    """A page of orders, newest first. `next_cursor` is null on the last page."""

    data: list[Order] | list[OwnOrder]
    next_cursor: str | None


class Message(Shown):
    """`text` is null once the customer's data were erased."""

    id: str
    at: Time
    from_: str = Field(alias="from")
    to: Literal["supplier", "retailer", "ops"]
    text: str | None


class Messages(Shown):
    data: list[Message]
    next_cursor: str | None


class BatchResult(Shown):
    """One line of a batch's answer: `order` where it was placed, else `problem`."""

    index: int
    status: int
    order: Order | None = None
    problem: ProblemDocument | None = None
