"""Tasks: what suppliers are asked to make, and what they report."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from actors.runtime.envelope import Status
from gateway.auth import OPS, SUPPLIER
from gateway.endpoint import Answer, Call, Parameter, Routes
from gateway.order_access import task_for, told
from gateway.problems import FieldError, Problem
from gateway.replies import checked, json_answer, replay_headers
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
from models.supplier import ListTasks

routes = Routes("Tasks")

ROLES = SUPPLIER | OPS
LIMIT_DEFAULT = 20
LIMIT_MAX = 200
PAGES_PER_ANSWER_MAX = 25
STATUSES = frozenset(TASK.values())
ANSWERS = {200: (Task, "The task as it is now.")}
REFUSALS = ("not_found", "consignment_delivered", "stale")


@routes.add(
    "GET",
    "/v1/tasks",
    roles=ROLES,
    answers={200: (Tasks, "Live tasks, in no particular order.")},
    parameters=(
        Parameter("status", "query", "Only tasks of this status.", {"type": "string", "enum": sorted(STATUSES)}),
        Parameter("supplier", "query", "Whose tasks; needed by ops only.", {"type": "string"}),
        Parameter(
            "limit",
            "query",
            "At least so many, if there are as many.",
            {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
        ),
        Parameter("cursor", "query", "The `next_cursor` of the page before.", {"type": "string"}),
    ),
    problems=("invalid",),
)
async def list_tasks(call: Call) -> Answer:
    """List a supplier's live tasks: those it has been offered or has accepted, until they are delivered or withdrawn.

    A page may hold a few more than `limit`, or, where a filter leaves little, fewer; only `next_cursor: null` says
    that there are no more.
    """
    query = call.query()
    supplier = call.principal.name if call.principal.role == "supplier" else query.get("supplier", "")
    if not supplier:
        raise Problem("invalid", errors=[FieldError("supplier", "Say whose tasks.")])
    status = query.get("status", "")
    if status and status not in STATUSES:
        raise Problem("invalid", errors=[FieldError("status", f"One of {', '.join(sorted(STATUSES))}.")])
    limit = _limit(query)
    cursor = query.get("cursor", "")
    if len(cursor) > 16 or not cursor.isascii():
        raise Problem("invalid", errors=[FieldError("cursor", "This is no cursor of ours.")])
    found: list[View] = []
    for _ in range(PAGES_PER_ANSWER_MAX):
        page, cursor = await _page(call, supplier, status, cursor, limit)
        found += page
        if not cursor or len(found) >= limit:
            break
    return json_answer(200, {"data": found, "next_cursor": cursor or None})


def _limit(query: dict[str, str]) -> int:
    text = query.get("limit", str(LIMIT_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LIMIT_MAX):
        raise Problem("invalid", errors=[FieldError("limit", f"A number from 1 to {LIMIT_MAX}.")])
    return int(text)


async def _page(call: Call, supplier: str, status: str, cursor: str, limit: int) -> tuple[list[View], str]:
    """One page of the supplier actor's list, each task as its order says it is."""
    gateway = call.gateway
    # The supplier knows only whether it has answered; the order knows what has become of the task since.
    asked = ListTasks(after=cursor, limit=limit, status="offered" if status == "offered" else "")
    reply = await gateway.router.ask(Address("supplier", supplier), asked)
    if reply.status is Status.ABSENT:
        return [], ""
    listed = orjson.loads(checked(reply).body)
    rows = listed["tasks"]
    tasks: list[View] = []
    orders = await gateway.router.read_many([Address("order", row["order"]) for row in rows])
    for row, order in zip(rows, orders, strict=True):
        if order.status is not Status.OK:
            continue
        view: View = orjson.loads(order.body)
        consignment = consignment_of_task(view, row["id"])
        if consignment is not None and status in ("", consignment["task_status"]):
            tasks.append(shown_task(gateway.sealer, view, consignment, order.data_key))
    return tasks, listed["next"] or ""


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
