"""The adoption actor, one per (retailer, product): whose offer the retailer sells."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models import adoption

KIND = ActorKind(
    name="adoption",
    initial=adoption.INITIAL,
    decide=adoption.decide,
    evolve=adoption.evolve,
    view=adoption.view,
    state_type=adoption.Adoption,
)
