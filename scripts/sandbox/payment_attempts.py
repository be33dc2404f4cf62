"""Attempts to pay a PaymentIntent: with the payer authenticated or absent, held, taken or declined."""

from __future__ import annotations

from scripts.sandbox import charges
from scripts.sandbox.calls import Call, unexpected_state
from scripts.sandbox.cards import AUTHENTICATION, CARDS, Decline
from scripts.sandbox.errors import StripeError, refused
from scripts.sandbox.records import Charge, PaymentIntent, PaymentMethod

NO_METHOD = (
    "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the "
    "PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method "
    "or ConfirmationToken."
)


def attempt(call: Call, intent: PaymentIntent) -> PaymentIntent:
    """Confirm: try to pay with the intent's payment method, or ask for its payer. Raises StripeError."""
    params = call.params
    if intent.payment_method is None:
        raise unexpected_state(call, intent, NO_METHOD)
    if intent.automatic == "always" and "return_url" not in params and not params.get("use_stripe_sdk"):
        raise refused(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of "
            "these payment methods might redirect your customer off of your page, you must provide a `return_url`. If "
            "you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to "
            "`true` and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
            param="return_url",
        )
    method = call.work.find(call.store.payment_methods, intent.payment_method)
    assert method is not None, f"{intent.id} names the payment method {intent.payment_method}, which does not exist"
    card = CARDS[method.card]
    intent = intent._replace(return_url=params.get("return_url"), last_error=None, status="requires_action")
    if card.authentication and not intent.authenticated:
        if params.get("off_session"):
            raise fail(call, intent, method, AUTHENTICATION)
        if params.get("error_on_requires_action"):
            raise fail(call, intent, method, AUTHENTICATION, charged=False)
        call.work.put(intent)
        call.work.emit("payment_intent.requires_action", intent.id)
        return intent
    return pay(call, intent, method)


def pay(call: Call, intent: PaymentIntent, method: PaymentMethod) -> PaymentIntent:
    """Charge or hold the amount, the payer being authenticated as far as the card wants it. Raises StripeError (402)
    if the card is declined, with the failed attempt recorded."""
    card = CARDS[method.card]
    if card.decline is not None:
        raise fail(call, intent, method, card.decline)
    charge = charges.attempt(call, intent, method.card, None)
    if intent.capture_method == "manual":
        intent = intent._replace(
            status="requires_capture",
            amount_capturable=intent.amount,
            latest_charge=charge.id,
            capture_before=charge.capture_before,
        )
        call.work.emit("payment_intent.amount_capturable_updated", intent.id)
    else:
        intent = intent._replace(status="succeeded", amount_received=intent.amount, latest_charge=charge.id)
        call.work.emit("payment_intent.succeeded", intent.id)
    call.work.put(intent)
    return intent


def fail(
    call: Call, intent: PaymentIntent, method: PaymentMethod, decline: Decline, charged: bool = True
) -> StripeError:
    """Record a declined attempt and return the 402 that tells of it."""
    error = {
        "code": decline.code,
        "message": decline.message,
        "type": "card_error",
        "doc_url": f"https://docs.stripe.com/error-codes#{decline.code.replace('_', '-')}",
        "payment_method": method.id,
    }
    if decline.decline_code:
        error["decline_code"] = decline.decline_code
    if decline.advice_code:
        error["advice_code"] = decline.advice_code
    charge: Charge | None = None
    if charged:
        charge = charges.attempt(call, intent, method.card, decline)
        error["charge"] = charge.id
    intent = intent._replace(
        status="requires_payment_method",
        payment_method=None,
        last_error=error,
        latest_charge=charge.id if charge is not None else intent.latest_charge,
    )
    call.work.put(intent)
    call.work.emit("payment_intent.payment_failed", intent.id)
    return StripeError(
        402,
        decline.message,
        type="card_error",
        code=decline.code,
        decline_code=decline.decline_code or None,
        advice_code=decline.advice_code or None,
        network_decline_code=None if decline.blocked or not charged else "05",
        charge=charge.id if charge is not None else None,
        param="number" if decline.code == "expired_card" else "cvc" if decline.code == "incorrect_cvc" else None,
        payment_intent=call.shown(intent.id),
        payment_method=call.shown(method.id),
        effective=True,
    )
