"""What a supplier decides, task by task."""

from __future__ import annotations

from typing import Any

import pytest

from models.decision import Accepted, Address, Event
from models.orchestrator.messages import Nudge, TaskAnswered
from models.order.messages import AcceptConsignment, RejectConsignment
from models.record import changed
from models.supplier import (
    CloseTask,
    OfferTask,
    PutSupplier,
    SupplierPut,
    TaskAccepted,
    TaskClosed,
    TaskOffered,
    TaskRefused,
    TaskWithdrawn,
    WithdrawTask,
    machine,
)
from models.supplier.machine import DAY_MS, TaskStatus
from tests.models.given import Given, given

ORDER = "ord_00000000000000000000000000000000001"
TASK = "tsk_00000000000000000000000000000000001_1"
SAGA = Address("orchestrator", ORDER)
NOON = 20_000 * DAY_MS + DAY_MS // 2
ASKED: dict[str, Any] = {"at": NOON, "supplier": "north", "task": TASK, "order": ORDER, "reply_to": SAGA}
OFFER = OfferTask(**ASKED, consignment=1)
AUTO = SupplierPut(1, "north", "North", "auto", None, 3600, 500, "", "poll", "platform")
MANUAL = changed(AUTO, mode="manual")
PUT = PutSupplier(at=1, supplier="north", name="North", accept_within_s=3600, fee_bps=500)
ACCEPTANCE = AcceptConsignment(by="supplier:north", consignment=1, at_once=True)
REFUSAL = RejectConsignment(by="supplier:north", consignment=1, reason="capacity")


def capacity(tasks: int, terms: SupplierPut = AUTO) -> SupplierPut:
    return changed(terms, daily_capacity=tasks)


def other(number: int, at: int = NOON) -> TaskAccepted:
    return TaskAccepted(at, f"tsk_{number}", f"ord_{number}")


def test_terms_are_put_once() -> None:
    given(machine).when(PUT).then(AUTO).and_again()
    given(machine, AUTO).when(changed(PUT, at=5)).then()
    given(machine, AUTO).when(changed(PUT, at=5, mode="manual")).then(changed(MANUAL, at=5))


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"mode": "perhaps"},
        {"daily_capacity": -1},
        {"daily_capacity": machine.CAPACITY_MAX + 1},
        {"accept_within_s": 0},
        {"accept_within_s": machine.ACCEPT_WITHIN_S_MAX + 1},
        {"fee_bps": -1},
        {"fee_bps": 10_001},
        {"delivery": ""},
        {"customer_emails": "nobody"},
    ],
    ids=str,
)
def test_impossible_terms_are_rejected_by_the_name_of_the_field(wrong: dict[str, Any]) -> None:
    outcome = given(machine).when(changed(PUT, **wrong)).then_rejected("invalid_supplier")
    assert next(iter(wrong)) in outcome.decision.detail  # type: ignore[union-attr]


def test_an_auto_supplier_accepts_on_the_spot() -> None:
    outcome = given(machine, AUTO).when(OFFER).then(TaskAccepted(NOON, TASK, ORDER))
    outcome.then_sends(ACCEPTANCE).and_again()
    assert isinstance(outcome.decision, Accepted)
    assert outcome.decision.sends[0].to == Address("order", ORDER)


def test_a_manual_supplier_is_asked() -> None:
    accept_by = NOON + 3_600_000
    outcome = given(machine, MANUAL).when(OFFER).then(TaskOffered(NOON, TASK, ORDER, accept_by))
    outcome.then_sends(TaskAnswered(task=TASK, status="offered", accept_by=accept_by)).and_again()
    assert isinstance(outcome.decision, Accepted)
    assert outcome.decision.sends[0].to == SAGA


def test_the_deadline_of_an_open_offer_is_the_one_it_was_made_with() -> None:
    first = given(machine, MANUAL).when(OFFER)
    later = Given(machine, first.state).when(changed(OFFER, at=NOON + 60_000))
    later.then().then_sends(TaskAnswered(task=TASK, status="offered", accept_by=NOON + 3_600_000))


def test_a_supplier_that_nobody_has_described_refuses() -> None:
    refusal = changed(REFUSAL, reason="unknown_supplier")
    given(machine).when(OFFER).then(TaskRefused(NOON, TASK, ORDER, "unknown_supplier")).then_sends(refusal).and_again()


