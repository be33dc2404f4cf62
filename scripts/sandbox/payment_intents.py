"""PaymentIntents: https://docs.stripe.com/payments/paymentintents/lifecycle

requires_payment_method -> requires_confirmation -> requires_action (3D Secure) -> requires_capture -> succeeded, and
canceled from everywhere before the end.
"""

from __future__ import annotations

from typing import Any

from scripts.sandbox import cards, charges, currencies, parameters
from scripts.sandbox.calls import Answer, Call, unexpected_state
from scripts.sandbox.errors import invalid, missing, refused
from scripts.sandbox.parameters import (
    Params,
    Spec,
    amount,
    boolean,
    choice,
    integer,
    metadata,
    nested,
    text,
    texts,
    unsettable_text,
)
from scripts.sandbox.payment_attempts import NO_METHOD, attempt
from scripts.sandbox.records import PaymentIntent, PaymentMethod
from scripts.sandbox.render_payments import client_secret

_CANCELABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action", "processing")
_CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
_NOT_HERE = (
    "amount_details excluded_payment_method_types hooks payment_details payment_method_data payment_method_options"
)
_NOT_HERE_BEFORE = (
    f"{_NOT_HERE} application_fee_amount customer customer_account payment_method_configuration transfer_data"
)
_NOT_HERE_CONFIRMING = "confirmation_token mandate mandate_data radar_options"
_AUTOMATIC = Spec(required="enabled", enabled=boolean, allow_redirects=choice("always", "never"))
_CAPTURE = choice("automatic", "automatic_async", "manual")
_FUTURE = choice("off_session", "on_session")
_TYPES = texts("card")


def _off_session(value: Any, name: str) -> bool:
    return value in ("one_off", "recurring") or boolean(value, name)


CREATE = Spec(
    required="amount currency",
    unsupported=f"{_NOT_HERE_BEFORE} {_NOT_HERE_CONFIRMING}",
    allowed_payment_method_types=_TYPES,
    amount=amount,
    automatic_payment_methods=nested(_AUTOMATIC),
    capture_method=_CAPTURE,
    confirm=boolean,
    confirmation_method=choice("automatic", "manual"),
    currency=parameters.currency,
    description=text,
    error_on_requires_action=boolean,
    metadata=metadata,
    off_session=_off_session,
    on_behalf_of=text,
    payment_method=text,
    receipt_email=text,
    return_url=text,
    setup_future_usage=_FUTURE,
    shipping=nested(parameters.SHIPPING),
    statement_descriptor=text,
    statement_descriptor_suffix=text,
    transfer_group=text,
    use_stripe_sdk=boolean,
)
UPDATE = Spec(
    unsupported=f"{_NOT_HERE_BEFORE} setup_future_usage",
    allowed_payment_method_types=_TYPES,
    amount=amount,
    capture_method=_CAPTURE,
    currency=parameters.currency,
    description=unsettable_text,
    metadata=metadata,
    payment_method=unsettable_text,
    receipt_email=unsettable_text,
    shipping=nested(parameters.SHIPPING, unset=True),
    statement_descriptor=text,
    statement_descriptor_suffix=text,
    transfer_group=text,
)
CONFIRM = Spec(
    unsupported=f"{_NOT_HERE} {_NOT_HERE_CONFIRMING} amount_to_confirm",
    allowed_payment_method_types=_TYPES,
    capture_method=_CAPTURE,
    error_on_requires_action=boolean,
    off_session=_off_session,
    payment_method=text,
    receipt_email=unsettable_text,
    return_url=text,
    setup_future_usage=choice("off_session", "on_session", unset=True),
    shipping=nested(parameters.SHIPPING, unset=True),
    use_stripe_sdk=boolean,
)
CAPTURE = Spec(
    unsupported="amount_details application_fee_amount hooks payment_details transfer_data",
    amount_to_capture=integer(1),
    final_capture=boolean,
    metadata=metadata,
    statement_descriptor=text,
    statement_descriptor_suffix=text,
)
CANCEL = Spec(
    cancellation_reason=choice("abandoned", "duplicate", "fraudulent", "requested_by_customer"),
)
RETRIEVE = Spec(client_secret=text)
_DESCRIPTORS = ("statement_descriptor", "statement_descriptor_suffix")
_CONFIRM_ONLY = ("error_on_requires_action", "off_session", "return_url", "use_stripe_sdk")


