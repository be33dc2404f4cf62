"""What an order counts for in reports: a pure function from the order's state, and sums of what it gives.

Everything an order counts for, it counts for on the day on which it was placed; a refund years later changes that day.
So the figures of a period are those of the orders that a list of the same period shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from models.buckets import bucket_of
from models.order.state import Consignment, Order, captured, headline, refunded
from models.payment_split import apportion

DAY_MS = 86_400_000
WAIT_BITS = 4
"""Waits are counted in milliseconds, to one part in 16."""

TOTAL, STATUS, SUPPLIER, BRAND, PRODUCT, CANCELLATION = DIMENSIONS = (
    "total", "status", "supplier", "brand", "product", "cancellation",
)  # fmt: skip
ACCEPTANCE, DISPATCH = MEASURES = ("acceptance", "dispatch")

Place = tuple[str, str]
"""A dimension, and what it is in it: `("supplier", "north")`."""


class Figures(NamedTuple):
    """orders: how many. units: what they ordered. revenue: captured; refunds: gone back; both in minor units."""

    orders: int = 0
    units: int = 0
    revenue: int = 0
    refunds: int = 0


Counts = tuple[int, int, int, int]
"""Figures as they are added up: what is made for every order is a plain tuple."""


class Wait(NamedTuple):
    """How long a supplier took for one consignment."""

    measure: str
    supplier: str
    ms: int


@dataclass(frozen=True)
class Contribution:
    """What one order counts for. day: since 1970, in UTC."""

    day: int
    retailer: str
    currency: str
    figures: Mapping[Place, Counts]
    waits: tuple[Wait, ...] = ()

    def plain(self) -> list[Any]:
        """As JSON knows it; `from_plain` reads it back."""
        figures = [[*place, *figures] for place, figures in self.figures.items()]
        return [self.day, self.retailer, self.currency, figures, [list(wait) for wait in self.waits]]

    @classmethod
    def from_plain(cls, plain: list[Any]) -> Contribution:
        day, retailer, currency, figures, waits = plain
        by_place = {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in figures}
        return cls(day, retailer, currency, by_place, tuple([Wait(*wait) for wait in waits]))


def contribution(order: Order) -> Contribution:
    """What the order counts for."""
    total = (1, sum([line.quantity for line in order.lines]), captured(order), refunded(order))
    figures: dict[Place, Counts] = {(TOTAL, ""): total, (STATUS, headline(order)): total}
    if order.cancel_reason:
        figures[CANCELLATION, order.cancel_reason] = total
    for consignment in order.consignments:
        revenues, refunds = _by_line(order, consignment)
        for number, revenue, refund in zip(consignment.lines, revenues, refunds, strict=True):
            line = order.lines[number - 1]
            for place in ((SUPPLIER, consignment.supplier), (BRAND, line.brand), (PRODUCT, line.product)):
                had = figures.get(place)
                if had is None:
                    figures[place] = (1, line.quantity, revenue, refund)
                else:
                    figures[place] = (1, had[1] + line.quantity, had[2] + revenue, had[3] + refund)
    return Contribution(order.created_at // DAY_MS, order.retailer, order.currency, figures, tuple(_waits(order)))


def _by_line(order: Order, consignment: Consignment) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What was captured and what was refunded for each line of a consignment; both sum exactly.

    A refund of lines counts for these lines. What else was refunded is divided in proportion to what then remains of
    each line, by the largest remainder, so that the order in which refunds came does not matter.
    """
    if len(consignment.lines) == 1:
        return (consignment.captured,), (consignment.refunded,)
    nothing = (0,) * len(consignment.lines)
    if not consignment.captured:
        return nothing, nothing
    prices = [0 if n in consignment.dropped else order.lines[n - 1].amount for n in consignment.lines]
    revenues = apportion(consignment.captured, prices)
    if not consignment.refunded:
        return revenues, nothing
    own = _refunded_by_line(order, consignment)
    left = [revenue - back for revenue, back in zip(revenues, own, strict=True)]
    rest = apportion(consignment.refunded - sum(own), left)
    return revenues, tuple([back + more for back, more in zip(own, rest, strict=True)])


