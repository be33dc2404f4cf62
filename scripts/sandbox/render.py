"""Records as Stripe's JSON objects, in the shapes of API version 2026-10-28.

Rendering reads nothing but the record (and, for a transfer, its reversals), so that an old snapshot of a record renders
as it was answered then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scripts.sandbox import render_payments
from scripts.sandbox.cards import CARDS
from scripts.sandbox.ledger import PLATFORM
from scripts.sandbox.records import (
    Account,
    Charge,
    Dispute,
    Entry,
    Event,
    Json,
    PaymentIntent,
    PaymentMethod,
    Record,
    Refund,
    Reversal,
    Transfer,
    WebhookEndpoint,
)
from scripts.sandbox.store import Store

API_VERSION = "2026-10-28.endive"
_REPORTING = {
    "charge": "charge", "refund": "refund", "refund_failure": "refund_failure", "transfer": "transfer",
    "transfer_refund": "transfer_reversal", "adjustment": "dispute", "topup": "topup",
}  # fmt: skip
_EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy", "cancellation_policy_disclosure",
    "cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address", "shipping_carrier",
    "shipping_date", "shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def render(store: Store, record: Record) -> Json:
    """The JSON object of any record."""
    return _RENDERERS[type(record)](store, record)


def _account(store: Store, account: Account) -> Json:
    active = not account.restricted
    status = "active" if active else "inactive"
    return {
        "id": account.id,
        "object": "account",
        "business_profile": {"name": account.business_name},
        "business_type": account.business_type,
        "capabilities": {"card_payments": status, "transfers": status},
        "charges_enabled": active,
        "controller": {"type": "application", "is_controller": True},
        "country": account.country,
        "created": account.created,
        "default_currency": account.default_currency,
        "details_submitted": True,
        "email": account.email,
        "metadata": account.metadata,
        "payouts_enabled": active,
        "requirements": {
            "alternatives": [], "current_deadline": None, "currently_due": [],
            "disabled_reason": None if active else "platform_paused", "errors": [], "eventually_due": [],
            "past_due": [], "pending_verification": [],
        },
        "type": account.kind,
    }  # fmt: skip


def _dispute(store: Store, dispute: Dispute) -> Json:
    card = CARDS[dispute.card]
    return {
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "balance_transactions": [_entry(store, store.entries.rows[id]) for id in dispute.balance_transactions],
        "charge": dispute.charge,
        "created": dispute.created,
        "currency": dispute.currency,
        "enhanced_eligibility_types": [],
        "evidence": {**{name: dispute.evidence.get(name) for name in _EVIDENCE}, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": dispute.due_by,
            "enhanced_eligibility": {},
            "has_evidence": bool(dispute.evidence),
            "past_due": dispute.status == "lost" and not dispute.submission_count,
            "submission_count": dispute.submission_count,
            "submission_method": "manual" if dispute.submission_count else "not_submitted",
        },
        "is_charge_refundable": dispute.inquiry,
        "livemode": False,
        "metadata": dispute.metadata,
        "payment_intent": dispute.payment_intent,
        "payment_method_details": {
            "card": {
                "brand": card.brand, "case_type": "inquiry" if dispute.inquiry else "chargeback",
                "network": card.brand, "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": dispute.reason,
        "status": dispute.status,
    }  # fmt: skip


def _webhook_endpoint(store: Store, endpoint: WebhookEndpoint) -> Json:
    if endpoint.deleted:
        return {"id": endpoint.id, "object": "webhook_endpoint", "deleted": True}
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "api_version": API_VERSION,
        "application": None,
        "created": endpoint.created,
        "description": endpoint.description,
        "enabled_events": list(endpoint.enabled_events),
        "livemode": False,
        "metadata": endpoint.metadata,
        "status": endpoint.status,
        "url": endpoint.url,
    }


def _entry(store: Store, entry: Entry) -> Json:
    fees = [
        {"amount": entry.fee, "application": None, "currency": entry.currency, "description": "Stripe processing fees",
         "type": "stripe_fee"}
    ]  # fmt: skip
    return {
        "id": entry.id,
        "object": "balance_transaction",
        "amount": entry.amount,
        "available_on": entry.available_on or entry.created,
        "balance_type": "payments",
        "created": entry.created,
        "currency": entry.currency,
        "description": entry.description,
        "exchange_rate": None,
        "fee": entry.fee,
        "fee_details": fees if entry.fee else [],
        "net": sum(amount for account, amount in entry.postings if account == PLATFORM),
        "reporting_category": _REPORTING.get(entry.type, "other_adjustment"),
        "source": entry.source if not entry.source.startswith("acct_") else None,
        "status": "pending" if entry.available_on > store.now() else "available",
        "type": entry.type,
    }


def event(store: Store, occurred: Event) -> Json:
    """The JSON object of an event."""
    data: Json = {"object": render(store, occurred.snapshot)}
    if occurred.previous is not None:
        data["previous_attributes"] = occurred.previous
    return {
        "id": occurred.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": occurred.created,
        "data": data,
        "livemode": False,
        "pending_webhooks": len(store.undelivered.get(occurred.id, ())),
        "request": {"id": occurred.request, "idempotency_key": occurred.idempotency_key},
        "type": occurred.type,
    }


_RENDERERS: dict[type[Any], Callable[[Store, Any], Json]] = {
    PaymentIntent: render_payments.payment_intent,
    Charge: render_payments.charge,
    Refund: render_payments.refund,
    Transfer: render_payments.transfer,
    Reversal: render_payments.reversal,
    Account: _account,
    PaymentMethod: render_payments.payment_method,
    Dispute: _dispute,
    WebhookEndpoint: _webhook_endpoint,
    Entry: _entry,
}


def by_id(store: Store, id: str) -> Json | None:
    """The JSON object with this id, of any kind, or None."""
    try:
        return render(store, store.record(id))
    except KeyError:
        return None
