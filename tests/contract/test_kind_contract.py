"""What the runtime may expect of every kind: permanent names, and states that survive a snapshot."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

import models
from actors import adoption, brand, keyring, product, retailer, sku, supplier
from actors.kinds import KINDS
from actors.runtime.codec import decode_snapshot, encode_event, encode_item, encode_snapshot, replay
from actors.runtime.envelope import Envelope
from actors.runtime.kind import ActorKind
from models.adoption import AdoptProduct
from models.catalogue import COMMAND_NAMES, EVENT_NAMES
from models.decision import Accepted, Address, Command, Event
from models.keyring import CreateKey, RevokeKey
from models.party import PutParty
from models.product import PutOffer, PutProduct, Split
from models.sku import ClaimSku, ConfirmReservation, ReceiveStock, ReleaseReservation, Reserve, Restock
from models.supplier import CloseTask, OfferTask, PutSupplier, WithdrawTask

SAGA = Address("orchestrator", "ord_1")


def _orders(*quantities: int) -> list[Command]:
    return [Reserve(at=10, sku="MUG", order=f"ord_{n}", quantity=q, reply_to=SAGA) for n, q in enumerate(quantities)]


HISTORIES: dict[str, Sequence[Command]] = {
    "sku": [
        ClaimSku(at=1, sku="MUG", supplier="north"),
        ReceiveStock(at=2, sku="MUG", quantity=10, supplier="north"),
        *_orders(2, 3, 99, 1),
        ConfirmReservation(at=11, sku="MUG", order="ord_0", reply_to=SAGA),
        ReleaseReservation(at=12, sku="MUG", order="ord_1", reply_to=SAGA),
        ReleaseReservation(at=13, sku="MUG", order="ord_7", reply_to=SAGA),
        Restock(at=14, sku="MUG", order="ord_0", quantity=1, key="ret_1", reply_to=SAGA),
    ],
    "supplier": [
        PutSupplier(at=1, supplier="north", name="North", mode="manual", daily_capacity=3, delivery="hooks.example"),
        *(OfferTask(at=10, task=f"tsk_{n}", order="ord_1", consignment=n, reply_to=SAGA) for n in range(4)),
        WithdrawTask(at=11, task="tsk_0", order="ord_1", reply_to=SAGA),
        CloseTask(at=12, task="tsk_1", order="ord_1", reply_to=SAGA),
    ],
    "product": [
        PutProduct(at=1, product="mug", title="Mug", brand="clay", currency="gbp"),
        PutOffer(at=2, product="mug", supplier="north", sku="MUG", unit_amount=500, split=Split(1, 2, 3)),
    ],
    "adoption": [AdoptProduct(at=1, retailer="acme", product="mug", supplier="north", unit_amount=700)],
    "brand": [PutParty(at=1, party="clay", name="Clay", stripe_account="acct_1")],
    "retailer": [PutParty(at=1, party="acme", name="Acme")],
    "keyring": [
        CreateKey(at=1, id="key_1", role="ops", name="ann", hash="ab"),
        CreateKey(at=2, id="key_2", role="supplier", name="north", hash="cd"),
        RevokeKey(at=3, id="key_1"),
    ],
}
LIVED = [module.KIND for module in (sku, supplier, product, adoption, brand, retailer, keyring)]


def live(kind: ActorKind) -> tuple[Any, list[Event]]:
    """The state and the events of an actor that has been through its history, each command accepted."""
    state, events = kind.initial, []
    for command in HISTORIES[kind.name]:
        decision = kind.decide(state, command)
        assert isinstance(decision, Accepted), decision
        assert decision.events, f"{command} leaves no trace"
        for event in decision.events:
            state = kind.evolve(state, event)
            events.append(event)
    return state, events


@pytest.mark.parametrize("kind", LIVED, ids=lambda kind: kind.name)
def test_a_state_survives_its_snapshot(kind: ActorKind) -> None:
    state, _ = live(kind)
    read, answered = decode_snapshot(kind, encode_snapshot(state, {}))
    assert (read, answered) == (state, {})
    assert type(read) is kind.state_type
    assert kind.view(read) == kind.view(state)


@pytest.mark.parametrize("kind", LIVED, ids=lambda kind: kind.name)
def test_stored_events_replay_to_the_state_with_and_without_a_snapshot(kind: ActorKind) -> None:
    state, events = live(kind)
    stored = [encode_event(event) for event in events]
    assert replay(kind, None, stored)[0] == state
    half = len(events) // 2
    snapshot = encode_snapshot(replay(kind, None, stored[:half])[0], {})
    assert replay(kind, snapshot, stored[half:])[0] == state


@pytest.mark.parametrize("kind", LIVED, ids=lambda kind: kind.name)
def test_commands_travel(kind: ActorKind) -> None:
    for command in HISTORIES[kind.name]:
        assert encode_item(Envelope(Address(kind.name, "x"), command, 1, asks=False))


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_a_kind_is_named_as_it_is_listed_and_begins_with_its_state_type(kind: ActorKind) -> None:
    assert KINDS[kind.name] is kind
    assert type(kind.initial) is kind.state_type
    assert kind.due(kind.initial) is None
    if kind.snapshot_after_events:
        snapshot = encode_snapshot(kind.initial, {})
        assert decode_snapshot(kind, snapshot)[0] == kind.initial


def test_an_orchestrator_lives_with_its_order() -> None:
    assert {kind.name: kind.home for kind in KINDS.values() if kind.home} == {"orchestrator": "order"}


def _modules() -> list[ModuleType]:
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages(models.__path__, "models.")]


@pytest.mark.parametrize("machine", ["sku.machine", "supplier.machine", "product", "adoption", "party", "keyring"])
def test_what_a_machine_decides_on_and_what_it_decides_have_permanent_names(machine: str) -> None:
    module = importlib.import_module(f"models.{machine}")
    assert set(module.COMMANDS) <= set(COMMAND_NAMES)
    decided = {event for _, event in module.TRANSITIONS}
    assert decided <= set(EVENT_NAMES)


def test_events_are_frozen_records_without_defaults() -> None:
    """A default would let a stored event be read without the field it lacks, instead of asking for an upcaster."""
    for module in _modules():
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls in EVENT_NAMES:
                assert cls.__dataclass_params__.frozen, cls  # type: ignore[attr-defined]
                optional = [p for p in inspect.signature(cls).parameters.values() if p.default is not p.empty]
                assert not optional, f"{cls.__name__} has defaults: {optional}"
