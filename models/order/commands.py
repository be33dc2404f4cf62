"""What an order is told: commands from outside, and joint commands from its orchestrator.

An order is addressed by its id. Inside it, consignments and lines go by their number from 1 (the last part of
`cns_..._1` and `tsk_..._1`); refunds, returns, disputes and messages by the id the gateway minted. `by` says on whose
behalf a command comes, as `role:name` (`retailer:acme`, `supplier:north`, `ops:ann`, `stripe`, `dray`). Amounts are
integer minor units of the order's currency. Texts that people write are sealed before they get here.
"""

from __future__ import annotations

from dataclasses import field

from models.catalogue import command
from models.decision import Command, Millis
from models.order.values import LineTerms, Made, Quantities, Tracking
from models.record import dataclass

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
    """The supplier takes the task on; `lines` (ids) names only some of its lines, where the order allows that.

    at_once: the supplier actor says so itself, of a supplier that is not asked. Who is asked may say so once the offer
             has come back from there, and so has been counted against the day's capacity.
    """

    consignment: int = 0
    lines: tuple[str, ...] = ()
    at_once: bool = False


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
    tracking: Tracking = field(default_factory=Tracking)


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
    """`outcome` is `upheld`, `rejected` or `withdrawn`; only an upheld dispute refunds, under the minted `refund`."""

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
    """The suppliers of these consignments did not answer in time; of all that have not answered yet, if none is
    named (the hold is about to expire)."""

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
