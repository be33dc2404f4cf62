"""What an order is told and what it decides: commands, and the events that are stored for ever.

An order is addressed by its id. Inside it, consignments and lines go by their number from 1 (the last part of
`cns_..._1` and `tsk_..._1`); refunds, returns, disputes and messages by the id the gateway minted. `by` says on whose
behalf a command comes, as `role:name` (`retailer:acme`, `supplier:north`, `ops:ann`, `stripe`, `dray`). Amounts are
integer minor units of the order's currency. Texts that people write are sealed before they get here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from models.catalogue import command, event
from models.decision import Command, Event, Millis

Quantities = tuple[tuple[str, int], ...]
"""Pairs of (line id, quantity)."""

Amounts = tuple[int, ...]
"""Minor units, one per party of a consignment, in the fixed party order."""


@dataclass(frozen=True)
class LineTerms:
    """One line as it was frozen at placing. `split` is basis points for (brand, supplier, retailer); the platform keeps
    the rest of 10,000."""

    product: str
    sku: str
    quantity: int
    unit_amount: int
    supplier: str
    brand: str
    split: tuple[int, int, int]


@dataclass(frozen=True)
class Tracking:
    carrier: str = ""
    tracking_number: str = ""
    tracking_url: str = ""


# --- Commands from outside -------------------------------------------------------------------------------------------


@command("order.place")
@dataclass(frozen=True)
class PlaceOrder(Command):
    """Begin an order. Repeated with the same content it is answered with the order as it is.

    accounts:       Stripe account by `role:name` of each party that has one; a missing party gets payables.
    fees_bps:       by supplier, what its cancellation policy keeps of a consignment that is already in production.
    sealed:         {customer, shipping_address} under the order's data key, base64.
    email_digest, search_digests: keyed hashes, for erasure and for search.
    """

    order: str = ""
    retailer: str = ""
    currency: str = ""
    lines: tuple[LineTerms, ...] = ()
    accounts: dict[str, str] = field(default_factory=dict)
    fees_bps: dict[str, int] = field(default_factory=dict)
    payment_method: str = ""
    allow_partial: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    sealed: str = ""
    email_digest: str = ""
    search_digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutsideCommand(Command):
    """What all commands to an existing order share."""

    by: str = ""


@command("order.cancel")
@dataclass(frozen=True)
class CancelOrder(OutsideCommand):
    """Cancel what has not begun; request it of the suppliers who have begun. `reason` is the asker's own words."""

    reason: str = ""


@command("order.accept_consignment")
@dataclass(frozen=True)
class AcceptConsignment(OutsideCommand):
    """The supplier takes the task on; `lines` (ids) names only some of its lines, where the order allows that."""

    consignment: int = 0
    lines: tuple[str, ...] = ()


@command("order.reject_consignment")
@dataclass(frozen=True)
class RejectConsignment(OutsideCommand):
    consignment: int = 0
    reason: str = ""


@command("order.start_consignment")
@dataclass(frozen=True)
class StartConsignment(OutsideCommand):
    """Production has begun."""

    consignment: int = 0


@command("order.dispatch_consignment")
@dataclass(frozen=True)
class DispatchConsignment(OutsideCommand):
    consignment: int = 0
    tracking: Tracking = Tracking()


@command("order.deliver_consignment")
@dataclass(frozen=True)
class DeliverConsignment(OutsideCommand):
    consignment: int = 0


@command("order.confirm_delivery")
@dataclass(frozen=True)
class ConfirmDelivery(OutsideCommand):
    """The customer, through the retailer, says that everything that was dispatched has arrived."""


@command("order.answer_cancellation")
@dataclass(frozen=True)
class AnswerCancellation(OutsideCommand):
    consignment: int = 0
    accept: bool = False


@command("order.refund")
@dataclass(frozen=True)
class RefundOrder(OutsideCommand):
    """Refund an `amount`, or `lines`; exactly one of the two."""

    refund: str = ""
    amount: int = 0
    lines: Quantities = ()
    reason: str = ""


