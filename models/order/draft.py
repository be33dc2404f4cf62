"""A decision in the making: the events so far, and the order as they leave it."""

from __future__ import annotations

from typing import Any

from models.decision import Event, Millis, Rejected
from models.order.evolve import evolve
from models.order.state import Consignment, Order
from models.order.tables import allows, refused

Verdict = Rejected | dict[str, Any] | None
"""What a handler says in the end: a no, a reply of its own, or nothing when its events say it all."""


class Draft:
    """Lets a handler decide event by event, each on top of what the ones before have made of the order."""

    def __init__(self, order: Order, at: Millis) -> None:
        self.order = order
        self.at = at
        self.events: list[Event] = []

    def add(self, event: Event) -> None:
        self.order = evolve(self.order, event)
        self.events.append(event)

    def consignment(self, number: int) -> Consignment | None:
        """The consignment by its number from 1, or None."""
        return self.order.consignments[number - 1] if 1 <= number <= len(self.order.consignments) else None


def unknown(what: str, id_: str | int) -> Rejected:
    return Rejected("not_found", f"this order has no {what} {id_}")


def check(machine: str, status: str, event: str) -> Rejected | None:
    """The no that the machine's table demands, or None if the pair is in it."""
    return None if allows(machine, status, event) else refused(machine, status, event)


def foreign(by: str, consignment: Consignment) -> Rejected | None:
    """A supplier may act on its own consignments only; whoever else may act at all is the gateway's business."""
    if by.startswith("supplier:") and by != f"supplier:{consignment.supplier}":
        return unknown("consignment", consignment.number)
    return None
