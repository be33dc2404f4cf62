"""Given these events of an order: the words in which its tests tell them."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

from models.decision import Event
from models.order import messages as m
from models.order.decide import decide
from models.order.evolve import evolve
from models.order.state import Order
from models.record import changed
from tests.models.given import Given, given
from tests.models.order_world import a_line, an_order

MACHINE: Any = SimpleNamespace(INITIAL=Order(), decide=decide, evolve=evolve)
AT = 1_000
NORTH, SOUTH, ACME, OPS = "supplier:north", "supplier:south", "retailer:acme", "ops:ann"

N1, S1 = a_line("n1", 2, 1250), a_line("s1", 1, 999)  # two consignments: 2500 and 999
SHARES = ((250, 1500, 625, 125), (100, 599, 250, 50))


def placed(*lines: m.LineTerms, **fields: Any) -> m.OrderPlaced:
    command = an_order(*(lines or (N1, S1)), **fields)
    told = {field.name: getattr(command, field.name) for field in dataclasses.fields(command)}
    return m.OrderPlaced(**(told | {"at": 1}))


AUTHORISED = m.PaymentAuthorised(2, "pi_1", 0)
RESERVED = m.StockReserved(3)
ACCEPTED_1 = m.ConsignmentAccepted(4, 1, NORTH, ())
ACCEPTED_2 = m.ConsignmentAccepted(4, 2, SOUTH, ())
CAPTURING = m.CaptureBegun(5, 3499)
CAPTURED = m.PaymentCaptured(6, "ch_1", 3499, SHARES)
OFFERED = (placed(), AUTHORISED, RESERVED)
CONFIRMED = (placed(), AUTHORISED, RESERVED, ACCEPTED_1, ACCEPTED_2, CAPTURING, CAPTURED)


def started(n: int) -> Event:
    return m.ConsignmentStarted(7, n, NORTH)


def dispatched(n: int) -> Event:
    return m.ConsignmentDispatched(8, n, NORTH, m.Tracking("post", "1", ""))


def order(*events: Event) -> Given:
    return given(MACHINE, *events)


def at(command: Any) -> Any:
    return changed(command, at=AT)


def refund(amount: int = 0, lines: m.Quantities = (), id_: str = "rfd_x_1") -> m.RefundOrder:
    command: m.RefundOrder = at(m.RefundOrder(by=ACME, refund=id_, amount=amount, lines=lines))
    return command
