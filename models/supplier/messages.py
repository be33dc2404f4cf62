"""What a supplier is asked, and what it has decided.

A task is the supplier's view of a consignment; what becomes of the consignment is decided by the order. The supplier
decides three things only: whether the day still has room for a task, whether it takes tasks without being asked, and
what its terms are.
"""

from __future__ import annotations

from typing import Literal

from models import catalogue
from models.decision import Address, Command, Event
from models.record import dataclass

NOWHERE = Address("", "")

Mode = Literal["auto", "manual"]
CustomerEmails = Literal["platform", "brand"]

# --- commands --------------------------------------------------------------------------------------------------------


@catalogue.command("supplier.put")
@dataclass(frozen=True)
class PutSupplier(Command):
    """Make the supplier's terms exactly these. The same terms again change nothing.

    daily_capacity:  tasks per UTC day; None means no limit.
    accept_within_s: how long a manual supplier has to answer an offer.
    fee_bps:         what the supplier keeps, in basis points, when a consignment in production is cancelled.
    stripe_account:  empty means that its shares are recorded as payables.
    delivery:        where tasks are delivered: a webhook URL, or `poll`.
    customer_emails: who writes to the customer about this supplier's consignments.
    """

    supplier: str = ""
    name: str = ""
    mode: Mode = "auto"
    daily_capacity: int | None = None
    accept_within_s: int = 86_400
    fee_bps: int = 0
    stripe_account: str = ""
    delivery: str = "poll"
    customer_emails: CustomerEmails = "platform"


@dataclass(frozen=True)
class TaskCommand(Command):
    """What the commands about one task share. `reply_to` is the orchestrator that awaits the answer."""

    supplier: str = ""
    task: str = ""
    order: str = ""
    reply_to: Address = NOWHERE


@catalogue.command("supplier.offer")
@dataclass(frozen=True)
class OfferTask(TaskCommand):
    """Will you make this consignment? An `auto` supplier accepts on the spot, a `manual` one is asked and has until
    `accept_by` of the answer; either refuses when the day's capacity is used up. An offer that its withdrawal has
    overtaken is answered `withdrawn`."""

    consignment: int = 0


@catalogue.command("supplier.withdraw")
@dataclass(frozen=True)
class WithdrawTask(TaskCommand):
    """The supplier need not make this: the order ended early, or the supplier turned the task down or let it lapse,
    whether the offer has arrived here or not. The day gets its capacity back. Answer: `withdrawn`, or `closed` when the
    task had already ended."""


@catalogue.command("supplier.close")
@dataclass(frozen=True)
class CloseTask(TaskCommand):
    """The task is done (delivered): take it off the list. It has cost the capacity of its day. Answer: `closed`, or
    `withdrawn` when it had been withdrawn before."""


# --- events ----------------------------------------------------------------------------------------------------------


@catalogue.event("supplier.put/1")
@dataclass(frozen=True)
class SupplierPut(Event):
    supplier: str
    name: str
    mode: Mode
    daily_capacity: int | None
    accept_within_s: int
    fee_bps: int
    stripe_account: str
    delivery: str
    customer_emails: CustomerEmails


@dataclass(frozen=True)
class TaskEvent(Event):
    task: str
    order: str


@catalogue.event("supplier.task_offered/1")
@dataclass(frozen=True)
class TaskOffered(TaskEvent):
    """Open: the supplier is asked and has until `accept_by`."""

    accept_by: int


@catalogue.event("supplier.task_accepted/1")
@dataclass(frozen=True)
class TaskAccepted(TaskEvent):
    """Taken without asking: the supplier works in `auto` mode."""


@catalogue.event("supplier.task_refused/1")
@dataclass(frozen=True)
class TaskRefused(TaskEvent):
    """Turned down; `reason` is `capacity`, or `unknown_supplier` when nobody has described the supplier."""

    reason: str


@catalogue.event("supplier.task_withdrawn/1")
@dataclass(frozen=True)
class TaskWithdrawn(TaskEvent):
    pass


@catalogue.event("supplier.task_closed/1")
@dataclass(frozen=True)
class TaskClosed(TaskEvent):
    pass
