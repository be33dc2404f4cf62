"""Tasks: what suppliers are asked to make, and what they report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import orjson

from actors.runtime.envelope import Status
from actors.runtime.reading import FoundTask, TaskQuery
from gateway.auth import OPS, SUPPLIER
from gateway.endpoint import Answer, Call, Parameter, Routes
from gateway.order_access import task_for, told
from gateway.order_search import PAGE, blocking, cursor_of, invalid, limit_of, place_of, reader_of, view_of
from gateway.replies import json_answer, replay_headers
from gateway.routers.order_actions import IF_MATCH
from gateway.schemas.tasks import (
    AcceptRequest,
    CancellationRequest,
    DeliverRequest,
    DispatchRequest,
    RejectRequest,
    StartRequest,
    Task,
    Tasks,
)
from gateway.views import View, consignment_of_task, shown_task
from models.decision import Address, Command
from models.order.messages import (
    AcceptConsignment,
    AnswerCancellation,
    DeliverConsignment,
    DispatchConsignment,
    RejectConsignment,
    StartConsignment,
    Tracking,
)
from models.order.tables import TASK

routes = Routes("Tasks")

ROLES = SUPPLIER | OPS
STATUSES = frozenset(TASK.values())
OFFERED = TASK["offered"]
ANSWERS = {200: (Task, "The task as it is now.")}
REFUSALS = ("not_found", "consignment_delivered", "stale")


@routes.add(
    "GET",
    "/v1/tasks",
    roles=ROLES,
    answers={200: (Tasks, "A page of tasks, newest first.")},
    parameters=(
        Parameter(
            "status", "query", "Only tasks of this status.", {"type": "string", "enum": sorted(STATUSES)}
        ),
        Parameter("supplier", "query", "Whose tasks; needed by ops only.", {"type": "string"}),
        *PAGE,
    ),
    problems=("invalid",),
)  # fmt: skip
async def list_tasks(call: Call) -> Answer:
    """List a supplier's tasks, newest first.

    The list follows the tasks within about a second; one task is read as it is at this moment. Tasks that are on offer
    are the queue which a supplier works off, so they are looked at again before they are listed: one that has been
    answered is not listed as `offered` any more. A page of `status=offered` may therefore hold fewer than `limit`; only
    `next_cursor: null` says that there are no more.
    """
    fields = call.query()
    supplier = call.principal.name if call.principal.role == "supplier" else fields.get("supplier", "")
    if not supplier:
        raise invalid("supplier", "Say whose tasks.")
    status = fields.get("status", "")
    if status and status not in STATUSES:
        raise invalid("status", f"One of {', '.join(sorted(STATUSES))}.")
    limit, reader = limit_of(fields), reader_of(call.gateway)
    query = TaskQuery(limit + 1, supplier, status, place_of(fields.get("cursor", "")))
    while True:
        found = await blocking(reader.find_tasks, query)
        page, more = found[:limit], len(found) > limit
        tasks = await _shown(call, page, status)
        if tasks or not more:
            return json_answer(200, {"data": tasks, "next_cursor": cursor_of(page[-1].place) if more else None})
        query = replace(query, after=page[-1].place)


async def _shown(call: Call, page: Sequence[FoundTask], status: str) -> list[View]:
    """The page's tasks that still have the status asked for."""
    gateway = call.gateway
    on_offer = [one.kept.id for one in page if one.status == OFFERED]
    replies = await gateway.router.read_many([Address("order", order) for order in on_offer])
    current = {id_: reply for id_, reply in zip(on_offer, replies, strict=True) if reply.status is Status.OK}
    tasks: list[View] = []
    for one in page:
        reply = current.get(one.kept.id)
        view, data_key = (orjson.loads(reply.body), reply.data_key) if reply else (view_of(one.kept), one.kept.data_key)
        consignment = view["consignments"][one.consignment - 1]
        if status in ("", consignment["task_status"]):
            tasks.append(shown_task(gateway.sealer, view, consignment, data_key))
    return tasks


