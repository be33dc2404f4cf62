"""Records as Stripe's JSON objects, in the shapes of API version 2026-10-28.

Rendering reads nothing but the record (and, for a transfer, its reversals), so that an old snapshot of a record renders
as it was answered then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from scripts.sandbox.cards import CARDS, Card
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


def _payment_intent(store: Store, pi: PaymentIntent) -> Json:
    types = list(pi.allowed) if pi.allowed is not None else ["card"]
    return {
        "id": pi.id,
        "object": "payment_intent",
        "allowed_payment_method_types": None if pi.allowed is None else types,
        "amount": pi.amount,
        "amount_capturable": pi.amount_capturable,
        "amount_details": {"tip": {}},
        "amount_received": pi.amount_received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": (
            {"allow_redirects": pi.automatic, "enabled": True} if pi.automatic else None
        ),
        "canceled_at": pi.canceled_at,
        "cancellation_reason": pi.cancellation_reason,
        "capture_method": pi.capture_method,
        "client_secret": f"{pi.id}_secret_{pi.id[-10:]}",
        "confirmation_method": pi.confirmation_method,
        "created": pi.created,
        "currency": pi.currency,
        "customer": None,
        "description": pi.description,
        "excluded_payment_method_types": None,
        "last_payment_error": _last_error(store, pi),
        "latest_charge": pi.latest_charge,
        "livemode": False,
        "metadata": pi.metadata,
        "next_action": _next_action(store, pi),
        "on_behalf_of": pi.on_behalf_of,
        "payment_method": pi.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": types,
        "processing": None,
        "receipt_email": pi.receipt_email,
        "review": None,
        "setup_future_usage": pi.setup_future_usage,
        "shipping": pi.shipping,
        "source": None,
        "statement_descriptor": pi.statement_descriptor,
        "statement_descriptor_suffix": pi.statement_descriptor_suffix,
        "status": pi.status,
        "transfer_data": None,
        "transfer_group": pi.transfer_group,
    }  # fmt: skip


def _last_error(store: Store, pi: PaymentIntent) -> Json | None:
    if pi.last_error is None:
        return None
    error = {name: value for name, value in pi.last_error.items() if name != "payment_method"}
    method = store.payment_methods.rows.get(pi.last_error.get("payment_method", ""))
    if method is not None:
        error["payment_method"] = _payment_method(store, method)
    return error


def _next_action(store: Store, pi: PaymentIntent) -> Json | None:
    if pi.status != "requires_action":
        return None
    url = f"{store.settings.base_url}/_sandbox/authenticate/{pi.id}"
    if pi.return_url:
        return {"redirect_to_url": {"return_url": pi.return_url, "url": url}, "type": "redirect_to_url"}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def _charge(store: Store, charge: Charge) -> Json:
    failure = charge.failure or {}
    succeeded = charge.status == "succeeded"
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": charge.balance_transaction,
        "billing_details": _billing(None),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "customer": None,
        "description": charge.description,
        "disputed": charge.disputed,
        "failure_balance_transaction": None,
        "failure_code": failure.get("code"),
        "failure_message": failure.get("message"),
        "fraud_details": {"user_report": charge.fraud} if charge.fraud else {},
        "livemode": False,
        "metadata": charge.metadata,
        "on_behalf_of": charge.on_behalf_of,
        "outcome": _outcome(failure),
        "paid": succeeded,
        "payment_intent": charge.payment_intent,
        "payment_method": charge.payment_method,
        "payment_method_details": {"card": _card_of_charge(charge, CARDS[charge.card]), "type": "card"},
        "radar_options": {},
        "receipt_email": charge.receipt_email,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": succeeded and charge.amount_refunded >= charge.amount,
        "review": None,
        "shipping": charge.shipping,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": charge.statement_descriptor,
        "statement_descriptor_suffix": charge.statement_descriptor_suffix,
        "status": charge.status,
        "transfer_data": None,
        "transfer_group": charge.transfer_group,
    }


def _outcome(failure: Json) -> Json:
    if not failure:
        return {
            "advice_code": None, "network_advice_code": None, "network_decline_code": None,
            "network_status": "approved_by_network", "reason": None, "risk_level": "normal", "risk_score": 12,
            "seller_message": "Payment complete.", "type": "authorized",
        }  # fmt: skip
    blocked = failure.get("blocked")
    return {
        "advice_code": failure.get("advice_code"),
        "network_advice_code": None,
        "network_decline_code": None if blocked else "05",
        "network_status": "not_sent_to_network" if blocked else "declined_by_network",
        "reason": "highest_risk_level" if blocked else failure.get("decline_code") or failure.get("code"),
        "risk_level": "highest" if blocked else "normal",
        "risk_score": 92 if blocked else 12,
        "seller_message": (
            "Stripe blocked this payment as too risky." if blocked else "The bank returned the decline code."
        ),
        "type": "blocked" if blocked else "issuer_declined",
    }


def _card_of_charge(charge: Charge, card: Card) -> Json:
    details: Json = {
        "amount_authorized": charge.amount if charge.status == "succeeded" else None,
        "authorization_code": "123456" if charge.status == "succeeded" else None,
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "exp_month": 12,
        "exp_year": 2034,
        "extended_authorization": {"status": "disabled"},
        "fingerprint": f"fp{card.number}",
        "funding": card.funding,
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": charge.id[-15:],
        "overcapture": {"maximum_amount_capturable": charge.amount, "status": "unavailable"},
        "regulated_status": "unregulated",
        "three_d_secure": _three_d_secure() if charge.authenticated else None,
        "wallet": None,
    }
    if charge.capture_before:
        details["capture_before"] = charge.capture_before
    return details


def _three_d_secure() -> Json:
    return {
        "authentication_flow": "challenge", "electronic_commerce_indicator": "05", "exemption_indicator": None,
        "result": "authenticated", "result_reason": None, "transaction_id": None, "version": "2.2.0",
    }  # fmt: skip


def _refund(store: Store, refund: Refund) -> Json:
    return {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": refund.balance_transaction,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "destination_details": {
            "card": {
                "reference": refund.id[-12:], "reference_status": "available",
                "reference_type": "acquirer_reference_number", "type": "refund",
            },
            "type": "card",
        },
        "failure_balance_transaction": refund.failure_balance_transaction,
        "failure_reason": refund.failure_reason,
        "metadata": refund.metadata,
        "payment_intent": refund.payment_intent,
        "pending_reason": "processing" if refund.status == "pending" else None,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
    }  # fmt: skip


def _transfer(store: Store, transfer: Transfer) -> Json:
    reversals = [_reversal(store, store.reversals.rows[id]) for id in transfer.reversals[:10]]
    return {
        "id": transfer.id,
        "object": "transfer",
        "amount": transfer.amount,
        "amount_reversed": transfer.amount_reversed,
        "balance_transaction": transfer.balance_transaction,
        "created": transfer.created,
        "currency": transfer.currency,
        "description": transfer.description,
        "destination": transfer.destination,
        "destination_payment": transfer.destination_payment,
        "livemode": False,
        "metadata": transfer.metadata,
        "reversals": {
            "object": "list",
            "data": reversals,
            "has_more": len(transfer.reversals) > 10,
            "url": f"/v1/transfers/{transfer.id}/reversals",
        },
        "reversed": transfer.amount_reversed >= transfer.amount,
        "source_transaction": transfer.source_transaction,
        "source_type": transfer.source_type,
        "transfer_group": transfer.transfer_group,
    }


def _reversal(store: Store, reversal: Reversal) -> Json:
    return {
        "id": reversal.id,
        "object": "transfer_reversal",
        "amount": reversal.amount,
        "balance_transaction": reversal.balance_transaction,
        "created": reversal.created,
        "currency": reversal.currency,
        "destination_payment_refund": reversal.destination_payment_refund,
        "metadata": reversal.metadata,
        "source_refund": None,
        "transfer": reversal.transfer,
    }


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


def _payment_method(store: Store, method: PaymentMethod) -> Json:
    card = CARDS[method.card]
    return {
        "id": method.id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _billing(method.billing),
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": method.exp_month,
            "exp_year": method.exp_year,
            "fingerprint": f"fp{card.number}",
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
        "created": method.created,
        "customer": None,
        "livemode": False,
        "metadata": method.metadata,
        "type": "card",
    }


def _billing(given: Json | None) -> Json:
    given = given or {}
    address = given.get("address") or {}
    places = ("city", "country", "line1", "line2", "postal_code", "state")
    return {
        "address": {place: address.get(place) for place in places},
        "email": given.get("email"),
        "name": given.get("name"),
        "phone": given.get("phone"),
        "tax_id": None,
    }


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
    PaymentIntent: _payment_intent,
    Charge: _charge,
    Refund: _refund,
    Transfer: _transfer,
    Reversal: _reversal,
    Account: _account,
    PaymentMethod: _payment_method,
    Dispute: _dispute,
    WebhookEndpoint: _webhook_endpoint,
    Entry: _entry,
}


def by_id(store: Store, id: str) -> Json | None:
    """The JSON object with this id, of any kind, or None."""
    try:
        return render(store, cast(Record, store.record(id)))
    except KeyError:
        return None