def create(call: Call) -> Answer:
    """POST /v1/payment_intents, with or without `confirm=true`."""
    params = call.params
    confirming = params.get("confirm", False)
    for name in _CONFIRM_ONLY:
        if name in params and not confirming:
            raise refused(f"You cannot set `{name}` without confirm=true.", param=name)
    _check_amount(call, params["amount"], params["currency"])
    allowed = params.get("allowed_payment_method_types")
    automatic = params.get("automatic_payment_methods")
    if automatic is not None and allowed is not None and automatic["enabled"]:
        raise refused(
            "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types.",
            param="automatic_payment_methods",
        )
    redirects = "" if allowed is not None else "always"
    if automatic is not None:
        redirects = automatic.get("allow_redirects", "always") if automatic["enabled"] else ""
    if "on_behalf_of" in params and params["on_behalf_of"] not in call.store.accounts.rows:
        raise missing("account", params["on_behalf_of"], param="on_behalf_of", status=400)
    method = _method(call, params["payment_method"]) if "payment_method" in params else None
    intent = PaymentIntent(
        id=call.store.new_id("pi_3"),
        created=call.now,
        amount=params["amount"],
        currency=params["currency"],
        status="requires_confirmation" if method is not None else "requires_payment_method",
        capture_method=params.get("capture_method", "automatic_async"),
        confirmation_method=params.get("confirmation_method", "automatic"),
        metadata=parameters.merged({}, params.get("metadata")),
        transfer_group=params.get("transfer_group"),
        payment_method=method.id if method is not None else None,
        automatic=redirects,
        allowed=allowed,
        description=params.get("description"),
        receipt_email=params.get("receipt_email"),
        shipping=params.get("shipping"),
        setup_future_usage=params.get("setup_future_usage"),
        statement_descriptor=params.get("statement_descriptor"),
        statement_descriptor_suffix=params.get("statement_descriptor_suffix"),
        on_behalf_of=params.get("on_behalf_of"),
    )
    if confirming and method is None:
        raise invalid(NO_METHOD, code="payment_intent_unexpected_state", param="payment_method")
    call.work.put(intent)
    call.work.emit("payment_intent.created", intent.id)
    return attempt(call, intent) if confirming else intent


def retrieve(call: Call) -> Answer:
    """GET /v1/payment_intents/{id}"""
    intent = call.payment_intent(call.path[0])
    if call.params.get("client_secret", client_secret(intent)) != client_secret(intent):
        raise refused("The client_secret provided does not match this PaymentIntent's.", param="client_secret")
    return intent


def update(call: Call) -> Answer:
    """POST /v1/payment_intents/{id}: metadata and description at any time, the rest before confirmation."""
    intent = call.payment_intent(call.path[0])
    params = dict(call.params)
    params.pop("expand", None)
    free = {"metadata", "description", "receipt_email", "shipping", "transfer_group"}
    fixed = sorted(set(params) - free)
    if fixed and intent.status not in _CONFIRMABLE:
        raise unexpected_state(
            call,
            intent,
            f"This PaymentIntent's {fixed[0]} could not be updated because it has a status of {intent.status}. You may "
            "only update it when it has one of the following statuses: requires_payment_method, "
            "requires_confirmation, requires_action.",
        )
    if "metadata" in params:
        params["metadata"] = parameters.merged(intent.metadata, params["metadata"])
    if "amount" in params or "currency" in params:
        _check_amount(call, params.get("amount", intent.amount), params.get("currency", intent.currency))
    if "allowed_payment_method_types" in params:
        params["allowed"], params["automatic"] = params.pop("allowed_payment_method_types"), ""
    if "payment_method" in params:
        given = params["payment_method"]
        params["payment_method"] = _method(call, given).id if given else None
        params["status"] = "requires_confirmation" if given else "requires_payment_method"
    intent = intent._replace(**params, last_error=intent.last_error if not fixed else None)
    call.work.put(intent)
    return intent


