"""Disputes: https://docs.stripe.com/disputes. They are opened by a test card or by the control endpoint; evidence
`winning_evidence` or `losing_evidence` in `uncategorized_text` decides them at once, as in Stripe's test mode."""

from __future__ import annotations

from scripts.sandbox import ledger, parameters
from scripts.sandbox.calls import Answer, Call
from scripts.sandbox.errors import invalid, missing
from scripts.sandbox.parameters import Spec, boolean, choice, metadata, nested, unsettable_text
from scripts.sandbox.records import Charge, Dispute, Entry

OPEN = ("needs_response", "warning_needs_response")
REASONS = (
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated", "debit_not_authorized",
    "duplicate", "fraudulent", "general", "incorrect_account_details", "insufficient_funds", "noncompliant",
    "product_not_received", "product_unacceptable", "subscription_canceled", "unrecognized",
)  # fmt: skip
EVIDENCE = Spec(
    unsupported="appeal enhanced_evidence",
    access_activity_log=unsettable_text,
    billing_address=unsettable_text,
    cancellation_policy_disclosure=unsettable_text,
    cancellation_rebuttal=unsettable_text,
    customer_email_address=unsettable_text,
    customer_name=unsettable_text,
    customer_purchase_ip=unsettable_text,
    duplicate_charge_explanation=unsettable_text,
    duplicate_charge_id=unsettable_text,
    product_description=unsettable_text,
    refund_policy_disclosure=unsettable_text,
    refund_refusal_explanation=unsettable_text,
    service_date=unsettable_text,
    shipping_address=unsettable_text,
    shipping_carrier=unsettable_text,
    shipping_date=unsettable_text,
    shipping_tracking_number=unsettable_text,
    uncategorized_text=unsettable_text,
)
UPDATE = Spec(
    unsupported="intended_submission_method", evidence=nested(EVIDENCE), metadata=metadata, submit=boolean
)  # fmt: skip
CLOSE = Spec()
OUTCOMES = choice("won", "lost")


def open_dispute(call: Call, charge: Charge, reason: str, amount: int, inquiry: bool = False) -> Dispute:
    """The payer disputes `amount` of a captured charge; unless it is an inquiry the bank takes the money at once.

    Raises StripeError if the charge is not captured or is disputed already, or the amount exceeds what is left.
    """
    if not charge.captured or charge.disputed:
        state = "already disputed" if charge.disputed else "not captured"
        raise invalid(f"Charge {charge.id} is {state} and cannot be disputed.", param="charge")
    if not 0 < amount <= charge.amount - charge.amount_refunded:
        raise invalid("The disputed amount must be at most what is captured and not refunded.", param="amount")
    dispute = Dispute(
        id=call.store.new_id("du_1"),
        created=call.now,
        amount=amount,
        currency=charge.currency,
        status="warning_needs_response" if inquiry else "needs_response",
        reason=reason,
        charge=charge.id,
        payment_intent=charge.payment_intent,
        card=charge.card,
        due_by=call.now + call.settings.dispute_answer_s,
        inquiry=inquiry,
    )
    call.work.put(charge._replace(disputed=True))
    call.work.put(dispute)
    call.work.emit("charge.dispute.created", dispute.id)
    if not inquiry:
        dispute = _move(call, dispute, -1)
        call.work.emit("charge.dispute.funds_withdrawn", dispute.id)
    return dispute


def retrieve(call: Call) -> Answer:
    """GET /v1/disputes/{id}"""
    return _find(call)


def update(call: Call) -> Answer:
    """POST /v1/disputes/{id}: stage evidence, or submit it (`submit` defaults to true, as at Stripe)."""
    dispute = _find(call)
    if "evidence" in call.params and dispute.status not in OPEN:
        raise invalid(f"This dispute is {dispute.status}: its evidence can no longer be changed.", param="evidence")
    if "metadata" in call.params:
        dispute = dispute._replace(metadata=parameters.merged(dispute.metadata, call.params["metadata"]))
    evidence = call.params.get("evidence", {})
    given = {**dispute.evidence, **{name: value or "" for name, value in evidence.items() if name != "expand"}}
    dispute = dispute._replace(evidence={name: value for name, value in given.items() if value})
    submitted = call.params.get("submit", "evidence" in call.params) and dispute.status in OPEN
    if submitted:
        dispute = dispute._replace(
            submission_count=dispute.submission_count + 1,
            status="warning_under_review" if dispute.inquiry else "under_review",
        )
    call.work.put(dispute)
    call.work.emit("charge.dispute.updated", dispute.id)
    decisive = dispute.evidence.get("uncategorized_text")
    if submitted and decisive in ("winning_evidence", "losing_evidence"):
        dispute = resolve(call, dispute, "won" if decisive == "winning_evidence" else "lost")
    return dispute


def close(call: Call) -> Answer:
    """POST /v1/disputes/{id}/close: accept that it is lost."""
    dispute = _find(call)
    if dispute.status not in OPEN:
        raise invalid(f"This dispute is already closed or under review: it has a status of {dispute.status}.")
    return resolve(call, dispute, "lost")


def resolve(call: Call, dispute: Dispute, outcome: str) -> Dispute:
    """The bank decides: `won` brings the money back."""
    status = "warning_closed" if dispute.inquiry else outcome
    dispute = dispute._replace(status=status)
    if outcome == "won" and not dispute.inquiry:
        dispute = _move(call, dispute, 1)
        call.work.emit("charge.dispute.funds_reinstated", dispute.id)
    if dispute.inquiry:
        call.work.put(call.charge(dispute.charge)._replace(disputed=False))
    call.work.put(dispute)
    call.work.emit("charge.dispute.closed", dispute.id)
    return dispute


def expire(call: Call, dispute: Dispute) -> None:
    """Nobody answered in time: the dispute is lost."""
    if dispute.status in OPEN and dispute.due_by <= call.now:
        resolve(call, dispute, "lost")


def _move(call: Call, dispute: Dispute, sign: int) -> Dispute:
    amount = sign * dispute.amount
    fee = call.settings.dispute_fee if sign < 0 else 0
    postings = [(ledger.PLATFORM, amount - fee), (ledger.CARDHOLDERS, -amount)]
    if fee:
        postings.append((ledger.FEES, fee))
    entry = call.work.post(
        Entry(
            id=call.store.new_id("txn_1"),
            created=call.now,
            type="adjustment",
            currency=dispute.currency,
            source=dispute.id,
            postings=tuple(postings),
            amount=amount,
            fee=fee,
            available_on=call.now,
            description=f"Chargeback {'withdrawal' if sign < 0 else 'reversal'} for {dispute.charge}",
        )
    )
    dispute = dispute._replace(balance_transactions=(*dispute.balance_transactions, entry.id))
    call.work.put(dispute)
    return dispute


def _find(call: Call) -> Dispute:
    found = call.work.find(call.store.disputes, call.path[0])
    if found is None:
        raise missing("dispute", call.path[0])
    return found
