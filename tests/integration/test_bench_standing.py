"""The copies that the benchmark archives are orders in their own right."""

from __future__ import annotations

from actors.orchestrator import KIND as ORCHESTRATOR
from actors.order import KIND as ORDER
from actors.runtime.archive import Archived
from actors.runtime.codec import replay
from models.decision import Address
from scripts.bench.standing import DAY_MS, DAYS, copies_of
from tests.models.order_world import ORDER_ID, a_confirmed_order

NOW = 1_790_000_000_000
SHARDS = 4


def test_copies_have_ids_and_times_of_their_own_and_are_otherwise_the_same() -> None:
    world = a_confirmed_order()
    members = {kind: world.journal[Address(kind, ORDER_ID)] for kind in ("order", "orchestrator")}
    template = Archived(Address("order", ORDER_ID), members)
    copies = list(copies_of([template], 8, SHARDS, NOW))
    assert len({copy.home for copy in copies}) == 8
    original, _ = replay(ORDER, None, members["order"])
    for number, copy in enumerate(copies):
        order, _ = replay(ORDER, None, copy.members["order"])
        saga, _ = replay(ORCHESTRATOR, None, copy.members["orchestrator"])
        assert order.id == copy.home.id and saga.phase == world.saga.phase and not saga.intents
        assert order.created_at == NOW - DAYS * DAY_MS + number * DAYS * DAY_MS // 8
        assert order.updated_at - order.created_at == original.updated_at - original.created_at
        assert int(order.id[4:7], 16) == number % SHARDS
        assert ORDER_ID[4:].encode() not in b"".join([*copy.members["order"], *copy.members["orchestrator"]])