@command("order.preview_refund")
@dataclass(frozen=True)
class PreviewRefund(OutsideCommand):
    """Answers what RefundOrder would do to each party; changes nothing."""

    amount: int = 0
    lines: Quantities = ()


@command("order.request_return")
@dataclass(frozen=True)
class RequestReturn(OutsideCommand):
    """`lines` must all belong to one consignment: it is its supplier who answers."""

    return_id: str = ""
    lines: Quantities = ()
    reason: str = ""


@command("order.approve_return")
@dataclass(frozen=True)
class ApproveReturn(OutsideCommand):
    return_id: str = ""


@command("order.reject_return")
@dataclass(frozen=True)
class RejectReturn(OutsideCommand):
    return_id: str = ""
    reason: str = ""


@command("order.receive_return")
@dataclass(frozen=True)
class ReceiveReturn(OutsideCommand):
    """The goods are back: their lines are refunded, and `restock` puts them on sale again."""

    return_id: str = ""
    restock: bool = False


@command("order.open_dispute")
@dataclass(frozen=True)
class OpenDispute(OutsideCommand):
    """`amount` 0 disputes all that remains. `evidence_due_at` 0 sets no deadline."""

    dispute: str = ""
    reason: str = ""
    amount: int = 0
    evidence_due_at: Millis = 0


@command("order.add_evidence")
@dataclass(frozen=True)
class AddEvidence(OutsideCommand):
    """`evidence` is the minted id of this piece; `sealed` its text under the order's data key."""

    dispute: str = ""
    evidence: str = ""
    sealed: str = ""


@command("order.resolve_dispute")
@dataclass(frozen=True)
class ResolveDispute(OutsideCommand):
    """`outcome` is `upheld`, `rejected` or `withdrawn`; only an upheld dispute may refund (`refund` is the minted id)."""

    dispute: str = ""
    outcome: str = ""
    refund: str = ""
    refund_amount: int = 0


@command("order.post_message")
@dataclass(frozen=True)
class PostMessage(OutsideCommand):
    """`to` is `supplier`, `retailer` or `ops`; `sealed` is the text under the order's data key."""

    message: str = ""
    to: str = ""
    sealed: str = ""


@command("order.hint")
@dataclass(frozen=True)
class StripeHint(Command):
    """What a Stripe webhook says, after the object was fetched. A hint: only what is further on than the order counts.

    type:   Stripe's event type, such as `payment_intent.canceled` or `charge.dispute.created`.
    object: its id (pi_, ch_, dp_, re_); `status` as Stripe spells it; `amount` what it is about.
    """

    type: str = ""
    object: str = ""
    status: str = ""
    amount: int = 0
    reason: str = ""
    evidence_due_at: Millis = 0


@command("order.raise_attention")
@dataclass(frozen=True)
class RaiseAttention(Command):
    """A person is needed; `reason` is a stable word such as `command_parked`."""

    reason: str = ""
    detail: str = ""


@command("order.clear_attention")
@dataclass(frozen=True)
class ClearAttention(OutsideCommand):
    reason: str = ""


# --- Joint commands from the order's orchestrator --------------------------------------------------------------------


@dataclass(frozen=True)
class Proceed(Command):
    """The orchestrator has news that is no fact of the order's: show it the facts again."""


@dataclass(frozen=True)
class RecordAuthorisation(Command):
    payment_intent: str = ""
    capture_before: Millis = 0


@dataclass(frozen=True)
class RecordDecline(Command):
    """The authorisation was refused for good. `unsure` means that nobody knows, and Dray has given up asking."""

    code: str = ""
    payment_intent: str = ""
    unsure: bool = False


@dataclass(frozen=True)
class RecordReservation(Command):
    """All SKUs are reserved."""


@dataclass(frozen=True)
class RecordShortage(Command):
    sku: str = ""


@dataclass(frozen=True)
class RecordOffer(Command):
    """A supplier that has to be asked has the task, and until when it may answer."""

    consignment: int = 0
    accept_by: Millis = 0


