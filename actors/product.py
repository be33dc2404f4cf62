"""The product actor: what is sold, and who offers it."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models import product

KIND = ActorKind(
    name="product",
    initial=product.INITIAL,
    decide=product.decide,
    evolve=product.evolve,
    view=product.view,
    state_type=product.Product,
)
