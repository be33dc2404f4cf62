"""People: shoppers who order, cancel and send things back, and suppliers who answer, make, dispatch, or do nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from actors.runtime.envelope import Reply, Status
from models.decision import Address, Command
from models.identity import inner_id
from models.order import commands as c
from models.order.values import Quantities, Tracking
from models.record import changed
from models.sku import ClaimSku, ReceiveStock
from scripts.simulation.client import Client
from scripts.simulation.scenario import Scenario, order

LOOKS_MAX = 40
AUDITORS = 3
ORDERING_S = 0.7
"""Orders are placed within this part of the storm."""


class People:
    """Everybody who uses the system in one run. Each order has a life of its own, drawn when it is posted."""

    def __init__(self, client: Client, random: Random, plan: Scenario) -> None:
        self._client = client
        self._random = random
        self._plan = plan
        self._requests = 0
        self._orders: list[Address] = []

    # --- before the storm ---------------------------------------------------------------------------------------------

    async def open_shop(self) -> None:
        """Describe suppliers, claim SKUs and put stock on the shelves."""
        for supplier in self._plan.suppliers:
            await self._ask(Address("supplier", supplier.supplier), partial(_as_it_is, supplier))
        for product in self._plan.products:
            claim = ClaimSku(sku=product.sku, supplier=product.supplier)
            await self._ask(Address("sku", product.sku), partial(_as_it_is, claim))
            await self._receive(product.sku, product.stock)

    async def _receive(self, sku: str, quantity: int) -> None:
        await self._ask(Address("sku", sku), lambda: ReceiveStock(sku=sku, quantity=quantity), once=True)

    # --- the storm ----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Everything that people do; returns when the last of them has gone home."""
        storm_s = self._plan.storm_s * ORDERING_S
        lives = [self._shop(number, self._random.uniform(0, storm_s)) for number in range(self._plan.orders)]
        deliveries = [
            self._deliver_stock(self._random.uniform(0, storm_s)) for _ in range(self._random.choice((0, 1, 3)))
        ]
        terms = [self._change_terms()] if self._random.random() < 0.3 else []
        await asyncio.gather(*lives, *deliveries, *terms, *(self._audit() for _ in range(AUDITORS)))

    async def _change_terms(self) -> None:
        """A supplier who took everything wants to be asked from now on, and changes its mind again."""
        north = self._plan.suppliers[0]
        for mode in ("manual", "auto"):
            await asyncio.sleep(self._random.random() * self._plan.storm_s / 2)
            await self._ask(
                Address("supplier", north.supplier), partial(_as_it_is, changed(north, mode=mode, accept_within_s=10))
            )

    async def _audit(self) -> None:
        """Somebody who looks at everything all the time, at whichever host will answer."""
        until_s = asyncio.get_running_loop().time() + self._plan.storm_s
        while asyncio.get_running_loop().time() < until_s:
            at = Address("sku", self._random.choice(self._plan.products).sku)
            if self._orders and self._random.random() < 0.8:
                at = self._random.choice(self._orders[-6:])
            await self._client.peek(at)
            await asyncio.sleep(self._random.uniform(0.05, 0.5))

    async def _deliver_stock(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._receive(self._random.choice(self._plan.products).sku, self._random.randint(1, 5))

    async def _shop(self, number: int, after_s: float) -> None:
        random = self._random
        placing = order(random, self._plan)
        key = f"key-{number}" if random.random() < 0.9 else ""
        await asyncio.sleep(after_s)
        if key and random.random() < 0.25:  # the same request twice at the same time
            id_, _ = await asyncio.gather(self._client.place(key, placing), self._client.place(key, placing))
        else:
            id_ = await self._client.place(key, placing, random.choice((None, None, 0.5, 8.0)))
        if id_ is None:
            return
        acts: list[Callable[[Address], Any]] = [self._supply]
        if random.random() < 0.3:
            acts.append(self._cancel)
        if random.random() < 0.35:
            acts.append(self._refund)
        if random.random() < 0.25:
            acts.append(self._send_back)
        if random.random() < 0.2:
            acts.append(self._dispute)
        if random.random() < 0.2:
            acts.append(self._receive_parcel)
        if random.random() < 0.3:
            acts.append(self._watch)
        if random.random() < 0.4:
            acts.append(self._come_back)
        self._orders.append(Address("order", id_))
        await asyncio.gather(*(act(Address("order", id_)) for act in acts))
        if key and random.random() < 0.2:
            await self._client.place(key, placing)

    # --- what becomes of an order -------------------------------------------------------------------------------------

    async def _cancel(self, at: Address) -> None:
        if self._random.random() < 0.3:  # only now, when it is being made
            await self._wait(at, lambda view: view["status"] == "in_production")
        else:
            await asyncio.sleep(self._random.choice((0.0, 0.3, 2.0, 20.0)) * self._random.random())
        cancel = c.CancelOrder(by=self._random.choice(("retailer:acme", "ops:ann")), reason="changed my mind")
        if self._random.random() < 0.4:  # only as it was when I looked
            _, version = await self._client.read_at(at)
            key = self._key()
            await self._client.ask(at, partial(_as_it_is, cancel), key, key, version=version)
        else:
            await self._ask(at, partial(_as_it_is, cancel), once=True)

    async def _receive_parcel(self, at: Address) -> None:
        """The customer says that it has arrived, perhaps before the supplier does."""
        if await self._wait(at, lambda view: "confirm_delivery" in view["allowed_actions"]) is not None:
            await self._ask(at, lambda: c.ConfirmDelivery(by="retailer:acme"), once=self._random.random() < 0.5)

    async def _watch(self, at: Address) -> None:
        """Somebody who looks again and again, through whichever gateway answers."""
        for _ in range(15):
            await self._client.read(at)
            await asyncio.sleep(self._random.uniform(0.05, 1.0))

    async def _come_back(self, at: Address) -> None:
        """Long after everybody has let the order alone, somebody looks at it, and perhaps wants some money back."""
        for _ in range(self._random.choice((1, 2, 3))):
            await asyncio.sleep(self._random.uniform(3.0, 18.0))
            view = await self._client.read(at)
            if "refund" in view["allowed_actions"] and self._random.random() < 0.7:
                await self._refund_once(at, view)

    async def _dispute(self, at: Address) -> None:
        if await self._wait(at, lambda view: "dispute" in view["allowed_actions"]) is None:
            return
        opened = inner_id("dsp", at.id, f"{self._random.getrandbits(32):08x}")
        amount = self._random.choice((0, 1, 500))
        await self._ask(at, lambda: c.OpenDispute(by="retailer:acme", dispute=opened, reason="lost", amount=amount))
        await asyncio.sleep(self._random.random() * 6)
        outcome = self._random.choice(("upheld", "rejected", "withdrawn"))
        refund = inner_id("rfd", at.id, f"{self._random.getrandbits(32):08x}") if outcome == "upheld" else ""
        back = self._random.choice((1, 400)) if refund else 0
        resolve = c.ResolveDispute(by="ops:ann", dispute=opened, outcome=outcome, refund=refund, refund_amount=back)
        if (await self._ask(at, lambda: resolve, once=True)).status is Status.OK:
            return
        await self._ask(at, lambda: c.ResolveDispute(by="ops:ann", dispute=opened, outcome="rejected"), once=True)

    async def _refund(self, at: Address) -> None:
        view = await self._wait(at, lambda v: "refund" in v["allowed_actions"])
        if view is None:
            return
        for _ in range(self._random.choice((1, 1, 2, 3))):
            await asyncio.sleep(self._random.random() * self._random.choice((0.1, 5.0)))
            await self._refund_once(at, view)

    async def _refund_once(self, at: Address, view: dict[str, Any]) -> None:
        amount = self._random.choice((1, view["captured_amount"], view["captured_amount"] // 3 + 1))
        lines: Quantities = ()
        if self._random.random() < 0.4:
            line = self._random.choice(view["lines"])
            amount, lines = 0, ((line["id"], self._random.randint(1, line["quantity"])),)

        def refund(key: str) -> Command:  # the gateway mints an id for every request, also for a repeated one
            minted = inner_id("rfd", at.id, f"{self._random.getrandbits(32):08x}")
            return c.RefundOrder(by="retailer:acme", refund=minted, amount=amount, lines=lines, reason=key)

        key = self._key()
        await self._client.ask(at, lambda: refund(key), command_id=key, digest=key)

    async def _send_back(self, at: Address) -> None:
        view = await self._wait(at, lambda v: "return" in v["allowed_actions"])
        if view is None:
            return
        line = self._random.choice(view["lines"])
        sent = inner_id("ret", at.id, f"{self._random.getrandbits(32):08x}")
        lines = ((line["id"], self._random.randint(1, line["quantity"])),)
        asked = await self._ask(
            at, lambda: c.RequestReturn(by="retailer:acme", return_id=sent, lines=lines, reason="too small"), once=True
        )
        if asked.status is not Status.OK:
            return
        await asyncio.sleep(self._random.random() * 3)
        if self._random.random() < 0.2:
            await self._ask(at, lambda: c.RejectReturn(by="ops:ann", return_id=sent, reason="worn"), once=True)
            return
        await self._ask(at, lambda: c.ApproveReturn(by="ops:ann", return_id=sent), once=True)
        restock = self._random.random() < 0.6
        await self._ask(at, lambda: c.ReceiveReturn(by="ops:ann", return_id=sent, restock=restock), once=True)

    # --- suppliers ----------------------------------------------------------------------------------------------------

    async def _supply(self, at: Address) -> None:
        """Every supplier of the order does its part, as far as it cares to."""
        view = await self._client.read(at)
        await asyncio.gather(*(self._fulfil(at, one["number"], one["supplier"]) for one in view["consignments"]))

    async def _fulfil(self, at: Address, number: int, supplier: str) -> None:
        by = f"supplier:{supplier}"
        if supplier in self._plan.diligence and not await self._answer(at, number, supplier):
            return
        steps: list[Callable[[], Command]] = [
            lambda: c.StartConsignment(by=by, consignment=number),
            lambda: c.DispatchConsignment(by=by, consignment=number, tracking=Tracking("post", "1", "")),
            lambda: c.DeliverConsignment(by=by, consignment=number),
        ]
        todo = steps[: self._random.choice((0, 1, 2, 3, 3))]
        if not todo or await self._wait(at, lambda v: "start" in _task(v, number)["task_actions"]) is None:
            return
        for step in todo:
            await asyncio.sleep(self._random.random() * self._random.choice((0.5, 8.0)))
            view = await self._client.read(at)
            if "cancellation" in _task(view, number)["task_actions"]:
                answer = c.AnswerCancellation(by=by, consignment=number, accept=self._random.random() < 0.5)
                await self._ask(at, partial(_as_it_is, answer), once=True)
            if (await self._ask(at, step, once=self._random.random() < 0.5)).status is not Status.OK:
                return

    async def _answer(self, at: Address, number: int, supplier: str) -> bool:
        """A manual supplier looks at its task and takes it on, or turns it down, or leaves it lying."""
        if self._random.random() >= self._plan.diligence[supplier]:
            return False
        view = await self._wait(at, lambda v: "accept" in _task(v, number)["task_actions"])
        if view is None:
            return False
        await asyncio.sleep(self._random.random() * self._random.choice((0.5, 10.0)))
        by = f"supplier:{supplier}"
        if self._random.random() < 0.2:
            await self._ask(at, lambda: c.RejectConsignment(by=by, consignment=number, reason="busy"), once=True)
            return False
        mine = [line["id"] for line in view["lines"] if line["consignment"] == _task(view, number)["id"]]
        some = tuple(line for line in mine if self._random.random() < 0.6) if self._random.random() < 0.3 else ()
        accepted = await self._ask(at, lambda: c.AcceptConsignment(by=by, consignment=number, lines=some), once=True)
        return accepted.status is Status.OK

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _wait(self, at: Address, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        """Look at the order now and then until it has got somewhere; None if it ended before, or never did."""
        for _ in range(LOOKS_MAX):
            view: dict[str, Any] = await self._client.read(at)
            if view["status"] == "cancelled":
                return None
            if reached(view):
                return view
            await asyncio.sleep(self._random.uniform(0.5, 2.5))
        return None

    async def _ask(self, at: Address, make: Callable[[], Command], once: bool = False) -> Reply:
        """`once`: under a command id of its own, so that repeats are recognised even when their effect is gone."""
        key = self._key() if once else ""
        return await self._client.ask(at, make, command_id=key, digest=key)

    def _key(self) -> str:
        self._requests += 1
        return f"req-{self._requests}"


def _task(view: dict[str, Any], number: int) -> dict[str, Any]:
    task: dict[str, Any] = view["consignments"][number - 1]
    return task


def _as_it_is(command: Command) -> Command:
    """Makes nothing anew: the same command for every request."""
    return command
