"""What comes back: from payments, SKUs and suppliers. Definite outcomes become facts of the order; of the rest, the
same is asked again later. An answer to something that is not under way (any more) changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from models.decision import NOTHING, Accepted, Address, Command, Decision, Send
from models.identity import INNER_ID
from models.orchestrator.messages import (
    IntentSettled,
    PaymentAnswered,
    SagaAdvanced,
    SagaRetrying,
    StockAnswered,
    TaskAnswered,
)
from models.orchestrator.outgoing import outgoing
from models.orchestrator.state import Intent, Saga, backoff, evolve, steps_done
from models.orchestrator.tables import DAY_MS, GIVE_UP_AUTHORISING_MS, HOUR_MS, KEY_LIFE_MS, MINUTE_MS, PHASES
from models.order import commands as order_commands
from models.order.values import Made
from models.payments import Declined, Done, Throttled, Unknown

RETRY_MS = 500  # the first wait after an outcome that was not definite; it doubles
RETRY_MAX_MS = 5 * MINUTE_MS
REFUSED_RETRY_MS = MINUTE_MS  # after the vendor said no to something that has to happen all the same
REFUSED_RETRY_MAX_MS = HOUR_MS
REFUND_RETRY_MAX_MS = DAY_MS  # every try leaves a failed refund at the customer's bank
NO_ANSWER = "no_answer"
FINAL_REFUSALS = frozenset(
    "charge_already_refunded charge_disputed charge_not_refundable expired_or_canceled_card lost_or_stolen_card"
    " refund_disputed_payment".split()
)
"""Why a charge gives nothing back, today or ever: the money has gone back by another way, a bank decides about it, or
the card is no more (https://docs.stripe.com/error-codes, https://docs.stripe.com/refunds#failed-refunds)."""


def told(saga: Saga, *commands: Command) -> tuple[Send, ...]:
    """Joint commands for the order."""
    if not commands:
        return ()
    order = Address("order", saga.learnt["order"])
    return tuple([Send(order, command) for command in commands])


def _settle(saga: Saga, intent: Intent, *commands: Command) -> Accepted:
    """The intent has its outcome, which `commands` make facts of the order."""
    note = IntentSettled(key=intent.key)
    return Accepted(notes=(note,), joint=told(saga, *commands))


# --- payments --------------------------------------------------------------------------------------------------------


def payment_answered(saga: Saga, command: PaymentAnswered) -> Decision:
    answer = command.answer
    key = answer.key.partition(":")[2]
    name = key.rpartition(":")[0]
    intent = saga.intents.get(name)
    if intent is None or intent.key != key or name in saga.results:
        return NOTHING
    outcome = answer.outcome
    if type(outcome) is Done:
        return _DONE[intent.step](saga, intent, outcome)
    if type(outcome) is Declined:
        return _DECLINED[intent.step](saga, intent, outcome, command)
    if intent.step == "authorise" and command.at - intent.since >= GIVE_UP_AUTHORISING_MS:
        return _settle(saga, intent, order_commands.RecordDecline(code=NO_ANSWER, unsure=True))
    if type(outcome) is Throttled:
        wait = max(outcome.retry_after_ms, backoff(key, intent.tries, RETRY_MS, RETRY_MAX_MS))
        return _retry(saga, intent, command, wait, unsure=intent.unsure, lookup=intent.lookup)
    assert type(outcome) is Unknown
    wait = backoff(key, intent.tries, RETRY_MS, RETRY_MAX_MS)
    lookup = intent.lookup or outcome.stale or command.at - intent.since > KEY_LIFE_MS
    return _retry(saga, intent, command, wait, unsure=True, lookup=lookup)


def _retry(
    saga: Saga, intent: Intent, command: PaymentAnswered, wait_ms: int, *, unsure: bool, lookup: bool
) -> Accepted:
    return _waiting(
        saga,
        intent,
        SagaRetrying(
            at=command.at,
            key=intent.key,
            tries=intent.tries,
            again_at=command.at + wait_ms,
            waiting=True,
            unsure=unsure,
            lookup=lookup,
            fresh=False,
        ),
    )


def _waiting(saga: Saga, intent: Intent, retrying: SagaRetrying, *trouble: Command) -> Accepted:
    """The order is shown to the saga again: a transfer that waits may be journalled anew, net of a refund."""
    commands = list(trouble)
    if intent.step == "transfer":
        commands.append(_gathered(saga, intent) or order_commands.Proceed())
    return Accepted(events=(retrying,), joint=told(saga, *commands))


def _authorised(saga: Saga, intent: Intent, done: Done) -> Decision:
    payment_intent = done.payment_intent or done.id
    fact = order_commands.RecordAuthorisation(payment_intent=payment_intent, capture_before=done.capture_before)
    return _settle(saga, intent, fact)


def _captured(saga: Saga, intent: Intent, done: Done) -> Decision:
    return _settle(saga, intent, order_commands.RecordCapture(charge=done.charge or done.id))


def _voided(saga: Saga, intent: Intent, _done: Done) -> Decision:
    return _settle(saga, intent, order_commands.RecordVoid(), *_relieved(intent))


def _refunded(saga: Saga, intent: Intent, done: Done) -> Decision:
    fact = order_commands.RecordRefund(refund=str(intent.params["refund"]), id=done.id)
    return _settle(saga, intent, fact, *_relieved(intent))


def _reversed(saga: Saga, intent: Intent, _done: Done) -> Decision:
    return _settle(saga, intent, _reversal(intent))


def _reversal(intent: Intent, code: str = "") -> order_commands.RecordReversal:
    consignment, party, _ = intent.object.split("-")
    return order_commands.RecordReversal(
        consignment=int(consignment),
        party=int(party),
        transfer=str(intent.params["transfer"]),
        amount=int(intent.params["amount"]),
        code=code,
    )


def _transferred(saga: Saga, intent: Intent, done: Done) -> Decision:
    """Transfers are gathered, and recorded together once none is awaited any more: those that wait for
    their next try may wait for long."""
    note = IntentSettled(key=intent.key, result=done.id)
    facts = _gathered(saga, intent, done.id)
    return Accepted(notes=(note,), joint=told(saga, facts, *_relieved(intent)) if facts else ())


def _gathered(saga: Saga, last: Intent, result: str = "") -> Command | None:
    """What there is to record if `last` was the last transfer to be heard of."""
    for name, intent in saga.intents.items():
        if intent.step == "transfer" and not intent.waiting and intent is not last and name not in saga.results:
            return None
    results = {**saga.results, last.name: result} if result else saga.results
    if not results:
        return None
    return order_commands.RecordTransfers(made=tuple(_made(saga.intents[name], id_) for name, id_ in results.items()))


def _made(intent: Intent, transfer: str) -> Made:
    consignment, party, _ = intent.object.split("-")
    return Made(int(consignment), int(party), int(intent.params["amount"]), transfer)


def _relieved(intent: Intent) -> tuple[Command, ...]:
    """A step that had been refused before has succeeded: nobody has to look after it any more."""
    return (order_commands.ClearAttention(reason=_trouble(intent), by="dray"),) if intent.attempt > 1 else ()


def _trouble(intent: Intent) -> str:
    """What a person is called for. `refund_failed` is about a refund that will not be tried again."""
    return "refund_delayed" if intent.step == "refund" else f"{intent.step}_failed"


_DONE: dict[str, Callable[[Saga, Intent, Done], Decision]] = {
    "authorise": _authorised,
    "capture": _captured,
    "void": _voided,
    "refund": _refunded,
    "transfer": _transferred,
    "reverse": _reversed,
}


def _authorisation_declined(saga: Saga, intent: Intent, no: Declined, _command: PaymentAnswered) -> Decision:
    return _settle(saga, intent, order_commands.RecordDecline(code=no.code, payment_intent=no.payment_intent))


def _capture_declined(saga: Saga, intent: Intent, no: Declined, _command: PaymentAnswered) -> Decision:
    return _settle(saga, intent, order_commands.RecordCaptureFailure(code=no.code))


def _refund_declined(saga: Saga, intent: Intent, no: Declined, command: PaymentAnswered) -> Decision:
    """A refund that somebody asked for may fail: they are told, and may ask again. One that follows from a
    cancellation, a return or a dispute is owed to the customer, whom nobody would ask."""
    if "cause" in intent.params and no.code not in FINAL_REFUSALS:
        return _must_succeed(saga, intent, no, command)
    fact = order_commands.RecordRefundFailure(refund=str(intent.params["refund"]), code=no.code)
    return _settle(saga, intent, fact)


def _reversal_declined(saga: Saga, intent: Intent, no: Declined, _command: PaymentAnswered) -> Decision:
    return _settle(saga, intent, _reversal(intent, no.code))


def _must_succeed(saga: Saga, intent: Intent, no: Declined, command: PaymentAnswered) -> Decision:
    """A void, a transfer, or a refund that is owed has to happen whatever the vendor says: a person is told, and it is
    tried again."""
    most = REFUND_RETRY_MAX_MS if intent.step == "refund" else REFUSED_RETRY_MAX_MS
    wait = backoff(intent.key, intent.attempt, REFUSED_RETRY_MS, most)
    retrying = SagaRetrying(
        at=command.at,
        key=intent.key,
        tries=1,
        again_at=command.at + wait,
        waiting=True,
        unsure=False,
        lookup=False,
        fresh=True,
    )
    trouble = order_commands.RaiseAttention(reason=_trouble(intent), detail=f"{intent.object}: {no.code}")
    return _waiting(saga, intent, retrying, trouble)


_DECLINED: dict[str, Callable[[Saga, Intent, Declined, PaymentAnswered], Decision]] = {
    "authorise": _authorisation_declined,
    "capture": _capture_declined,
    "void": _must_succeed,
    "refund": _refund_declined,
    "transfer": _must_succeed,
    "reverse": _reversal_declined,
}


# --- SKUs and suppliers ----------------------------------------------------------------------------------------------

_ANSWERED_BY = {
    "reserved": ("reserve",),
    "refused": ("release", "reserve"),
    "released": ("release",),
    "sold": ("confirm", "release"),
}
"""Which steps a row's status settles. A restock is settled by its own key."""


def stock_answered(saga: Saga, command: StockAnswered) -> Decision:
    steps = ("restock",) if command.key else _ANSWERED_BY.get(command.status, ())
    object_ = f"{command.sku}/{command.key}" if command.key else command.sku
    for step in steps:
        intent = saga.intents.get(f"{step}:{object_}")
        if intent is not None:
            return _stock_settled(saga, command, intent)
    return _unwanted(saga, command) if command.status == "reserved" else NOTHING


def _unwanted(saga: Saga, command: StockAnswered) -> Decision:
    """Nobody waits for this reservation. If the order is through with this stock (released or sold), a `Reserve` has
    arrived after the SKU had forgotten the order (a parked one that a person sent again): it is undone."""
    name = f"release:{command.sku}"
    if name in saga.intents or not steps_done(saga).intersection((name, f"confirm:{command.sku}")):
        return NOTHING
    key = f"{name}:1"
    undoing = SagaAdvanced(
        at=command.at,
        phase=saga.phase if "release" in PHASES[saga.phase].steps else "settling",
        settled=saga.noted,
        dropped=(),
        intended={key: {}},
        learnt={},
        timers=None,
    )
    saga = evolve(saga, undoing)
    home = Address("orchestrator", saga.learnt["order"])
    sent = outgoing(saga.learnt, home, saga.intents[name])
    assert isinstance(sent, Send)
    return Accepted(events=(undoing,), sends=(sent,), state=saga)


def _stock_settled(saga: Saga, command: StockAnswered, intent: Intent) -> Accepted:
    if intent.step == "reserve":
        if command.status == "refused":
            return _refused_stock(saga, intent)
        if not _others(saga, intent):
            return _settle(saga, intent, order_commands.RecordReservation())
    return _noted(saga, intent)


def _refused_stock(saga: Saga, intent: Intent) -> Accepted:
    """Of what was refused there is nothing to give back, and the SKU's row keeps refusing it: it counts as released."""
    notes = (IntentSettled(key=intent.key), IntentSettled(key=f"release:{intent.object}:1"))
    return Accepted(notes=notes, joint=told(saga, order_commands.RecordShortage(sku=intent.object)))


def _noted(saga: Saga, intent: Intent) -> Accepted:
    """Settled with nothing for the order to record: the saga goes on when nothing else is under way, or when what was
    sold may have to come back: a restock waits for its confirmation, and for nothing else."""
    go_on = len(saga.intents) == 1 or (intent.step == "confirm" and _sold_out(saga, intent))
    return _settle(saga, intent, *((order_commands.Proceed(),) if go_on else ()))


def _sold_out(saga: Saga, intent: Intent) -> bool:
    """True if no other confirmation is about to come, and nothing else either that would show the order to the saga:
    what has to wait for its next try may wait for long, and so may what has not answered to its first."""
    intents = saga.intents.values()
    if any(other.step == "confirm" and other.tries == 1 and other is not intent for other in intents):
        return False
    return saga.phase == "compensating" or any(
        (other.waiting or other.tries > 1) and other is not intent for other in intents
    )


def _others(saga: Saga, intent: Intent) -> bool:
    return any(other.step == intent.step and other is not intent for other in saga.intents.values())


def task_answered(saga: Saga, command: TaskAnswered) -> Decision:
    found = INNER_ID.match(command.task)
    number = found[3] if found else ""
    if command.status == "offered":
        intent = saga.intents.get(f"offer:{number}")
        if intent is None:
            return NOTHING
        return _settle(saga, intent, order_commands.RecordOffer(consignment=int(number), accept_by=command.accept_by))
    for step in ("withdraw", "close"):
        intent = saga.intents.get(f"{step}:{number}")
        if intent is not None:
            return _noted(saga, intent)
    return NOTHING
