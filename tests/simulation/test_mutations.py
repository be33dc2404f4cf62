"""The simulator can fail: each bug planted here, on purpose, is found by one of the first seeds.

Every mutant takes one safeguard out of the real code. If a mutant survives, either the safeguard is not needed or the
simulator does not look where it should.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime import resident, turn, turning
from actors.runtime.cell import OwnedCell
from actors.runtime.committer import Committer
from actors.runtime.host import HostCore
from actors.runtime.lease import Lease
from actors.runtime.local_journal import MemoryJournal
from actors.runtime.ports import Commit, CommitResult, Failed, Fenced, Group, Stored
from actors.runtime.redrive import Redrive
from models.decision import NOTHING, Send
from models.orchestrator import decide as orchestrator
from models.orchestrator import plan
from models.orchestrator.messages import StockAnswered
from models.record import changed
from models.sku import machine as sku
from models.sku.messages import ReleaseReservation, Reserve, StockReserved
from models.supplier import machine as supplier
from scripts.simulation.faults import FaultPlan
from scripts.simulation.run import simulate

SEEDS_MAX = 60

Patch = pytest.MonkeyPatch


def journal_without_fencing(patch: Patch) -> None:
    """A paused host wakes up and writes over its successor. Versions are not compared either: with them alone nothing
    is overwritten, because two owners never agree on a version of something that both have changed."""
    store = MemoryJournal._store

    def careless(self: MemoryJournal, commit: Commit) -> CommitResult:
        shard = self.store.shard(commit.cell.shard)
        lock = shard.lock(commit.cell)
        result = store(self, commit)
        if not isinstance(result, Fenced):
            return result
        _take_versions_as_they_are(shard.actors, commit)
        return store(self, Commit(commit.cell, lock.epoch, lock.owner, lock.number + 1, commit.groups))

    patch.setattr(MemoryJournal, "_store", careless)


def _take_versions_as_they_are(actors: Any, commit: Commit) -> None:
    for group in commit.groups:
        for append in group.appends:
            actor = actors.get(append.address)
            append.__dict__["expected_version"] = actor.version if actor else 0


def journal_that_appends_twice(patch: Patch) -> None:
    """A commit of unknown outcome that is sent again is stored again."""
    store = MemoryJournal._store

    def forgetful(self: MemoryJournal, commit: Commit) -> CommitResult:
        lock = self.store.shard(commit.cell.shard).lock(commit.cell)
        if lock.by == commit.owner and lock.number == commit.number:
            lock.number -= 1
            lock.by = ""
            _take_versions_as_they_are(self.store.shard(commit.cell.shard).actors, commit)
        return store(self, commit)

    patch.setattr(MemoryJournal, "_store", forgetful)


def effects_before_the_commit(patch: Patch) -> None:
    """Messages and effects leave while what they rest on can still be lost."""
    apply = turn.apply_turn

    def eager(cell: Any, resident: Any, envelope: Any, taken: Any, now: int) -> Any:
        part = apply(cell, resident, envelope, taken, now)
        outbox = _outboxes.get(id(cell))
        if outbox is not None:
            outbox.release(taken.sends, taken.effects)
            taken.sends, taken.effects = [], []
        return part

    _outboxes: dict[int, Any] = {}
    applied = turning.Turning._apply

    def remember(self: Any, owned: Any, *rest: Any) -> None:
        _outboxes[id(owned)] = self._outbox
        applied(self, owned, *rest)

    patch.setattr(turning, "apply_turn", eager)
    patch.setattr(turning.Turning, "_apply", remember)


def answers_before_the_commit(patch: Patch) -> None:
    """A client is told what is not durable yet."""

    def at_once(self: Any, resident: Any, work: Any, reply: Any) -> None:
        if work.sink is not None:
            work.sink(reply)

    patch.setattr(turning.Turning, "_hold", at_once)


def failed_commits_taken_for_stored(patch: Patch) -> None:
    settle = Committer._settle

    def careless(self: Committer, owned: Any, commit: Commit, result: CommitResult) -> None:
        settle(self, owned, commit, Stored() if isinstance(result, Failed) else result)

    patch.setattr(Committer, "_settle", careless)


def reads_without_a_lease(patch: Patch) -> None:
    """A host that was cut off answers from its old memory."""
    patch.setattr(Lease, "valid", lambda _self: True)
    patch.setattr(OwnedCell, "prove", lambda _self: None)


def command_ids_forgotten(patch: Patch) -> None:
    patch.setattr(turning, "answered_before", lambda *_: None)


def versions_not_compared(patch: Patch) -> None:
    """`If-Match` is taken in and forgotten."""
    patch.setattr(turning.Turning, "_stale", lambda *_: False)


def guards_ignored(patch: Patch) -> None:
    """The same idempotency key places several orders."""
    group = resident.Part.group
    patch.setattr(resident.Part, "group", lambda self: Group(group(self).appends, None))


def nobody_resumes(patch: Patch) -> None:
    """A new owner leaves lying what was under way, and the clock never brings it up."""

    async def nothing(_self: Redrive, _owned: Any) -> None:
        """Neither on taking over nor on a tick."""

    patch.setattr(Redrive, "resume", nothing)
    patch.setattr(Redrive, "_poll", nothing)


def memory_lost_in_silence(patch: Patch) -> None:
    """A turn that raises costs an actor what it has gathered, and nobody asks for it again."""
    reload = HostCore.reload
    patch.setattr(HostCore, "reload", lambda self, address, *, resume: reload(self, address, resume=False))


def lost_cells_kept(patch: Patch) -> None:
    """A fenced host goes on with what it believes."""
    patch.setattr(HostCore, "lost", lambda self, owned: None)


def stock_never_released(patch: Patch) -> None:
    def forgetful(_state: sku.Sku, command: ReleaseReservation) -> Any:
        answer = StockAnswered(sku=command.sku, status="released")
        return changed(NOTHING, sends=(Send(command.reply_to, answer),))

    patch.setitem(sku._DECIDERS, ReleaseReservation, forgetful)


def stock_reserved_twice(patch: Patch) -> None:
    """A repeated reservation counts again."""

    def again(state: sku.Sku, command: Reserve) -> Any:
        answer = StockAnswered(sku=command.sku, status="reserved")
        event = StockReserved(command.at, command.order, command.quantity)
        if command.quantity > state.available:
            return sku._reserve(state, command)
        return changed(NOTHING, events=(event,), sends=(Send(command.reply_to, answer),))

    patch.setitem(sku._DECIDERS, Reserve, again)
    patch.setattr(sku, "_step", lambda state, event: sku.row_of(state, event.order))


def holds_never_voided(patch: Patch) -> None:
    payment = plan._payment

    def without_void(steps: Any, order: Any) -> None:
        if order.payment.status != "voiding":
            payment(steps, order)

    patch.setattr(plan, "_payment", without_void)


def fresh_keys_for_unknown_outcomes(patch: Patch) -> None:
    """A payment of unknown outcome is sent again under another key."""
    again = orchestrator._again

    def fresh(intent: Any, at: int, **how: Any) -> Any:
        return changed(again(intent, at, **how), fresh=intent.step == "authorise")

    patch.setattr(orchestrator, "_again", fresh)


def capacity_ignored(patch: Patch) -> None:
    patch.setattr(supplier, "taken_on", lambda _state, _day: 0)


CUTS = FaultPlan(("cut",), 6.0)
"""Stale memory shows only while a host is cut off that others still reach: nothing else must get in the way."""

MUTANTS: tuple[tuple[Callable[[Patch], None], str], ...] = (
    (journal_without_fencing, "A"),
    (journal_that_appends_twice, "A"),
    (effects_before_the_commit, "A"),
    (answers_before_the_commit, "A"),
    (failed_commits_taken_for_stored, "A"),
    (reads_without_a_lease, "A8:"),
    (command_ids_forgotten, "A8:"),
    (versions_not_compared, "A8:"),
    (guards_ignored, "A1:"),
    (nobody_resumes, "A10:"),
    (memory_lost_in_silence, "A10:"),
    (lost_cells_kept, "A"),
    (stock_never_released, "A"),
    (stock_reserved_twice, "A3:"),
    (holds_never_voided, "A"),
    (fresh_keys_for_unknown_outcomes, "A5:"),
    (capacity_ignored, "A6:"),
)


@pytest.mark.parametrize(("plant", "invariant"), MUTANTS, ids=[plant.__name__ for plant, _ in MUTANTS])
def test_a_planted_bug_is_found(plant: Callable[[Patch], None], invariant: str, monkeypatch: Patch) -> None:
    plant(monkeypatch)
    for seed in range(SEEDS_MAX):
        verdict = simulate(seed, faults=CUTS if plant is reads_without_a_lease else None)
        found = [violation for violation in verdict.violations if violation.startswith(invariant)]
        if found:
            print(f"{plant.__name__}: seed {seed}: {found[0]}")
            return
    raise AssertionError(f"{plant.__name__} survived {SEEDS_MAX} seeds")
