"""The saga: from facts to steps, asked again until they are done, undone in reverse when the order ends early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from actors.runtime.codec import decode_item, encode_event, encode_item
from actors.runtime.envelope import Envelope
from models.catalogue import decode_event
from models.decision import Accepted, Address, Effect, Rejected, Remind, Resume, Send, Tick
from models.identity import inner_id
from models.orchestrator import tables
from models.orchestrator.decide import decide
from models.orchestrator.messages import PaymentAnswered, SagaAdvanced, SagaRetrying, StockAnswered, TaskAnswered
from models.orchestrator.plan import phase_of
from models.orchestrator.state import Saga, backoff, due, evolve
from models.orchestrator.state import view as saga_view
from models.order import messages as m
from models.order.state import headline
from models.order.view import view
from models.payments import Authorise, Capture, Done, PaymentAnswer, Refund, Reverse, Throttled, Transfer, Unknown, Void
from models.payments import Declined as No
from models.record import changed
from models.rows import Recent
from models.sku.messages import Reserve
from tests.models.order_world import ORDER_ID, START, World, a_confirmed_order, a_line, a_world, an_order

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


# --- asked again -----------------------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_asked_for_again_with_the_same_key_and_parameters() -> None:
    world = a_world()
    world.bank.script["authorise"] = [Unknown("closed"), Unknown("replayed 500", stale=True)]
    placed(world)
    world.wake()
    world.pump()
    world.wake()
    world.pump()
    requests = asked(world, Authorise)
    assert len(requests) == 3
    assert len({request.key for request in requests}) == 1
    assert [request.lookup for request in requests] == [False, False, True]
    assert headline(world.order) == "confirmed"


def test_retries_wait_longer_and_longer_and_the_same_on_every_replay() -> None:
    waits = [backoff("capture:pi:1", tries, 500, 300_000) for tries in range(1, 15)]
    assert waits == [backoff("capture:pi:1", tries, 500, 300_000) for tries in range(1, 15)]
    assert all(375 <= wait <= 375_000 for wait in waits)
    assert waits[3] > 2 * waits[0]
    assert backoff("capture:pi:1", 1, 500, 300_000) != backoff("capture:pi:2", 1, 500, 300_000)


def test_patience_with_the_vendor_is_its_own_wish_at_least() -> None:
    world = a_world()
    world.bank.script["authorise"] = [Throttled(90_000)]
    placed(world)
    assert world.saga.wake_at == START + 90_000


def test_dray_gives_up_an_authorisation_that_nobody_can_tell_and_voids_what_may_be_there() -> None:
    world = a_world()
    world.bank.script["authorise"] = [Unknown("down")] * 100
    placed(world)
    while world.order.payment.status == "pending":
        world.wake()
        world.pump()
    assert world.order.cancel_reason == "payment_failed"
    assert world.now - START >= tables.GIVE_UP_AUTHORISING_MS
    (void,) = asked(world, Void)
    assert void.payment_intent == ""
    assert void.authorise == asked(world, Authorise)[0]
    assert world.order.payment.status == "voided"


def test_a_late_or_doubled_answer_changes_nothing() -> None:
    world = a_confirmed_order()
    answers = [
        PaymentAnswered(answer=PaymentAnswer(f"{ORDER_ID}:authorise:pi:1", Done("pi_2"))),
        PaymentAnswered(answer=PaymentAnswer(f"{ORDER_ID}:capture:pi:1", No("expired"))),
        PaymentAnswered(answer=PaymentAnswer("nonsense", Unknown("?"))),
        StockAnswered(sku="n9", status="reserved"),
        StockAnswered(sku="n1", status="absent"),
        StockAnswered(sku="n9", status="sold"),
        TaskAnswered(task=inner_id("tsk", ORDER_ID, 1), status="offered", accept_by=1),
        TaskAnswered(task="nonsense", status="closed"),
    ]
    for answer in answers:
        decision = decide(world.saga, answer)
        assert isinstance(decision, Accepted)
        assert not decision.events
        assert not decision.joint


def test_before_there_is_a_saga_nothing_can_wake_it() -> None:
    for command in (Tick(at=1), Resume(at=1), Remind(at=1)):
        decision = decide(Saga(), command)
        assert isinstance(decision, Accepted)
        assert decision == Accepted()


# --- taken over ------------------------------------------------------------------------------------------------------


def test_a_new_owner_asks_again_for_what_was_under_way_and_leaves_alone_what_waits() -> None:
    world = a_world()
    world.bank.script["transfer"] = [Throttled(60_000)]
    world.tell(an_order())
    while not any(intent.waiting for intent in world.saga.intents.values()):
        world.deliver()
    before = {transfer.key for transfer in asked(world, Transfer)}
    world.post.clear()
    world.states[SAGA] = world.replayed(SAGA)
    world.states[Address("order", ORDER_ID)] = world.replayed(Address("order", ORDER_ID))
    world.turn(SAGA, Resume())
    sent = {out.request.key for _, out in world.post if hasattr(out, "request")}
    assert len(before) == 6
    assert len(sent & before) == len(sent) == 5  # all but the one that waits
    world.settle()
    assert sum(amount for _, _, amount in world.bank.transfers.values()) == 250 + 1500 + 625 + 100 + 599 + 250


def test_when_another_actors_host_has_died_actors_are_told_again_and_nobody_pays_twice() -> None:
    world = a_world()
    world.tell(an_order())
    while not {"confirm", "transfer"} <= {intent.step for intent in world.saga.intents.values()}:
        world.deliver()
    told = [out.command for _, out in world.post if isinstance(out, Send) and out.to.kind == "sku"]
    world.post.clear()
    stored = len(world.journal[SAGA])
    world.turn(SAGA, Remind())
    again = [out for _, out in world.post]
    assert told
    assert [out.command for out in again if isinstance(out, Send) and out.to.kind == "sku"] == told
    assert not [out for out in again if isinstance(out, Effect)]
    assert len(world.journal[SAGA]) == stored


def test_what_was_gathered_when_the_host_died_is_asked_for_again() -> None:
    world = a_world()
    world.tell(an_order())
    while world.order.consignments[0].status == "pending" and not world.saga.noted:
        world.deliver()
    world.post.clear()
    world.states[SAGA] = world.replayed(SAGA)
    assert world.saga.noted == ()
    world.turn(SAGA, Resume())
    world.settle()
    assert headline(world.order) == "confirmed"


# --- money that goes back --------------------------------------------------------------------------------------------


def refund(world: World, amount: int, number: int = 1) -> None:
    refund_id = inner_id("rfd", ORDER_ID, number)
    assert isinstance(world.tell(m.RefundOrder(by="retailer:acme", refund=refund_id, amount=amount)), Accepted)


def test_a_refund_takes_every_partys_part_back() -> None:
    world = a_confirmed_order()
    refund(world, 350)
    world.pump()
    assert [r.amount for r in asked(world, Refund)] == [350]
    taken = {(r.transfer): r.amount for r in asked(world, Reverse)}
    assert sum(taken.values()) == sum(sum(c.returned[:3]) for c in world.order.consignments)
    assert all(c.paid[i] == c.shares[i] - c.returned[i] for c in world.order.consignments for i in range(3))


def test_transfers_never_attempted_are_journalled_anew_net_of_a_refund() -> None:
    world = a_world()
    world.bank.script["transfer"] = [Throttled(60_000)] * 6
    placed(world)
    refund(world, 3499)
    world.pump()
    assert asked(world, Reverse) == []
    assert world.bank.transfers == {}
    assert world.saga.intents == {}
    world = a_world()
    world.bank.script["transfer"] = [Throttled(60_000)] * 6
    placed(world)
    refund(world, 350)
    world.settle()
    assert asked(world, Reverse) == []
    second = [t for t in asked(world, Transfer) if t.key.endswith(":2")]
    assert sorted(t.amount for t in second) == sorted(
        c.shares[i] - c.returned[i] for c in world.order.consignments for i in range(3)
    )


def test_a_transfer_that_was_attempted_completes_first_and_is_then_reversed() -> None:
    world = a_world()
    world.bank.script["transfer"] = [Unknown("closed")] * 6
    placed(world)
    refund(world, 3499)
    world.settle()
    assert {t.key[-2:] for t in asked(world, Transfer)} == {":1"}
    assert sum(r.amount for r in asked(world, Reverse)) == sum(t[2] for t in world.bank.transfers.values())


def test_a_share_that_cannot_be_taken_back_is_a_debt_and_tried_again_every_day() -> None:
    world = a_confirmed_order(a_line("n1"))
    world.bank.declines["reverse"] = "balance_insufficient"
    refund(world, 2500)
    world.pump()
    assert world.order.consignments[0].debts == (250, 1500, 625, 0)
    assert dict(world.order.attention)["debt"]
    assert world.saga.phase == "fulfilling"
    wait = due(world.saga)
    assert wait is not None
    assert not wait.pending
    assert wait.at == START + tables.COLLECT_EVERY_MS
    world.wake()
    world.pump()
    assert world.order.consignments[0].debts == (250, 1500, 625, 0)
    world.bank.declines.clear()
    world.wake()
    world.pump()
    assert world.order.consignments[0].debts == (0, 0, 0, 0)
    assert world.order.attention == ()
    assert [r.key.rpartition(":")[2] for r in asked(world, Reverse)] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3


def test_a_debt_of_several_transfers_is_asked_for_once_from_each() -> None:
    world = a_world()
    world.bank.script["transfer"] = [Throttled(60_000)] * 3
    placed(world, a_line("n1"))
    world.tell(m.OpenDispute(by="retailer:acme", dispute="dsp_1", amount=4))
    world.settle()
    world.tell(m.ResolveDispute(by="ops:ann", dispute="dsp_1", outcome="withdrawn"))
    world.settle()
    made = sorted(transfer[2] for transfer in world.bank.transfers.values())
    assert len(made) > 3 and sum(made) == 2375
    world.bank.declines["reverse"] = "balance_insufficient"
    refund(world, 2500)
    world.pump()
    assert world.order.consignments[0].debts == (250, 1500, 625, 0)
    assert sorted(reverse.amount for reverse in asked(world, Reverse)) == made
    world.bank.declines.clear()
    for _ in range(2):
        world.wake()
        world.pump()
    assert world.order.consignments[0].debts == (0, 0, 0, 0)


def test_a_transfer_that_is_refused_needs_a_person_and_is_tried_until_it_succeeds() -> None:
    world = a_world()
    world.bank.script["transfer"] = [No("account_invalid")]
    placed(world, a_line("n1"))
    assert dict(world.order.attention) == {"transfer_failed": "1-0-1: account_invalid"}
    (retrying,) = saga_events(world, SagaRetrying)
    assert retrying.fresh
    world.settle()
    assert world.order.attention == ()
    assert world.order.consignments[0].paid == (250, 1500, 625, 0)


def test_a_refund_touches_each_of_many_parties_once() -> None:
    """One consignment, a hundred brands: what a turn looks at grows with the order, not with its square."""
    lines = [a_line("n1", 1, 1000 + number, f"b{number}") for number in range(100)]
    accounts = {f"brand:b{number}": f"acct_{number}" for number in range(100)} | {"supplier:north": "acct_north"}
    world = a_world(n1=200)
    placed(world, *lines, accounts=accounts)
    amount = world.order.amount
    for part, number in ((amount // 3, 1), (amount - amount // 3, 2)):
        refund(world, part, number)
        world.pump()
    assert len(asked(world, Transfer)) == 101
    assert len(asked(world, Reverse)) == len({r.key for r in asked(world, Reverse)}) == 202
    assert sum(r.amount for r in asked(world, Reverse)) == sum(t[2] for t in world.bank.transfers.values())
    assert world.saga.intents == {}


def test_a_refund_that_is_owed_is_tried_until_it_succeeds() -> None:
    world = a_confirmed_order(a_line("n1"))
    world.bank.script["refund"] = [No("balance_insufficient")] * 3
    world.tell(m.CancelOrder(by="retailer:acme"))
    world.pump()
    auto = inner_id("rfd", ORDER_ID, "auto-1")
    assert [refund.status for refund in world.order.refunds] == ["pending"]
    assert dict(world.order.attention) == {"refund_delayed": "auto-1: balance_insufficient"}
    world.settle()
    assert world.bank.refunds == {auto: 2500}
    assert headline(world.order) == "cancelled"
    assert world.order.attention == ()
    assert [r.key.rpartition(":")[2] for r in asked(world, Refund)] == ["1", "2", "3", "4"]


def test_a_refund_that_is_owed_and_impossible_is_a_persons_business() -> None:
    world = a_confirmed_order(a_line("n1"))
    world.bank.script["refund"] = [No("charge_disputed")]
    world.tell(m.CancelOrder(by="retailer:acme"))
    world.settle()
    assert [refund.status for refund in world.order.refunds] == ["failed"]
    assert "refund_failed" in dict(world.order.attention)


def test_what_a_refund_on_request_fails_to_give_back_a_cancellation_does() -> None:
    """The refund was under way when the order was cancelled, so that the cancellation gave back the rest alone."""
    world = a_confirmed_order(a_line("n1"))
    world.bank.script["refund"] = [Unknown("closed")]
    refund(world, 700)
    world.pump()
    world.tell(m.CancelOrder(by="retailer:acme"))
    world.pump()
    world.bank.script["refund"] = [No("amount_too_small")]
    world.settle()
    assert sum(world.bank.refunds.values()) == 2500
    assert [(r.amount, r.status) for r in world.order.refunds] == [
        (700, "failed"),
        (1800, "succeeded"),
        (700, "succeeded"),
    ]


def test_stock_that_is_reserved_when_the_order_is_through_with_it_is_released() -> None:
    """A `Reserve` was parked, the order cancelled, and the SKU had forgotten it when somebody sent it again."""
    world = a_world(n1=100)
    world.tell(an_order(a_line("n1")))
    world.deliver()
    world.deliver()
    (parked,) = [out for _, out in world.post if type(out) is Send and type(out.command) is Reserve]
    world.post.clear()
    world.tell(m.CancelOrder(by="retailer:acme"))
    world.settle()
    assert world.saga.phase == "ended"
    world.states[Address("sku", "n1")] = changed(world.state(Address("sku", "n1")), settled=Recent(1))
    world.turn(parked.to, parked.command)
    assert world.state(Address("sku", "n1")).reserved == 2
    world.deliver()
    world.post.clear()  # the release is lost, and asked for again
    world.settle()
    stock = world.state(Address("sku", "n1"))
    assert (stock.available, stock.reserved) == (100, 0)
    assert world.saga.phase == "ended"
    assert world.replayed(SAGA) == world.saga


def test_a_late_repeat_of_reserved_leaves_sold_stock_alone() -> None:
    world = a_confirmed_order(a_line("n1"))
    world.turn(SAGA, StockAnswered(sku="n1", status="reserved"))
    world.settle()
    stock = world.state(Address("sku", "n1"))
    assert (stock.available, stock.reserved, stock.sold) == (98, 0, 2)
    assert world.saga.phase == "fulfilling"
    assert world.saga.intents == {}


def test_a_restock_waits_for_its_sale_alone() -> None:
    """One consignment has ended before its sale was confirmed; the other one's transfers have to wait for long."""
    world = a_world()
    world.bank.script["transfer"] = [Throttled(3_600_000)] * 9
    world.tell(an_order(a_line("n1"), a_line("s1", 1, 999)))
    while world.order.payment.status != "captured":
        world.deliver()
    sales = [entry for entry in world.post if getattr(entry[1], "to", None) == Address("sku", "n1")]
    world.post = [entry for entry in world.post if entry not in sales]
    world.pump()
    world.tell(m.StartConsignment(by="supplier:south", consignment=2))
    world.tell(m.CancelOrder(by="retailer:acme"))
    world.pump()
    assert world.saga.phase == "settling"
    world.post = sales
    world.pump()
    assert world.now == START
    assert world.state(Address("sku", "n1")).available == 100


