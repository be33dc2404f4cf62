"""Placing orders and reading them."""

from __future__ import annotations

from gateway.auth import EVERYONE, RETAILER
from gateway.endpoint import Answer, Call, Header, Parameter, Routes
from gateway.idempotency import REPLAYED, key_of, prefer_wait_s
from gateway.order_access import order_for
from gateway.placing import place
from gateway.replies import etag
from gateway.schemas.order_views import Order, OwnOrder
from gateway.schemas.orders import OrderRequest
from gateway.views import order_body

routes = Routes("Orders")

PREFER = Parameter(
    "Prefer",
    "header",
    "`wait=N` (RFC 7240): answer once the headline has left `pending` and `payment_authorised`, or after N seconds.",
    {"type": "string", "examples": ["wait=10"]},
)
IF_NONE_MATCH = Parameter(
    "If-None-Match", "header", "Answer 304 while the order's ETag is still this.", {"type": "string"}
)
DOOR = (
    "malformed",
    "too_large",
    "unsupported_media_type",
    "invalid",
    "unknown_product",
    "not_adopted",
    "wrong_currency",
    "amount_too_large",
    "idempotency_key_reused",
    "overloaded",
    "outcome_unknown",
)


@routes.add(
    "POST",
    "/v1/orders",
    roles=RETAILER,
    body=OrderRequest,
    answers={202: (Order, "The order is durable and on its way.")},
    problems=DOOR,
    parameters=(PREFER,),
    arrivals=True,
)
async def place_order(call: Call) -> Answer:
    """Place an order.

    The answer is 202 once the order is durable. Declines, shortages and rejections are outcomes, not errors: the order
    then ends `cancelled`, with its `cancel_reason`.
    """
    gateway = call.gateway
    wait_s = prefer_wait_s(call, gateway.limits)
    placed = await place(
        gateway, call.principal, call.body, call.written,
        key=key_of(call), wait_s=wait_s, began=call.began,
        durable=call.admission.durable if call.admission is not None else None,
    )  # fmt: skip
    headers: list[Header] = [(b"location", b"/v1/orders/" + placed.order.encode()), etag(placed.reply.version)]
    if placed.replayed:
        headers.append(REPLAYED)
    if wait_s is not None:
        headers.append((b"preference-applied", b"wait=%d" % wait_s))
    body = order_body(gateway.sealer, call.principal, placed.order, placed.reply, placed.personal)
    return Answer(202, body, headers)


@routes.add(
    "GET",
    "/v1/orders/{id}",
    roles=EVERYONE,
    answers={200: (Order, "The order; for a supplier its own part of it."), 304: (None, "Not modified.")},
    problems=("not_found",),
    parameters=(IF_NONE_MATCH,),
    extra={"also": OwnOrder},
)
async def get_order(call: Call) -> Answer:
    """Read an order, as it is at this moment.

    A retailer sees its own orders, a supplier the part that is its task, ops everything; what one may not see is 404.
    """
    found = await order_for(call)
    tag = etag(found.reply.version)
    wanted = call.headers.get(b"if-none-match")
    if wanted is not None and (wanted == b"*" or tag[1] in [part.strip() for part in wanted.split(b",")]):
        return Answer(304, b"", (tag,))
    return Answer(200, order_body(call.gateway.sealer, call.principal, found.order, found.reply), (tag,))
