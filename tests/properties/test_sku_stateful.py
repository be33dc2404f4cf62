"""One SKU under many orders whose messages come twice, late, out of order or not at all.

The orders here are small orchestrators: each keeps sending what it is waiting to hear about, and decides what it wants
next from the answers. Messages expire after thirty seconds, as in the runtime; answers may get lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from models.decision import Accepted, Address, Event, Rejected
from models.orchestrator.messages import StockAnswered
from models.sku import (
    ClaimSku,
    ConfirmReservation,
    ReceiveStock,
    ReleaseReservation,
    Reserve,
    Restock,
    StockRefused,
    StockReserved,
    StockRestocked,
    StockSold,
    machine,
)
from models.sku.messages import OrderCommand

TTL_MS = 30_000
DAY_MS = 86_400_000


@dataclass
class Saga:
    """An order's side: `asking` are the commands it repeats until they are answered."""

    order: str
    quantity: int
    asking: list[OrderCommand] = field(default_factory=list)
    stage: str = "reserving"  # reserving, reserved, confirming, sold, releasing, ended
    back: int = 0
    keys: int = 0

    def common(self) -> dict[str, Any]:
        return {"sku": "MUG", "order": self.order, "reply_to": Address("orchestrator", self.order)}

    def ask(self, stage: str, command: OrderCommand) -> None:
        self.stage = stage
        self.asking.append(command)

    def hear(self, answer: StockAnswered) -> None:
        if answer.key:
            self.asking = [
                command for command in self.asking if not (isinstance(command, Restock) and command.key == answer.key)
            ]
        elif self.stage == "reserving" and answer.status in ("reserved", "refused"):
            self.settle(Reserve, "reserved" if answer.status == "reserved" else "ended")
        elif self.stage == "confirming" and answer.status == "sold":
            self.settle(ConfirmReservation, "sold")
        elif self.stage == "releasing" and answer.status in ("released", "refused"):
            self.settle(ReleaseReservation, "ended")

    def settle(self, asked: type[OrderCommand], stage: str) -> None:
        self.asking = [command for command in self.asking if not isinstance(command, asked)]
        self.stage = stage


