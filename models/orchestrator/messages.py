"""What an order's orchestrator is told, and the events that remember its intents.

An orchestrator shares id and shard with its order. SKUs, suppliers and payment runners reply to it with the commands
below; every one may come twice, late, or about something settled long ago.
"""

from __future__ import annotations

from dataclasses import field

from models.catalogue import command, event
from models.decision import Command, Event, Millis
from models.order.state import Order
from models.payments import PaymentAnswer
from models.record import dataclass


@dataclass(frozen=True)
class Advance(Command):
    """Closes every turn of the order: these are the facts now; see to it that the right things are under way."""

    order: Order = field(kw_only=True)


@dataclass(frozen=True)
class Nudge(Command):
    """Joint with a hint from Stripe that something has happened: look at once at what nobody knows the outcome of."""


@command("saga.payment_answered")
@dataclass(frozen=True)
class PaymentAnswered(Command):
    """The outcome of a payment request."""

    answer: PaymentAnswer = field(kw_only=True)


@command("saga.stock_answered")
@dataclass(frozen=True)
class StockAnswered(Command):
    """What a SKU's row for this order says now, whatever was asked.

    status:    `reserved`, `refused` (not enough), `released`, or `sold`.
    restocked: units that came back in all, of a sold row.
    key:       of the Restock that is answered: the SKU has counted it, once. Empty for other answers.
    """

    sku: str = ""
    status: str = ""
    restocked: int = 0
    key: str = ""


@command("saga.task_answered")
@dataclass(frozen=True)
class TaskAnswered(Command):
    """A supplier has taken note of an offer, a withdrawal or a closure.

    task:      `tsk_<order digits>_<n>`.
    status:    `offered` (asked; it may answer until `accept_by`), `withdrawn`, or `closed`. A supplier that decides at
               once sends AcceptConsignment or RejectConsignment to the order instead of `offered`.
    """

    task: str = ""
    status: str = ""
    accept_by: Millis = 0


Params = dict[str, str | int]
"""The exact parameters of one step, less what `learnt` says for all of them."""


@event("saga.advanced/1")
@dataclass(frozen=True)
class SagaAdvanced(Event):
    """One step on.

    phase:    the phase from now on, a row of `models.orchestrator.tables.PHASES`.
    settled:  keys of intents whose outcome is definite and recorded.
    dropped:  keys that are no longer wanted and are certain to have no effect, or are overtaken by another step.
    intended: new intents by key `step:object:attempt`, with their exact parameters; they leave after the commit.
    learnt:   parameters that all later intents share (`order`, `currency`, `payment_intent`, `charge`).
    timers:   what to wake up for, by name; replaces the timers before, None keeps them.
    """

    phase: str
    settled: tuple[str, ...]
    dropped: tuple[str, ...]
    intended: dict[str, Params]
    learnt: dict[str, str]
    timers: dict[str, Millis] | None


@event("saga.retrying/1")
@dataclass(frozen=True)
class SagaRetrying(Event):
    """Intent `key` goes out again: with the same key and the same parameters, or, if `fresh`, as the next attempt,
    because the vendor has refused this one for good and without effect.

    tries:   how often it has been sent.
    again_at: when, if it is `waiting`; else it goes out with this event, and again then, unless its answer comes.
    unsure:  an effect cannot be excluded. lookup: only a look-up can tell.
    """

    key: str
    tries: int
    again_at: Millis
    waiting: bool
    unsure: bool
    lookup: bool
    fresh: bool


@dataclass(frozen=True)
class IntentSettled(Event):
    """A note, never stored: an intent has its outcome. With a `result` (a transfer's id) it is being gathered: then the
    intent stays until the order has recorded it."""

    at: Millis = 0
    key: str = ""
    result: str = ""


@dataclass(frozen=True)
class Woken(Event):
    """A note, never stored: a `Tick` has come, so the next time to wake up is worked out anew."""

    at: Millis = 0
