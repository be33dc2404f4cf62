"""A supplier under offers, withdrawals and closures in any order: never more tasks in a UTC day than it can take."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from models.decision import Accepted, Event
from models.supplier import (
    CloseTask,
    OfferTask,
    PutSupplier,
    TaskAccepted,
    TaskClosed,
    TaskOffered,
    TaskWithdrawn,
    WithdrawTask,
    machine,
)

DAY_MS = 86_400_000
TASKS = st.integers(1, 8).map(lambda number: f"tsk_{number}")


class SupplierUnderOffers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 20_000 * DAY_MS
        self.state = machine.INITIAL
        self.events: list[Event] = []
        self.capacity = 0

    def turn(self, command: Any) -> None:
        timed = machine.changed(command, at=self.now)
        decision = machine.decide(self.state, timed)
        assert isinstance(decision, Accepted), decision
        before = self.state
        for event in decision.events:
            self.events.append(event)
            self.state = machine.evolve(self.state, event)
        repeat = machine.decide(self.state, timed)
        assert isinstance(repeat, Accepted)
        assert (repeat.events, repeat.sends) == ((), decision.sends)
        assert machine.decide(before, timed) == decision

    @initialize(capacity=st.integers(0, 4), mode=st.sampled_from(["auto", "manual"]))
    def describe(self, capacity: int, mode: Any) -> None:
        self.capacity = capacity
        self.turn(PutSupplier(supplier="north", name="North", mode=mode, daily_capacity=capacity))

    @rule(mode=st.sampled_from(["auto", "manual"]))
    def change_mode(self, mode: Any) -> None:
        self.turn(PutSupplier(supplier="north", name="North", mode=mode, daily_capacity=self.capacity))

    @rule(task=TASKS)
    def offer(self, task: str) -> None:
        self.turn(OfferTask(supplier="north", task=task, order=f"ord_{task}", consignment=1))

    @rule(task=TASKS)
    def withdraw(self, task: str) -> None:
        self.turn(WithdrawTask(supplier="north", task=task, order=f"ord_{task}"))

    @rule(task=TASKS)
    def close(self, task: str) -> None:
        self.turn(CloseTask(supplier="north", task=task, order=f"ord_{task}"))

    @rule(pause_ms=st.sampled_from([-60_000, DAY_MS // 2, DAY_MS]))
    def wait(self, pause_ms: int) -> None:
        self.now += pause_ms

    @invariant()
    def capacity_holds_on_every_day(self) -> None:
        used: Counter[int] = Counter()
        taken_on: dict[str, int] = {}
        day = 0
        for event in self.events:
            if isinstance(event, TaskAccepted | TaskOffered):
                day = max(day, event.at // DAY_MS)
                taken_on[event.task] = day
                used[day] += 1
                assert used[day] <= self.capacity
            elif isinstance(event, TaskWithdrawn) and taken_on.pop(event.task, None) == day:
                used[day] -= 1
            elif isinstance(event, TaskClosed):
                taken_on.pop(event.task, None)
        assert self.state.taken == used[self.state.day]
        assert {task for task, _ in self.state.live.items()} == set(taken_on)

    @invariant()
    def replaying_gives_the_same_state(self) -> None:
        replayed = machine.INITIAL
        for event in self.events:
            replayed = machine.evolve(replayed, event)
        assert replayed == self.state


SupplierUnderOffers.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSupplierUnderOffers = SupplierUnderOffers.TestCase
