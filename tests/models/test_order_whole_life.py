"""Whole lives of one order, thousands of them by the dice: cancelled, refunded, returned and disputed at any moment,
under crashes, lost and doubled messages, and a bank that hesitates. At rest the books must balance."""

from __future__ import annotations

import random
from typing import Any

import pytest

from models.decision import Address, Rejected
from models.identity import inner_id
from models.orchestrator.tables import AT_REST
from models.order import messages as m
from models.order.state import captured, headline, refunded, withheld
from models.order.view import view
from tests.models.order_world import DAY_MS, ORDER_ID, World, a_line, an_order

SEEDS = 400


def run(seed: int) -> World:
    dice = random.Random(seed)
    world = World(seed, trouble=dice.choice([0.0, 0.0, 0.1, 0.4]))
    _set_the_stage(world, dice)
    steps = dice.randrange(5, 120)
    for _ in range(steps):
        roll = dice.random()
        if roll < 0.75 and world.post:
            world.deliver()
        elif roll < 0.93:
            _somebody_acts(world, dice)
        elif roll < 0.95 and world.trouble:
            world.crash()
        elif roll < 0.99:
            world.now += dice.choice([10, 1_000, 40_000, 3_000_000])
            if world.saga.wake_at and world.saga.wake_at <= world.now:
                world.wake()
        else:
            world.bank.declines.clear()
    world.bank.declines.clear()
    world.settle()
    return world


def _set_the_stage(world: World, dice: random.Random) -> None:
    fine = dice.random() < 0.5
    modes = ["auto"] if fine else ["auto", "manual"]
    world.supplier("north", dice.choice(modes), None if fine else dice.choice([None, None, 0]))
    world.supplier("south", dice.choice(modes))
    world.stock(n1=100 if fine else dice.choice([100, 100, 1]), n2=100, s1=100 if fine else dice.choice([100, 0]))
    if dice.random() < 0.3:
        late, early = ["refund", "transfer", "reverse"], ["authorise", "capture"]
        code = dice.choice(["card_declined", "authentication_required", "amount_too_small"])
        world.bank.declines[dice.choice(late if fine else early)] = code
    lines = [
        a_line(dice.choice(["n1", "n2", "s1"]), dice.randrange(1, 4), dice.choice([0, 1, 333, 1250]), brand)
        for brand in dice.choices(["aurora", "borealis"], k=dice.randrange(1, 5))
    ]
    placing = an_order(*lines, allow_partial=dice.random() < 0.5)
    assert not isinstance(world.tell(placing), Rejected)
    for _ in range(dice.randrange(80) if fine else 0):
        if world.post:
            world.deliver()


def _somebody_acts(world: World, dice: random.Random) -> None:
    """One of the outside commands, sensible or not; what is refused changes nothing."""
    before = world.order
    number = dice.randrange(1, len(before.consignments) + 1)
    consignment = before.consignments[number - 1]
    line = str(dice.randrange(1, len(before.lines) + 1))
    fresh = f"{dice.randrange(10**6)}"
    supplier, retailer = {"by": f"supplier:{consignment.supplier}"}, {"by": "retailer:acme"}
    some_return = dice.choice(before.returns).id if before.returns else "ret_none"
    some_dispute = dice.choice(before.disputes).id if before.disputes else "dsp_none"
    accepted = dice.choice([(), (str(consignment.lines[0]),)])
    command = dice.choice(
        [
            m.CancelOrder(**retailer) if dice.random() < 0.3 else m.Proceed(),
            m.AcceptConsignment(**supplier, consignment=number, lines=accepted),
            m.RejectConsignment(**supplier, consignment=number) if dice.random() < 0.5 else m.Proceed(),
            m.StartConsignment(**supplier, consignment=number),
            m.DispatchConsignment(**supplier, consignment=number, tracking=m.Tracking("post", "1", "")),
            m.DeliverConsignment(**supplier, consignment=number),
            m.ConfirmDelivery(**retailer),
            m.AnswerCancellation(**supplier, consignment=number, accept=dice.random() < 0.5),
            m.RefundOrder(**retailer, refund=inner_id("rfd", ORDER_ID, fresh), amount=dice.choice([1, 50, 700])),
            m.RefundOrder(**retailer, refund=inner_id("rfd", ORDER_ID, fresh), lines=((line, 1),)),
            m.RequestReturn(**retailer, return_id=inner_id("ret", ORDER_ID, fresh), lines=((line, 1),)),
            m.ApproveReturn(**supplier, return_id=some_return),
            m.ReceiveReturn(**supplier, return_id=some_return, restock=dice.random() < 0.5),
            m.RejectReturn(**supplier, return_id=some_return),
            m.OpenDispute(**retailer, dispute=inner_id("dsp", ORDER_ID, fresh), amount=dice.choice([0, 10])),
            m.ResolveDispute(
                by="ops:ann",
                dispute=some_dispute,
                outcome="upheld",
                refund=inner_id("rfd", ORDER_ID, fresh),
                refund_amount=dice.choice([0, 5]),
            ),
            m.AddEvidence(**retailer, dispute=some_dispute, evidence=fresh, sealed="..."),
            m.PostMessage(**retailer, message=fresh, to="supplier", sealed="..."),
            m.StripeHint(type="charge.dispute.created", object="dp_1", amount=10, reason="fraudulent"),
            m.StripeHint(type="charge.dispute.closed", object="dp_1", status=dice.choice(["won", "lost"])),
            m.StripeHint(type="charge.refunded", object="ch_1", amount=10**9 if dice.random() < 0.1 else 0),
            m.StripeHint(type="payment_intent.succeeded", object="pi_1"),
        ]
    )
    decision = world.tell(command)
    if isinstance(decision, Rejected):
        assert world.order is before
        return
    again = world.tell(command)
    assert isinstance(again, Rejected) or not again.events, f"{command} was decided twice"


