"""The retailer actor: a party to an order's split."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models import party

KIND = ActorKind(
    name="retailer",
    initial=party.INITIAL,
    decide=party.decide,
    evolve=party.evolve,
    view=party.view,
    state_type=party.Party,
)
