"""The orchestrator actor: carries one order from step to step. It shares id and shard with its order."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models.orchestrator.decide import decide
from models.orchestrator.state import Saga, due, evolve, view

KIND = ActorKind(
    name="orchestrator",
    home="order",
    initial=Saga(),
    decide=decide,
    evolve=evolve,
    view=view,
    state_type=Saga,
    due=due,
    snapshot_after_events=0,  # what is being gathered is in memory alone, and must not slip into a snapshot
)
