"""Tasks: a supplier's view of its consignments."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from gateway.limits import GATEWAY_LIMITS
from gateway.schemas.body import Body
from gateway.schemas.common import Reason, Shown, Time
from gateway.schemas.order_views import Recipient, ShownAddress, TaskStatus, Tracking

LineId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,3}$")]


class AcceptRequest(Body):
    """`lines`: take on these line ids only, where the order allows partial acceptance."""

    lines: Annotated[list[LineId], Field(min_length=1, max_length=GATEWAY_LIMITS.order_lines_max)] | None = None


class RejectRequest(Body):
    reason: Reason = ""


class StartRequest(Body):
    """Nothing to say."""


class DispatchRequest(Body):
    carrier: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    tracking_number: Annotated[str, StringConstraints(max_length=100)] = ""
    tracking_url: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s]{1,2000})?$", max_length=2_008)] = ""


class DeliverRequest(Body):
    """Nothing to say."""


class CancellationRequest(Body):
    accept: bool


class TaskLine(Shown):
    """`dropped`: the supplier did not take this line on."""

    id: str
    product: str
    sku: str
    quantity: int
    dropped: bool


class Task(Shown):
    id: str
    order: str
    consignment: str
    supplier: str
    status: TaskStatus
    lines: list[TaskLine]
    shipping_address: ShownAddress | None
    customer: Recipient | None
    accept_by: Time | None
    cancellation_requested: bool
    tracking: Tracking | None
    allowed_actions: list[str]
    created_at: Time


class Tasks(Shown):
    data: list[Task]
    next_cursor: str | None
