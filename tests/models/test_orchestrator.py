"""The saga: from facts to steps, asked again until they are done, undone in reverse when the order ends early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from actors.runtime.codec import decode_item, encode_event, encode_item
from actors.runtime.envelope import Envelope
from models.catalogue import decode_event
from models.decision import Accepted, Address, Tick
from models.identity import inner_id
from models.orchestrator import tables
from models.orchestrator.messages import PaymentAnswered, SagaAdvanced, SagaRetrying
from models.orchestrator.plan import phase_of
from models.orchestrator.state import Saga, due, evolve
from models.orchestrator.state import view as saga_view
from models.order import messages as m
from models.order.state import headline
from models.order.view import view
from models.payments import Capture, Done, PaymentAnswer, Throttled, Transfer, Unknown
from models.payments import Declined as No
from tests.models.order_world import ORDER_ID, START, a_confirmed_order, a_line, a_world, an_order
from tests.models.sagas import HOUR_MS, SAGA, asked, placed, saga_events

# --- the road to confirmed -------------------------------------------------------------------------------------------


def test_an_ordinary_order_goes_through_the_phases_of_the_table() -> None:
    world = a_confirmed_order()
    phases = [event.phase for event in saga_events(world, SagaAdvanced)]
    assert phases == ["authorising", "reserving", "offering", "capturing", "settling", "fulfilling"]
    assert headline(world.order) == "confirmed"
    assert world.saga.intents == {}
    assert due(world.saga) is None


def test_its_journal_is_small() -> None:
    """4 KB for an ordinary order of two lines and two consignments, with ids as long as Stripe's."""
    world = a_world()
    order = an_order(sealed="x" * 400, email_digest="e" * 32, search_digests=("a" * 16, "b" * 16))
    world.tell(order)
    world.pump()
    stored = [event for events in (world.journal[SAGA], world.journal[Address("order", ORDER_ID)]) for event in events]
    stripe_ids = 4 * len("pi_3OqXyZ2eZvKYlo2C1fGhIjKl") + 6 * len("tr_3OqXyZ2eZvKYlo2C1fGhIjKl")
    assert sum(map(len, stored)) + stripe_ids <= 4096


def test_every_request_is_journalled_before_it_leaves_under_its_own_key() -> None:
    world = a_confirmed_order()
    journalled = {key for event in saga_events(world, SagaAdvanced) for key in event.intended}
    keys = [request.key for request in world.bank.asked]
    assert len(set(keys)) == len(keys)
    assert {key.partition(":")[2] for key in keys} <= journalled
    assert f"{ORDER_ID}:transfer:1-0-1:1" in keys


def test_transfers_carry_the_charge_and_say_whose_share_they_are() -> None:
    world = a_confirmed_order()
    transfers = {(t.consignment[-1], t.party): (t.amount, t.destination) for t in asked(world, Transfer)}
    assert transfers == {
        ("1", "brand:aurora"): (250, "acct_aurora"),
        ("1", "supplier:north"): (1500, "acct_north"),
        ("1", "retailer:acme"): (625, "acct_acme"),
        ("2", "brand:aurora"): (100, "acct_aurora"),
        ("2", "supplier:south"): (599, "acct_south"),
        ("2", "retailer:acme"): (250, "acct_acme"),
    }
    assert {t.charge for t in asked(world, Transfer)} == {"ch_1"}


def test_a_party_without_an_account_gets_a_payable() -> None:
    world = a_confirmed_order(accounts={"supplier:north": "acct_north"})
    assert {t.party for t in asked(world, Transfer)} == {"supplier:north"}
    shown = view(world.order)
    assert shown is not None
    assert [split["payable"] for split in shown["consignments"][0]["splits"]] == [250, 0, 625, 0]


def test_answers_to_a_fan_out_are_gathered_and_stored_as_one_event() -> None:
    skus = [f"n{number}" for number in range(300)]
    world = a_world(**dict.fromkeys(skus, 10))
    placed(world, *(a_line(sku, 1, 10) for sku in skus))
    events = saga_events(world, SagaAdvanced)
    assert [len(event.intended) for event in events] == [1, 300, 1, 1, 303, 0]
    assert [len(event.settled) for event in events] == [0, 1, 300, 1, 1, 303]