@pytest.mark.parametrize("terms", [AUTO, MANUAL], ids=lambda terms: terms.mode)
def test_the_days_capacity_is_used_up_to_the_last_task(terms: SupplierPut) -> None:
    refused = TaskRefused(NOON, TASK, ORDER, "capacity")
    given(machine, capacity(2, terms), other(1), other(2)).when(OFFER).then(refused).then_sends(REFUSAL).and_again()
    given(machine, capacity(0, terms)).when(OFFER).then(refused)
    last = given(machine, capacity(2, terms), other(1)).when(OFFER).decision
    assert isinstance(last, Accepted)
    assert type(last.events[0]) in (TaskAccepted, TaskOffered)


def test_capacity_is_of_the_utc_day() -> None:
    midnight = 20_001 * DAY_MS
    full = given(machine, capacity(1), other(1, midnight - 1))
    full.when(changed(OFFER, at=midnight - 1)).then(TaskRefused(midnight - 1, TASK, ORDER, "capacity"))
    full.when(changed(OFFER, at=midnight)).then(TaskAccepted(midnight, TASK, ORDER))


def test_a_clock_that_goes_back_opens_no_second_day() -> None:
    full = given(machine, capacity(1), other(1, NOON + DAY_MS))
    full.when(OFFER).then(TaskRefused(NOON, TASK, ORDER, "capacity"))


def test_a_withdrawn_task_gives_its_capacity_back_on_the_same_day() -> None:
    again = given(machine, capacity(1), other(1), TaskWithdrawn(NOON, "tsk_1", "ord_1"))
    again.when(OFFER).then(TaskAccepted(NOON, TASK, ORDER))
    yesterday = given(machine, capacity(1), other(1, NOON - DAY_MS), other(2), TaskWithdrawn(NOON, "tsk_1", "ord_1"))
    yesterday.when(OFFER).then(TaskRefused(NOON, TASK, ORDER, "capacity"))


def test_a_closed_task_keeps_its_capacity() -> None:
    closed = given(machine, capacity(1), other(1), TaskClosed(NOON, "tsk_1", "ord_1"))
    closed.when(OFFER).then(TaskRefused(NOON, TASK, ORDER, "capacity"))


def test_a_withdrawal_ends_a_task() -> None:
    for taken in (TaskAccepted(NOON, TASK, ORDER), TaskOffered(NOON, TASK, ORDER, NOON + 1)):
        outcome = given(machine, AUTO, taken).when(WithdrawTask(**ASKED)).then(TaskWithdrawn(NOON, TASK, ORDER))
        outcome.then_sends(TaskAnswered(task=TASK, status="withdrawn")).and_again()
        assert outcome.state.live.size == 0


def test_a_withdrawal_that_overtakes_its_offer_refuses_it() -> None:
    early = given(machine, AUTO).when(WithdrawTask(**ASKED)).then(TaskWithdrawn(NOON, TASK, ORDER)).and_again()
    late = Given(machine, early.state).when(OFFER)
    late.then().then_sends(TaskAnswered(task=TASK, status="withdrawn"))


def test_a_closure_ends_a_task_and_refuses_a_late_offer() -> None:
    accepted = given(machine, AUTO, TaskAccepted(NOON, TASK, ORDER))
    for before in (accepted, given(machine, AUTO)):
        closed = before.when(CloseTask(**ASKED)).then(TaskClosed(NOON, TASK, ORDER))
        closed.then_sends(TaskAnswered(task=TASK, status="closed")).and_again()
        late = Given(machine, closed.state).when(OFFER)
        late.then().then_sends(TaskAnswered(task=TASK, status="closed"))


def test_withdrawing_or_closing_what_is_over_is_acknowledged() -> None:
    refused = given(machine, AUTO, TaskRefused(NOON, TASK, ORDER, "capacity"))
    refused.when(WithdrawTask(**ASKED)).then().then_sends(TaskAnswered(task=TASK, status="closed"))
    refused.when(CloseTask(**ASKED)).then().then_sends(TaskAnswered(task=TASK, status="closed"))
    withdrawn = given(machine, AUTO, TaskWithdrawn(NOON, TASK, ORDER))
    withdrawn.when(CloseTask(**ASKED)).then().then_sends(TaskAnswered(task=TASK, status="withdrawn"))
    closed = given(machine, AUTO, TaskClosed(NOON, TASK, ORDER))
    closed.when(WithdrawTask(**ASKED)).then().then_sends(TaskAnswered(task=TASK, status="closed"))


