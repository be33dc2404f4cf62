"""From placing to the pivot: the order is placed, its payment authorised, its stock reserved, its suppliers answer."""

from __future__ import annotations

from models.decision import Rejected
from models.order import messages as m
from models.order.draft import Draft, Verdict, check, foreign, unknown
from models.order.refunds import refund_what_was_cancelled
from models.order.state import Consignment, Order, accepted_amount, line, live
from models.order.tables import PAYMENT, refused
from models.payment_split import WHOLE_BPS, apportion

AUTHENTICATION_CODES = ("authentication_required", "payment_intent_authentication_failure")
FAILURE_PREFIXES = ("account_", "amount_", "api_", "idempotency_", "parameter_", "payment_intent_", "resource_", "url_")
"""Codes of requests that Stripe refused as such, rather than the payer's bank (https://docs.stripe.com/error-codes)."""


def place(draft: Draft, command: m.PlaceOrder) -> Verdict:
    if draft.order.id:
        same = _content(draft.order) == _content_of(command)
        return None if same else Rejected("order_exists", f"{draft.order.id} was placed with another content")
    if not command.lines or any(terms.quantity < 1 or terms.unit_amount < 0 for terms in command.lines):
        return Rejected("invalid_lines", "an order needs lines of at least one unit, at prices of at least zero")
    if any(min(terms.split) < 0 or sum(terms.split) > WHOLE_BPS for terms in command.lines):
        return Rejected("invalid_split", f"a split is at most {WHOLE_BPS} basis points in all")
    draft.add(
        m.OrderPlaced(
            at=draft.at,
            order=command.order,
            retailer=command.retailer,
            currency=command.currency,
            lines=command.lines,
            accounts=command.accounts,
            fees_bps=command.fees_bps,
            payment_method=command.payment_method,
            allow_partial=command.allow_partial,
            metadata=command.metadata,
            sealed=command.sealed,
            email_digest=command.email_digest,
            search_digests=command.search_digests,
        )
    )
    return None


def _content(order: Order) -> tuple[object, ...]:
    lines = [(ln.product, ln.sku, ln.quantity, ln.unit_amount) for ln in order.lines]
    return (order.retailer, order.currency, lines, order.payment_method, order.allow_partial, order.email_digest)


def _content_of(command: m.PlaceOrder) -> tuple[object, ...]:
    lines = [(ln.product, ln.sku, ln.quantity, ln.unit_amount) for ln in command.lines]
    return (
        command.retailer,
        command.currency,
        lines,
        command.payment_method,
        command.allow_partial,
        command.email_digest,
    )


# --- what the orchestrator has learnt: facts, so never refused; late ones change nothing ------------------------------


def record_authorisation(draft: Draft, command: m.RecordAuthorisation) -> None:
    if "authorise" in PAYMENT[draft.order.payment.status]:
        draft.add(m.PaymentAuthorised(draft.at, command.payment_intent, command.capture_before))


def record_decline(draft: Draft, command: m.RecordDecline) -> None:
    if "decline" not in PAYMENT[draft.order.payment.status]:
        return
    draft.add(m.PaymentDeclined(draft.at, command.code, command.payment_intent, command.unsure))
    _cancel_all(draft, _decline_reason(command.code, command.unsure))


def _decline_reason(code: str, unsure: bool) -> str:
    if code in AUTHENTICATION_CODES:
        return "payment_authentication_required"
    failed = unsure or code.startswith(FAILURE_PREFIXES)
    return "payment_failed" if failed else "payment_declined"


def record_reservation(draft: Draft, _command: m.RecordReservation) -> None:
    if any(consignment.status == "pending" for consignment in draft.order.consignments):
        draft.add(m.StockReserved(draft.at))


def record_shortage(draft: Draft, command: m.RecordShortage) -> None:
    if any(consignment.status == "pending" for consignment in draft.order.consignments):
        draft.add(m.StockShort(draft.at, command.sku))
        _cancel_all(draft, "out_of_stock")


def record_offer(draft: Draft, command: m.RecordOffer) -> None:
    consignment = draft.consignment(command.consignment)
    assert consignment is not None, "the orchestrator offers what the order has"
    if consignment.status == "offered" and consignment.accept_by != command.accept_by:
        draft.add(m.ConsignmentOffered(draft.at, consignment.number, command.accept_by))


def record_timeout(draft: Draft, command: m.RecordTimeout) -> None:
    """Time is up: for an offer it counts as a rejection; an order whose stock is not even reserved by then is lost."""
    for number in command.consignments or [consignment.number for consignment in live(draft.order)]:
        consignment = draft.consignment(number)
        assert consignment is not None, "the orchestrator watches what the order has"
        if consignment.status == "offered":
            draft.add(m.ConsignmentRejected(draft.at, number, "dray", "no answer in time", timeout=True))
            conclude_offers(draft)
        elif consignment.status == "pending":
            _cancel_all(draft, "capture_failed")


