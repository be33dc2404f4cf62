"""What an order has decided: its events, stored for ever under the names given here."""

from __future__ import annotations

from models.catalogue import event
from models.decision import Event, Millis
from models.order.values import Allocation, Amounts, LineTerms, Made, Quantities, Tracking
from models.record import dataclass


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

    @property
    def by(self) -> str:
        return f"retailer:{self.retailer}"


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
    allocation: Allocation
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
    allocation: Allocation
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