class SkuUnderOrders(RuleBasedStateMachine):
    sagas: Bundle[Saga] = Bundle("sagas")

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000_000
        self.state = machine.INITIAL
        self.events: list[Event] = []
        self.travelling: list[tuple[int, OrderCommand]] = []
        self.answers: list[tuple[Saga, StockAnswered]] = []
        self.orders: dict[str, Saga] = {}
        self.others = 0

    def turn(self, command: Any) -> None:
        timed = machine.changed(command, at=self.now)
        decision = machine.decide(self.state, timed)
        assert isinstance(decision, Accepted), decision
        before = self.state
        for event in decision.events:
            self.events.append(event)
            self.state = machine.evolve(self.state, event)
        repeat = machine.decide(self.state, timed)
        if not isinstance(command, ReceiveStock):
            assert isinstance(repeat, Accepted)
            assert (repeat.events, repeat.sends) == ((), decision.sends)
        assert machine.decide(before, timed) == decision, "an older state is still what it was"
        for send in decision.sends:
            assert isinstance(send.command, StockAnswered)
            if send.to.id in self.orders:
                self.answers.append((self.orders[send.to.id], send.command))

    @initialize(quantity=st.integers(1, 12))
    def open(self, quantity: int) -> None:
        self.turn(ClaimSku(sku="MUG", supplier="north"))
        self.turn(ReceiveStock(sku="MUG", quantity=quantity))

    @rule(quantity=st.integers(1, 5))
    def receive(self, quantity: int) -> None:
        self.turn(ReceiveStock(sku="MUG", quantity=quantity))

    @rule(target=sagas, quantity=st.integers(1, 6))
    def place(self, quantity: int) -> Saga:
        saga = Saga(f"ord_{len(self.orders)}", quantity)
        saga.ask("reserving", Reserve(**saga.common(), quantity=quantity))
        self.orders[saga.order] = saga
        return saga

    @rule(target=sagas, quantity=st.integers(1, 6))
    def sell(self, quantity: int) -> Saga:
        """An order that is already through with everything."""
        saga = self.place(quantity)
        self.converse(saga, True)
        self.pay(saga)
        self.converse(saga, True)
        return saga

    @rule(saga=sagas)
    def send(self, saga: Saga) -> None:
        self.travelling.extend((self.now + TTL_MS, command) for command in saga.asking)

    @rule(saga=sagas, heard=st.booleans())
    def converse(self, saga: Saga, heard: bool) -> None:
        """The quick way: everything asked arrives at once; the answers are heard, or lost."""
        for command in list(saga.asking):
            self.turn(command)
            _, answer = self.answers.pop()
            if heard:
                saga.hear(answer)

    @rule(data=st.data(), keep=st.booleans())
    def deliver(self, data: st.DataObject, keep: bool) -> None:
        self.travelling = [(expires, command) for expires, command in self.travelling if expires >= self.now]
        if self.travelling:
            at = data.draw(st.integers(0, len(self.travelling) - 1))
            self.turn(self.travelling[at][1] if keep else self.travelling.pop(at)[1])

    @rule(data=st.data(), keep=st.booleans(), lost=st.booleans())
    def answer(self, data: st.DataObject, keep: bool, lost: bool) -> None:
        if self.answers:
            at = data.draw(st.integers(0, len(self.answers) - 1))
            saga, heard = self.answers[at] if keep else self.answers.pop(at)
            if not lost:
                saga.hear(heard)

    @rule(saga=sagas)
    def pay(self, saga: Saga) -> None:
        if saga.stage == "reserved":
            saga.ask("confirming", ConfirmReservation(**saga.common()))

    @rule(saga=sagas)
    def cancel(self, saga: Saga) -> None:
        if saga.stage in ("reserving", "reserved"):
            saga.settle(Reserve, "releasing")
            saga.ask("releasing", ReleaseReservation(**saga.common()))

    @rule(saga=sagas, quantity=st.integers(1, 6))
    def send_back(self, saga: Saga, quantity: int) -> None:
        if saga.stage == "sold" and saga.back + quantity <= saga.quantity:
            saga.back += quantity
            saga.keys += 1
            saga.ask("sold", Restock(**saga.common(), quantity=quantity, key=f"ret_{saga.keys}"))

    @rule(pause_ms=st.sampled_from([1, 1_000, 29_000, 31_000, DAY_MS]))
    def wait(self, pause_ms: int) -> None:
        self.now += pause_ms

    @rule(minutes=st.sampled_from([1, 6, 20]))
    def others_come_and_go(self, minutes: int) -> None:
        """Time that passes for the SKU too: settled rows are forgotten by others' settling."""
        for _ in range(minutes * 2):
            self.now += 30_000
            self.others += 1
            self.turn(Reserve(sku="MUG", order=f"other_{self.others}", quantity=10**6, reply_to=Address("none", "")))

    @invariant()
    def stock_adds_up(self) -> None:
        state = self.state
        assert state.received == state.available + state.reserved + state.sold
        assert min(state.available, state.reserved, state.sold) >= 0
        assert state.reserved == sum(quantity for _, quantity in state.live.items())

    @invariant()
    def nothing_counts_twice(self) -> None:
        reserved = [event.order for event in self.events if isinstance(event, StockReserved)]
        sold = [event.order for event in self.events if isinstance(event, StockSold)]
        back = [(event.order, event.key) for event in self.events if isinstance(event, StockRestocked)]
        assert len(set(reserved)) == len(reserved)
        assert len(set(sold)) == len(sold)
        assert len(set(back)) == len(back)

    def teardown(self) -> None:
        """Once every order has heard all that it asks about, the SKU and the orders agree to the unit."""
        self.others_come_and_go(1)
        self.travelling.clear()
        for _ in range(3):
            for saga in self.orders.values():
                for command in list(saga.asking):
                    self.turn(command)
                    saga.hear(self.answers.pop()[1])
        assert all(not saga.asking for saga in self.orders.values())
        holding = [saga.quantity for saga in self.orders.values() if saga.stage == "reserved"]
        selling = [saga.quantity - saga.back for saga in self.orders.values() if saga.stage == "sold"]
        assert (self.state.reserved, self.state.sold) == (sum(holding), sum(selling))
        replayed = machine.INITIAL
        for event in self.events:
            replayed = machine.evolve(replayed, event)
        assert replayed == self.state


SkuUnderOrders.TestCase.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestSkuUnderOrders = SkuUnderOrders.TestCase


def test_refusals_are_never_rejections() -> None:
    """An orchestrator gets an answer to a shortage; only a caller with a bug is rejected."""
    state = machine.evolve(machine.INITIAL, StockRefused(1, "o", 3))
    decision = machine.decide(state, Reserve(at=2, sku="MUG", order="p", quantity=3))
    assert not isinstance(decision, Rejected)
