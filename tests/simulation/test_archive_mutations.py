"""The simulator looks at the archive: each safeguard that is taken out of it is found by one of the first seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from actors.runtime import finding
from actors.runtime.archive import Archived
from actors.runtime.finding import Comeback, Finder
from actors.runtime.ports import Append
from scripts.simulation.archive import SimulatedArchive
from scripts.simulation.run import simulate

SEEDS_MAX = 30

Patch = pytest.MonkeyPatch


def deleted_before_it_is_written(patch: Patch) -> None:
    """The order leaves the journal while its record is still on its way, and may be lost on it."""

    async def later(self: SimulatedArchive, records: Mapping[int, Sequence[Archived]]) -> None:
        self._way._disk.loop.later(20.0, lambda: None)

    patch.setattr(SimulatedArchive, "put", later)


def nobody_looks_in_the_archive(patch: Patch) -> None:
    patch.setattr(Finder, "may_have", lambda _self, _home: False)


def restored_without_its_companion(patch: Patch) -> None:
    into = Comeback.into

    def alone(self: Comeback, part: Any, resident: Any) -> None:
        into(self, part, resident)
        del part.appends["orchestrator"]

    patch.setattr(Comeback, "into", alone)


def told_to_the_outside_twice(patch: Patch) -> None:
    def anew(self: Any) -> Append:
        return Append(self.address, 0, self.events, due=self.due, due_changed=True, data_key=self.data_key)

    patch.setattr(finding._Restoring, "freeze", anew)


MUTANTS: tuple[tuple[Callable[[Patch], None], str], ...] = (
    (deleted_before_it_is_written, "A1:"),
    (nobody_looks_in_the_archive, "A"),
    (restored_without_its_companion, "A"),
    (told_to_the_outside_twice, "A7:"),
)


@pytest.mark.parametrize(("plant", "invariant"), MUTANTS, ids=[plant.__name__ for plant, _ in MUTANTS])
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], invariant: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        found = [violation for violation in simulate(seed).violations if violation.startswith(invariant)]
        if found:
            print(f"{plant.__name__}: seed {seed}: {found[0]}")
            return
    raise AssertionError(f"{plant.__name__} survived {SEEDS_MAX} seeds")


def test_orders_are_archived_and_come_back() -> None:
    """Otherwise the seeds would prove nothing about it."""
    verdicts = [simulate(seed) for seed in range(20)]
    assert sum(verdict.archived for verdict in verdicts) > 40
    assert sum(verdict.restored for verdict in verdicts) > 4