# --- undone in reverse -----------------------------------------------------------------------------------------------


def test_a_shortage_releases_what_was_reserved_and_voids_the_hold() -> None:
    world = placed(a_world(n1=10, s1=0))
    assert world.order.cancel_reason == "out_of_stock"
    assert world.order.payment.status == "voided"
    assert world.state(Address("sku", "n1")).available == 10
    assert world.bank.hold == 0
    intended = {key for event in saga_events(world, SagaAdvanced) for key in event.intended}
    assert "release:n1:1" in intended
    assert "release:s1:1" not in intended, "what was refused has nothing to release"


@pytest.mark.parametrize(
    ("step", "code", "reason", "voids"),
    [
        ("authorise", "card_declined", "payment_declined", 0),
        ("authorise", "authentication_required", "payment_authentication_required", 0),
        ("capture", "charge_expired_for_capture", "capture_failed", 1),
    ],
)
def test_what_the_bank_refuses_ends_the_order(step: str, code: str, reason: str, voids: int) -> None:
    world = a_world()
    world.bank.script[step] = [No(code)]
    placed(world)
    assert world.order.cancel_reason == reason
    assert world.bank.voids == voids
    assert world.saga.phase == "ended"
    assert world.state(Address("sku", "n1")).available == 100


def test_a_rejection_undoes_tasks_stock_and_hold_in_that_order() -> None:
    world = a_world()
    world.supplier("south", "manual")
    placed(world)
    world.tell(m.RejectConsignment(by="supplier:south", consignment=2, reason="no"))
    undoing = saga_events(world, SagaAdvanced)[-1]
    assert [key.partition(":")[0] for key in undoing.intended] == ["withdraw", "withdraw", "release", "release", "void"]
    world.pump()
    assert world.saga.phase == "ended"
    assert world.bank.voids == 1
    assert asked(world, Capture) == []


def test_a_cancel_between_capture_and_its_answer_is_refunded_never_voided() -> None:
    world = a_world()
    world.tell(an_order())
    while not asked(world, Capture):
        world.deliver()
    world.tell(m.CancelOrder(by="retailer:acme"))
    world.pump()
    assert (world.bank.voids, sum(world.bank.refunds.values())) == (0, 3499)
    assert asked(world, Transfer) == []
    assert headline(world.order) == "cancelled"
    assert world.state(Address("sku", "n1")).sold == 0


def test_only_the_accepted_part_is_captured() -> None:
    world = a_world()
    world.supplier("south", "manual")
    placed(world, allow_partial=True)
    world.tell(m.RejectConsignment(by="supplier:south", consignment=2, reason="no"))
    world.pump()
    assert world.bank.captured == 2500
    assert world.state(Address("sku", "s1")).available == 100
    assert headline(world.order) == "confirmed"


def test_dropped_units_of_a_sku_that_is_also_kept_come_back_after_the_sale() -> None:
    world = a_world()
    world.supplier("north", "manual")
    placed(world, a_line("n1", 3), a_line("n1", 2, 99), a_line("n2"), allow_partial=True)
    world.tell(m.AcceptConsignment(by="supplier:north", consignment=1, lines=("1",)))
    world.pump()
    assert world.bank.captured == 3 * 1250
    assert (world.state(Address("sku", "n1")).sold, world.state(Address("sku", "n1")).available) == (3, 97)
    assert world.state(Address("sku", "n2")).available == 100


def test_units_that_were_returned_are_restocked_once_per_return() -> None:
    world = a_confirmed_order(a_line("n1", 3), a_line("n1", 2, 99), a_line("n2"))
    for command in (
        m.StartConsignment(by="supplier:north", consignment=1),
        m.DispatchConsignment(by="supplier:north", consignment=1),
        m.RequestReturn(by="retailer:acme", return_id=inner_id("ret", ORDER_ID, 1), lines=(("1", 1), ("2", 1))),
        m.RequestReturn(by="retailer:acme", return_id=inner_id("ret", ORDER_ID, 2), lines=(("1", 1), ("3", 1))),
        m.ApproveReturn(by="supplier:north", return_id=inner_id("ret", ORDER_ID, 1)),
        m.ApproveReturn(by="supplier:north", return_id=inner_id("ret", ORDER_ID, 2)),
        m.ReceiveReturn(by="supplier:north", return_id=inner_id("ret", ORDER_ID, 1), restock=True),
        m.ReceiveReturn(by="supplier:north", return_id=inner_id("ret", ORDER_ID, 2), restock=True),
    ):
        assert isinstance(world.tell(command), Accepted)
        world.pump()
    assert world.state(Address("sku", "n1")).sold == 2
    assert world.state(Address("sku", "n2")).sold == 1
    assert [found.status for found in world.order.returns] == ["refunded", "refunded"]
    assert world.bank.refunds == {
        inner_id("rfd", ORDER_ID, "auto-1"): 1250 + 99,
        inner_id("rfd", ORDER_ID, "auto-2"): 1250 + 1250,
    }