def test_settled_tasks_are_forgotten_after_ten_to_fifteen_minutes() -> None:
    def after(minutes: int) -> TaskStatus:
        later = [TaskRefused(NOON + i * 30_000, f"late_{i}", "ord", "capacity") for i in range(minutes * 2)]
        state = given(machine, AUTO, TaskWithdrawn(NOON, TASK, ORDER), other(1), *later).state
        assert machine.task_of(state, "tsk_1").status is TaskStatus.ACCEPTED
        return machine.task_of(state, TASK).status

    assert after(10) is TaskStatus.WITHDRAWN
    assert after(16) is TaskStatus.ABSENT


def test_the_view_is_what_was_put() -> None:
    assert machine.view(machine.INITIAL) is None
    put = changed(AUTO, stripe_account="acct_1", delivery="hooks.example", daily_capacity=7)
    assert machine.view(given(machine, put).state) == {
        "id": "north",
        "name": "North",
        "mode": "auto",
        "daily_capacity": 7,
        "accept_within_s": 3600,
        "cancellation_policy": {"fee_bps": 500},
        "stripe_account": "acct_1",
        "delivery": {"webhook_url": "hooks.example"},
        "customer_emails": "platform",
    }
    assert machine.view(given(machine, AUTO).state)["delivery"] == "poll"  # type: ignore[index]


ROWS: dict[TaskStatus, tuple[Event, ...]] = {
    TaskStatus.ABSENT: (),
    TaskStatus.OFFERED: (TaskOffered(NOON, TASK, ORDER, NOON + 1),),
    TaskStatus.ACCEPTED: (TaskAccepted(NOON, TASK, ORDER),),
    TaskStatus.REFUSED: (TaskRefused(NOON, TASK, ORDER, "capacity"),),
    TaskStatus.WITHDRAWN: (TaskWithdrawn(NOON, TASK, ORDER),),
    TaskStatus.CLOSED: (TaskClosed(NOON, TASK, ORDER),),
}
STEPS: dict[type[Event], Event] = {
    TaskOffered: TaskOffered(NOON, TASK, ORDER, NOON + 1),
    TaskAccepted: TaskAccepted(NOON, TASK, ORDER),
    TaskRefused: TaskRefused(NOON, TASK, ORDER, "capacity"),
    TaskWithdrawn: TaskWithdrawn(NOON, TASK, ORDER),
    TaskClosed: TaskClosed(NOON, TASK, ORDER),
}


def test_the_walk_covers_the_whole_table() -> None:
    assert set(ROWS) == set(TaskStatus)
    assert set(STEPS) == machine.TASK_EVENTS


@pytest.mark.parametrize("status", ROWS)
@pytest.mark.parametrize("step", STEPS)
def test_tasks_take_the_steps_of_the_table_and_no_others(status: TaskStatus, step: type[Event]) -> None:
    state = given(machine, AUTO, *ROWS[status]).state
    assert machine.task_of(state, TASK).status is status
    after = machine.TRANSITIONS.get((status, step))
    if after is None:
        with pytest.raises(AssertionError):
            machine.evolve(state, STEPS[step])
        return
    assert machine.task_of(machine.evolve(state, STEPS[step]), TASK).status is after


@pytest.mark.parametrize("status", ROWS)
@pytest.mark.parametrize(
    "command", [OFFER, WithdrawTask(**ASKED), CloseTask(**ASKED)], ids=lambda command: type(command).__name__
)
@pytest.mark.parametrize("terms", [AUTO, MANUAL, capacity(0)], ids=["auto", "manual", "full"])
def test_every_question_is_answered_and_every_decision_is_in_the_table(
    terms: SupplierPut, status: TaskStatus, command: Any
) -> None:
    outcome = given(machine, terms, *ROWS[status]).when(command)
    assert isinstance(outcome.decision, Accepted)
    assert len(outcome.decision.sends) == 1
    assert outcome.and_again().state.terms == terms


def test_strange_commands_are_rejected() -> None:
    given(machine, AUTO).when(Nudge()).then_rejected("unknown_command")