# --- the audit -------------------------------------------------------------------------------------------------------


def audit(world: World) -> None:
    order, bank = world.order, world.bank
    assert world.saga.phase in AT_REST, world.saga
    _audit_payment(world)
    _audit_stock(world)
    _audit_tasks(world)
    for consignment in order.consignments:
        _audit_consignment(world, consignment)
    for address in (Address("order", ORDER_ID), Address("orchestrator", ORDER_ID)):
        assert world.replayed(address) == world.state(address), "A9: replaying gives the stored state"
    shown = view(order)
    assert shown is not None
    assert (shown["status"] == "cancelled") == (order.cancel_reason != "")
    assert len(shown["timeline"]) == len(world.journal[Address("order", ORDER_ID)])
    assert bank.captures <= 1


def _audit_payment(world: World) -> None:
    """A4, A5, A6: exactly one of voided and refunded, and no hold is left behind."""
    order, bank = world.order, world.bank
    assert bank.hold == 0, "an orphan hold"
    assert captured(order) == bank.captured
    chargebacks = sum(refund.amount for refund in order.refunds if refund.stripe_id == "dp_1")
    assert refunded(order) == sum(bank.refunds.values()) + chargebacks
    assert not any(refund.status == "pending" for refund in order.refunds)
    if headline(order) == "cancelled":
        fees = sum(c.fee for c in order.consignments)
        if bank.captured:
            assert not bank.voids
            assert refunded(order) >= bank.captured - fees, "cancelled, and not refunded"
        elif bank.holds_made:
            assert order.payment.status == "voided"
            assert bank.voids == 1
    elif order.amount:
        assert order.payment.status in ("captured", "voided")
        assert (order.payment.status == "voided") == (not bank.captured)


def _audit_consignment(world: World, consignment: Any) -> None:
    """A5, per consignment: captured - refunded = transfers - reversals - debts + payables + platform."""
    bank = world.bank
    assert sum(consignment.shares) == consignment.captured
    assert sum(consignment.returned) == consignment.refunded
    if not consignment.shares:
        return
    held = withheld(world.order, consignment)
    for index, party in enumerate(consignment.parties):
        moved = sum(
            amount - sum(bank.reversals.get(id_, ()))
            for id_, (cns, name, amount) in bank.transfers.items()
            if cns.endswith(f"_{consignment.number}") and name == f"{party.role}:{party.name}"
        )
        share, back, paid = consignment.shares[index], consignment.returned[index], consignment.paid[index]
        assert moved == paid, "the books say what Stripe says"
        assert 0 <= back <= share
        if party.account:
            assert paid - consignment.debts[index] <= share - back
            assert share - back - held[index] <= paid
        else:
            assert paid == 0


def _audit_stock(world: World) -> None:
    """A3, A4, A6: what is live is sold, what ended is back, nothing stays reserved."""
    order = world.order
    for sku in ("n1", "n2", "s1"):
        stock = world.state(Address("sku", sku))
        assert stock.received == stock.available + stock.reserved + stock.sold
        assert stock.reserved == 0, f"an orphan reservation of {sku}"
        sold = 0
        for consignment in order.consignments:
            if consignment.live:
                lines = [order.lines[n - 1] for n in consignment.lines if n not in consignment.dropped]
                sold += sum(line.quantity for line in lines if line.sku == sku)
        back = sum(
            quantity
            for found in order.returns
            if found.restock
            for id_, quantity in found.lines
            if order.lines[int(id_) - 1].sku == sku
        )
        assert stock.sold == sold - back


def _audit_tasks(world: World) -> None:
    """A6: suppliers list the tasks that they have, and no others; those alone use the day's capacity."""
    for consignment in world.order.consignments:
        supplier = world.state(Address("supplier", consignment.supplier))
        task = inner_id("tsk", ORDER_ID, consignment.number)
        listed = supplier.live.get(task) is not None
        assert listed == (consignment.live and consignment.status != "delivered")
        assert supplier.day < world.now // DAY_MS or supplier.taken == consignment.live


@pytest.mark.parametrize("block", range(8))
def test_whatever_happens_the_books_balance(block: int) -> None:
    for seed in range(block * SEEDS // 8, (block + 1) * SEEDS // 8):
        try:
            audit(run(seed))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


def test_the_dice_reach_every_ending() -> None:
    """A test of the test: the lives above end in every way they can."""
    endings = {headline(run(seed).order) for seed in range(150)}
    assert {"confirmed", "in_production", "dispatched", "delivered", "cancelled"} <= endings