@dataclass(frozen=True)
class RecordTimeout(Command):
    """The suppliers of these consignments did not answer in time."""

    consignments: tuple[int, ...] = ()


@dataclass(frozen=True)
class RecordCapture(Command):
    charge: str = ""


@dataclass(frozen=True)
class RecordCaptureFailure(Command):
    code: str = ""


@dataclass(frozen=True)
class RecordVoid(Command):
    """The hold is gone."""


@dataclass(frozen=True)
class Made:
    """One transfer that was made to a party: `party` counts the parties of the consignment from 0."""

    consignment: int
    party: int
    amount: int
    id: str


@dataclass(frozen=True)
class RecordTransfers(Command):
    made: tuple[Made, ...] = ()


@dataclass(frozen=True)
class RecordRefund(Command):
    refund: str = ""
    id: str = ""  # Stripe's


@dataclass(frozen=True)
class RecordRefundFailure(Command):
    refund: str = ""
    code: str = ""


@dataclass(frozen=True)
class RecordReversal(Command):
    """`amount` came back of `transfer`; or, with `code`, it could not and becomes the party's debt."""

    consignment: int = 0
    party: int = 0
    transfer: str = ""
    amount: int = 0
    code: str = ""


# --- Events ----------------------------------------------------------------------------------------------------------


@event("order.placed/1")
@dataclass(frozen=True)
class OrderPlaced(Event):
    order: str
    retailer: str
    currency: str
    lines: tuple[LineTerms, ...]
    accounts: dict[str, str]
    fees_bps: dict[str, int]
    payment_method: str
    allow_partial: bool
    metadata: dict[str, str]
    sealed: str
    email_digest: str
    search_digests: tuple[str, ...]


@event("order.authorised/1")
@dataclass(frozen=True)
class PaymentAuthorised(Event):
    payment_intent: str
    capture_before: Millis


@event("order.declined/1")
@dataclass(frozen=True)
class PaymentDeclined(Event):
    """`unsure`: the outcome was never learned, so whatever hold there may be has to be voided."""

    code: str
    payment_intent: str
    unsure: bool


@event("order.reserved/1")
@dataclass(frozen=True)
class StockReserved(Event):
    """All SKUs are reserved: every consignment is on offer to its supplier from now on."""


@event("order.short/1")
@dataclass(frozen=True)
class StockShort(Event):
    sku: str


@event("order.offered/1")
@dataclass(frozen=True)
class ConsignmentOffered(Event):
    """A supplier that has to be asked knows of the task and may answer until `accept_by`."""

    consignment: int
    accept_by: Millis


@event("order.accepted/1")
@dataclass(frozen=True)
class ConsignmentAccepted(Event):
    """`dropped` are the numbers of lines that the supplier did not take on."""

    consignment: int
    by: str
    dropped: tuple[int, ...]


@event("order.rejected/1")
@dataclass(frozen=True)
class ConsignmentRejected(Event):
    """`timeout`: the supplier never answered."""

    consignment: int
    by: str
    reason: str
    timeout: bool


@event("order.capturing/1")
@dataclass(frozen=True)
class CaptureBegun(Event):
    """Every supplier has answered; `amount` is what their yes is worth. The saga's pivot is under way."""

    amount: int


@event("order.captured/1")
@dataclass(frozen=True)
class PaymentCaptured(Event):
    """The money is taken, and split: `shares` has an entry per consignment, empty for those that did not take part."""

    charge: str
    amount: int
    shares: tuple[Amounts, ...]


@event("order.capture_failed/1")
@dataclass(frozen=True)
class CaptureFailed(Event):
    code: str


@event("order.nothing_due/1")
@dataclass(frozen=True)
class NothingDue(Event):
    """What the suppliers accepted costs nothing: confirmed without a capture, and any hold is released."""


@event("order.voided/1")
@dataclass(frozen=True)
class PaymentVoided(Event):
    """The hold is gone; `expired` when nobody asked for it."""

    expired: bool


