"""A saga in its world, as the tests of the orchestrator look at it."""

from __future__ import annotations

from typing import Any

from models.catalogue import decode_event
from models.decision import Address
from models.orchestrator import tables
from tests.models.order_world import ORDER_ID, World, an_order

SAGA = Address("orchestrator", ORDER_ID)
HOUR_MS = tables.HOUR_MS


def asked(world: World, kind: type) -> list[Any]:
    return [request for request in world.bank.asked if type(request) is kind]


def saga_events(world: World, kind: type) -> list[Any]:
    events = [decode_event(stored) for stored in world.journal[SAGA]]
    return [event for event in events if type(event) is kind]


def placed(world: World, *lines: Any, **fields: Any) -> World:
    world.tell(an_order(*lines, **fields))
    world.pump()
    return world
