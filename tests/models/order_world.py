"""One order's whole world in one process: the real machines of order, orchestrator, SKUs and suppliers, a bank that
keeps books, and a post that loses, doubles and reorders. Everything happens by the dice of one seed.

Turns are taken as the runtime takes them (joint commands at once, one journal), every event goes through its stored
form, and a crash leaves nothing but the journal.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from actors.orchestrator import KIND as ORCHESTRATOR
from actors.order import KIND as ORDER
from actors.runtime.codec import encode_event
from actors.runtime.kind import ActorKind
from actors.sku import KIND as SKU
from actors.supplier import KIND as SUPPLIER
from models.catalogue import decode_event
from models.decision import Accepted, Address, Command, Decision, Effect, Rejected, Resume, Send, Tick
from models.orchestrator.messages import PaymentAnswered
from models.orchestrator.tables import PHASES
from models.order.messages import LineTerms, PlaceOrder
from models.payments import (
    Authorise,
    Capture,
    Declined,
    Done,
    Outcome,
    PaymentAnswer,
    Refund,
    Reverse,
    Throttled,
    Transfer,
    Unknown,
    Void,
)
from models.record import changed
from models.sku.messages import ClaimSku, ReceiveStock
from models.supplier.messages import PutSupplier

KINDS: dict[str, ActorKind] = {kind.name: kind for kind in (ORDER, ORCHESTRATOR, SKU, SUPPLIER)}
ORDER_ID = "ord_00001f8a7c2b4d07000800000000000000a"
START = 1_763_840_000_000
DAY_MS = 86_400_000


class Bank:
    """A strict ledger of one order. A key is remembered with its first outcome and its parameters."""

    def __init__(self, dice: random.Random, trouble: float) -> None:
        self.dice = dice
        self.trouble = trouble
        self.answers: dict[str, tuple[Any, Outcome]] = {}
        self.declines: dict[str, str] = {}  # step -> code, for as long as it is set
        self.script: dict[str, list[Outcome]] = {}  # step -> what to say next, without any effect
        self.asked: list[Any] = []
        self.hold = 0
        self.holds_made = 0
        self.captured = 0
        self.captures = 0
        self.voids = 0
        self.refunds: dict[str, int] = {}
        self.transfers: dict[str, tuple[str, str, int]] = {}  # id -> (consignment, party, amount)
        self.reversals: dict[str, list[int]] = {}
        self.dead = False

    def ask(self, request: Any) -> Outcome:
        self.asked.append(request)
        scripted = self.script.get(request.key.split(":")[1])
        if scripted:
            return scripted.pop(0)
        if self.dice.random() < self.trouble / 2:
            return Unknown("lost on the way there")
        if request.key not in self.answers and self.dice.random() < self.trouble / 2:
            return Throttled(self.dice.choice([100, 60_000]))
        content = changed(request, lookup=False)
        if request.key in self.answers:
            asked, outcome = self.answers[request.key]
            assert asked == content, f"{request.key} came back with other parameters"
        else:
            outcome = self._do(request)
            self.answers[request.key] = (content, outcome)
        if self.dice.random() < self.trouble / 2:
            return Unknown("lost on the way back", stale=self.dice.random() < 0.3)
        return outcome

    def _do(self, request: Any) -> Outcome:
        step = request.key.split(":")[1]
        if step in self.declines and step != "void":
            return Declined(self.declines[step])
        match request:
            case Authorise():
                return self._authorise(request)
            case Capture(amount=amount):
                assert self.hold >= amount > 0, "captured without a hold"
                self.captured, self.hold, self.captures = amount, 0, self.captures + 1
                return Done("ch_1", "pi_1", "ch_1")
            case Void():
                assert not self.captured, "voided after the capture"
                self.voids += bool(self.hold)
                self.hold, self.dead = 0, True
                return Done("pi_1")
            case Refund(amount=amount):
                assert 0 < amount <= self.captured - sum(self.refunds.values()), "refunded more than captured"
                self.refunds[request.refund] = amount
                return Done(f"re_{len(self.refunds)}")
            case Transfer(amount=amount):
                assert amount > 0
                assert request.charge == "ch_1"
                id_ = f"tr_{len(self.transfers) + 1}"
                self.transfers[id_] = (request.consignment, request.party, amount)
                return Done(id_)
            case Reverse(amount=amount):
                back = self.reversals.setdefault(request.transfer, [])
                assert 0 < amount <= self.transfers[request.transfer][2] - sum(back), "reversed more than transferred"
                back.append(amount)
                return Done(f"trr_{request.transfer}_{len(back)}")
        raise AssertionError(request)

    def _authorise(self, request: Authorise) -> Outcome:
        if self.dead:
            return Declined("payment_intent_unexpected_state")
        assert not self.holds_made, "a second hold"
        self.hold, self.holds_made = request.amount, 1
        return Done("pi_1", "pi_1", capture_before=START + 7 * DAY_MS)


@dataclass
class World:
    seed: int
    trouble: float = 0.0
    now: int = START
    states: dict[Address, Any] = field(default_factory=dict)
    journal: dict[Address, list[bytes]] = field(default_factory=dict)
    post: list[tuple[int, Send | Effect]] = field(default_factory=list)
    last_reply: Any = None

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.bank = Bank(self.dice, self.trouble)

    # --- turns ---

    def state(self, address: Address) -> Any:
        return self.states.get(address, KINDS[address.kind].initial)

    @property
    def order(self) -> Any:
        return self.state(Address("order", ORDER_ID))

    @property
    def saga(self) -> Any:
        return self.state(Address("orchestrator", ORDER_ID))

    def turn(self, to: Address, command: Command) -> Decision:
        """One turn with all its joint commands, as the runtime takes it."""
        steps = deque([(to, command)])
        closing: dict[Address, Command] = {}
        first: Decision | None = None
        while steps or closing:
            address, step = steps.popleft() if steps else closing.popitem()
            kind, state = KINDS[address.kind], self.state(address)
            decision = kind.decide(state, changed(step, at=self.now))
            first = first or decision
            if isinstance(decision, Rejected):
                assert step is command, f"the joint {step} was refused: {decision}"
                return decision
            self._fold(address, state, decision)
            steps.extend((send.to, send.command) for send in decision.joint)
            if decision.closing is not None:
                closing[decision.closing.to] = decision.closing.command
            for out in (*decision.sends, *decision.effects):
                self._mail(out)
        assert first is not None
        return first

    def _fold(self, address: Address, state: Any, decision: Accepted) -> None:
        kind = KINDS[address.kind]
        for event in decision.events:
            stored = encode_event(event)
            assert decode_event(stored) == event
            before, state = state, kind.evolve(state, event)
            if address.kind == "orchestrator":
                _check_phase(before, state, event)
            self.journal.setdefault(address, []).append(stored)
        for note in decision.notes:
            state = kind.evolve(state, note)
        assert decision.state is None or decision.state == state, "a decider's own fold is the fold"
        self.states[address] = state

    # --- the post ---

    def _mail(self, out: Send | Effect) -> None:
        copies = 1
        if isinstance(out, Send) and self.dice.random() < self.trouble:
            copies = self.dice.choice([0, 2, 3])
        for _ in range(copies):
            self.post.append((self.now, out))

    def deliver(self) -> None:
        """Deliver something that is on its way: in order when there is no trouble, by the dice otherwise."""
        at = self.dice.randrange(len(self.post)) if self.trouble else 0
        sent_at, out = self.post.pop(at)
        if isinstance(out, Effect):
            answer = PaymentAnswered(answer=PaymentAnswer(out.request.key, self.bank.ask(out.request)))
            self.post.append((self.now, Send(out.reply_to, answer)))
            if self.dice.random() < self.trouble / 3:
                self.post.append((self.now, Send(out.reply_to, answer)))
        elif self.now - sent_at <= 30_000:
            self.turn(out.to, out.command)

    def crash(self) -> None:
        """The host dies: only the journal is left. Some of what was on its way is lost, some of it arrives late."""
        self.post = [mail for mail in self.post if self.dice.random() < 0.5]
        for address in (Address("order", ORDER_ID), Address("orchestrator", ORDER_ID)):
            self.states[address] = self.replayed(address)
        due = ORCHESTRATOR.due(self.saga)
        if due is not None and due.pending:
            self.turn(Address("orchestrator", ORDER_ID), Resume())

    def replayed(self, address: Address) -> Any:
        kind = KINDS[address.kind]
        state = kind.initial
        for stored in self.journal.get(address, ()):
            state = kind.evolve(state, decode_event(stored))
        return state

    # --- time ---

    def wake(self) -> bool:
        """Let the orchestrator's next due time come. False when it waits for nothing."""
        due = ORCHESTRATOR.due(self.saga)
        if due is None:
            return False
        self.now = max(self.now, due.at)
        self.turn(Address("orchestrator", ORDER_ID), Tick())
        return True

    def settle(self) -> None:
        """Everything that is on its way arrives, and everything that must be asked again is, until all is at rest."""
        for _ in range(2_000):
            if self.post:
                self.deliver()
            elif self.saga.intents or any(name != "hold" for name in self.saga.timers if "collect" not in name):
                assert self.wake()
            else:
                return
        raise AssertionError(f"seed {self.seed} does not come to rest: {self.saga}")

    def pump(self) -> None:
        """Deliver everything that is on its way, without letting any time pass."""
        while self.post:
            self.deliver()

    # --- the cast ---

    def stock(self, **quantities: int) -> None:
        for sku, quantity in quantities.items():
            address = Address("sku", sku)
            supplier = "north" if sku.startswith("n") else "south"
            self.turn(address, ClaimSku(sku=sku, supplier=supplier))
            if quantity:
                self.turn(address, ReceiveStock(sku=sku, quantity=quantity))

    def supplier(self, name: str, mode: Any = "auto", capacity: int | None = None, within_s: int = 3600) -> None:
        put = PutSupplier(supplier=name, name=name, mode=mode, daily_capacity=capacity, accept_within_s=within_s)
        self.turn(Address("supplier", name), put)

    def tell(self, command: Command) -> Decision:
        return self.turn(Address("order", ORDER_ID), command)


