"""The SKU actor: one product variant's stock."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models.sku import machine

KIND = ActorKind(
    name="sku",
    initial=machine.INITIAL,
    decide=machine.decide,
    evolve=machine.evolve,
    view=machine.view,
    state_type=machine.Sku,
    weight=machine.weight,
)
