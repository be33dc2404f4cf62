"""What becomes of an order after it is placed: cancel, confirm delivery, refund."""

from __future__ import annotations

from gateway.auth import OPS, RETAILER
from gateway.endpoint import Answer, Call, Parameter, Routes
from gateway.idempotency import minted_part
from gateway.order_access import Found, order_for, told
from gateway.problems import FieldError, Problem
from gateway.replies import checked, etag, json_answer, replay_headers
from gateway.schemas.order_views import Order, Refund, RefundPreview
from gateway.schemas.orders import CancelRequest, LineQuantity, RefundRequest
from gateway.schemas.tasks import DeliverRequest
from gateway.views import order_body
from models.identity import inner_id
from models.order.messages import CancelOrder, ConfirmDelivery, PreviewRefund, Quantities, RefundOrder

routes = Routes("Orders")

IF_MATCH = Parameter("If-Match", "header", "Refuse with 412 unless the order's ETag is still this.", {"type": "string"})
PREVIEW = Parameter(
    "preview", "query", "Only say what each party would give back.", {"type": "boolean", "default": False}
)


def order_answer(call: Call, status: int, found: Found) -> Answer:
    body = order_body(call.gateway.sealer, call.principal, found.order, found.reply)
    return Answer(status, body, (etag(found.reply.version), *replay_headers(found.reply)))


def part_answer(status: int, found: Found, collection: str, part_id: str) -> Answer:
    """One refund, return or dispute out of the order."""
    part = next(part for part in found.view[collection] if part["id"] == part_id)
    return json_answer(status, part, etag(found.reply.version), *replay_headers(found.reply))


def quantities(lines: list[LineQuantity]) -> Quantities:
    return tuple((line.id, line.quantity) for line in lines)


@routes.add(
    "POST",
    "/v1/orders/{id}/cancel",
    roles=RETAILER | OPS,
    body=CancelRequest,
    body_required=False,
    answers={202: (Order, "Cancelled, or requested of the suppliers that have begun production.")},
    problems=("not_found", "consignment_dispatched", "stale"),
    parameters=(IF_MATCH,),
)
async def cancel_order(call: Call) -> Answer:
    """Cancel an order.

    Before production it ends at once: the hold is voided or the payment refunded, the stock released. From production
    until dispatch the supplier is asked. After dispatch only a return helps, and this is refused with 409.
    """
    found = await order_for(call)
    command = CancelOrder(by=call.principal.by, reason=call.body.reason)
    return order_answer(call, 202, await told(call, found, command))


@routes.add(
    "POST",
    "/v1/orders/{id}/confirm-delivery",
    roles=RETAILER | OPS,
    body=DeliverRequest,
    body_required=False,
    answers={200: (Order, "Everything that was dispatched has been delivered.")},
    problems=("not_found", "consignment_confirmed", "stale"),
    parameters=(IF_MATCH,),
)
async def confirm_delivery(call: Call) -> Answer:
    """Say, for the customer, that everything that was dispatched has arrived."""
    found = await order_for(call)
    return order_answer(call, 200, await told(call, found, ConfirmDelivery(by=call.principal.by)))


@routes.add(
    "POST",
    "/v1/orders/{id}/refunds",
    roles=RETAILER | OPS,
    body=RefundRequest,
    answers={
        201: (Refund, "The refund has begun; its `status` tells how far it is."),
        200: (RefundPreview, "With `preview=true`: what each party would give back."),
    },
    problems=(
        "not_found",
        "invalid_refund",
        "invalid_quantity",
        "nothing_to_refund",
        "refund_exceeds_remaining",
        "payment_authorised",
        "stale",
    ),
    parameters=(PREVIEW, IF_MATCH),
)
async def refund_order(call: Call) -> Answer:
    """Refund an amount, or lines, at any time after the capture, never more than was captured and not yet refunded."""
    request: RefundRequest = call.body
    if (request.amount is None) == (request.lines is None):
        raise Problem(
            "invalid", "A refund is of an amount or of lines.", errors=[FieldError("amount", "Give amount or lines.")]
        )
    found = await order_for(call)
    amount, lines = request.amount or 0, quantities(request.lines or [])
    by = call.principal.by
    if _previews(call):
        reply = await call.gateway.router.ask(found.address, PreviewRefund(by=by, amount=amount, lines=lines))
        return Answer(200, checked(reply).body)
    refund = inner_id("rfd", found.order, minted_part(call, "refund"))
    command = RefundOrder(by=by, refund=refund, amount=amount, lines=lines, reason=request.reason)
    return part_answer(201, await told(call, found, command), "refunds", refund)


def _previews(call: Call) -> bool:
    value = call.query().get("preview", "false")
    if value not in ("true", "false", "1", "0"):
        raise Problem("invalid", errors=[FieldError("preview", "This is true or false.")])
    return value in ("true", "1")
