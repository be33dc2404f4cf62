"""Orders whose lives the dice decide, for what has to be right whatever orders go through."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from models.decision import Address
from models.identity import order_id
from models.order import messages as m
from tests.contract.order_histories import SHARDS, Life
from tests.models.order_world import DAY_MS, ORDER_ID, START, World, a_line, an_order

DAYS = 4
PARCEL = m.Tracking("DHL", "1", "")
Step = Callable[[World, random.Random], object]


def random_life(number: int, seed: int) -> Life:
    """The life of order `number`: what it buys and what becomes of it."""
    dice = random.Random(f"{seed} {number}")
    world = World(seed=dice.randrange(1_000), now=START + dice.randrange(DAYS * DAY_MS))
    world.supplier("north", capacity=dice.choice([None, None, None, 0]))
    world.supplier("south", mode=dice.choice(["auto", "manual"]))
    world.stock(n1=100, n2=100, s1=dice.choice([0, 100, 100]), s2=100)
    if dice.random() < 0.1:
        world.bank.declines["authorise"] = "insufficient_funds"
    lines = [
        a_line(sku, dice.randint(1, 5), dice.choice([0, 1, 333, 999, 1250]), dice.choice(["aurora", "brio"]))
        for sku in dice.choices(["n1", "n2", "s1", "s2"], k=dice.randint(1, 5))
    ]
    world.tell(
        an_order(
            *lines, retailer=dice.choice(["acme", "bolt"]), currency=dice.choice(["gbp", "usd", "jpy"]),
            allow_partial=dice.random() < 0.5, sealed="c2VhbGVk",
        )
    )  # fmt: skip
    for _ in range(dice.randint(0, 16)):
        world.now += dice.choice([1, 250, 7_000, 3_600_000])
        dice.choice(STEPS)(world, dice)
        if dice.random() < 0.8:
            world.pump()
    made = order_id(number % SHARDS, START + number, number.to_bytes(10, "big"))
    stored = world.journal[Address("order", ORDER_ID)]
    return Life(made, [event.replace(ORDER_ID[4:].encode(), made[4:].encode()) for event in stored])


def _refund(world: World, dice: random.Random) -> object:
    lines: Sequence[tuple[str, int]] = ()
    if dice.random() < 0.5:
        lines = [(line.id, dice.randint(1, 2)) for line in dice.sample(world.order.lines, 1)]
    amount = 0 if lines else dice.randint(1, 1 + world.order.amount // 2)
    refund = f"rfd_{ORDER_ID[4:]}_{dice.randrange(10**6)}"
    return world.tell(m.RefundOrder(by="ops:olga", refund=refund, amount=amount, lines=tuple(lines)))


def _accept(world: World, dice: random.Random) -> object:
    part = dice.choice(world.order.consignments)
    lines = tuple(str(n) for n in dice.sample(part.lines, dice.randint(1, len(part.lines))))
    by = f"supplier:{part.supplier}"
    return world.tell(m.AcceptConsignment(by=by, consignment=part.number, lines=dice.choice([(), lines])))


def _of_supplier(command: Callable[[str, int], object]) -> Step:
    def step(world: World, dice: random.Random) -> object:
        part = dice.choice(world.order.consignments)
        return world.tell(command(f"supplier:{part.supplier}", part.number))  # type: ignore[arg-type]

    return step


STEPS: Sequence[Step] = (
    *[_accept] * 4,
    *[_refund] * 4,
    lambda world, _: world.tell(m.CancelOrder(by="retailer:acme", reason="changed my mind")),
    _of_supplier(lambda by, number: m.RejectConsignment(by=by, consignment=number, reason="no")),
    *[_of_supplier(lambda by, number: m.StartConsignment(by=by, consignment=number))] * 4,
    *[_of_supplier(lambda by, number: m.DispatchConsignment(by=by, consignment=number, tracking=PARCEL))] * 4,
    *[_of_supplier(lambda by, number: m.DeliverConsignment(by=by, consignment=number))] * 2,
    _of_supplier(lambda by, number: m.AnswerCancellation(by=by, consignment=number, accept=True)),
)