def _refunded_by_line(order: Order, consignment: Consignment) -> list[int]:
    back = dict.fromkeys(consignment.lines, 0)
    for refund in order.refunds:
        if refund.lines and refund.status == "succeeded":
            for line_id, quantity in refund.lines:
                number = int(line_id)
                if number in back:
                    back[number] += quantity * order.lines[number - 1].unit_amount
    return list(back.values())


def _waits(order: Order) -> list[Wait]:
    """Acceptance: from the moment on which the consignments were on offer. Dispatch: from the acceptance."""
    on_offer = order.created_at
    waits: list[Wait] = []
    accepted: dict[str, int] = {}
    suppliers = {f"consignment {consignment.number}": consignment.supplier for consignment in order.consignments}
    for at, event, _, detail in order.timeline:
        if event == "stock_reserved":
            on_offer = at
        elif event == "accepted":
            accepted[detail] = at
            waits.append(Wait(ACCEPTANCE, suppliers[detail], max(0, at - on_offer)))
        elif event == "dispatched":
            waits.append(Wait(DISPATCH, suppliers[detail], max(0, at - accepted.get(detail, on_offer))))
    return waits


# --- sums ------------------------------------------------------------------------------------------------------------

ALL_RETAILERS = ""

SalesKey = tuple[str, str, int, str, str]
"""retailer, dimension, day, currency, key"""

WaitsKey = tuple[str, str, int, str, int]
"""retailer, measure, day, supplier, bucket"""


@dataclass
class Tally:
    """By how much the roll-ups change.

    sales: [orders, units, revenue, refunds]; waits: [consignments, milliseconds in all]. Both by retailer; every order
    counts for all retailers together as well, which is added up once for all orders (`rows`).
    """

    sales: dict[SalesKey, list[int]] = field(default_factory=dict)
    waits: dict[WaitsKey, list[int]] = field(default_factory=dict)

    def add(self, one: Contribution, sign: int = 1) -> None:
        """Count an order in, or out again with a sign of -1."""
        day, retailer, currency = one.day, one.retailer, one.currency
        for (dimension, key), (orders, units, revenue, refunds) in one.figures.items():
            place = (retailer, dimension, day, currency, key)
            sums = self.sales.get(place)
            if sums is None:
                sums = self.sales[place] = [0, 0, 0, 0]
            sums[0] += sign * orders
            sums[1] += sign * units
            sums[2] += sign * revenue
            sums[3] += sign * refunds
        for measure, supplier, ms in one.waits:
            counts = self.waits.setdefault((retailer, measure, day, supplier, bucket_of(ms, WAIT_BITS)), [0, 0])
            counts[0] += sign
            counts[1] += sign * ms

    def merge(self, other: Tally) -> None:
        """Count all that another one has counted."""
        _merge(self.sales, other.sales)
        _merge(self.waits, other.waits)

    def sales_rows(self) -> list[tuple[str | int, ...]]:
        """Key and figures of every roll-up that has changed, those of all retailers together included."""
        return _rows(self.sales)

    def waits_rows(self) -> list[tuple[str | int, ...]]:
        """As `sales_rows`."""
        return _rows(self.waits)


def _merge(sums: dict[Any, list[int]], more: Mapping[Any, list[int]]) -> None:
    for key, figures in more.items():
        had = sums.get(key)
        sums[key] = list(figures) if had is None else [a + b for a, b in zip(had, figures, strict=True)]


def _rows(sums: Mapping[SalesKey, list[int]] | Mapping[WaitsKey, list[int]]) -> list[tuple[str | int, ...]]:
    """What has not changed after all needs no row."""
    together: dict[tuple[str | int, ...], list[int]] = {}
    for key, figures in sums.items():
        place = (ALL_RETAILERS, *key[1:])
        had = together.get(place)
        together[place] = list(figures) if had is None else [a + b for a, b in zip(had, figures, strict=True)]
    return [(*key, *figures) for both in (sums, together) for key, figures in both.items() if any(figures)]
