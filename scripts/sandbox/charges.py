"""Charges: attempts to pay with a card, holds, captures, and the ledger entries that go with them."""

from __future__ import annotations

from scripts.sandbox import ledger, parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.cards import CARDS, Decline
from scripts.sandbox.errors import refused
from scripts.sandbox.parameters import Spec
from scripts.sandbox.records import Charge, Entry, Json, PaymentIntent

UPDATE = Spec(
    unsupported="customer fraud_details",
    description=parameters.unsettable_text,
    metadata=parameters.metadata,
    receipt_email=parameters.text,
    shipping=parameters.nested(parameters.SHIPPING),
    transfer_group=parameters.text,
)


def attempt(call: Call, intent: PaymentIntent, card: str, decline: Decline | None) -> Charge:
    """Charge or authorise the intent's amount on a card; a declined attempt leaves a failed charge."""
    hold = intent.capture_method == "manual"
    failure: Json | None = None
    if decline is not None:
        failure = {
            "code": decline.code, "decline_code": decline.decline_code, "message": decline.message,
            "advice_code": decline.advice_code, "blocked": decline.blocked,
        }  # fmt: skip
    charge = Charge(
        id=call.store.new_id("ch_3"),
        created=call.now,
        amount=intent.amount,
        currency=intent.currency,
        status="failed" if decline is not None else "succeeded",
        card=card,
        payment_intent=intent.id,
        payment_method=intent.payment_method,
        transfer_group=intent.transfer_group,
        capture_before=call.now + call.settings.hold_s if hold and decline is None else 0,
        metadata=intent.metadata,
        description=intent.description,
        receipt_email=intent.receipt_email,
        shipping=intent.shipping,
        statement_descriptor=intent.statement_descriptor,
        statement_descriptor_suffix=intent.statement_descriptor_suffix,
        on_behalf_of=intent.on_behalf_of,
        authenticated=intent.authenticated,
        failure=failure,
    )
    call.work.put(charge)
    call.work.emit("charge.failed" if decline is not None else "charge.succeeded", charge.id)
    if decline is None and hold:
        _memo(call, "hold", charge, charge.amount)
    elif decline is None:
        charge = _take(call, charge, charge.amount)
    return charge


def capture(call: Call, charge: Charge, amount: int) -> Charge:
    """Take `amount` of a held charge and release the rest: it counts as refunded, as Stripe shows a partial capture."""
    _memo(call, "hold_release", charge, -charge.amount)
    return _take(call, charge, amount)


def _take(call: Call, charge: Charge, amount: int) -> Charge:
    settings = call.settings
    days = 0 if CARDS[charge.card].available else settings.settlement_days
    fee = amount * settings.fee_bps // 10_000 + settings.fee_fixed
    postings = ((ledger.CARDHOLDERS, -amount), (ledger.PLATFORM, amount - fee))
    entry = call.work.post(
        Entry(
            id=call.store.new_id("txn_3"),
            created=call.now,
            type="charge",
            currency=charge.currency,
            source=charge.id,
            postings=(*postings, (ledger.FEES, fee)) if fee else postings,
            amount=amount,
            fee=fee,
            available_on=ledger.settlement(call.now, days),
            description=charge.description,
        )
    )
    charge = charge._replace(
        captured=True, amount_captured=amount, amount_refunded=charge.amount - amount, balance_transaction=entry.id
    )
    call.work.put(charge)
    return charge


def release(call: Call, charge: Charge) -> Charge:
    """Give an uncaptured hold back: the charge shows as refunded in full, no money moved."""
    _memo(call, "hold_release", charge, -charge.amount)
    charge = charge._replace(amount_refunded=charge.amount)
    call.work.put(charge)
    return charge


def _memo(call: Call, type: str, charge: Charge, amount: int) -> None:
    call.work.post(
        Entry(
            id=call.store.new_id("led_"),
            created=call.now,
            type=type,
            currency=charge.currency,
            source=charge.id,
            postings=((ledger.HOLDS, amount), (ledger.ISSUERS, -amount)),
        )
    )


def retrieve(call: Call) -> Answer:
    """GET /v1/charges/{id}"""
    return call.charge(call.path[0])


def update(call: Call) -> Answer:
    """POST /v1/charges/{id}"""
    charge = call.charge(call.path[0])
    params = dict(call.params)
    params.pop("expand", None)
    if charge.transfer_group and params.get("transfer_group", charge.transfer_group) != charge.transfer_group:
        raise refused("The transfer_group of a charge cannot be changed once set.", param="transfer_group")
    if "metadata" in params:
        params["metadata"] = parameters.merged(charge.metadata, params["metadata"])
    charge = charge._replace(**params)
    call.work.put(charge)
    call.work.emit("charge.updated", charge.id)
    return charge
