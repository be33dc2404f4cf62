"""What an order is: records, and the facts that follow from them."""

from __future__ import annotations

from dataclasses import field
from typing import NamedTuple

from models.decision import Millis
from models.identity import inner_id
from models.order.tables import HEADLINE, TASK
from models.order.values import Allocation, Amounts, Quantities, Tracking
from models.payment_split import PARTY_ROLES, returned
from models.record import dataclass

PLATFORM = PARTY_ROLES[-1]


@dataclass(frozen=True)
class Line:
    """A line of the order, by its number from 1. `split` is frozen: basis points for (brand, supplier, retailer)."""

    number: int
    consignment: int
    product: str
    sku: str
    quantity: int
    unit_amount: int
    brand: str
    split: tuple[int, int, int]

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def amount(self) -> int:
        return self.quantity * self.unit_amount


class Party(NamedTuple):
    """Who has a share of a consignment, and the Stripe account it is paid out to, if it has one."""

    role: str
    name: str
    account: str


@dataclass(frozen=True)
class PaidOut:
    """A transfer that was made to a party (its index), and what of it came back."""

    party: int
    id: str
    amount: int
    reversed: int = 0


@dataclass(frozen=True)
class Consignment:
    """One supplier's part of the order.

    units:    ordered units by SKU (one SKU may stand on several lines); dropped: lines the supplier did not take on.
    captured: what was taken for it; refunded: what has gone back to the customer; fee: what the supplier's policy
              keeps of its cancellation.
    shares:   what each party has of `captured`; returned: what each has given back by now (t_i of the design);
              paid: transfers less reversals; debts: what should have been reversed and could not be. By party, in the
              order of `parties`; empty before the capture.
    taking:   it is part of a capture that is under way.
    ended:    the cancel reason with which it ended, or will end if the supplier accepts its cancellation.
    unasked:  it was cancelled before its supplier was asked, which never gets to know of it.
    """

    number: int
    supplier: str
    lines: tuple[int, ...]
    units: dict[str, int]
    parties: tuple[Party, ...]
    fee_bps: int
    status: str = "pending"
    dropped: tuple[int, ...] = ()
    accept_by: Millis = 0
    taking: bool = False
    captured: int = 0
    refunded: int = 0
    fee: int = 0
    shares: Amounts = ()
    returned: Amounts = ()
    paid: Amounts = ()
    debts: Amounts = ()
    transfers: tuple[PaidOut, ...] = ()
    ended: str = ""
    cancellation_refused: bool = False
    unasked: bool = False
    tracking: Tracking | None = None

    @property
    def live(self) -> bool:
        return self.status in HEADLINE

    @property
    def remaining(self) -> int:
        return self.captured - self.refunded

    def overpaid(self, party: int) -> int:
        """What the party has beyond what it is due: to be reversed, or owed."""
        return max(0, self.paid[party] - self.shares[party] + self.returned[party])


@dataclass(frozen=True)
class Payment:
    """`amount` is what is to be taken, known once the capture begins. `unsure`: there may be a hold nobody knows of."""

    status: str = "pending"
    payment_intent: str = ""
    charge: str = ""
    capture_before: Millis = 0
    amount: int = 0
    decline_code: str = ""
    unsure: bool = False


@dataclass(frozen=True)
class Refund:
    """`allocation` pairs consignments with their part; `cause` is `request`, `cancellation`, or a return or dispute."""

    id: str
    at: Millis
    amount: int
    allocation: Allocation
    lines: Quantities
    reason: str
    cause: str
    status: str = "pending"
    stripe_id: str = ""
    failure_code: str = ""


@dataclass(frozen=True)
class Return:
    id: str
    at: Millis
    consignment: int
    lines: Quantities
    reason: str
    status: str = "requested"
    restock: bool = False


@dataclass(frozen=True)
class Evidence:
    id: str
    at: Millis
    by: str
    sealed: str


@dataclass(frozen=True)
class Dispute:
    id: str
    at: Millis
    by: str
    reason: str
    amount: int
    allocation: Allocation
    evidence_due_at: Millis
    source: str
    status: str = "open"
    outcome: str = ""
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Message:
    id: str
    at: Millis
    by: str
    to: str
    sealed: str


Moment = tuple[Millis, str, str, str]
"""One entry of the timeline: at, event, actor, detail."""


