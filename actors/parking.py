"""The parking actor, wired; and the messages that park a poisoned command."""

from __future__ import annotations

from collections.abc import Sequence

from actors.runtime.kind import ActorKind
from actors.runtime.parking import Poison
from models import parking
from models.decision import Send
from models.order.messages import RaiseAttention

KIND = ActorKind(
    name="parking",
    initial=parking.Parking(),
    decide=parking.decide,
    evolve=parking.evolve,
    view=parking.view,
    state_type=parking.Parking,
    weight=lambda state: len(state.entries),
)

_ORDERS = frozenset({"order", "orchestrator"})


def park(poison: Poison) -> Sequence[Send]:
    """Put the poison on record and, if it was meant for an order, draw a person's attention to that order."""
    if poison.to == parking.PARKING:
        return ()  # it has been logged; parking it would begin again
    sends = [
        Send(
            parking.PARKING,
            parking.ParkCommand(
                kind=poison.to.kind,
                id=poison.to.id,
                command_name=poison.command_name,
                command=poison.command,
                cause=poison.cause,
            ),
        )
    ]
    if poison.to.kind in _ORDERS and poison.command_name != "order.raise_attention":
        order = poison.to._replace(kind="order")
        sends.append(Send(order, RaiseAttention(reason="command_parked", detail=poison.command_name)))
    return sends
