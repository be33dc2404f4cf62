"""Reports: what is shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, WithJsonSchema

from gateway.schemas.common import Shown, Time
from gateway.schemas.order_views import CancelReason, Headline

Day = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
Minor = Annotated[int, Field(description="Minor units of the currency.")]
Seconds = Annotated[float | None, Field(description="Seconds; null where there is nothing to tell.")]


class Figures(Shown):
    """Of the orders placed in the period, in one currency. `units`: ordered, whatever became of them. `revenue`:
    captured; `refunds`: gone back to customers by now, whenever; `net`: the difference."""

    currency: str
    orders: int
    units: int
    revenue: Minor
    refunds: Minor
    net: Minor


class DayFigures(Figures):
    day: Day


class StatusFigures(Figures):
    status: Headline


class SupplierFigures(Figures):
    supplier: str


class BrandFigures(Figures):
    brand: str


class ProductFigures(Figures):
    product: str


class CancellationFigures(Figures):
    reason: CancelReason


class Report(Shown):
    """`from` is in the period, `to` is not. `as_of`: everything that had happened by then is counted; null until
    counting has begun. `totals`: of all orders of the period, by currency, not of this page only."""

    from_: Day = Field(alias="from")
    to: Day
    as_of: Time | None
    totals: list[Figures]
    next_cursor: str | None


class ByDay(Report):
    data: list[DayFigures]


class ByStatus(Report):
    data: list[StatusFigures]


class BySupplier(Report):
    data: list[SupplierFigures]


class ByBrand(Report):
    data: list[BrandFigures]


class ByProduct(Report):
    data: list[ProductFigures]


class Cancellations(Report):
    data: list[CancellationFigures]


class Waits(Shown):
    """`count`: consignments. Percentiles are at most 6 % too high, and never too low; the mean is exact."""

    count: int
    mean_s: Seconds
    p50_s: Seconds
    p90_s: Seconds


class TimeTotals(Shown):
    """`acceptance`: from the moment a consignment was on offer until its supplier accepted it. `dispatch`: from then
    until it was dispatched."""

    acceptance: Waits
    dispatch: Waits


class SupplierTimes(TimeTotals):
    supplier: str


class Times(Shown):
    """How long suppliers took for the orders placed in the period. `totals`: of all suppliers together."""

    from_: Day = Field(alias="from")
    to: Day
    as_of: Time | None
    totals: TimeTotals
    data: list[SupplierTimes]
    next_cursor: str | None
