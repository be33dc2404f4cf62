"""The order actor: decides all facts of one order."""

from __future__ import annotations

from actors.runtime.kind import ActorKind
from models.identity import minted_at
from models.order.decide import decide
from models.order.evolve import evolve
from models.order.messages import PlaceOrder
from models.order.state import Order, headline
from models.order.view import view

AWAITED_AFTER = frozenset({"pending", "payment_authorised"})
"""`Prefer: wait` answers once the headline is neither of these."""

KIND = ActorKind(
    name="order",
    initial=Order(),
    decide=decide,
    evolve=evolve,
    view=view,
    state_type=Order,
    awaited=lambda order: headline(order) not in AWAITED_AFTER,
    creates=frozenset({PlaceOrder}),
    arrivals=frozenset({PlaceOrder}),
    minted_at=minted_at,
    snapshot_after_events=0,  # every event is kept: feeds, timelines and the archive read them all
)
