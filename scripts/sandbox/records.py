"""What the sandbox keeps: one immutable, compact record per Stripe object.

Records are named tuples because they are small (8 bytes a field), cheap to copy with `_replace`, and so safe to share
between the tables, saved answers and events: an event's snapshot is a reference. `render` turns them into Stripe's
JSON. The field order is part of the log's format: the log's header names the fields, and a log whose fields differ is
mapped by name.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Json = dict[str, Any]
Metadata = dict[str, str]


class PaymentIntent(NamedTuple):
    """https://docs.stripe.com/api/payment_intents/object"""

    id: str
    created: int
    amount: int
    currency: str
    status: str
    capture_method: str = "automatic_async"
    confirmation_method: str = "automatic"
    metadata: Metadata = {}
    transfer_group: str | None = None
    payment_method: str | None = None
    latest_charge: str | None = None
    amount_capturable: int = 0
    amount_received: int = 0
    capture_before: int = 0
    automatic: str = "always"  # automatic_payment_methods.allow_redirects, or "" when disabled
    allowed: tuple[str, ...] | None = None
    description: str | None = None
    receipt_email: str | None = None
    shipping: Json | None = None
    setup_future_usage: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    on_behalf_of: str | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    last_error: Json | None = None
    return_url: str | None = None
    authenticated: bool = False


class Charge(NamedTuple):
    """https://docs.stripe.com/api/charges/object. `transferred` is the gross sum of the transfers drawn on it."""

    id: str
    created: int
    amount: int
    currency: str
    status: str
    card: str
    payment_intent: str | None = None
    payment_method: str | None = None
    transfer_group: str | None = None
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    transferred: int = 0
    balance_transaction: str | None = None
    capture_before: int = 0
    metadata: Metadata = {}
    description: str | None = None
    receipt_email: str | None = None
    shipping: Json | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    on_behalf_of: str | None = None
    disputed: bool = False
    authenticated: bool = False
    failure: Json | None = None  # {code, decline_code, message, advice_code, blocked}
    fraud: str = ""  # fraud_details.user_report


class Refund(NamedTuple):
    """https://docs.stripe.com/api/refunds/object. `settles_at` is when a pending or failing refund changes."""

    id: str
    created: int
    amount: int
    currency: str
    status: str
    charge: str
    payment_intent: str | None = None
    balance_transaction: str | None = None
    reason: str | None = None
    metadata: Metadata = {}
    settles_at: int = 0
    outcome: str = ""
    failure_reason: str | None = None
    failure_balance_transaction: str | None = None


class Transfer(NamedTuple):
    """https://docs.stripe.com/api/transfers/object"""

    id: str
    created: int
    amount: int
    currency: str
    destination: str
    balance_transaction: str
    destination_payment: str
    source_transaction: str | None = None
    transfer_group: str | None = None
    amount_reversed: int = 0
    reversals: tuple[str, ...] = ()
    description: str | None = None
    metadata: Metadata = {}
    source_type: str = "card"


class Reversal(NamedTuple):
    """https://docs.stripe.com/api/transfer_reversals/object"""

    id: str
    created: int
    amount: int
    currency: str
    transfer: str
    balance_transaction: str
    destination_payment_refund: str
    metadata: Metadata = {}


class Account(NamedTuple):
    """https://docs.stripe.com/api/accounts/object. `restricted` accounts receive no transfers."""

    id: str
    created: int
    country: str = "GB"
    default_currency: str = "gbp"
    email: str | None = None
    business_type: str | None = None
    business_name: str | None = None
    kind: str = "none"
    metadata: Metadata = {}
    restricted: bool = False


class PaymentMethod(NamedTuple):
    """https://docs.stripe.com/api/payment_methods/object, of type card only. `card` names a row of `cards.CARDS`."""

    id: str
    created: int
    card: str
    exp_month: int = 12
    exp_year: int = 2034
    billing: Json | None = None
    metadata: Metadata = {}


class Dispute(NamedTuple):
    """https://docs.stripe.com/api/disputes/object"""

    id: str
    created: int
    amount: int
    currency: str
    status: str
    reason: str
    charge: str
    payment_intent: str | None
    card: str
    due_by: int
    evidence: Metadata = {}
    submission_count: int = 0
    balance_transactions: tuple[str, ...] = ()
    metadata: Metadata = {}
    inquiry: bool = False


class WebhookEndpoint(NamedTuple):
    """https://docs.stripe.com/api/webhook_endpoints/object"""

    id: str
    created: int
    url: str
    enabled_events: tuple[str, ...]
    secret: str
    status: str = "enabled"
    description: str | None = None
    metadata: Metadata = {}
    deleted: bool = False


class Entry(NamedTuple):
    """One double entry of the ledger: `postings` are (account, signed minor units) and sum to zero.

    An entry that moves the platform's own balance is also what Stripe calls a balance transaction (`txn_`); the others
    (`led_`: holds, money given to a connected account) are seen in the ledger only.
    """

    id: str
    created: int
    type: str
    currency: str
    source: str
    postings: tuple[tuple[str, int], ...]
    amount: int = 0
    fee: int = 0
    available_on: int = 0
    description: str | None = None


Record = (
    PaymentIntent | Charge | Refund | Transfer | Reversal | Account | PaymentMethod | Dispute | WebhookEndpoint | Entry
)


class Event(NamedTuple):
    """https://docs.stripe.com/api/events/object. `snapshot` is the object as it was when the event happened."""

    id: str
    created: int
    type: str
    snapshot: Record
    previous: Json | None
    request: str | None
    idempotency_key: str | None


KINDS: dict[str, type[Any]] = {
    "payment_intent": PaymentIntent,
    "charge": Charge,
    "refund": Refund,
    "transfer": Transfer,
    "transfer_reversal": Reversal,
    "account": Account,
    "payment_method": PaymentMethod,
    "dispute": Dispute,
    "webhook_endpoint": WebhookEndpoint,
    "entry": Entry,
}
KIND_OF: dict[type[Any], str] = {row: kind for kind, row in KINDS.items()}
