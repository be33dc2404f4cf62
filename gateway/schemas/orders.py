"""Orders: what is posted, and what is shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.limits import GATEWAY_LIMITS
from gateway.schemas.body import Body
from gateway.schemas.common import (
    Amount,
    Currency,
    IdempotencyKey,
    LongText,
    Name,
    PositiveAmount,
    Quantity,
    Reason,
    Text,
)

Email = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", min_length=3, max_length=254)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$", min_length=2, max_length=2)]
PaymentMethod = Annotated[str, StringConstraints(pattern=r"^pm_[A-Za-z0-9_]{1,200}$")]
MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40)]
MetadataValue = Annotated[str, StringConstraints(max_length=500)]
METADATA_KEYS_MAX = 50


class Customer(Body):
    email: Email
    name: Short
    phone: Annotated[str, StringConstraints(min_length=1, max_length=50)] | None = None


class ShippingAddress(Body):
    """`country` is ISO 3166-1 alpha-2."""

    name: Short | None = None
    line1: Short
    line2: Short | None = None
    city: Short
    postal_code: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    state: Short | None = None
    country: Country


class LineRequest(Body):
    """`unit_amount` left out means the adoption's price, or else the offer's."""

    product: Name
    quantity: Quantity
    unit_amount: Amount | None = None


class OrderRequest(Body):
    """An order as a storefront posts it. `payment_method` is Stripe's token: card data never get here.

    `allow_partial`: take what some suppliers accept instead of cancelling when one of them does not.
    """

    customer: Customer
    shipping_address: ShippingAddress
    payment_method: PaymentMethod
    currency: Currency
    lines: Annotated[list[LineRequest], Field(min_length=1, max_length=GATEWAY_LIMITS.order_lines_max)]
    allow_partial: bool = False
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=METADATA_KEYS_MAX, default_factory=dict)]


class BatchOrderRequest(OrderRequest):
    """One line of a batch."""

    idempotency_key: IdempotencyKey


class CancelRequest(Body):
    reason: Reason = ""


class LineQuantity(Body):
    """`id` is a line's id within its order."""

    id: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}$")]
    quantity: Annotated[int, Field(ge=1, le=10_000_000)]


Lines = Annotated[list[LineQuantity], Field(min_length=1, max_length=GATEWAY_LIMITS.order_lines_max)]


class RefundRequest(Body):
    """Of an `amount`, or of `lines`: exactly one of the two."""

    amount: PositiveAmount | None = None
    lines: Lines | None = None
    reason: Reason = ""


class ReturnRequest(Body):
    """`lines` all belong to one consignment."""

    lines: Lines
    reason: Reason = ""


class ReceiveRequest(Body):
    """`restock`: the goods are on sale again."""

    restock: bool


class RejectReturnRequest(Body):
    reason: Reason = ""


class DisputeRequest(Body):
    """Without an `amount` all that remains is disputed."""

    reason: Text
    amount: PositiveAmount | None = None


class EvidenceRequest(Body):
    text: LongText


class ResolveRequest(Body):
    """Only an upheld dispute may refund."""

    outcome: Literal["upheld", "rejected", "withdrawn"]
    refund_amount: PositiveAmount | None = None


class MessageRequest(Body):
    to: Literal["supplier", "retailer", "ops"]
    text: LongText
