"""What an orchestrator's record says is under way and done, read independently of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.simulation.history import Happened


class SagaBook:
    """pending: steps (`capture:pi`) that are journalled and have no outcome yet, with their parameters. done: steps
    that have one. They are named without their attempt."""

    def __init__(self, events: Sequence[Happened]) -> None:
        self.pending: dict[str, dict[str, Any]] = {}
        self.done: set[str] = set()
        for happened in events:
            if happened.name == "saga.advanced/1":
                self._advance(happened.fields)

    def _advance(self, fields: dict[str, Any]) -> None:
        for key in fields["settled"]:
            name = key.rpartition(":")[0]
            self.pending.pop(name, None)
            self.done.add(name)
        for key in fields["dropped"]:
            self.pending.pop(key.rpartition(":")[0], None)
        for key, params in fields["intended"].items():
            self.pending[key.rpartition(":")[0]] = params

    def waits_for(self, *steps: str) -> bool:
        """Is one of these steps (`capture`, `void`, ...) under way."""
        return any(name.partition(":")[0] in steps for name in self.pending)

    def amounts(self, step: str) -> list[int]:
        """What the pending intents of a step are about to move, in minor units."""
        return [int(params.get("amount", 0)) for name, params in self.pending.items() if name.partition(":")[0] == step]
