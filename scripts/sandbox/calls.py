"""What a handler is given, and what it may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from scripts.sandbox.errors import StripeError, missing
from scripts.sandbox.parameters import Params
from scripts.sandbox.records import Charge, Json, PaymentIntent, Record, Transfer
from scripts.sandbox.render import render
from scripts.sandbox.store import Settings, Store, Work


class Page(NamedTuple):
    """One page of a list: records (or finished JSON objects), newest first."""

    data: list[Any]
    has_more: bool
    url: str
    next_page: str | None = None
    search: bool = False


Answer = Record | Page | Json


@dataclass(frozen=True)
class Call:
    """One request, validated: its parameters, the ids in its path and the work that collects its changes."""

    store: Store
    work: Work
    params: Params
    path: tuple[str, ...] = ()
    account: str = ""  # the Stripe-Account header

    @property
    def now(self) -> int:
        """The sandbox's time of this request."""
        return self.work.now

    @property
    def settings(self) -> Settings:
        """What the sandbox was started with."""
        return self.store.settings

    def payment_intent(self, id: str, param: str = "intent", status: int = 404) -> PaymentIntent:
        """The PaymentIntent, or StripeError resource_missing."""
        found = self.work.find(self.store.payment_intents, id)
        if found is None:
            raise missing("payment_intent", id, param=param, status=status)
        return found

    def charge(self, id: str, param: str = "id", status: int = 404) -> Charge:
        """The charge, or StripeError resource_missing."""
        found = self.work.find(self.store.charges, id)
        if found is None:
            raise missing("charge", id, param=param, status=status)
        return found

    def transfer(self, id: str) -> Transfer:
        """The transfer, or StripeError resource_missing."""
        found = self.work.find(self.store.transfers, id)
        if found is None:
            raise missing("transfer", id)
        return found

    def shown(self, id: str) -> Any:
        """The object with this id as JSON, rendered only when the error that carries it is."""
        return lambda: render(self.store, self.store.record(id))


def unexpected_state(call: Call, intent: PaymentIntent, message: str) -> StripeError:
    """400 `payment_intent_unexpected_state`, carrying the PaymentIntent as it is."""
    return StripeError(
        400, message, code="payment_intent_unexpected_state", payment_intent=call.shown(intent.id), param=None
    )
