"""What a SKU is asked, and what it has decided.

The four questions of an order (reserve, confirm, release, restock) carry the SKU's own id, so that even a SKU that
nobody has offered yet can answer, and `reply_to`, the orchestrator that awaits the answer. Each may arrive twice, late
or out of order; asking again gets the same answer.
"""

from __future__ import annotations

from models import catalogue
from models.decision import Address, Command, Event
from models.record import dataclass

NOWHERE = Address("", "")

# --- commands --------------------------------------------------------------------------------------------------------


@catalogue.command("sku.claim")
@dataclass(frozen=True)
class ClaimSku(Command):
    """`supplier` wants to offer this SKU. The first to claim it owns it for good; claiming it again is nothing."""

    sku: str = ""
    supplier: str = ""


@catalogue.command("sku.receive")
@dataclass(frozen=True)
class ReceiveStock(Command):
    """`quantity` units arrived. Every receipt counts: its idempotency is the command id kept by the runtime.

    supplier: who says so, and must own the SKU; empty when the platform's ops say so.
    """

    sku: str = ""
    quantity: int = 0
    supplier: str = ""


@dataclass(frozen=True)
class OrderCommand(Command):
    """What the four questions of an order share."""

    sku: str = ""
    order: str = ""
    reply_to: Address = NOWHERE


@catalogue.command("sku.reserve")
@dataclass(frozen=True)
class Reserve(OrderCommand):
    """Set `quantity` units aside for the order, all or nothing. Answer: `reserved`, `refused` for want of stock, or
    `released` when the order's release overtook this command."""

    quantity: int = 0


@catalogue.command("sku.confirm")
@dataclass(frozen=True)
class ConfirmReservation(OrderCommand):
    """The order has paid: its reserved units are sold. Answer: `sold`."""


@catalogue.command("sku.release")
@dataclass(frozen=True)
class ReleaseReservation(OrderCommand):
    """The order does not want its units after all, whether the reservation has arrived here or not: nothing stays
    reserved and a reservation that comes later is refused. Answer: `released`; `sold` when it is too late for that and
    only a restock helps."""


@catalogue.command("sku.restock")
@dataclass(frozen=True)
class Restock(OrderCommand):
    """`quantity` of the units sold to the order are back on the shelf.

    key: names the occasion within the order (`cancel`, or the id of a return), because an order may send units back
    several times; the same key counts once. Answer: `restocked`; `reserved` when the confirmation has not arrived
    here yet (ask again).
    """

    quantity: int = 0
    key: str = ""


# --- events ----------------------------------------------------------------------------------------------------------


@catalogue.event("sku.claimed/1")
@dataclass(frozen=True)
class SkuClaimed(Event):
    sku: str
    supplier: str


@catalogue.event("sku.received/1")
@dataclass(frozen=True)
class StockReceived(Event):
    quantity: int


@catalogue.event("sku.reserved/1")
@dataclass(frozen=True)
class StockReserved(Event):
    order: str
    quantity: int


@catalogue.event("sku.refused/1")
@dataclass(frozen=True)
class StockRefused(Event):
    order: str
    quantity: int


@catalogue.event("sku.released/1")
@dataclass(frozen=True)
class ReservationReleased(Event):
    order: str


@catalogue.event("sku.sold/1")
@dataclass(frozen=True)
class StockSold(Event):
    order: str


@catalogue.event("sku.restocked/1")
@dataclass(frozen=True)
class StockRestocked(Event):
    order: str
    quantity: int
    key: str
