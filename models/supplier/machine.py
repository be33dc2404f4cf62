"""The machine of one supplier: its terms, its day's capacity, and the tasks it is being offered.

A row per task is its own record of what was answered, as with SKUs (`models.sku.machine`): a repeat gets the same
answer, a withdrawal that overtakes its offer refuses it, and a settled row is forgotten after ten to fifteen minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from enum import StrEnum
from functools import lru_cache
from typing import Any

from models.decision import NOTHING, Accepted, Address, Command, Decision, Event, Millis, Rejected, Send
from models.orchestrator.messages import TaskAnswered
from models.order.messages import AcceptConsignment, RejectConsignment
from models.record import changed, dataclass
from models.rows import Recent, Rows, tail_worth
from models.supplier.messages import (
    CloseTask,
    OfferTask,
    PutSupplier,
    SupplierPut,
    TaskAccepted,
    TaskClosed,
    TaskCommand,
    TaskEvent,
    TaskOffered,
    TaskRefused,
    TaskWithdrawn,
    WithdrawTask,
)

DAY_MS = 86_400_000
SETTLED_SPAN_MS = 5 * 60_000
ACCEPT_WITHIN_S_MAX = 30 * 86_400
CAPACITY_MAX = 10_000_000

# --- state -----------------------------------------------------------------------------------------------------------


class TaskStatus(StrEnum):
    """What the supplier knows of a task. What becomes of it afterwards, the order decides."""

    ABSENT = "absent"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


@dataclass(frozen=True)
class Task:
    """A row. `day` is the UTC day whose capacity it uses; `reason` why it was refused. Whose task it is, its id tells:
    so the rows of all that were accepted on a day are one, until they are read from a snapshot."""

    status: TaskStatus
    day: int = 0
    accept_by: Millis = 0
    reason: str = ""


@dataclass(frozen=True)
class Supplier:
    """terms: as they were last put; None while nobody has described the supplier.
    day, taken: the UTC day (since 1970) of the latest offer, and how many tasks use its capacity.
    live: tasks offered or accepted. settled: the others, as long as repeats may come."""

    terms: SupplierPut | None = None
    day: int = 0
    taken: int = 0
    live: Rows[Task] = field(default_factory=Rows)
    settled: Recent[Task] = field(default_factory=lambda: Recent(SETTLED_SPAN_MS))


INITIAL = Supplier()
NO_TASK = Task(TaskStatus.ABSENT)
_WITHDRAWN = Task(TaskStatus.WITHDRAWN)
_CLOSED = Task(TaskStatus.CLOSED)


@lru_cache(maxsize=1024)
def _task(status: TaskStatus, day: int, accept_by: Millis = 0) -> Task:
    return Task(status, day, accept_by)


def task_of(state: Supplier, task: str) -> Task:
    """The row of one task; `absent` when there was none, or when it is forgotten."""
    return state.live.get(task) or state.settled.get(task) or NO_TASK


# --- transitions -----------------------------------------------------------------------------------------------------

TRANSITIONS: Mapping[tuple[TaskStatus, type[Event]], TaskStatus] = {
    (TaskStatus.ABSENT, TaskOffered): TaskStatus.OFFERED,
    (TaskStatus.ABSENT, TaskAccepted): TaskStatus.ACCEPTED,
    (TaskStatus.ABSENT, TaskRefused): TaskStatus.REFUSED,
    (TaskStatus.ABSENT, TaskWithdrawn): TaskStatus.WITHDRAWN,
    (TaskStatus.ABSENT, TaskClosed): TaskStatus.CLOSED,
    (TaskStatus.OFFERED, TaskWithdrawn): TaskStatus.WITHDRAWN,
    (TaskStatus.OFFERED, TaskClosed): TaskStatus.CLOSED,
    (TaskStatus.ACCEPTED, TaskWithdrawn): TaskStatus.WITHDRAWN,
    (TaskStatus.ACCEPTED, TaskClosed): TaskStatus.CLOSED,
}
"""Every step that a task can take. Whatever is not here is refused by the decider, and a bug in a stored record."""

TASK_EVENTS = frozenset(event_type for _, event_type in TRANSITIONS)


# --- decide ----------------------------------------------------------------------------------------------------------


def decide(state: Supplier, command: Command) -> Decision:
    """What the supplier says to a command. Rejects with `invalid_supplier` and the field that is wrong."""
    decider = _DECIDERS.get(type(command))
    if decider is None:
        return Rejected("unknown_command", f"a supplier does not know {type(command).__name__}")
    return decider(state, command)


def _put(state: Supplier, command: PutSupplier) -> Decision:
    wrong = _wrong_terms(command)
    if wrong:
        return Rejected("invalid_supplier", wrong)
    terms = SupplierPut(
        at=command.at,
        supplier=command.supplier,
        name=command.name,
        mode=command.mode,
        daily_capacity=command.daily_capacity,
        accept_within_s=command.accept_within_s,
        fee_bps=command.fee_bps,
        stripe_account=command.stripe_account,
        delivery=command.delivery,
        customer_emails=command.customer_emails,
    )
    if state.terms is not None and changed(terms, at=state.terms.at) == state.terms:
        return NOTHING
    return Accepted(events=(terms,))


def _wrong_terms(command: PutSupplier) -> str:
    """The field that cannot be and why, or nothing."""
    if not command.name:
        return "name must not be empty"
    if command.mode not in ("auto", "manual"):
        return "mode must be auto or manual"
    if command.daily_capacity is not None and not 0 <= command.daily_capacity <= CAPACITY_MAX:
        return f"daily_capacity must be from 0 to {CAPACITY_MAX}"
    if not 1 <= command.accept_within_s <= ACCEPT_WITHIN_S_MAX:
        return f"accept_within_s must be from 1 to {ACCEPT_WITHIN_S_MAX}"
    if not 0 <= command.fee_bps <= 10_000:
        return "cancellation_policy.fee_bps must be from 0 to 10000"
    if command.customer_emails not in ("platform", "brand"):
        return "customer_emails must be platform or brand"
    if not command.delivery:
        return "delivery must be a webhook_url or poll"
    return ""


def _offer(state: Supplier, command: OfferTask) -> Decision:
    known = task_of(state, command.task)
    if known.status is not TaskStatus.ABSENT:
        return Accepted(sends=(_answer(command, known),))
    if state.terms is None:
        return _refuse(command, "unknown_supplier")
    capacity = state.terms.daily_capacity
    day = max(command.at // DAY_MS, state.day)
    if capacity is not None and taken_on(state, day) >= capacity:
        return _refuse(command, "capacity")
    if state.terms.mode == "auto":
        accepted = TaskAccepted(command.at, command.task, command.order)
        return Accepted(events=(accepted,), sends=(_answer(command, _task(TaskStatus.ACCEPTED, day)),))
    accept_by = command.at + 1000 * state.terms.accept_within_s
    offered = TaskOffered(command.at, command.task, command.order, accept_by)
    task = _task(TaskStatus.OFFERED, day, accept_by)
    return Accepted(events=(offered,), sends=(_answer(command, task),))


def taken_on(state: Supplier, day: int) -> int:
    """Tasks that use the capacity of a UTC day that is not over."""
    return state.taken if day == state.day else 0


def _refuse(command: OfferTask, reason: str) -> Decision:
    refused = TaskRefused(command.at, command.task, command.order, reason)
    return Accepted(events=(refused,), sends=(_answer(command, Task(TaskStatus.REFUSED, reason=reason)),))


def _withdraw(state: Supplier, command: WithdrawTask) -> Decision:
    known = task_of(state, command.task)
    if (known.status, TaskWithdrawn) not in TRANSITIONS:
        return Accepted(sends=(_acknowledge(command, known),))
    withdrawn = TaskWithdrawn(command.at, command.task, command.order)
    return Accepted(events=(withdrawn,), sends=(_acknowledge(command, _WITHDRAWN),))


def _close(state: Supplier, command: CloseTask) -> Decision:
    known = task_of(state, command.task)
    if (known.status, TaskClosed) not in TRANSITIONS:
        return Accepted(sends=(_acknowledge(command, known),))
    closed = TaskClosed(command.at, command.task, command.order)
    return Accepted(events=(closed,), sends=(_acknowledge(command, _CLOSED),))


def _answer(command: OfferTask, task: Task) -> Send:
    """What an offer is answered with: a decision goes to the order, which is its decider; anything else is the
    orchestrator's to know."""
    order, by = Address("order", command.order), f"supplier:{command.supplier}"
    if task.status is TaskStatus.ACCEPTED:
        return Send(order, AcceptConsignment(by=by, consignment=command.consignment, at_once=True))
    if task.status is TaskStatus.REFUSED:
        return Send(order, RejectConsignment(by=by, consignment=command.consignment, reason=task.reason))
    return _acknowledge(command, task)


