"""Refunds: https://docs.stripe.com/refunds. Never above what was captured and not yet refunded."""

from __future__ import annotations

from scripts.sandbox import currencies, ledger, parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.cards import CARDS
from scripts.sandbox.errors import invalid, missing, refused
from scripts.sandbox.parameters import Spec, amount, choice, metadata, text
from scripts.sandbox.records import Charge, Entry, Refund

CREATE = Spec(
    unsupported="currency customer instructions_email origin refund_application_fee reverse_transfer",
    amount=amount,
    charge=text,
    metadata=metadata,
    payment_intent=text,
    reason=choice("duplicate", "fraudulent", "requested_by_customer"),
)
UPDATE = Spec(metadata=metadata)


def create(call: Call) -> Answer:
    """POST /v1/refunds of a charge or of a PaymentIntent's charge."""
    charge = _charge(call)
    remaining = charge.amount - charge.amount_refunded
    asked = call.params.get("amount", remaining)
    if charge.disputed and not _refundable(call, charge):
        raise invalid(f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed")
    if remaining == 0:
        raise invalid(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    if asked > remaining:
        first, second = currencies.text(asked, charge.currency), currencies.text(remaining, charge.currency)
        whole = "unrefunded amount on charge" if charge.amount_refunded else "charge amount"
        raise invalid(f"Refund amount ({first}) is greater than {whole} ({second})", param="amount")
    behaviour = CARDS[charge.card].refund
    refund_id = call.store.new_id("re_3")
    entry = _move(call, "refund", refund_id, charge, asked)
    refund = Refund(
        id=refund_id,
        created=call.now,
        amount=asked,
        currency=charge.currency,
        status="pending" if behaviour == "pending" else "succeeded",
        charge=charge.id,
        payment_intent=charge.payment_intent,
        balance_transaction=entry.id,
        reason=call.params.get("reason"),
        metadata=parameters.merged({}, call.params.get("metadata")),
        settles_at=call.now + call.settings.refund_settles_s if behaviour else 0,
        outcome={"pending": "succeeded", "fails": "failed"}.get(behaviour, ""),
    )
    call.work.put(refund)
    call.work.put(charge._replace(amount_refunded=charge.amount_refunded + asked))
    call.work.emit("refund.created", refund.id)
    call.work.emit("charge.refunded", charge.id)
    return refund


def retrieve(call: Call) -> Answer:
    """GET /v1/refunds/{id}"""
    return _find(call)


def update(call: Call) -> Answer:
    """POST /v1/refunds/{id}: metadata only."""
    refund = _find(call)
    if "metadata" in call.params:
        refund = refund._replace(metadata=parameters.merged(refund.metadata, call.params["metadata"]))
    call.work.put(refund)
    call.work.emit("refund.updated", refund.id)
    return refund


def settle(call: Call, refund: Refund) -> None:
    """A pending refund succeeds, or one that seemed to succeed fails and the money comes back to the platform."""
    if not refund.outcome or refund.settles_at > call.now:
        return
    charge = call.charge(refund.charge)
    if refund.outcome == "failed":
        entry = _move(call, "refund_failure", refund.id, charge, -refund.amount)
        refund = refund._replace(
            status="failed", failure_reason="expired_or_canceled_card", failure_balance_transaction=entry.id
        )
        call.work.put(charge._replace(amount_refunded=charge.amount_refunded - refund.amount))
        call.work.emit("refund.failed", refund.id)
    else:
        refund = refund._replace(status="succeeded")
    call.work.put(refund._replace(outcome="", settles_at=0))
    call.work.emit("refund.updated", refund.id)


def _move(call: Call, type: str, source: str, charge: Charge, amount: int) -> Entry:
    return call.work.post(
        Entry(
            id=call.store.new_id("txn_3"),
            created=call.now,
            type=type,
            currency=charge.currency,
            source=source,
            postings=((ledger.PLATFORM, -amount), (ledger.CARDHOLDERS, amount)),
            amount=-amount,
            available_on=call.now,
        )
    )


def _charge(call: Call) -> Charge:
    params = call.params
    if ("charge" in params) == ("payment_intent" in params):
        message = "You must provide exactly one of: charge, payment_intent."
        if "charge" not in params:
            raise refused(message, param="charge", code="parameter_missing")
        charge = call.charge(params["charge"], "charge", 400)
        if charge.payment_intent != params["payment_intent"]:
            raise refused(message, param="payment_intent")
    elif "charge" in params:
        charge = call.charge(params["charge"], "charge", 400)
    else:
        intent = call.payment_intent(params["payment_intent"], "payment_intent", 400)
        if intent.status != "succeeded" or intent.latest_charge is None:
            raise invalid(
                f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.", param="payment_intent"
            )
        charge = call.charge(intent.latest_charge)
    if not charge.captured:
        message = f"Charge {charge.id} has not been captured; cancel its PaymentIntent to release the funds."
        raise invalid(message, param="charge")
    return charge


def _refundable(call: Call, charge: Charge) -> bool:
    disputes = call.store.disputes.where("charge", charge.id)
    return all(dispute.inquiry or dispute.status == "won" for dispute in disputes)


def _find(call: Call) -> Refund:
    found = call.work.find(call.store.refunds, call.path[0])
    if found is None:
        raise missing("refund", call.path[0])
    return found
