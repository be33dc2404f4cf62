"""The orchestrator's decider: what is under way is journalled, sent, sent again, and in the end recorded by the order.

Only `Advance` begins anything new. Whatever else comes, an answer or the passing of time, becomes a fact of the order
(a joint command), and the order answers with `Advance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from models.decision import (
    NOTHING,
    Accepted,
    Address,
    Command,
    Decision,
    Effect,
    Event,
    Millis,
    Remind,
    Resume,
    Send,
    Tick,
)
from models.orchestrator.answers import payment_answered, stock_answered, task_answered, told
from models.orchestrator.messages import (
    Advance,
    IntentSettled,
    Nudge,
    PaymentAnswered,
    SagaAdvanced,
    SagaRetrying,
    StockAnswered,
    TaskAnswered,
    Woken,
)
from models.orchestrator.outgoing import outgoing
from models.orchestrator.plan import Plan, phase_of, plan, timers
from models.orchestrator.state import Intent, Saga, evolve, parsed, patience
from models.orchestrator.tables import KEY_LIFE_MS, STEPS
from models.order import commands as order_commands
from models.order.state import Order


def decide(saga: Saga, command: Any) -> Decision:
    """Raises KeyError for a command that is none of the orchestrator's: a bug of the sender."""
    return _HANDLERS[type(command)](saga, command)


class Turn:
    """A decision in the making: what is journalled and what leaves because of it, each on top of the one before."""

    def __init__(self, saga: Saga) -> None:
        self.saga = saga
        self.events: list[Event] = []
        self.notes: list[Event] = []
        self.sends: list[Send] = []
        self.effects: list[Effect] = []

    def add(self, event: SagaAdvanced | SagaRetrying) -> None:
        assert not self.notes, "notes are folded after events"
        self.saga = evolve(self.saga, event)
        self.events.append(event)

    def note(self, note: IntentSettled | Woken) -> None:
        self.saga = evolve(self.saga, note)
        self.notes.append(note)

    def leave(self, names: Iterable[str]) -> None:
        """Ask for intents that are journalled."""
        learnt, intents = self.saga.learnt, self.saga.intents
        home = Address("orchestrator", learnt["order"])
        for name in names:
            out = outgoing(learnt, home, intents[name])
            if isinstance(out, Effect):
                self.effects.append(out)
            else:
                self.sends.append(out)

    def accepted(self, *joint: Command) -> Decision:
        if not self.events and not self.notes and not self.sends and not joint:
            return NOTHING
        return Accepted(
            events=tuple(self.events),
            notes=tuple(self.notes),
            joint=told(self.saga, *joint),
            sends=tuple(self.sends),
            effects=tuple(self.effects),
            state=self.saga,
        )


# --- from facts to steps ---------------------------------------------------------------------------------------------


def _advance(saga: Saga, command: Advance) -> Decision:
    order, at = command.order, command.at
    steps = plan(order, saga, at)
    learnt = _learnt(order, saga)
    keys = _keys(saga, steps)
    over = steps.overtaken + _recorded(order, saga) if saga.results else steps.overtaken
    busy = len(saga.intents) - len(over) - len(steps.dropped) + len(keys) > 0
    phase = phase_of(order, busy)
    wake = timers(order, saga, at)
    settled = (*saga.noted, *over)
    news = keys or steps.dropped or learnt or phase != saga.phase or wake != saga.timers
    turn = Turn(saga)
    if not news and (not settled or (busy and not any(map(_is_payment, settled)))):
        # What SKUs and suppliers have answered is stored with the next step: asked again, they answer alike. What
        # became of a payment is stored at once, with the fact it has become.
        for key in over:
            turn.note(IntentSettled(key=key))
        return turn.accepted()
    timers_if_new = None if wake == saga.timers else wake
    turn.add(SagaAdvanced(at, phase, settled, tuple(steps.dropped), keys, learnt, timers_if_new))
    if keys:
        turn.leave(steps.intended)
    return turn.accepted()


def _is_payment(key: str) -> bool:
    return STEPS[parsed(key).step].to == "payments"