@routes.add("GET", "/v1/tasks/{id}", roles=ROLES, answers=ANSWERS, problems=("not_found",))
async def get_task(call: Call) -> Answer:
    """Read a task."""
    found = await task_for(call)
    return json_answer(200, shown_task(call.gateway.sealer, found.view, found.consignment, found.reply.data_key))


async def _tell(call: Call, command_of: Callable[[str, int], Command]) -> Answer:
    """Send the order what `command_of(by, consignment number)` makes, and answer with the task as it is then."""
    found = await task_for(call)
    command = command_of(call.principal.by, found.consignment["number"])
    after = await told(call, found, command)
    consignment = consignment_of_task(after.view, found.consignment["task"])
    assert consignment is not None, "a task stays a task"
    task = shown_task(call.gateway.sealer, after.view, consignment, after.reply.data_key)
    return json_answer(200, task, *replay_headers(after.reply))


@routes.add(
    "POST",
    "/v1/tasks/{id}/accept",
    roles=ROLES,
    body=AcceptRequest,
    body_required=False,
    answers=ANSWERS,
    problems=(*REFUSALS, "partial_not_allowed"),
    parameters=(IF_MATCH,),
)
async def accept_task(call: Call) -> Answer:
    """Take the task on; `lines` names only some of its lines, where the order allows that."""
    lines = tuple(call.body.lines or ())
    return await _tell(call, lambda by, number: AcceptConsignment(by=by, consignment=number, lines=lines))


@routes.add(
    "POST",
    "/v1/tasks/{id}/reject",
    roles=ROLES,
    body=RejectRequest,
    body_required=False,
    answers=ANSWERS,
    problems=REFUSALS,
    parameters=(IF_MATCH,),
)
async def reject_task(call: Call) -> Answer:
    """Turn the task down."""
    reason = call.body.reason
    return await _tell(call, lambda by, number: RejectConsignment(by=by, consignment=number, reason=reason))


@routes.add(
    "POST",
    "/v1/tasks/{id}/start",
    roles=ROLES,
    body=StartRequest,
    body_required=False,
    answers=ANSWERS,
    problems=REFUSALS,
    parameters=(IF_MATCH,),
)
async def start_task(call: Call) -> Answer:
    """Production has begun. From here on a cancellation has to be asked for."""
    return await _tell(call, lambda by, number: StartConsignment(by=by, consignment=number))


@routes.add(
    "POST",
    "/v1/tasks/{id}/dispatch",
    roles=ROLES,
    body=DispatchRequest,
    answers=ANSWERS,
    problems=REFUSALS,
    parameters=(IF_MATCH,),
)
async def dispatch_task(call: Call) -> Answer:
    """The parcel is on its way."""
    body: DispatchRequest = call.body
    tracking = Tracking(body.carrier, body.tracking_number, body.tracking_url)
    return await _tell(call, lambda by, number: DispatchConsignment(by=by, consignment=number, tracking=tracking))


@routes.add(
    "POST",
    "/v1/tasks/{id}/deliver",
    roles=ROLES,
    body=DeliverRequest,
    body_required=False,
    answers=ANSWERS,
    problems=REFUSALS,
    parameters=(IF_MATCH,),
)
async def deliver_task(call: Call) -> Answer:
    """The parcel has arrived."""
    return await _tell(call, lambda by, number: DeliverConsignment(by=by, consignment=number))


@routes.add(
    "POST",
    "/v1/tasks/{id}/cancellation",
    roles=ROLES,
    body=CancellationRequest,
    answers=ANSWERS,
    problems=REFUSALS,
    parameters=(IF_MATCH,),
)
async def answer_cancellation(call: Call) -> Answer:
    """Accept or refuse a requested cancellation. What is refunded follows the supplier's cancellation policy."""
    accept = call.body.accept
    return await _tell(call, lambda by, number: AnswerCancellation(by=by, consignment=number, accept=accept))