def _check_phase(before: Any, after: Any, event: Any) -> None:
    """The saga's own table holds."""
    if before.phase != after.phase:
        assert after.phase in PHASES[before.phase].then, f"{before.phase} -> {after.phase}"
    for key in getattr(event, "intended", ()):
        step = key.partition(":")[0]
        assert step in PHASES[after.phase].steps, f"{key} in {after.phase}"


def a_world(**stock: int) -> World:
    """No trouble, two suppliers who accept at once, and stock enough."""
    world = World(seed=1)
    world.supplier("north")
    world.supplier("south")
    world.stock(**(stock or {"n1": 100, "n2": 100, "s1": 100}))
    return world


def a_confirmed_order(*lines: LineTerms, **fields: Any) -> World:
    world = a_world()
    world.tell(an_order(*lines, **fields))
    world.pump()
    return world


ACCOUNTS = {"brand:aurora": "acct_aurora", "supplier:north": "acct_north", "retailer:acme": "acct_acme"}


def a_line(sku: str, quantity: int = 2, price: int = 1250, brand: str = "aurora") -> LineTerms:
    supplier = "north" if sku.startswith("n") else "south"
    return LineTerms(f"product-{sku}", sku, quantity, price, supplier, brand, (1000, 6000, 2500))


def an_order(*lines: LineTerms, **fields: Any) -> PlaceOrder:
    terms = {"order": ORDER_ID, "retailer": "acme", "currency": "gbp", "payment_method": "pm_card_visa"}
    terms |= {"accounts": {**ACCOUNTS, "supplier:south": "acct_south"}, "fees_bps": {"north": 1000}, **fields}
    return PlaceOrder(lines=lines or (a_line("n1"), a_line("s1", 1, 999)), **terms)
