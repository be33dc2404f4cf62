"""The orchestrator's decider: what is under way is journalled, sent, sent again, and in the end recorded by the order.

Only `Advance` begins anything new. Whatever else comes, an answer or the passing of time, becomes a fact of the order
(a joint command), and the order answers with `Advance`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from models.decision import NOTHING, Accepted, Address, Command, Decision, Effect, Millis, Resume, Send, Tick
from models.orchestrator.answers import payment_answered, stock_answered, task_answered
from models.orchestrator.messages import (
    Advance,
    IntentSettled,
    PaymentAnswered,
    SagaAdvanced,
    SagaRetrying,
    StockAnswered,
    TaskAnswered,
    Woken,
)
from models.orchestrator.outgoing import outgoing
from models.orchestrator.plan import Plan, phase_of, plan, timers
from models.orchestrator.state import Intent, Saga, intent_of, name_of, patience
from models.orchestrator.tables import KEY_LIFE_MS, STEPS
from models.order import commands as order_commands
from models.order.state import Order
from models.record import changed


def decide(saga: Saga, command: Any) -> Decision:
    """Raises KeyError for a command that is none of the orchestrator's: a bug of the sender."""
    return _HANDLERS[type(command)](saga, command)


# --- from facts to steps ---------------------------------------------------------------------------------------------


def _advance(saga: Saga, command: Advance) -> Decision:
    order, at = command.order, command.at
    steps = plan(order, saga, at)
    learnt = _learnt(order, saga)
    keys = _keys(saga, steps)
    over = [intent.key for intent in steps.overtaken] + _recorded(order, saga)
    busy = len(saga.intents) - len(over) - len(steps.dropped) + len(keys) > 0
    phase = phase_of(order, busy)
    wake = timers(order, saga, at)
    retried = _nudged(saga, at) if command.nudge else []
    settled = (*saga.noted, *over)
    news = keys or steps.dropped or learnt or phase != saga.phase or wake != saga.timers
    if not news and (not settled or (busy and not any(map(_is_payment, settled)))):
        # What SKUs and suppliers have answered is stored with the next step: asked again, they answer alike. What
        # became of a payment is stored at once, with the fact it has become.
        return _sent(saga.learnt, retried, [], notes=tuple(IntentSettled(key=key) for key in over))
    advanced = SagaAdvanced(
        at=at,
        phase=phase,
        settled=settled,
        dropped=tuple(intent.key for intent in steps.dropped),
        intended=keys,
        learnt=learnt,
        timers=None if wake == saga.timers else wake,
    )
    new = [intent_of(key, params, at) for key, params in keys.items()]
    return _sent(saga.learnt | learnt, retried, new, advanced)


def _is_payment(key: str) -> bool:
    return STEPS[key[: key.index(":")]].to == "payments"


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
    """The intended steps under their keys: a name that had an attempt before gets the next one."""
    if not steps.dropped and not saga.noted and not saga.attempts:
        return {f"{name}:1": params for name, params in steps.intended.items()}
    keys = [*saga.noted, *(intent.key for intent in steps.dropped)]
    attempts = saga.attempts | {name_of(key): int(key.rpartition(":")[2]) for key in keys}
    return {f"{name}:{attempts.get(name, 0) + 1}": params for name, params in steps.intended.items()}


def _recorded(order: Order, saga: Saga) -> list[str]:
    """Keys of gathered transfers that the order has recorded."""
    if not saga.results:
        return []
    known = {paid.id for c in order.consignments for party in c.parties for paid in party.transfers}
    return [saga.intents[name].key for name, result in saga.results.items() if result in known]


# --- sending, and sending again --------------------------------------------------------------------------------------


def _tick(saga: Saga, command: Tick) -> Decision:
    """Ask again for what is overdue, and tell the order which of its deadlines have passed."""
    at = command.at
    overdue = [i for name, i in saga.intents.items() if i.again_at <= at and name not in saga.results]
    passed = [name for name, wake_at in saga.timers.items() if wake_at <= at]
    joint: list[Command] = []
    silent = tuple(int(name.partition(":")[2]) for name in passed if name.startswith("accept:"))
    if silent:
        joint.append(order_commands.RecordTimeout(consignments=silent))
    if "hold" in passed:
        joint.append(order_commands.RecordTimeout())
    if any(name.startswith("collect:") for name in passed):
        joint.append(order_commands.Proceed())
    to = Address("order", saga.learnt["order"]) if joint else Address("", "")
    decision = _sent(saga.learnt, [_again(intent, at) for intent in overdue], [])
    return changed(decision, notes=(Woken(),), joint=tuple(Send(to, each) for each in joint))


def _resume(saga: Saga, command: Resume) -> Decision:
    """Ask again for everything that may have been lost with the owner before. What waits for its time, waits."""
    lost = [i for name, i in saga.intents.items() if not i.waiting and name not in saga.results]
    payments = [_again(intent, command.at) for intent in lost if STEPS[intent.step].to == "payments"]
    messages = [intent for intent in lost if STEPS[intent.step].to != "payments"]
    return _sent(saga.learnt, payments, messages)


def _nudged(saga: Saga, at: Millis) -> list[tuple[SagaRetrying, Intent]]:
    """Something has happened at Stripe: look at once at what nobody knows the outcome of."""
    unsure = [intent for intent in saga.intents.values() if intent.waiting and intent.unsure]
    return [_again(changed(intent, lookup=True), at) for intent in unsure]


def _again(intent: Intent, at: Millis) -> tuple[SagaRetrying, Intent]:
    """The next try of an intent, and the intent as it leaves. A key that Stripe may have forgotten is looked up. If no
    answer has come to the try before, the two may meet, so even a clear "not now" says nothing about its effect."""
    tries = intent.tries + 1
    intent = changed(intent, lookup=intent.lookup or at - intent.since > KEY_LIFE_MS)
    retrying = SagaRetrying(
        at=at,
        key=intent.key,
        tries=tries,
        again_at=at + patience(intent.step, intent.key, tries),
        waiting=False,
        unsure=intent.unsure or not intent.waiting,
        lookup=intent.lookup,
        fresh=False,
    )
    return retrying, intent


def _sent(
    learnt: dict[str, str],
    again: Iterable[tuple[SagaRetrying, Intent]],
    new: Iterable[Intent],
    advanced: SagaAdvanced | None = None,
    *,
    notes: tuple[IntentSettled, ...] = (),
) -> Accepted:
    """Everything that leaves, with the events it rests on. Retries come first: they are about what was there before."""
    events: list[Any] = []
    leaving = []
    for retrying, intent in again:
        if advanced is None or retrying.key not in (*advanced.settled, *advanced.dropped):
            events.append(retrying)
            leaving.append(outgoing(learnt, intent))
    leaving += [outgoing(learnt, intent) for intent in new]
    if advanced is not None:
        events.append(advanced)
    if not events and not notes and not leaving:
        return NOTHING
    return Accepted(
        events=tuple(events),
        notes=notes,
        effects=tuple(out for out in leaving if type(out) is Effect),
        sends=tuple(out for out in leaving if type(out) is Send),
    )


_HANDLERS: dict[type, Callable[[Saga, Any], Decision]] = {
    Advance: _advance,
    PaymentAnswered: payment_answered,
    StockAnswered: stock_answered,
    TaskAnswered: task_answered,
    Tick: _tick,
    Resume: _resume,
}
