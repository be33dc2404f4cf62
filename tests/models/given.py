"""Given these events, when this command, then that: how decisions are specified."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from models.decision import Accepted, Command, Event, Rejected


@dataclass(frozen=True)
class Given:
    """A machine (a module with INITIAL, decide and evolve) in the state that events have led to."""

    machine: ModuleType
    state: Any

    def when(self, command: Command) -> Outcome:
        return Outcome(self, command, self.machine.decide(self.state, command))


@dataclass(frozen=True)
class Outcome:
    """What was decided. Every `then_...` returns the outcome, so that several can be asked for."""

    given: Given
    command: Command
    decision: Accepted | Rejected

    @property
    def state(self) -> Any:
        assert isinstance(self.decision, Accepted), self.decision
        state = self.given.state
        for event in self.decision.events:
            state = self.given.machine.evolve(state, event)
        return state

    def then(self, *events: Event) -> Outcome:
        """These events were decided, and no others."""
        assert isinstance(self.decision, Accepted), self.decision
        assert self.decision.events == events
        return self

    def and_again(self) -> Outcome:
        """A repeat changes nothing and is answered as before."""
        assert isinstance(self.decision, Accepted), self.decision
        repeat = self.given.machine.decide(self.state, self.command)
        assert isinstance(repeat, Accepted), repeat
        assert repeat.events == ()
        assert repeat.sends == self.decision.sends
        return self

    def then_sends(self, *commands: Command) -> Outcome:
        assert isinstance(self.decision, Accepted), self.decision
        assert tuple(send.command for send in self.decision.sends) == commands
        return self

    def then_rejected(self, code: str) -> Outcome:
        assert isinstance(self.decision, Rejected), self.decision
        assert self.decision.code == code
        assert self.decision.detail
        return self


def given(machine: ModuleType, *events: Event) -> Given:
    state = machine.INITIAL
    for event in events:
        state = machine.evolve(state, event)
    return Given(machine, state)
