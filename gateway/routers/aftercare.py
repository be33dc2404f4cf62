"""Returns, disputes, messages: what people have to say to each other about an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import BaseModel

from gateway.auth import EVERYONE, OPS, RETAILER, SUPPLIER
from gateway.endpoint import Answer, Call, Handler, Routes
from gateway.idempotency import minted_part
from gateway.order_access import Found, order_for, told
from gateway.problems import Problem
from gateway.replies import etag, json_answer, replay_headers
from gateway.routers.order_actions import IF_MATCH, quantities
from gateway.schemas.order_views import Dispute, Message, Messages, OwnDispute, Return
from gateway.schemas.orders import (
    DisputeRequest,
    EvidenceRequest,
    MessageRequest,
    ReceiveRequest,
    RejectReturnRequest,
    ResolveRequest,
    ReturnRequest,
)
from gateway.schemas.tasks import StartRequest
from gateway.views import View, shown_messages, shown_order
from models.decision import Command
from models.identity import inner_id
from models.order.messages import (
    AddEvidence,
    ApproveReturn,
    OpenDispute,
    PostMessage,
    ReceiveReturn,
    RejectReturn,
    RequestReturn,
    ResolveDispute,
)

routes = Routes("Returns, disputes, messages")

EVIDENCE_WITHIN_MS = 7 * 86_400_000
"""How long both sides may give evidence."""


def _nested(
    collection: str,
    verb: str,
    *,
    roles: frozenset[str],
    body: type[BaseModel],
    body_required: bool,
    answers: Mapping[int, tuple[type[BaseModel] | None, str]],
    problems: tuple[str, ...],
    also: type[BaseModel] | None = None,
) -> Callable[[Handler], Handler]:
    """Register a verb on a return or dispute under its order, and under its own id alone, which names its order."""

    def register(handler: Handler) -> Handler:
        for path in (f"/v1/orders/{{id}}/{collection}/{{part}}/{verb}", f"/v1/{collection}/{{part}}/{verb}"):
            routes.add(
                "POST",
                path,
                roles=roles,
                body=body,
                body_required=body_required,
                answers=answers,
                problems=("not_found", "stale", *problems),
                parameters=(IF_MATCH,),
                extra={"also": also} if also is not None else None,
            )(handler)
        return handler

    return register


def _part_id(call: Call, found: Found, collection: str) -> str:
    """The return or dispute that the path names. Raises Problem if the caller sees none of that id."""
    part_id = call.params["part"]
    view: View = found.view
    part = next((part for part in view[collection] if part["id"] == part_id), None)
    if part is None or not _may_see(call, view, part):
        raise Problem("not_found")
    return part_id


def _may_see(call: Call, view: View, part: View) -> bool:
    if call.principal.role != "supplier" or "consignment" not in part:
        return True
    consignments = {consignment["id"]: consignment["supplier"] for consignment in view["consignments"]}
    return bool(consignments[part["consignment"]] == call.principal.name)


def _part_answer(call: Call, status: int, found: Found, collection: str, part_id: str) -> Answer:
    shown = shown_order(call.gateway.sealer, call.principal, found.view, found.reply)
    part = next(part for part in shown[collection] if part["id"] == part_id)
    return json_answer(status, part, etag(found.reply.version), *replay_headers(found.reply))


async def _tell_part(call: Call, collection: str, command_of: Callable[[str], Command]) -> Answer:
    """Send the command that `command_of(part id)` makes, and answer with the part as it is then."""
    found = await order_for(call)
    part_id = _part_id(call, found, collection)
    after = await told(call, found, command_of(part_id))
    return _part_answer(call, 200, after, collection, part_id)


# --- returns ---------------------------------------------------------------------------------------------------------


@routes.add(
    "POST",
    "/v1/orders/{id}/returns",
    roles=RETAILER | OPS,
    body=ReturnRequest,
    answers={201: (Return, "Requested; the supplier or ops answer.")},
    problems=("not_found", "invalid_return", "invalid_quantity", "consignment_confirmed", "stale"),
    parameters=(IF_MATCH,),
)
async def request_return(call: Call) -> Answer:
    """Ask to send goods back. All lines of a return belong to one consignment."""
    found = await order_for(call)
    return_id = inner_id("ret", found.order, minted_part(call, "return"))
    command = RequestReturn(
        by=call.principal.by, return_id=return_id, lines=quantities(call.body.lines), reason=call.body.reason
    )
    return _part_answer(call, 201, await told(call, found, command), "returns", return_id)


RETURN_ANSWERS = {200: (Return, "The return as it is now.")}


@_nested(
    "returns",
    "approve",
    roles=SUPPLIER | OPS,
    body=StartRequest,
    body_required=False,
    answers=RETURN_ANSWERS,
    problems=("return_rejected",),
)
async def approve_return(call: Call) -> Answer:
    """The goods may come back."""
    return await _tell_part(call, "returns", lambda return_id: ApproveReturn(by=call.principal.by, return_id=return_id))


@_nested(
    "returns",
    "reject",
    roles=SUPPLIER | OPS,
    body=RejectReturnRequest,
    body_required=False,
    answers=RETURN_ANSWERS,
    problems=("return_received",),
)
async def reject_return(call: Call) -> Answer:
    """The goods stay where they are."""
    return await _tell_part(
        call,
        "returns",
        lambda return_id: RejectReturn(by=call.principal.by, return_id=return_id, reason=call.body.reason),
    )


@_nested(
    "returns",
    "receive",
    roles=SUPPLIER | OPS,
    body=ReceiveRequest,
    body_required=True,
    answers=RETURN_ANSWERS,
    problems=("return_requested",),
)
async def receive_return(call: Call) -> Answer:
    """The goods are back: what of their price has not been refunded yet is refunded now."""
    return await _tell_part(
        call,
        "returns",
        lambda return_id: ReceiveReturn(by=call.principal.by, return_id=return_id, restock=call.body.restock),
    )


# --- disputes --------------------------------------------------------------------------------------------------------


@routes.add(
    "POST",
    "/v1/orders/{id}/disputes",
    roles=RETAILER | OPS,
    body=DisputeRequest,
    answers={201: (Dispute, "Open; what it is about is not paid out until it is resolved.")},
    problems=("not_found", "dispute_exceeds_remaining", "payment_authorised", "stale"),
    parameters=(IF_MATCH,),
)
async def open_dispute(call: Call) -> Answer:
    """Dispute an amount, or all that remains. Retailer and supplier give evidence within a week; ops resolve it."""
    found = await order_for(call)
    dispute = inner_id("dsp", found.order, minted_part(call, "dispute"))
    command = OpenDispute(
        by=call.principal.by,
        dispute=dispute,
        reason=call.body.reason,
        amount=call.body.amount or 0,
        evidence_due_at=call.gateway.services.wall() + EVIDENCE_WITHIN_MS,
    )
    return _part_answer(call, 201, await told(call, found, command), "disputes", dispute)


@_nested(
    "disputes",
    "evidence",
    roles=EVERYONE,
    body=EvidenceRequest,
    body_required=True,
    answers={201: (Dispute, "The dispute with the evidence; a supplier sees its own evidence only.")},
    problems=("dispute_resolved", "evidence_too_late", "too_much_evidence", "erased"),
    also=OwnDispute,
)
async def add_evidence(call: Call) -> Answer:
    """Give evidence. It is sealed like all personal data."""
    found = await order_for(call)
    dispute = _part_id(call, found, "disputes")
    order = found.order
    command = AddEvidence(
        by=call.principal.by,
        dispute=dispute,
        evidence=inner_id("evd", order, minted_part(call, f"evidence {dispute}")),
        sealed=call.gateway.sealer.seal_more(order, found.reply.data_key, call.body.text.encode()),
    )
    return _part_answer(call, 201, await told(call, found, command), "disputes", dispute)


@_nested(
    "disputes",
    "resolve",
    roles=OPS,
    body=ResolveRequest,
    body_required=True,
    answers={200: (Dispute, "Resolved.")},
    problems=("dispute_resolved", "invalid_outcome", "refund_exceeds_remaining"),
)
async def resolve_dispute(call: Call) -> Answer:
    """Decide a dispute between retailer, supplier and customer. One that is upheld may refund an amount."""
    found = await order_for(call)
    dispute = _part_id(call, found, "disputes")
    command = ResolveDispute(
        by=call.principal.by,
        dispute=dispute,
        outcome=call.body.outcome,
        refund=inner_id("rfd", found.order, minted_part(call, f"resolve {dispute}")),
        refund_amount=call.body.refund_amount or 0,
    )
    return _part_answer(call, 200, await told(call, found, command), "disputes", dispute)


# --- messages --------------------------------------------------------------------------------------------------------


@routes.add(
    "POST",
    "/v1/orders/{id}/messages",
    roles=EVERYONE,
    body=MessageRequest,
    answers={201: (Message, "Delivered to the order.")},
    problems=("not_found", "too_many_messages", "erased", "stale"),
    parameters=(IF_MATCH,),
)
async def post_message(call: Call) -> Answer:
    """Write to the suppliers, the retailer or ops of an order."""
    found = await order_for(call)
    order = found.order
    message = inner_id("msg", order, minted_part(call, "message"))
    command = PostMessage(
        by=call.principal.by,
        message=message,
        to=call.body.to,
        sealed=call.gateway.sealer.seal_more(order, found.reply.data_key, call.body.text.encode()),
    )
    after = await told(call, found, command)
    shown = shown_messages(call.gateway.sealer, call.principal, after.view, after.reply.data_key)
    posted = next(found for found in shown if found["id"] == message)
    return json_answer(201, posted, etag(after.reply.version), *replay_headers(after.reply))


@routes.add(
    "GET",
    "/v1/orders/{id}/messages",
    roles=EVERYONE,
    answers={200: (Messages, "Oldest first.")},
    problems=("not_found",),
)
async def list_messages(call: Call) -> Answer:
    """Read what was written to you and by you about an order; ops read everything."""
    found = await order_for(call)
    messages = shown_messages(call.gateway.sealer, call.principal, found.view, found.reply.data_key)
    return json_answer(200, {"data": messages, "next_cursor": None}, etag(found.reply.version))