def _acknowledge(command: TaskCommand, task: Task) -> Send:
    """Tell the orchestrator what the task's row says now. A refused task is over: it counts as closed."""
    status = TaskStatus.CLOSED if task.status is TaskStatus.REFUSED else task.status
    return Send(command.reply_to, TaskAnswered(task=command.task, status=str(status), accept_by=task.accept_by))


_DECIDERS: Mapping[type[Command], Callable[[Supplier, Any], Decision]] = {
    PutSupplier: _put,
    OfferTask: _offer,
    WithdrawTask: _withdraw,
    CloseTask: _close,
}
COMMANDS = frozenset(_DECIDERS)


# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(state: Supplier, event: Event) -> Supplier:
    """Fold one event. Raises KeyError on an event that this machine does not have, and AssertionError on a step that
    the table does not have: either is a broken record."""
    if type(event) is SupplierPut:
        return changed(state, terms=event)
    return _EVOLVERS[type(event)](state, event)


def _offered(state: Supplier, event: TaskOffered) -> Supplier:
    return _take(state, event, event.accept_by)


def _accepted(state: Supplier, event: TaskAccepted) -> Supplier:
    return _take(state, event)


def _take(state: Supplier, event: TaskEvent, accept_by: Millis = 0) -> Supplier:
    """The task is live and uses the capacity of its day. The day never goes back, even if a host's clock does."""
    _, status = _step(state, event)
    day = max(event.at // DAY_MS, state.day)
    live = state.live.put(event.task, _task(status, day, accept_by))
    return changed(state, day=day, taken=taken_on(state, day) + 1, live=live)


def _refused(state: Supplier, event: TaskRefused) -> Supplier:
    _, status = _step(state, event)
    return changed(state, settled=state.settled.put(event.task, Task(status, reason=event.reason), event.at))


def _ended(state: Supplier, event: TaskWithdrawn | TaskClosed) -> Supplier:
    """The task leaves the list. Withdrawn on the day that it was taken, it gives its capacity back."""
    task, status = _step(state, event)
    settled = state.settled.put(event.task, _WITHDRAWN if status is TaskStatus.WITHDRAWN else _CLOSED, event.at)
    if task.status is TaskStatus.ABSENT:
        return changed(state, settled=settled)
    gives_back = status is TaskStatus.WITHDRAWN and task.day == state.day
    taken = state.taken - 1 if gives_back else state.taken
    return changed(state, taken=taken, live=state.live.drop(event.task), settled=settled)


def _step(state: Supplier, event: TaskEvent) -> tuple[Task, TaskStatus]:
    """The row that the event is about and the status it gets, which the table must have."""
    task = task_of(state, event.task)
    after = TRANSITIONS.get((task.status, type(event)))
    assert after is not None, f"{event} on a task that is {task.status}"
    return task, after


_EVOLVERS: Mapping[type[Event], Callable[[Supplier, Any], Supplier]] = {
    TaskOffered: _offered,
    TaskAccepted: _accepted,
    TaskRefused: _refused,
    TaskWithdrawn: _ended,
    TaskClosed: _ended,
}


# --- view ------------------------------------------------------------------------------------------------------------


def view(state: Supplier) -> dict[str, Any] | None:
    """The supplier as the API shows it; None until it has been described. Its tasks are listed from the read side."""
    terms = state.terms
    if terms is None:
        return None
    return {
        "id": terms.supplier,
        "name": terms.name,
        "mode": terms.mode,
        "daily_capacity": terms.daily_capacity,
        "accept_within_s": terms.accept_within_s,
        "cancellation_policy": {"fee_bps": terms.fee_bps},
        "stripe_account": terms.stripe_account or None,
        "delivery": "poll" if terms.delivery == "poll" else {"webhook_url": terms.delivery},
        "customer_emails": terms.customer_emails,
    }


def weight(state: Supplier) -> int:
    """The tail after which a snapshot pays."""
    return tail_worth(state.live.size + state.settled.size)