@event("order.cancelled/1")
@dataclass(frozen=True)
class OrderCancelled(Event):
    """Ends `consignments`. `reason` is one of the API's cancel reasons, `note` the asker's words."""

    reason: str
    by: str
    note: str
    consignments: tuple[int, ...]


@event("order.cancellation_requested/1")
@dataclass(frozen=True)
class CancellationRequested(Event):
    consignment: int
    reason: str
    by: str
    note: str


@event("order.cancellation_answered/1")
@dataclass(frozen=True)
class CancellationAnswered(Event):
    """`fee` is what the supplier's policy keeps of an accepted cancellation."""

    consignment: int
    by: str
    accepted: bool
    fee: int


@event("order.started/1")
@dataclass(frozen=True)
class ConsignmentStarted(Event):
    consignment: int
    by: str


@event("order.dispatched/1")
@dataclass(frozen=True)
class ConsignmentDispatched(Event):
    consignment: int
    by: str
    tracking: Tracking


@event("order.delivered/1")
@dataclass(frozen=True)
class ConsignmentDelivered(Event):
    consignment: int
    by: str


@event("order.transferred/1")
@dataclass(frozen=True)
class SharesTransferred(Event):
    made: tuple[Made, ...]


@event("order.reversed/1")
@dataclass(frozen=True)
class ShareReversed(Event):
    consignment: int
    party: int
    transfer: str
    amount: int


@event("order.debt/1")
@dataclass(frozen=True)
class DebtRecorded(Event):
    """A reversal was refused by Stripe: the party owes `amount`."""

    consignment: int
    party: int
    amount: int
    code: str


@event("order.refund_requested/1")
@dataclass(frozen=True)
class RefundRequested(Event):
    """`allocation` pairs consignments with their part of `amount`; `cause` is `request`, `cancellation`, or the id of
    the return or dispute that it settles."""

    refund: str
    amount: int
    allocation: tuple[tuple[int, int], ...]
    lines: Quantities
    reason: str
    by: str
    cause: str


@event("order.refunded/1")
@dataclass(frozen=True)
class RefundSucceeded(Event):
    """`returned` has, per consignment, what each party has returned by now in all (t_i of the design's rule)."""

    refund: str
    id: str
    returned: tuple[Amounts, ...]


@event("order.refund_failed/1")
@dataclass(frozen=True)
class RefundFailed(Event):
    refund: str
    code: str


@event("order.return_requested/1")
@dataclass(frozen=True)
class ReturnRequested(Event):
    return_id: str
    consignment: int
    lines: Quantities
    reason: str
    by: str


@event("order.return_approved/1")
@dataclass(frozen=True)
class ReturnApproved(Event):
    return_id: str
    by: str


@event("order.return_rejected/1")
@dataclass(frozen=True)
class ReturnRejected(Event):
    return_id: str
    by: str
    reason: str


@event("order.return_received/1")
@dataclass(frozen=True)
class ReturnReceived(Event):
    return_id: str
    by: str
    restock: bool


@event("order.dispute_opened/1")
@dataclass(frozen=True)
class DisputeOpened(Event):
    """Freezes `amount` of what has not been paid out yet, by consignment as in `allocation`; `source` is Stripe's id
    of a dispute that came from there."""

    dispute: str
    by: str
    reason: str
    amount: int
    allocation: tuple[tuple[int, int], ...]
    evidence_due_at: Millis
    source: str


@event("order.dispute_evidence/1")
@dataclass(frozen=True)
class EvidenceAdded(Event):
    dispute: str
    evidence: str
    by: str
    sealed: str


@event("order.dispute_resolved/1")
@dataclass(frozen=True)
class DisputeResolved(Event):
    dispute: str
    by: str
    outcome: str


@event("order.message_posted/1")
@dataclass(frozen=True)
class MessagePosted(Event):
    message: str
    by: str
    to: str
    sealed: str


@event("order.attention_raised/1")
@dataclass(frozen=True)
class AttentionRaised(Event):
    reason: str
    detail: str


@event("order.attention_cleared/1")
@dataclass(frozen=True)
class AttentionCleared(Event):
    reason: str
    by: str