def confirm(call: Call) -> Answer:
    """POST /v1/payment_intents/{id}/confirm"""
    intent = call.payment_intent(call.path[0])
    if intent.status not in _CONFIRMABLE:
        verb = "has already been confirmed" if intent.status in ("succeeded", "requires_capture") else "was canceled"
        message = f"You cannot confirm this PaymentIntent because it {verb}: it has a status of {intent.status}."
        raise unexpected_state(call, intent, message)
    params = call.params
    changes: Params = {name: params[name] for name in ("capture_method", "receipt_email", "shipping") if name in params}
    if "payment_method" in params:
        changes["payment_method"] = _method(call, params["payment_method"]).id
    if "setup_future_usage" in params:
        changes["setup_future_usage"] = params["setup_future_usage"]
    return attempt(call, intent._replace(**changes))


def capture(call: Call) -> Answer:
    """POST /v1/payment_intents/{id}/capture: all of the hold, or a part; the rest is released by the same call."""
    intent = call.payment_intent(call.path[0])
    params = call.params
    if params.get("final_capture") is False:
        message = "This sandbox does not support capturing a PaymentIntent more than once: final_capture must be true."
        raise refused(message, param="final_capture")
    if intent.status != "requires_capture":
        raise unexpected_state(
            call,
            intent,
            "This PaymentIntent could not be captured because it has a status of "
            f"{intent.status}. Only a PaymentIntent with one of the following statuses may be captured: "
            "requires_capture.",
        )
    taken = params.get("amount_to_capture", intent.amount_capturable)
    if taken > intent.amount_capturable:
        raise invalid(
            f"The amount to capture ({currencies.text(taken, intent.currency)}) is greater than the amount capturable "
            f"({currencies.text(intent.amount_capturable, intent.currency)}).",
            param="amount_to_capture",
            code="amount_too_large",
            payment_intent=call.shown(intent.id),
        )
    charge = call.charge(intent.latest_charge or "")
    words = {name: params[name] for name in _DESCRIPTORS if name in params}
    charges.capture(call, charge._replace(**words), taken)
    call.work.emit("charge.captured", charge.id)
    intent = intent._replace(
        **words,
        status="succeeded",
        amount_capturable=0,
        amount_received=taken,
        metadata=parameters.merged(intent.metadata, params["metadata"]) if "metadata" in params else intent.metadata,
    )
    call.work.put(intent)
    call.work.emit("payment_intent.succeeded", intent.id)
    return intent


def cancel(call: Call) -> Answer:
    """POST /v1/payment_intents/{id}/cancel: a hold is given back in full."""
    intent = call.payment_intent(call.path[0])
    if intent.status not in _CANCELABLE:
        raise unexpected_state(
            call,
            intent,
            f"You cannot cancel this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent "
            f"with one of the following statuses may be canceled: {', '.join(_CANCELABLE)}.",
        )
    return close(call, intent, call.params.get("cancellation_reason"))


def close(call: Call, intent: PaymentIntent, reason: str | None) -> PaymentIntent:
    """Cancel the intent and give its hold back, if it has one."""
    if intent.status == "requires_capture":
        charge = charges.release(call, call.charge(intent.latest_charge or ""))
        call.work.emit("charge.expired" if reason == "automatic" else "charge.refunded", charge.id)
    intent = intent._replace(status="canceled", canceled_at=call.now, cancellation_reason=reason, amount_capturable=0)
    call.work.put(intent)
    call.work.emit("payment_intent.canceled", intent.id)
    return intent


def expire(call: Call, intent: PaymentIntent) -> None:
    """The issuer's hold has run out uncaptured: Stripe cancels the PaymentIntent."""
    if intent.status == "requires_capture" and intent.capture_before <= call.now:
        close(call, intent, "automatic")


def _check_amount(call: Call, given: int, currency: str) -> None:
    least = currencies.MINIMUM.get(currency, 1) if call.settings.minimum_charge else 1
    if given < least:
        message = f"Amount must be at least {currencies.text(least, currency)} {currency}"
        raise refused(message, param="amount", code="amount_too_small")


def _method(call: Call, given: str) -> PaymentMethod:
    name = cards.by_alias(given)
    if name is None:
        found = call.work.find(call.store.payment_methods, given)
        if found is None:
            raise missing("PaymentMethod", given, param="payment_method", status=400)
        return found
    method = PaymentMethod(id=call.store.new_id("pm_1"), created=call.now, card=name)
    call.work.put(method)
    return method
