"""Holding funds with PaymentIntents, and letting them go for certain."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from actors.adapters.stripe_errors import Refusal
from actors.adapters.stripe_objects import (
    GENERATIONS_MAX,
    Calls,
    Json,
    cancelled_outcome,
    generation_of,
    id_of,
    listing,
    prove,
)
from actors.runtime.ports import Wall
from models.decision import Millis
from models.identity import is_order_id
from models.payments import Authorise, Declined, Done, Outcome, Unknown, Void

WINDOW_PAGES_MAX = 10
WINDOW_BEFORE_MS = 60_000
WINDOW_AFTER_MS = 15 * 60_000
"""Which intents are looked through for one that never got as far as a charge: those made around the order's birth."""
APPEARS_WITHIN_MS = 5 * 60_000
"""An authorisation that is under way shows up in Stripe's lists within this time, or never began."""


class StripeIntents:
    """Runs Authorise and Void to their outcomes. Raises Refusal where the refusal itself tells the outcome."""

    def __init__(self, calls: Calls, now: Wall) -> None:
        self._calls = calls
        self._now = now

    async def authorise(self, request: Authorise) -> Outcome:
        """Hold the funds; with `lookup`, only after no effect has been found. Raises Refusal."""
        if not request.lookup:
            return await self._create(request, request.key)
        return await prove(
            request.key, partial(self._authorised, request), partial(self._create_unless_fenced, request)
        )

    async def _create(self, request: Authorise, key: str) -> Outcome:
        intent = await self._calls.post("payment_intents.create", "payment_intents", create_params(request), key)
        return await self._outcome_of_intent(request, intent) or Unknown(
            f"the intent is {intent['status']}", stale=True
        )

    async def _create_unless_fenced(self, request: Authorise, key: str) -> Outcome:
        """A void that came first has taken the key (see `_fence`): then there is nothing to authorise any more."""
        try:
            return await self._create(request, key)
        except Refusal as refusal:
            if refusal.reused:
                return Declined("payment_intent_canceled", "voided before it was authorised")
            raise

    async def _authorised(self, request: Authorise) -> Outcome | None:
        """What became of the authorisation, from the order's intents; None if none of them can hold funds."""
        for intent in await self._intents_of(request.order):
            if intent["metadata"].get("key") == request.key:
                outcome = await self._outcome_of_intent(request, intent)
                if outcome is not None:
                    return outcome
        return None

    async def _outcome_of_intent(self, request: Authorise, intent: Json) -> Outcome | None:
        """None for an intent that never got as far as an answer from the bank, and never will."""
        id_, status, error = intent["id"], intent["status"], intent.get("last_payment_error") or {}
        if status in ("requires_capture", "succeeded"):
            return Done(id_, id_, id_of(intent.get("latest_charge")), capture_before_ms(intent))
        if status == "requires_action":
            # Nobody will ask the customer, so nobody may find the hold alive later.
            return await self._abandon(request, intent)
        if status == "canceled":
            if intent.get("cancellation_reason") == "abandoned":
                return Declined("authentication_required", "the payer's bank asks for the customer", id_)
            return None if _is_discarded(intent) else cancelled_outcome(intent)
        if status == "requires_payment_method" and error:
            code = error.get("decline_code") or error.get("code") or "card_declined"
            return Declined(code, error.get("message") or "", id_)
        if "fence" in intent["metadata"]:
            return Declined("payment_intent_canceled", "voided before it was authorised", id_)
        if status in ("requires_payment_method", "requires_confirmation"):
            await self._cancelled(id_, f"{request.key}:discard", "duplicate")
            return None
        return Unknown(f"the intent is {status}", stale=True)

    async def _abandon(self, request: Authorise, intent: Json) -> Outcome | None:
        now = await self._cancelled(intent["id"], f"{request.key}:abandon", "abandoned")
        if now["status"] == "requires_action":
            return Unknown("the intent could not be cancelled", stale=True)
        return await self._outcome_of_intent(request, now)

    async def void(self, request: Void) -> Outcome:
        """Let the hold go; without an intent's id, whatever the order may hold. Raises Refusal."""
        if request.payment_intent:
            return _voided(await self._cancelled(request.payment_intent, request.key, "requested_by_customer"))
        outcomes: list[Outcome] = []
        keys = set()
        for intent in await self._intents_of(request.order):
            if not _is_discarded(intent):
                keys.add(intent["metadata"].get("key"))
            if intent["status"] != "canceled":
                intent = await self._cancelled(intent["id"], f"{request.key}:{intent['id']}", "requested_by_customer")
            outcomes.append(_voided(intent))
        if request.authorise is not None and request.authorise.key not in keys:
            outcomes.append(await self._fence(request, request.authorise))
        undone = [outcome for outcome in outcomes if not isinstance(outcome, Done)]
        if undone or outcomes:
            return (undone or outcomes)[0]
        if self._now() - _minted(request.order, self._now) < APPEARS_WITHIN_MS:
            return Unknown("the order has no intent yet; an authorisation may be under way", stale=True)
        return Done("")

    async def _fence(self, request: Void, authorise: Authorise) -> Outcome:
        """Make sure that an authorisation without a trace never holds funds: take its idempotency key.

        An intent that is created under that key without being confirmed holds nothing. If Stripe takes it, the
        authorisation can only be refused from now on; if Stripe refuses it, the authorisation came first, and sending
        it again under its spent key cannot create anything but tells what it created.
        """
        for generation in range(GENERATIONS_MAX):
            key = generation_of(authorise.key, generation)
            try:
                intent = await self._calls.post(
                    "payment_intents.create", "payment_intents", fence_params(authorise), key
                )
            except Refusal as refusal:
                if not refusal.reused:
                    if refusal.spent:
                        return Done("")  # an earlier fence took the key and failed: the key is taken all the same
                    raise
                outcome = await self._void_replayed(request, authorise, key)
                if outcome is not None:
                    return outcome
            else:
                return _voided(await self._cancelled(intent["id"], f"{request.key}:fence", "requested_by_customer"))
        return Unknown(f"{GENERATIONS_MAX} generations of {authorise.key} were answered with a fault", stale=True)

    async def _void_replayed(self, request: Void, authorise: Authorise, key: str) -> Outcome | None:
        """Cancel what the authorisation under a spent `key` created; None if that cannot be learned from the key."""
        try:
            intent = await self._calls.post("payment_intents.create", "payment_intents", create_params(authorise), key)
        except Refusal as refusal:
            if refusal.status == 402:
                return Done(refusal.payment_intent, refusal.payment_intent)
            if not refusal.spent:
                raise
            intents = await self._intents_of(request.order)
            mine = [i for i in intents if i["metadata"].get("key") == authorise.key and not _is_discarded(i)]
            if not mine:
                return None
            intent = mine[0]
        return _voided(await self._cancelled(intent["id"], f"{request.key}:{intent['id']}", "requested_by_customer"))

    async def _cancelled(self, intent: str, key: str, reason: str) -> Json:
        """Cancel the intent, whatever was tried before, and return it as it is then: perhaps not cancelled."""
        path, now = f"payment_intents/{quote(intent, safe='')}", {}
        for generation in range(GENERATIONS_MAX):
            try:
                return await self._calls.post(
                    "payment_intents.cancel",
                    f"{path}/cancel",
                    {"cancellation_reason": reason},
                    generation_of(key, generation),
                )
            except Refusal as refusal:
                if not (refusal.spent or refusal.status == 400):
                    raise
                now = await self._calls.get("payment_intents.retrieve", path, {"expand": ["latest_charge"]})
                if not refusal.spent or now["status"] in ("canceled", "succeeded"):
                    return now
        return now

    async def _intents_of(self, order: str) -> list[Json]:
        """The order's intents: those with a charge, from the order's transfer group, which is complete; and those
        without one, from the intents made around the order's birth. The latter hold nothing and never will: nobody
        has the client secret with which the customer could authenticate."""
        charges = listing(self._calls, "charges.list", "charges", {"transfer_group": order})
        ids = dict.fromkeys([id_of(charge.get("payment_intent")) async for charge in charges])
        intents = [
            await self._calls.get(
                "payment_intents.retrieve", f"payment_intents/{quote(id_, safe='')}", {"expand": ["latest_charge"]}
            )
            for id_ in ids
            if id_
        ]
        born = _minted(order, self._now)
        window = {"gte": (born - WINDOW_BEFORE_MS) // 1000, "lte": (born + WINDOW_AFTER_MS) // 1000}
        params = {"created": window, "expand": ["data.latest_charge"]}
        recent = listing(self._calls, "payment_intents.list", "payment_intents", params, WINDOW_PAGES_MAX)
        uncharged = [i async for i in recent if i["metadata"].get("order") == order and i["id"] not in ids]
        return intents + uncharged


def create_params(request: Authorise) -> Json:
    """A PaymentIntent that is confirmed at once and holds the funds. Exactly the same for the same request."""
    return {
        "amount": request.amount,
        "currency": request.currency,
        "payment_method": request.payment_method,
        "allowed_payment_method_types": ["card"],
        "capture_method": "manual",
        "confirm": True,
        "transfer_group": request.order,
        "metadata": {"order": request.order, "key": request.key},
        "expand": ["latest_charge"],
    }


def fence_params(request: Authorise) -> Json:
    """An intent that only takes the idempotency key of `request`: not confirmed, without a payment method."""
    return {
        "amount": request.amount,
        "currency": request.currency,
        "allowed_payment_method_types": ["card"],
        "capture_method": "manual",
        "metadata": {"order": request.order, "key": request.key, "fence": "void"},
    }


def capture_before_ms(intent: Json) -> Millis:
    """When the hold of an intent with its `latest_charge` expanded ends; 0 if Stripe does not say."""
    charge = intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, dict) else None
    card = (details or {}).get("card") or {}
    return int(card.get("capture_before") or 0) * 1000


def _is_discarded(intent: Json) -> bool:
    """Cancelled by a look-up because it had never been confirmed (see `_outcome_of_intent`)."""
    return intent["status"] == "canceled" and intent.get("cancellation_reason") == "duplicate"


def _voided(intent: Json) -> Outcome:
    id_ = intent["id"]
    match intent["status"]:
        case "canceled":
            return Done(id_, id_, id_of(intent.get("latest_charge")))
        case "succeeded":
            return Declined("charge_already_captured", "too late to void: refund it", id_)
        case status:
            return Unknown(f"the intent is {status}", stale=True)


def _minted(order: str, now: Wall) -> Millis:
    """When the order was placed: its id says so."""
    return int(order[7:19], 16) if is_order_id(order) else now()