def test_a_hold_that_ends_before_the_stock_is_reserved_ends_the_order() -> None:
    world = a_world()
    world.tell(an_order())
    while world.order.payment.status == "pending":
        world.deliver()
    world.post.clear()
    world.now = START + 7 * 24 * HOUR_MS - tables.HOLD_MARGIN_MS
    world.turn(SAGA, Tick())
    world.settle()
    assert world.order.cancel_reason == "capture_failed"
    assert world.bank.voids == 1


def test_ops_can_see_what_is_under_way() -> None:
    assert saga_view(Saga()) is None
    world = a_world()
    world.tell(an_order())
    shown = saga_view(world.saga)
    assert shown is not None
    assert (shown["phase"], [intent["key"] for intent in shown["intents"]]) == ("authorising", ["authorise:pi:1"])


def test_a_refund_that_is_refused_leaves_nothing_under_way() -> None:
    world = a_confirmed_order()
    world.bank.script["refund"] = [No("charge_disputed")]
    world.tell(m.RefundOrder(by="retailer:acme", refund=inner_id("rfd", ORDER_ID, 1), amount=5))
    world.pump()
    assert world.order.refunds[0].status == "failed"
    assert world.saga.intents == {}
    assert world.saga.phase == "fulfilling"


# --- the tables ------------------------------------------------------------------------------------------------------


def test_phases_and_steps_name_each_other() -> None:
    for name, phase in tables.PHASES.items():
        assert phase.steps <= set(tables.STEPS), name
        assert phase.then <= set(tables.PHASES), name
    assert {step for phase in tables.PHASES.values() for step in phase.steps} == set(tables.STEPS)
    for step in tables.STEPS.values():
        assert not step.undone_by or step.undone_by in tables.STEPS
    assert set(tables.PHASES) >= tables.AT_REST


def test_the_published_page_is_current() -> None:
    published = Path("docs/saga.md").read_text()
    assert published == tables.page(), "run: python -m models.orchestrator.tables > docs/saga.md"


@pytest.mark.parametrize("stored", ["saga.advanced/1", "saga.retrying/1"])
def test_what_is_stored_is_read_back(stored: str) -> None:
    world = a_world()
    world.bank.script["capture"] = [Unknown("closed")]
    placed(world)
    events = [event for event in world.journal[SAGA] if event.startswith(stored.encode())]
    assert events
    saga = Saga()
    for event in saga_events(world, SagaAdvanced) + saga_events(world, SagaRetrying):
        assert encode_event(event) in world.journal[SAGA]
    for stored_event in world.journal[SAGA]:
        saga = evolve(saga, decode_event(stored_event))
    assert saga == world.saga
    assert phase_of(world.order, busy=True) == saga.phase == "capturing"


@pytest.mark.parametrize(
    "outcome",
    [
        Done("pi_1", "pi_1", "ch_1", 7),
        Done("re_1"),
        No("card_declined", "no", "pi_1"),
        No("x"),
        Unknown("?"),
        Unknown("?", stale=True),
        Throttled(),
        Throttled(5),
    ],
)
def test_an_answer_that_travels_arrives_as_it_was(outcome: Any) -> None:
    """When the order has moved, its answers come from another host."""
    answer = PaymentAnswered(answer=PaymentAnswer(f"{ORDER_ID}:authorise:pi:1", outcome))
    sent = encode_item(Envelope(SAGA, answer, expires_at=1, asks=False))
    received, _ = decode_item(orjson.loads(sent))
    assert received.command == answer
    assert type(received.command.answer.outcome) is type(outcome)  # type: ignore[attr-defined]
