"""What the runtime must know of a kind of actor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models.decision import Command, Decision, Due, Event, Millis


@dataclass(frozen=True)
class ActorKind:
    """A kind, wired.

    name:      the `kind` of its addresses.
    home:      the kind whose actor of the same id it accompanies (the orchestrator's home is its order); companions
               live, commit and move together. Empty for a kind on its own.
    initial:   the state of an actor that has no events.
    decide, evolve: the machine (see `models.decision`).
    due:       what it still has to do, from its state; None when it has nothing to wait for.
    view:      what a reader gets: a JSON-serialisable value; None means there is no such thing (404).
    awaited:   True once a `Prefer: wait` on this actor may answer.
    creates:   command types that begin a new actor: the runtime assumes an empty record instead of loading one, and
               the commit proves it.
    arrivals:  command types that are new work, refused first when the host is full; all others are continuations.
    minted_at: when an actor with this id can have been made at the earliest; kinds that say so are archived with their
               companions once they are at rest. None of them may be snapshotted: their events are kept.
    snapshot_after_events: the least tail that is worth a snapshot; 0 means that every event is kept.
    weight:    the tail that is worth a snapshot of the state as it is now, so that the cost of snapshots is amortised.
    state_type: the dataclass of its state, for snapshots.
    """

    name: str
    initial: Any
    decide: Callable[[Any, Any], Decision]
    evolve: Callable[[Any, Any], Any]
    view: Callable[[Any], Any]
    state_type: type
    home: str = ""
    due: Callable[[Any], Due | None] = lambda _state: None
    awaited: Callable[[Any], bool] = lambda _state: True
    creates: frozenset[type[Command]] = frozenset()
    arrivals: frozenset[type[Command]] = frozenset()
    minted_at: Callable[[str], Millis] | None = None
    snapshot_after_events: int = 64
    weight: Callable[[Any], int] = lambda _state: 1


Kinds = Mapping[str, ActorKind]
Evolve = Callable[[Any, Event], Any]
