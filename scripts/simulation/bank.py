"""The payment world of a run: card holds, captures, refunds, transfers and reversals, with books of its own.

The bank keeps one effect per idempotency key, as the Payments port promises, and writes down whatever nobody should
ever ask of it: another request under a used key, a second hold or charge for an order, more than there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from models.decision import Millis
from models.payments import (
    AnyRequest,
    Authorise,
    Capture,
    Declined,
    Done,
    Outcome,
    Refund,
    Reverse,
    Transfer,
    Unknown,
    Void,
)
from models.record import changed

HOLD_MS = 7 * 24 * 3600 * 1000
DECLINED_CARD = "pm_card_chargeDeclined"
AUTHENTICATING_CARD = "pm_card_authenticationRequired"
UNCAPTURABLE_CARD = "pm_card_captureFails"
"""The hold is granted and its capture refused, as when it expired or the bank took it back."""
SHORT_ACCOUNT = "acct_short"
"""Has spent what it got: reversals are refused."""


@dataclass
class Hold:
    """A PaymentIntent: `held`, `captured` or `voided`."""

    id: str
    order: str
    amount: int
    card: str
    status: str = "held"
    captured: int = 0
    refunded: int = 0

    @property
    def charge(self) -> str:
        return "ch_" + self.id[3:]


@dataclass
class Payout:
    """A transfer to a connected account."""

    id: str
    order: str
    consignment: str
    party: str
    destination: str
    charge: str
    amount: int
    reversed: int = 0


@dataclass
class Books:
    holds: dict[str, Hold] = field(default_factory=dict)
    payouts: dict[str, Payout] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int]] = field(default_factory=dict)  # id -> (Dray's refund, amount)


class Happening(NamedTuple):
    """What a webhook is about: Stripe's event type, the object's id, and what it says of it."""

    order: str
    type: str
    object: str
    status: str
    amount: int


class Bank:
    """`outrages` are requests that a correct Dray never makes. `tell` hears of everything that happens, once."""

    def __init__(self, now: Callable[[], Millis]) -> None:
        self.books = Books()
        self.outrages: list[str] = []
        self.tell: Callable[[Happening], None] = lambda _happening: None
        self._now = now
        self._asked: dict[str, AnyRequest] = {}
        self._settled: dict[str, Outcome] = {}
        self._numbers = 0

    def expire_one(self, choose: Callable[[list[Hold]], Hold]) -> None:
        """A card's bank takes a hold back before its time, if there is one."""
        held = [hold for hold in self.books.holds.values() if hold.status == "held"]
        if held:
            self._drop(choose(held))

    def _drop(self, hold: Hold) -> None:
        if hold.status == "held":
            hold.status = "voided"
            self.tell(Happening(hold.order, "payment_intent.canceled", hold.id, "canceled", 0))

    def request(self, request: AnyRequest) -> Outcome:
        """Carry out once what `key` stands for; every repeat gets the first answer."""
        if self._same_key_other_request(request):
            return Unknown("the key belongs to another request", stale=True)
        before = self._settled.get(request.key)
        if before is not None:
            return before
        outcome = self._perform(request)
        if not isinstance(outcome, Unknown):
            self._settled[request.key] = outcome
        return outcome

    def _same_key_other_request(self, request: AnyRequest) -> bool:
        bare = changed(request, lookup=False)
        first = self._asked.setdefault(request.key, bare)
        if first == bare:
            return False
        self.outrages.append(f"{request.order}: key {request.key} stands for {first} and for {bare}")
        return True

    def _perform(self, request: AnyRequest) -> Outcome:
        match request:
            case Authorise():
                return self._authorise(request)
            case Capture():
                return self._capture(request)
            case Void():
                return self._void(request)
            case Refund():
                return self._refund(request)
            case Transfer():
                return self._transfer(request)
            case Reverse():
                return self._reverse(request)

    def _id(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}_{self._numbers:06d}"

    # --- the steps ----------------------------------------------------------------------------------------------------

    def _authorise(self, request: Authorise) -> Outcome:
        id_ = self._id("pi")
        if request.payment_method == DECLINED_CARD:
            return Declined("card_declined", "the bank declined", id_)
        if request.payment_method == AUTHENTICATING_CARD:
            return Declined("authentication_required", "the bank asks for the customer", id_)
        if any(hold.order == request.order and hold.status != "voided" for hold in self.books.holds.values()):
            self.outrages.append(f"{request.order}: a second hold, under {request.key}")
        hold = self.books.holds[id_] = Hold(id_, request.order, request.amount, request.payment_method)
        return Done(id_, id_, hold.charge, self._now() + HOLD_MS)

    def _capture(self, request: Capture) -> Outcome:
        hold = self.books.holds.get(request.payment_intent)
        if hold is None or hold.order != request.order:
            self.outrages.append(f"{request.order}: captures {request.payment_intent}, which is not its hold")
            return Declined("resource_missing")
        if hold.status != "held":
            return Declined("charge_expired_for_capture", "", hold.id)
        if hold.card == UNCAPTURABLE_CARD:
            return Declined("charge_expired_for_capture", "", hold.id)
        if not 0 < request.amount <= hold.amount:
            self.outrages.append(f"{request.order}: captures {request.amount} of {hold.amount}")
            return Declined("amount_too_large", "", hold.id)
        hold.status, hold.captured = "captured", request.amount
        return Done(hold.charge, hold.id, hold.charge)

    def _void(self, request: Void) -> Outcome:
        if request.payment_intent:
            holds = [hold for id_, hold in self.books.holds.items() if id_ == request.payment_intent]
        else:
            holds = [hold for hold in self.books.holds.values() if hold.order == request.order]
            if request.authorise is not None and request.authorise.key not in self._settled:
                # Takes the key of the authorisation: should it still arrive, it is refused.
                fenced = changed(request.authorise, lookup=False)
                self._asked.setdefault(fenced.key, fenced)
                self._settled[fenced.key] = Declined("payment_intent_canceled", "voided before it was authorised")
        for hold in holds:
            if hold.order != request.order:
                self.outrages.append(f"{request.order}: voids the hold of {hold.order}")
            if hold.status == "captured":
                return Declined("payment_intent_unexpected_state", "captured", hold.id)
            self._drop(hold)
        if not holds and request.authorise is None and not request.payment_intent:
            return Unknown("the order has no intent yet; an authorisation may be under way", stale=True)
        id_ = holds[0].id if holds else ""
        return Done(id_, id_)

    def _refund(self, request: Refund) -> Outcome:
        hold = self.books.holds.get(request.payment_intent)
        if hold is None or hold.order != request.order or hold.status != "captured":
            self.outrages.append(f"{request.order}: refunds {request.payment_intent}, which is not its charge")
            return Declined("resource_missing")
        if any(refund == request.refund for refund, _ in self.books.refunds.values()):
            self.outrages.append(f"{request.order}: {request.refund} is paid twice, under {request.key}")
        if not 0 < request.amount <= hold.captured - hold.refunded:
            self.outrages.append(f"{request.order}: refunds {request.amount} of {hold.captured - hold.refunded}")
            return Declined("charge_already_refunded")
        hold.refunded += request.amount
        id_ = self._id("re")
        self.tell(Happening(hold.order, "charge.refunded", hold.charge, "", hold.refunded))
        self.books.refunds[id_] = request.refund, request.amount
        return Done(id_, hold.id, hold.charge)

    def _transfer(self, request: Transfer) -> Outcome:
        hold = next((hold for hold in self.books.holds.values() if hold.charge == request.charge), None)
        if hold is None or hold.order != request.order or hold.status != "captured":
            self.outrages.append(f"{request.order}: transfers from {request.charge}, which is not its charge")
            return Declined("resource_missing")
        out = sum(payout.amount for payout in self.books.payouts.values() if payout.charge == request.charge)
        if not 0 < request.amount <= hold.captured - out:
            self.outrages.append(f"{request.order}: transfers {request.amount} of {hold.captured - out}")
            return Declined("balance_insufficient")
        id_ = self._id("tr")
        self.books.payouts[id_] = Payout(
            id_,
            request.order,
            request.consignment,
            request.party,
            request.destination,
            request.charge,
            request.amount,
        )
        return Done(id_, charge=request.charge)

    def _reverse(self, request: Reverse) -> Outcome:
        payout = self.books.payouts.get(request.transfer)
        if payout is None or payout.order != request.order:
            self.outrages.append(f"{request.order}: reverses {request.transfer}, which is not its transfer")
            return Declined("resource_missing")
        if payout.destination == SHORT_ACCOUNT:
            return Declined("balance_insufficient", "the account is short")
        if not 0 < request.amount <= payout.amount - payout.reversed:
            self.outrages.append(f"{request.order}: reverses {request.amount} of {payout.amount - payout.reversed}")
            return Declined("amount_too_large")
        payout.reversed += request.amount
        return Done(self._id("trr"))
