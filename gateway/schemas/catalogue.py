"""Parties, products, offers, adoptions, stock."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gateway.schemas.body import Body
from gateway.schemas.common import (
    Amount,
    BasisPoints,
    Currency,
    Name,
    Shown,
    StripeAccount,
)
from models.sku.machine import QUANTITY_MAX as RECEIPT_MAX
from models.supplier.machine import ACCEPT_WITHIN_S_MAX, CAPACITY_MAX

Mode = Literal["auto", "manual"]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
WebhookUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]{1,2000}$", max_length=2_008)]


class CancellationPolicy(Body):
    """What the supplier keeps when a consignment in production is cancelled."""

    fee_bps: BasisPoints = 0


class WebhookDelivery(Body):
    webhook_url: WebhookUrl


class SupplierRequest(Body):
    """A supplier's terms. What is left out takes its default: a PUT replaces."""

    name: Title
    mode: Mode = "auto"
    daily_capacity: Annotated[int, Field(ge=0, le=CAPACITY_MAX)] | None = None
    accept_within_s: Annotated[int, Field(ge=1, le=ACCEPT_WITHIN_S_MAX)] = 86_400
    cancellation_policy: CancellationPolicy = CancellationPolicy()
    stripe_account: StripeAccount | None = None
    delivery: WebhookDelivery | Literal["poll"] = "poll"
    customer_emails: Literal["platform", "brand"] = "platform"


class Supplier(Shown):
    id: str
    name: str
    mode: Mode
    daily_capacity: int | None
    accept_within_s: int
    cancellation_policy: CancellationPolicy
    stripe_account: str | None
    delivery: WebhookDelivery | Literal["poll"]
    customer_emails: Literal["platform", "brand"]


class PartyRequest(Body):
    """A brand or a retailer. Without an account its shares are recorded as payables."""

    name: Title
    stripe_account: StripeAccount | None = None


class Party(Shown):
    id: str
    name: str
    stripe_account: str | None


class ProductRequest(Body):
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    brand: Name
    currency: Currency


class Split(Body):
    """Basis points for each party; the platform keeps the rest of 10,000."""

    brand: BasisPoints = 0
    supplier: BasisPoints = 0
    retailer: BasisPoints = 0


class OfferRequest(Body):
    sku: Name
    unit_amount: Amount
    split: Split


class Offer(Shown):
    """One supplier's offer within a product."""

    sku: str
    unit_amount: int
    split: Split


class Product(Shown):
    """`offers` by supplier."""

    id: str
    title: str
    brand: str
    currency: str
    offers: dict[str, Offer]


class SupplierOffer(Offer):
    """An offer on its own."""

    product: str
    supplier: str


class AdoptionRequest(Body):
    """`unit_amount` left out means the offer's own price."""

    supplier: Name
    unit_amount: Amount | None = None


class Adoption(Shown):
    retailer: str
    product: str
    supplier: str
    unit_amount: int | None


class ReceiptRequest(Body):
    quantity: Annotated[int, Field(ge=1, le=RECEIPT_MAX)]


class Inventory(Shown):
    """`received = available + reserved + sold`, at every instant."""

    sku: str
    supplier: str
    received: int
    available: int
    reserved: int
    sold: int
