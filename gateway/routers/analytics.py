"""Reports: what the orders of a period come to, by day, status, supplier, brand, product and reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from actors.runtime.analytics import AnalyticsReader, Period, Waited
from gateway import reports
from gateway.auth import OPS, RETAILER
from gateway.endpoint import Answer, Call, Routes
from gateway.order_search import blocking
from gateway.reports import EPOCH, Form, Line, SortKey
from gateway.schemas.analytics import ByBrand, ByDay, ByProduct, ByStatus, BySupplier, Cancellations, Times
from models.analytics import BRAND, CANCELLATION, PRODUCT, STATUS, SUPPLIER
from models.order.tables import HEADLINES

routes = Routes("Analytics")

NUMBER = {status: number for number, status in enumerate(HEADLINES)}

Look = Callable[[AnalyticsReader, Period], list[Line]]


def _declared(model: type[BaseModel], description: str) -> dict[str, Any]:
    """What all reports share."""
    return {
        "roles": RETAILER | OPS,
        "answers": {200: (model, description)},
        "problems": ("invalid",),
        "parameters": reports.PARAMETERS,
        "extra": {"csv": True},
    }


async def _sales(call: Call, column: str, look: Look, sort_key: Callable[[Line], SortKey]) -> Answer:
    asked, reader = reports.asked(call), reports.reader_of(call)

    def read() -> tuple[Line, list[Line]]:
        head = asked.head(reader.as_of())  # first, so that no more is promised than what is then read
        return {**head, "totals": reports.totals(reader, asked.period)}, look(reader, asked.period)

    head, lines = await blocking(read)
    return reports.answer(asked, Form(sort_key, (column, *reports.FIGURES), reports.major), head, lines)


def _in(dimension: str, column: str) -> Look:
    """The lines of one dimension."""

    def look(reader: AnalyticsReader, period: Period) -> list[Line]:
        found = reader.sales(period, dimension)
        return [{column: key, **reports.shown(currency, figures)} for key, currency, figures in found]

    return look


def _days(reader: AnalyticsReader, period: Period) -> list[Line]:
    return [
        {"day": str(EPOCH + timedelta(days=day)), **reports.shown(currency, figures)}
        for day, currency, figures in reader.sales_by_day(period)
    ]


def _best_first(column: str) -> Callable[[Line], SortKey]:
    return lambda line: (line["currency"], -line["revenue"], line[column])


@routes.add("GET", "/v1/analytics/days", **_declared(ByDay, "A line for each day and currency with orders."))
async def report_by_day(call: Call) -> Answer:
    """Report sales by day.

    An order counts on the day (UTC) on which it was placed, and so does what was captured and refunded of it, whenever
    that happened: a late refund changes the day of the order. So the figures of a period are those of the orders that
    `GET /v1/orders` with `created_after=from` and `created_before=to` lists. Currencies are never added up. With
    `Accept: text/csv` all lines come as CSV, amounts in major units.
    """
    return await _sales(call, "day", _days, lambda line: (line["day"], line["currency"]))


@routes.add("GET", "/v1/analytics/statuses", **_declared(ByStatus, "A line for each status and currency."))
async def report_by_status(call: Call) -> Answer:
    """Report sales by the orders' present status.

    Partly refunded orders are counted under their status; `refunded` are those whose whole payment went back.
    """
    return await _sales(
        call, "status", _in(STATUS, "status"), lambda line: (line["currency"], NUMBER[line["status"]])
    )  # fmt: skip


@routes.add("GET", "/v1/analytics/suppliers", **_declared(BySupplier, "A line for each supplier and currency."))
async def report_by_supplier(call: Call) -> Answer:
    """Report sales by supplier, highest revenue first.

    Units, revenue and refunds are those of the supplier's own consignments and sum to the totals. An order with parts
    of two suppliers counts as an order of both.
    """
    return await _sales(call, "supplier", _in(SUPPLIER, "supplier"), _best_first("supplier"))


@routes.add("GET", "/v1/analytics/brands", **_declared(ByBrand, "A line for each brand and currency."))
async def report_by_brand(call: Call) -> Answer:
    """Report sales by brand, highest revenue first.

    Money is counted by line, as by product.
    """
    return await _sales(call, "brand", _in(BRAND, "brand"), _best_first("brand"))


@routes.add("GET", "/v1/analytics/products", **_declared(ByProduct, "A line for each product and currency."))
async def report_by_product(call: Call) -> Answer:
    """Report sales by product, highest revenue first.

    A refund of lines counts for these lines; one of an amount is divided over the lines of each consignment in
    proportion to what remains of them. Lines sum to the totals.
    """
    return await _sales(call, "product", _in(PRODUCT, "product"), _best_first("product"))


@routes.add("GET", "/v1/analytics/cancellations", **_declared(Cancellations, "A line for each reason and currency."))
async def report_cancellations(call: Call) -> Answer:
    """Report cancelled orders by reason, most frequent first.

    `totals` are those of all orders of the period, cancelled or not. What `net` remains are cancellation fees.
    """
    return await _sales(
        call, "reason", _in(CANCELLATION, "reason"),
        lambda line: (-line["orders"], line["reason"], line["currency"]),
    )  # fmt: skip


@routes.add("GET", "/v1/analytics/times", **_declared(Times, "A line for each supplier."))
async def report_times(call: Call) -> Answer:
    """Report how long suppliers took.

    From the moment a consignment was on offer until the supplier accepted it, and from then until it was dispatched;
    of orders placed in the period. An `auto` supplier accepts at once.
    """
    asked, reader = reports.asked(call), reports.reader_of(call)
    head, found = await blocking(lambda: (asked.head(reader.as_of()), reader.waits(asked.period)))
    suppliers: dict[str, list[Waited]] = {}
    for one in found:
        suppliers.setdefault(one.supplier, []).append(one)
    lines = [{"supplier": supplier, **reports.waits(own)} for supplier, own in suppliers.items()]
    head["totals"] = reports.waits(found)
    form = Form(lambda line: (line["supplier"],), ("supplier", *reports.WAIT_COLUMNS), reports.flat)
    return reports.answer(asked, form, head, lines)
