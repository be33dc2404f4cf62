"""The saga when money goes back: refunds, reversals, debts, and stock that follows them."""

from __future__ import annotations

from models.decision import Accepted, Address, Send
from models.identity import inner_id
from models.orchestrator import tables
from models.orchestrator.messages import SagaRetrying, StockAnswered
from models.orchestrator.state import due
from models.order import messages as m
from models.order.state import headline
from models.payments import Declined as No
from models.payments import Refund, Reverse, Throttled, Transfer, Unknown
from models.record import changed
from models.rows import Recent
from models.sku.messages import Reserve
from tests.models.order_world import ORDER_ID, START, World, a_confirmed_order, a_line, a_world, an_order
from tests.models.sagas import SAGA, asked, placed, saga_events


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
