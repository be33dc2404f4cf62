"""Parked commands: given, when, then."""

from __future__ import annotations

import orjson

from actors.parking import park
from actors.runtime.parking import Poison
from models.decision import NOTHING, Accepted, Address, Rejected, Send
from models.order.messages import RaiseAttention
from models.parking import (
    CommandParked,
    DiscardParked,
    ParkCommand,
    Parked,
    ParkedDiscarded,
    ParkedRetried,
    Parking,
    RetryParked,
    decide,
    evolve,
    view,
)

POISON = ParkCommand(
    at=5,
    kind="order",
    id="ord_1",
    command_name="order.raise_attention",
    command=orjson.dumps(RaiseAttention(reason="x")).decode(),
    cause="RuntimeError: no",
)
PARKED = Parked("prk_1", 5, "order", "ord_1", POISON.command_name, POISON.command, POISON.cause)


def given(*events: CommandParked | ParkedDiscarded | ParkedRetried) -> Parking:
    state = Parking()
    for happened in events:
        state = evolve(state, happened)
    return state


def test_a_poisoned_command_is_kept_with_its_cause() -> None:
    assert decide(Parking(), POISON) == Accepted((CommandParked(5, PARKED),))
    assert view(given(CommandParked(5, PARKED))) == {"parked": [PARKED]}


def test_the_same_poison_is_parked_once() -> None:
    assert decide(given(CommandParked(5, PARKED)), POISON) is NOTHING


def test_a_retry_sends_the_command_as_it_was() -> None:
    decided = decide(given(CommandParked(5, PARKED)), RetryParked(at=6, parked="prk_1"))
    assert decided == Accepted(
        (ParkedRetried(6, "prk_1"),), sends=(Send(Address("order", "ord_1"), RaiseAttention(reason="x")),)
    )


def test_a_discarded_command_is_gone_and_its_id_is_not_used_again() -> None:
    state = given(CommandParked(5, PARKED), ParkedDiscarded(6, "prk_1"))
    assert view(state) == {"parked": []}
    assert decide(state, DiscardParked(parked="prk_1")) == Rejected(
        "not_parked", "prk_1 is not parked (any more)"
    )
    (again,) = decide(state, POISON).events  # type: ignore[union-attr]
    assert isinstance(again, CommandParked) and again.parked.id == "prk_2"


def test_an_order_with_a_parked_command_needs_a_person() -> None:
    sends = park(Poison(Address("orchestrator", "ord_1"), "stock.answered", "{}", "KeyError: 'x'"))
    assert [send.to for send in sends] == [Address("parking", "parking"), Address("order", "ord_1")]
    assert park(Poison(Address("parking", "parking"), "parking.park", "{}", "x")) == ()
