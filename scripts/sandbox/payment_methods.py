"""PaymentMethods of type card, made from Stripe's test tokens and test card numbers."""

from __future__ import annotations

from typing import Any

from scripts.sandbox import cards, parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.errors import StripeError, missing, refused
from scripts.sandbox.parameters import Spec, choice, integer, metadata, nested, text, unsettable_text
from scripts.sandbox.records import PaymentMethod

_CARD = Spec(
    cvc=text, exp_month=integer(1, 12), exp_year=integer(0, 9999), number=text, token=text
)  # fmt: skip
_BILLING = Spec(
    address=nested(parameters.ADDRESS, unset=True), email=unsettable_text, name=unsettable_text, phone=unsettable_text
)
CREATE = Spec(
    required="type",
    unsupported="allow_redisplay customer payment_method radar_options",
    billing_details=nested(_BILLING),
    card=nested(_CARD),
    metadata=metadata,
    type=choice("card"),
)
UPDATE = Spec(unsupported="allow_redisplay card us_bank_account", billing_details=nested(_BILLING), metadata=metadata)


def create(call: Call) -> Answer:
    """POST /v1/payment_methods with `card[token]=tok_visa` or a test card's number."""
    card = call.params.get("card", {})
    method = PaymentMethod(
        id=call.store.new_id("pm_1"),
        created=call.now,
        card=_card(card),
        exp_month=card.get("exp_month", 12),
        exp_year=card.get("exp_year", 2034),
        billing=call.params.get("billing_details"),
        metadata=parameters.merged({}, call.params.get("metadata")),
    )
    call.work.put(method)
    return method


def _card(given: dict[str, Any]) -> str:
    if "token" in given:
        name = cards.by_alias(given["token"])
        if name is None:
            raise missing("token", given["token"], param="card[token]", status=400)
        return name
    if "number" not in given:
        raise refused("Missing required param: card[number].", param="card[number]", code="parameter_missing")
    name = cards.by_number(given["number"])
    if name is None:
        raise StripeError(
            402, "Your card number is incorrect.", type="card_error", code="incorrect_number", param="number"
        )  # fmt: skip
    return name


def retrieve(call: Call) -> Answer:
    """GET /v1/payment_methods/{id}"""
    return _find(call)


def update(call: Call) -> Answer:
    """POST /v1/payment_methods/{id}"""
    method = _find(call)
    if "metadata" in call.params:
        method = method._replace(metadata=parameters.merged(method.metadata, call.params["metadata"]))
    if "billing_details" in call.params:
        method = method._replace(billing={**(method.billing or {}), **call.params["billing_details"]})
    call.work.put(method)
    return method


def _find(call: Call) -> PaymentMethod:
    found = call.work.find(call.store.payment_methods, call.path[0])
    if found is None:
        raise missing("PaymentMethod", call.path[0])
    return found
