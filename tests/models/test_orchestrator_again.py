"""The saga asks again: outcomes that nobody knows, hosts that died, times that came."""

from __future__ import annotations

from models.decision import Accepted, Address, Effect, Rejected, Remind, Resume, Send, Tick
from models.identity import inner_id
from models.orchestrator import tables
from models.orchestrator.decide import decide
from models.orchestrator.messages import PaymentAnswered, StockAnswered, TaskAnswered
from models.orchestrator.state import Saga, backoff
from models.order import messages as m
from models.order.state import headline
from models.payments import Authorise, Capture, Done, PaymentAnswer, Throttled, Transfer, Unknown, Void
from models.payments import Declined as No
from tests.models.order_world import ORDER_ID, START, World, a_confirmed_order, a_line, a_world, an_order
from tests.models.sagas import HOUR_MS, SAGA, asked, placed

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