def _learnt(order: Order, saga: Saga) -> dict[str, str]:
    """What later requests share and the saga does not know yet."""
    payment, known = order.payment, saga.learnt
    learnt = {}
    if not known:
        learnt = {"order": order.id, "currency": order.currency}
    if payment.payment_intent and "payment_intent" not in known:
        learnt["payment_intent"] = payment.payment_intent
    if payment.charge and "charge" not in known:
        learnt["charge"] = payment.charge
    return learnt


def _keys(saga: Saga, steps: Plan) -> dict[str, Any]:
    """The intended steps under their keys: a name that had an attempt before gets the next one. Of names that were
    settled only those of reversals can be wanted again (a debt is collected under the name of what became a debt)."""
    if not steps.intended:
        return {}
    before = [key for key in saga.noted if key.startswith("reverse:")] + steps.dropped
    if not before and not saga.attempts:
        return {f"{name}:1": params for name, params in steps.intended.items()}
    attempts = saga.attempts | {key.name: key.attempt for key in map(parsed, before)}
    return {f"{name}:{attempts.get(name, 0) + 1}": params for name, params in steps.intended.items()}


def _recorded(order: Order, saga: Saga) -> list[str]:
    """Keys of gathered transfers that the order has recorded."""
    known = {transfer.id for consignment in order.consignments for transfer in consignment.transfers}
    return [saga.intents[name].key for name, result in saga.results.items() if result in known]


# --- asking again ----------------------------------------------------------------------------------------------------


def _tick(saga: Saga, command: Tick) -> Decision:
    """Ask again for what is overdue, and tell the order which of its deadlines have passed."""
    if not saga.phase:
        return NOTHING
    turn, at = Turn(saga), command.at
    for name, intent in saga.intents.items():
        if intent.again_at <= at and name not in saga.results:
            turn.add(_again(intent, at))
            turn.leave((name,))
    turn.note(Woken())
    passed = [name for name, wake_at in saga.timers.items() if wake_at <= at]
    joint: list[Command] = []
    silent = tuple(int(name.partition(":")[2]) for name in passed if name.startswith("accept:"))
    if silent:
        joint.append(order_commands.RecordTimeout(consignments=silent))
    if "hold" in passed:
        joint.append(order_commands.RecordTimeout())
    if any(name.startswith("collect:") for name in passed):
        joint.append(order_commands.Proceed())
    return turn.accepted(*joint)


def _resume(saga: Saga, command: Resume | Remind) -> Decision:
    """Ask again for everything that may have been lost with the owner before, or what may have been lost with another
    actor's. What waits for its time, waits."""
    if not saga.phase:
        return NOTHING
    turn = Turn(saga)
    for name, intent in saga.intents.items():
        if intent.waiting or name in saga.results:
            continue
        if STEPS[intent.step].to == "payments":
            if isinstance(command, Remind):
                continue
            turn.add(_again(intent, command.at))
        turn.leave((name,))
    return turn.accepted()


def _nudge(saga: Saga, command: Nudge) -> Decision:
    """Something has happened at Stripe: look at once at what nobody knows the outcome of."""
    if not saga.phase:
        return NOTHING
    turn = Turn(saga)
    for name, intent in saga.intents.items():
        if intent.waiting and intent.unsure and name not in saga.results:
            turn.add(_again(intent, command.at, lookup=True))
            turn.leave((name,))
    return turn.accepted()


def _again(intent: Intent, at: Millis, *, lookup: bool = False) -> SagaRetrying:
    """The next try of an intent. A key that Stripe may have forgotten is looked up. If no answer has come to the try
    before, the two may meet, so that even a clear "not now" says nothing about an effect any more."""
    tries = intent.tries + 1
    return SagaRetrying(
        at=at,
        key=intent.key,
        tries=tries,
        again_at=at + patience(intent.step, intent.key, tries),
        waiting=False,
        unsure=intent.unsure or not intent.waiting,
        lookup=lookup or intent.lookup or at - intent.since > KEY_LIFE_MS,
        fresh=False,
    )


_HANDLERS: dict[type, Callable[[Saga, Any], Decision]] = {
    Advance: _advance,
    Nudge: _nudge,
    PaymentAnswered: payment_answered,
    StockAnswered: stock_answered,
    TaskAnswered: task_answered,
    Tick: _tick,
    Resume: _resume,
    Remind: _resume,
}
