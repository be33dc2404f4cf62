"""Lists of orders, from the read side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

from actors.runtime.envelope import Reply, Status
from actors.runtime.reading import Found, OrderQuery
from gateway.auth import EVERYONE
from gateway.endpoint import Answer, Call, Parameter, Routes, Streamed, disconnected
from gateway.exports import CSV_TYPE, EXPORTS, SUPPLIERS_EXPORTS, Rows, body, header
from gateway.order_search import (
    PAGE,
    Q_CHARS_MAX,
    blocking,
    cursor_of,
    invalid,
    limit_of,
    order_query,
    reader_of,
    view_of,
)
from gateway.replies import json_answer
from gateway.schemas.order_views import Orders
from gateway.views import View, shown_order
from models.order.tables import HEADLINES

routes = Routes("Orders")

TIME = {"type": "string", "examples": ["2026-11-22T21:00:00Z", "2026-11-22"]}
FILTERS = (
    Parameter(
        "status",
        "query",
        "Orders of this status; `refunded` also finds those of which a part was refunded.",
        {"type": "string", "enum": list(HEADLINES)},
    ),
    Parameter("supplier", "query", "Orders that this supplier has a part in.", {"type": "string"}),
    Parameter("product", "query", "Orders with a line of this product.", {"type": "string"}),
    Parameter("created_after", "query", "Placed then or later.", TIME),
    Parameter("created_before", "query", "Placed earlier than that.", TIME),
    Parameter("email", "query", "Orders of the customer with exactly this e-mail address.", {"type": "string"}),
    Parameter(
        "q",
        "query",
        "The id of an order or of something in it, an e-mail address, whole words of the customer's name, a product, "
        "or one of Stripe's ids.",
        {"type": "string", "maxLength": Q_CHARS_MAX},
    ),
    Parameter("retailer", "query", "Whose orders; of use to ops only.", {"type": "string"}),
)
ROWS = Parameter(
    "rows",
    "query",
    "With `Accept: text/csv`: a row for each order, line, or party's share of a consignment. Suppliers see no splits.",
    {"type": "string", "enum": list(EXPORTS), "default": "orders"},
)
EXPORT_PAGE_ORDERS = 200
EXPORT_SLICE_S = 0.001
"""How long an export keeps its gateway from everybody else at a time, or one order's rows if they take longer."""


@routes.add(
    "GET",
    "/v1/orders",
    roles=EVERYONE,
    answers={200: (Orders, "A page of orders, newest first; for a supplier its own parts of them.")},
    problems=("invalid",),
    parameters=(*FILTERS, *PAGE, ROWS),
    extra={"csv": True},
)
async def list_orders(call: Call) -> Answer | Streamed:
    """List orders, newest first.

    All filters given must hold. The list follows the orders within about a second; one order is read as it is at this
    moment. Walking the pages meets each order that was there at the start exactly once, whatever arrives meanwhile.

    With `Accept: text/csv` the answer is all that the filters leave, from `cursor` on, as CSV: amounts in major units;
    `rows` says of what. An answer that breaks off is incomplete.
    """
    fields = call.query()
    if b"text/csv" in call.headers.get(b"accept", b""):
        return await _export(call, fields)
    limit = limit_of(fields)
    query = await order_query(call.gateway, call.principal, fields, limit + 1)
    found = await blocking(reader_of(call.gateway).find, query)
    page = found[:limit]
    more = len(found) > limit
    return json_answer(
        200,
        {
            "data": [shown(call, one) for one in page],
            "next_cursor": cursor_of(page[-1].place) if more else None,
        },
    )


async def _export(call: Call, fields: dict[str, str]) -> Streamed:
    exports = SUPPLIERS_EXPORTS if call.principal.role == "supplier" else EXPORTS
    if fields.get("rows", "orders") not in exports:
        raise invalid("rows", f"One of {', '.join(exports)}.")
    rows, columns = exports[fields.get("rows", "orders")]
    query = await order_query(call.gateway, call.principal, fields, EXPORT_PAGE_ORDERS)
    first = await blocking(reader_of(call.gateway).find, query)  # what goes wrong here is still a proper refusal
    return Streamed(200, _lines(call, rows, columns, query, first), CSV_TYPE)


async def _lines(
    call: Call, rows: Rows, columns: tuple[str, ...], query: OrderQuery, page: Sequence[Found]
) -> AsyncIterator[bytes]:
    """The whole export, a slice of time at a time, so that other requests of this gateway hardly wait. While a page is
    made into rows the database looks for the next one; there are never more than these two."""
    yield header(columns)
    gone = asyncio.ensure_future(disconnected(call))
    following: asyncio.Future[Sequence[Found]] | None = None
    try:
        while page and not gone.done():
            following = None
            if len(page) == query.limit:
                query = replace(query, after=page[-1].place)
                following = asyncio.ensure_future(blocking(reader_of(call.gateway).find, query))
                following.add_done_callback(_seen)
            views = (shown(call, one, brief=True) for one in page)
            for first in views:
                yield body(rows, columns, _for_a_while(first, views))
                await asyncio.sleep(0)
            page = await following if following else ()
    finally:
        gone.cancel()
        if following:
            following.cancel()


def _for_a_while(first: View, more: Iterator[View]) -> Iterator[View]:
    """This one, and as many more as there is time for."""
    until = time.perf_counter() + EXPORT_SLICE_S
    yield first
    while time.perf_counter() < until and (one := next(more, None)) is not None:
        yield one


def _seen(found: asyncio.Future[Sequence[Found]]) -> None:
    """A page that fails when its client has gone already is nobody's concern."""
    if not found.cancelled():
        found.exception()


def shown(call: Call, found: Found, *, brief: bool = False) -> View:
    """An order of the read side, as the caller may see it: exactly what its actor would answer, or it in brief (see
    `models.order.view.view`)."""
    kept = found.kept
    reply = Reply(Status.OK, b"", kept.version, kept.data_key)
    return shown_order(call.gateway.sealer, call.principal, view_of(kept, brief=brief), reply)
