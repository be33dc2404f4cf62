"""Requests to the Payments port and the outcomes that come back, as data.

Money is in integer minor units of `currency` (ISO 4217, lower case). Every request carries the idempotency `key`
`order:step:object:attempt` under which it was journalled before it left; the same key always goes with the same
parameters. The words are Stripe's (https://docs.stripe.com/api).
"""

from __future__ import annotations

from dataclasses import field

from models.record import dataclass


@dataclass(frozen=True)
class PaymentRequest:
    """What all requests share. `lookup` asks the adapter to prove what became of `key` before anything is sent anew:
    by id, or by listing the objects of the order's transfer group, never by a fresh key."""

    key: str
    order: str
    lookup: bool = False


@dataclass(frozen=True)
class Authorise(PaymentRequest):
    """Create and confirm a PaymentIntent with manual capture: hold the funds, take nothing."""

    amount: int = 0
    currency: str = ""
    payment_method: str = ""


@dataclass(frozen=True)
class Capture(PaymentRequest):
    """Take `amount` of the hold; the rest of the hold is released by the same call."""

    payment_intent: str = ""
    amount: int = 0


@dataclass(frozen=True)
class Void(PaymentRequest):
    """Cancel the uncaptured PaymentIntent. `payment_intent` may be empty when the authorisation's outcome was never
    learned: then the adapter finds the order's intents and cancels them all. With `authorise`, the very request whose
    outcome is unknown, it can also make sure that an authorisation still under way never holds anything; without it,
    an authorisation that left no trace is given some minutes to show up."""

    payment_intent: str = ""
    authorise: Authorise | None = None


@dataclass(frozen=True)
class Refund(PaymentRequest):
    """Return `amount` of the captured charge to the customer."""

    payment_intent: str = ""
    amount: int = 0
    refund: str = ""  # Dray's own id of the refund, kept as metadata so that a look-up can find it


@dataclass(frozen=True)
class Transfer(PaymentRequest):
    """Move `amount` of `charge` to the connected account `destination`, in the order's transfer group."""

    amount: int = 0
    currency: str = ""
    destination: str = ""
    charge: str = ""
    consignment: str = ""
    party: str = ""


@dataclass(frozen=True)
class Reverse(PaymentRequest):
    """Take `amount` of a transfer back from the connected account."""

    transfer: str = ""
    amount: int = 0
    refund: str = ""


AnyRequest = Authorise | Capture | Void | Refund | Transfer | Reverse


@dataclass(frozen=True)
class Done:
    """The request took effect, once. `id` is the vendor's object (pi_, ch_ for captures, re_, tr_, trr_)."""

    id: str
    payment_intent: str = ""
    charge: str = ""
    capture_before: int = 0  # milliseconds; when the hold expires, for Authorise


@dataclass(frozen=True)
class Declined:
    """The payer's bank or the vendor said no, finally and without effect: `code` as Stripe names it
    (`card_declined`, `authentication_required`, `balance_insufficient`, `charge_already_refunded`, ...)."""

    code: str
    detail: str = ""
    payment_intent: str = ""


@dataclass(frozen=True)
class Unknown:
    """Nobody knows whether it took effect: a closed connection, a time-out, a 500. Ask again with the same key, or
    with `lookup` when `stale` says that the key cannot tell any more (a replayed 500, an expired key)."""

    detail: str
    stale: bool = False


@dataclass(frozen=True)
class Throttled:
    """Certainly no effect; the vendor asks for patience (429, 409 in flight)."""

    retry_after_ms: int = 1000


Outcome = Done | Declined | Unknown | Throttled


@dataclass(frozen=True)
class PaymentAnswer:
    """One outcome with the key of the request it answers."""

    key: str
    outcome: Outcome
    extra: dict[str, str] = field(default_factory=dict)
