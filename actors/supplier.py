"""The supplier actor: terms, daily capacity and offers."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models.supplier import machine

KIND = ActorKind(
    name="supplier",
    initial=machine.INITIAL,
    decide=machine.decide,
    evolve=machine.evolve,
    view=machine.view,
    state_type=machine.Supplier,
    weight=machine.weight,
)
