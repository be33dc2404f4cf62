"""Payment objects as Stripe's JSON: PaymentIntents, charges, refunds, transfers, reversals, payment methods.

Rendering reads nothing but the record, a transfer's reversals and a failed attempt's payment method, so that an old
snapshot of a record renders as it was answered then.
"""

from __future__ import annotations

from scripts.sandbox.cards import CARDS, Card
from scripts.sandbox.records import Charge, Json, PaymentIntent, PaymentMethod, Refund, Reversal, Transfer
from scripts.sandbox.store import Store


def payment_intent(store: Store, pi: PaymentIntent) -> Json:
    """A PaymentIntent's JSON object."""
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
        "client_secret": client_secret(pi),
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
            "card": {
                "installments": None, "mandate_options": None, "network": None, "request_three_d_secure": "automatic",
            }
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


def client_secret(pi: PaymentIntent) -> str:
    """What a payer's browser identifies itself with."""
    return f"{pi.id}_secret_{pi.id[-10:]}"


def _last_error(store: Store, pi: PaymentIntent) -> Json | None:
    if pi.last_error is None:
        return None
    error = {name: value for name, value in pi.last_error.items() if name != "payment_method"}
    method = store.payment_methods.rows.get(pi.last_error.get("payment_method", ""))
    if method is not None:
        error["payment_method"] = payment_method(store, method)
    return error


def _next_action(store: Store, pi: PaymentIntent) -> Json | None:
    if pi.status != "requires_action":
        return None
    url = f"{store.settings.base_url}/_sandbox/authenticate/{pi.id}"
    if pi.return_url:
        return {"redirect_to_url": {"return_url": pi.return_url, "url": url}, "type": "redirect_to_url"}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def charge(store: Store, row: Charge) -> Json:
    """A charge's JSON object."""
    failure = row.failure or {}
    succeeded = row.status == "succeeded"
    return {
        "id": row.id,
        "object": "charge",
        "amount": row.amount,
        "amount_captured": row.amount_captured,
        "amount_refunded": row.amount_refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": row.balance_transaction,
        "billing_details": _billing(None),
        "calculated_statement_descriptor": "SANDBOX",
        "captured": row.captured,
        "created": row.created,
        "currency": row.currency,
        "customer": None,
        "description": row.description,
        "disputed": row.disputed,
        "failure_balance_transaction": None,
        "failure_code": failure.get("code"),
        "failure_message": failure.get("message"),
        "fraud_details": {"user_report": row.fraud} if row.fraud else {},
        "livemode": False,
        "metadata": row.metadata,
        "on_behalf_of": row.on_behalf_of,
        "outcome": _outcome(failure),
        "paid": succeeded,
        "payment_intent": row.payment_intent,
        "payment_method": row.payment_method,
        "payment_method_details": {"card": _card_of_charge(row, CARDS[row.card]), "type": "card"},
        "radar_options": {},
        "receipt_email": row.receipt_email,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": succeeded and row.amount_refunded >= row.amount,
        "review": None,
        "shipping": row.shipping,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": row.statement_descriptor,
        "statement_descriptor_suffix": row.statement_descriptor_suffix,
        "status": row.status,
        "transfer_data": None,
        "transfer_group": row.transfer_group,
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


def refund(store: Store, row: Refund) -> Json:
    """A refund's JSON object."""
    return {
        "id": row.id,
        "object": "refund",
        "amount": row.amount,
        "balance_transaction": row.balance_transaction,
        "charge": row.charge,
        "created": row.created,
        "currency": row.currency,
        "destination_details": {
            "card": {
                "reference": row.id[-12:], "reference_status": "available",
                "reference_type": "acquirer_reference_number", "type": "refund",
            },
            "type": "card",
        },
        "failure_balance_transaction": row.failure_balance_transaction,
        "failure_reason": row.failure_reason,
        "metadata": row.metadata,
        "payment_intent": row.payment_intent,
        "pending_reason": "processing" if row.status == "pending" else None,
        "reason": row.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": row.status,
        "transfer_reversal": None,
    }  # fmt: skip


def transfer(store: Store, row: Transfer) -> Json:
    """A transfer's JSON object, its last ten reversals within."""
    shown = [reversal(store, store.reversals.rows[id]) for id in row.reversals[:10]]
    return {
        "id": row.id,
        "object": "transfer",
        "amount": row.amount,
        "amount_reversed": row.amount_reversed,
        "balance_transaction": row.balance_transaction,
        "created": row.created,
        "currency": row.currency,
        "description": row.description,
        "destination": row.destination,
        "destination_payment": row.destination_payment,
        "livemode": False,
        "metadata": row.metadata,
        "reversals": {
            "object": "list",
            "data": shown,
            "has_more": len(row.reversals) > 10,
            "url": f"/v1/transfers/{row.id}/reversals",
        },
        "reversed": row.amount_reversed >= row.amount,
        "source_transaction": row.source_transaction,
        "source_type": row.source_type,
        "transfer_group": row.transfer_group,
    }


def reversal(store: Store, row: Reversal) -> Json:
    """A transfer reversal's JSON object."""
    return {
        "id": row.id,
        "object": "transfer_reversal",
        "amount": row.amount,
        "balance_transaction": row.balance_transaction,
        "created": row.created,
        "currency": row.currency,
        "destination_payment_refund": row.destination_payment_refund,
        "metadata": row.metadata,
        "source_refund": None,
        "transfer": row.transfer,
    }


def payment_method(store: Store, method: PaymentMethod) -> Json:
    """A PaymentMethod's JSON object."""
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