def test_an_open_dispute_holds_back_what_is_not_paid_out_yet() -> None:
    world = a_world()
    world.bank.script["transfer"] = [Throttled(60_000)] * 3
    placed(world, a_line("n1"))
    world.tell(m.OpenDispute(by="retailer:acme", dispute="dsp_1", amount=1000))
    world.settle()
    assert sum(world.order.consignments[0].paid) == 2375 - 950
    world.tell(m.ResolveDispute(by="ops:ann", dispute="dsp_1", outcome="rejected"))
    world.settle()
    assert world.order.consignments[0].paid == (250, 1500, 625, 0)
    assert asked(world, Reverse) == []


# --- time ------------------------------------------------------------------------------------------------------------


def manual_world() -> World:
    world = a_world()
    world.supplier("north", "manual", within_s=60)
    return placed(world, a_line("n1"))


def test_a_supplier_who_is_silent_is_timed_out() -> None:
    world = manual_world()
    assert world.order.consignments[0].accept_by == START + 60_000
    assert world.saga.wake_at == START + 60_000
    world.wake()
    world.pump()
    assert world.order.cancel_reason == "supplier_timeout"
    assert world.bank.voids == 1


def test_what_a_supplier_turns_down_costs_it_no_capacity() -> None:
    world = a_world()
    world.supplier("north", "manual", capacity=1)
    placed(world, a_line("n1"))
    assert world.state(Address("supplier", "north")).taken == 1
    world.tell(m.RejectConsignment(by="supplier:north", consignment=1, reason="broken loom"))
    world.settle()
    assert world.order.cancel_reason == "supplier_rejected"
    supplier = world.state(Address("supplier", "north"))
    assert (supplier.taken, supplier.live.size) == (0, 0)