@dataclass(frozen=True)
class Order:
    """The whole order. Before it is placed, `id` is empty."""

    id: str = ""
    retailer: str = ""
    currency: str = ""
    amount: int = 0
    payment_method: str = ""
    allow_partial: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    sealed: str = ""
    email_digest: str = ""
    search_digests: tuple[str, ...] = ()
    created_at: Millis = 0
    updated_at: Millis = 0
    lines: tuple[Line, ...] = ()
    consignments: tuple[Consignment, ...] = ()
    payment: Payment = Payment()
    refunds: tuple[Refund, ...] = ()
    returns: tuple[Return, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    messages: tuple[Message, ...] = ()
    cancel_reason: str = ""
    attention: tuple[tuple[str, str], ...] = ()
    timeline: tuple[Moment, ...] = ()


# --- facts that follow -----------------------------------------------------------------------------------------------


def live(order: Order) -> list[Consignment]:
    return [consignment for consignment in order.consignments if consignment.live]


def captured(order: Order) -> int:
    return sum(consignment.captured for consignment in order.consignments)


def refunded(order: Order) -> int:
    return sum(consignment.refunded for consignment in order.consignments)


def headline(order: Order) -> str:
    """The one word for the whole order (design section 1)."""
    statuses = [c.status for c in order.consignments if c.status in HEADLINE]
    if not statuses:
        return "cancelled"
    if order.payment.status == "pending":
        return "pending"
    if order.refunds and 0 < captured(order) == refunded(order):
        return "refunded"
    return min(HEADLINE[status] for status in statuses).headline


def refund_status(order: Order) -> str:
    back = refunded(order)
    if not back:
        return "none"
    return "full" if back == captured(order) else "partial"


def dispute_status(order: Order) -> str:
    if not order.disputes:
        return "none"
    return "open" if any(dispute.status == "open" for dispute in order.disputes) else "resolved"


def line(order: Order, line_id: str) -> Line | None:
    """The line by its id, or None."""
    if not line_id.isascii() or not line_id.isdigit() or not 1 <= int(line_id) <= len(order.lines):
        return None
    return order.lines[int(line_id) - 1]


def accepted_amount(order: Order, consignment: Consignment) -> int:
    """What the lines are worth that the supplier did not drop."""
    return sum([order.lines[n - 1].amount for n in consignment.lines if n not in consignment.dropped])


def under_way(order: Order, consignment: int) -> int:
    """What pending refunds will take back of this consignment."""
    return sum(part for r in order.refunds if r.status == "pending" for n, part in r.allocation if n == consignment)


def refundable(order: Order, consignment: Consignment) -> int:
    """What can still be refunded of this consignment: captured less refunded, refunds under way included."""
    return consignment.remaining - (under_way(order, consignment.number) if order.refunds else 0)


def disputed(order: Order, consignment: int) -> int:
    """What open disputes freeze of this consignment."""
    return sum(part for d in order.disputes if d.status == "open" for n, part in d.allocation if n == consignment)


def withheld(order: Order, consignment: Consignment) -> Amounts:
    """What must not be paid out yet to each party: refunds under way, open disputes, and all that a cancelled
    consignment has yet to give back. Whatever has been paid out already stays where it is."""
    back = under_way(order, consignment.number) + disputed(order, consignment.number)
    if not consignment.live:
        back = max(back, consignment.remaining - consignment.fee)
    then = returned(consignment.shares, min(consignment.refunded + back, consignment.captured))
    return tuple(t - now for t, now in zip(then, consignment.returned, strict=True))


def units_refunded(order: Order, line_id: str) -> int:
    """Units of the line that refunds by line have covered or are about to."""
    return sum(quantity for r in order.refunds if r.status != "failed" for id_, quantity in r.lines if id_ == line_id)


def units_returning(order: Order, line_id: str) -> int:
    """Units of the line in returns that were not rejected."""
    return sum(quantity for r in order.returns if r.status != "rejected" for id_, quantity in r.lines if id_ == line_id)


def task_status(consignment: Consignment) -> str | None:
    """The supplier's word for its consignment; None before it has been offered, and for ever if it never was: what the
    supplier's actor has not counted yet, the supplier does not see, and neither the customer's name and address."""
    if consignment.unasked or (consignment.status == "offered" and not consignment.accept_by):
        return None
    return TASK.get(consignment.status)


def task_id(order: Order, consignment: int) -> str:
    return inner_id("tsk", order.id, consignment)


def consignment_id(order: Order, consignment: int) -> str:
    return inner_id("cns", order.id, consignment)