def record_capture(draft: Draft, command: m.RecordCapture) -> None:
    order = draft.order
    if "capture" not in PAYMENT[order.payment.status]:
        return
    shares = tuple([_shares(order, consignment) if consignment.taking else () for consignment in order.consignments])
    draft.add(m.PaymentCaptured(draft.at, command.charge, order.payment.amount, shares))
    refund_what_was_cancelled(draft)


def _shares(order: Order, consignment: Consignment) -> m.Amounts:
    """Split the consignment's part of the capture among its parties, weighted by the accepted lines' own splits."""
    brands = {party.name: index for index, party in enumerate(consignment.parties[:-3])}
    weights = [0] * len(consignment.parties)
    whole = 0
    for number in consignment.lines:
        if number not in consignment.dropped:
            ln = order.lines[number - 1]
            brand, supplier, retailer = ln.split
            amount = ln.amount
            whole += amount
            weights[brands[ln.brand]] += amount * brand
            weights[-3] += amount * supplier
            weights[-2] += amount * retailer
            weights[-1] += amount * (WHOLE_BPS - brand - supplier - retailer)
    return apportion(whole, weights)


def record_capture_failure(draft: Draft, command: m.RecordCaptureFailure) -> None:
    if "fail_capture" in PAYMENT[draft.order.payment.status]:
        draft.add(m.CaptureFailed(draft.at, command.code))
        _cancel_all(draft, "capture_failed")


def record_void(draft: Draft, _command: m.RecordVoid) -> None:
    if "void" in PAYMENT[draft.order.payment.status]:
        draft.add(m.PaymentVoided(draft.at, expired=False))


def _cancel_all(draft: Draft, reason: str) -> None:
    """End the order, unless it has ended already (a cancellation may be waiting for just this outcome)."""
    ending = tuple(consignment.number for consignment in live(draft.order))
    if ending or not draft.order.cancel_reason:
        draft.add(m.OrderCancelled(draft.at, reason, "dray", "", ending))


# --- what suppliers answer -------------------------------------------------------------------------------------------


def accept(draft: Draft, command: m.AcceptConsignment) -> Verdict:
    consignment = draft.consignment(command.consignment)
    if consignment is None:
        return unknown("consignment", command.consignment)
    dropped = _dropped(draft.order, consignment, command.lines)
    if isinstance(dropped, Rejected):
        return dropped
    if consignment.status == "accepted" and consignment.dropped == dropped:
        return None
    no = foreign(command.by, consignment) or check("consignment", consignment.status, "accept")
    if no:
        return no
    if not (consignment.accept_by or command.at_once):
        return refused("consignment", "pending", "accept")  # the offer has not come back yet
    draft.add(m.ConsignmentAccepted(draft.at, consignment.number, command.by, dropped))
    conclude_offers(draft)
    return None


def _dropped(order: Order, consignment: Consignment, accepted: tuple[str, ...]) -> tuple[int, ...] | Rejected:
    """The consignment's lines that are not among the accepted ones; none when no line is named."""
    if not accepted:
        return ()
    chosen = set()
    for line_id in accepted:
        ln = line(order, line_id)
        if ln is None or ln.consignment != consignment.number:
            return unknown("line", line_id)
        chosen.add(ln.number)
    dropped = tuple(number for number in consignment.lines if number not in chosen)
    if dropped and not order.allow_partial:
        return Rejected("partial_not_allowed", "this order is to be accepted as a whole or not at all")
    return dropped


def reject(draft: Draft, command: m.RejectConsignment) -> Verdict:
    consignment = draft.consignment(command.consignment)
    if consignment is None:
        return unknown("consignment", command.consignment)
    if consignment.status == "rejected":
        return None
    no = foreign(command.by, consignment) or check("consignment", consignment.status, "reject")
    if no:
        return no
    draft.add(m.ConsignmentRejected(draft.at, consignment.number, command.by, command.reason, timeout=False))
    conclude_offers(draft)
    return None


def conclude_offers(draft: Draft) -> None:
    """After an answer: end the order, begin the capture, or go on waiting for the other suppliers."""
    order = draft.order
    remaining = live(order)
    rejected = [c.ended for c in order.consignments if c.status == "rejected"]
    if rejected and (not order.allow_partial or not remaining):
        if not order.cancel_reason:
            _cancel_all(draft, rejected[-1])
        return
    if any(consignment.status != "accepted" for consignment in remaining):
        return
    amount = sum(accepted_amount(order, consignment) for consignment in remaining)
    if amount and "begin_capture" in PAYMENT[order.payment.status]:
        draft.add(m.CaptureBegun(draft.at, amount))
    elif not amount:
        draft.add(m.NothingDue(draft.at))