def test_nobody_accepts_past_the_capacity() -> None:
    """The offer is lost on its way, and the supplier says yes meanwhile."""
    world = a_world()
    world.supplier("north", "manual", capacity=0)
    world.tell(an_order(a_line("n1")))
    while world.order.consignments[0].status != "offered":
        world.deliver()
    world.post.clear()
    assert isinstance(world.tell(m.AcceptConsignment(by="supplier:north", consignment=1)), Rejected)
    world.settle()
    assert world.order.cancel_reason == "supplier_rejected"
    assert world.bank.captured == 0


def test_the_end_of_the_hold_comes_before_a_slow_supplier() -> None:
    world = a_world()
    world.supplier("north", "manual", within_s=30 * 86_400)
    placed(world, a_line("n1"))
    world.wake()
    assert world.now == START + 7 * 24 * HOUR_MS - tables.HOLD_MARGIN_MS
    world.pump()
    assert world.order.cancel_reason == "supplier_timeout"


def test_a_void_that_a_webhook_overtakes_is_settled() -> None:
    world = a_world(n1=0, s1=10)
    world.bank.script["void"] = [No("payment_intent_unexpected_state")]
    placed(world)
    assert dict(world.order.attention) == {"void_failed": "pi: payment_intent_unexpected_state"}
    world.tell(m.StripeHint(type="payment_intent.canceled", object="pi_1", status="canceled"))
    assert world.order.payment.status == "voided"
    assert world.order.attention == ()
    assert world.saga.intents == {}


def test_a_webhook_makes_the_saga_look_at_once_at_what_nobody_knows() -> None:
    world = a_world()
    world.bank.script["capture"] = [Unknown("closed")]
    placed(world, a_line("n1"))
    assert world.order.payment.status == "capturing"
    world.tell(m.StripeHint(type="payment_intent.succeeded", object="pi_1"))
    world.pump()
    assert world.now == START
    assert [capture.lookup for capture in asked(world, Capture)] == [False, True]
    assert headline(world.order) == "confirmed"


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
