"""What Dray's payment requests are in Stripe's calls: capture, refund, transfer and reverse here, authorise and void in
`stripe_intents`."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote

from actors.adapters.stripe_errors import Refusal
from actors.adapters.stripe_intents import StripeIntents
from actors.adapters.stripe_objects import (
    Calls,
    Find,
    Json,
    SendWithKey,
    cancelled_outcome,
    id_of,
    listing,
    prove,
    with_key,
)
from actors.runtime.ports import Wall
from models.payments import (
    AnyRequest,
    Authorise,
    Capture,
    Declined,
    Done,
    Outcome,
    PaymentRequest,
    Refund,
    Reverse,
    Transfer,
    Unknown,
    Void,
)


class StripeSteps:
    """Runs one request to its outcome. Raises Refusal where the refusal itself tells the outcome."""

    def __init__(self, calls: Calls, now: Wall) -> None:
        self._calls = calls
        self._intents = StripeIntents(calls, now)

    async def run(self, request: AnyRequest) -> Outcome:
        """What became of `request`. Raises Refusal."""
        match request:
            case Authorise():
                return await self._intents.authorise(request)
            case Capture():
                return await self._effect(request, partial(self._captured, request), partial(self._capture, request))
            case Void():
                return await self._intents.void(request)
            case Refund():
                return await self._effect(request, partial(self._refunded, request), partial(self._refund, request))
            case Transfer():
                return await self._effect(request, partial(self._moved, request), partial(self._transfer, request))
            case Reverse():
                return await self._effect(request, partial(self._taken_back, request), partial(self._reverse, request))

    async def _effect(self, request: PaymentRequest, find: Find, send: SendWithKey) -> Outcome:
        """The common course: send; if Stripe says no, see whether that is because it has happened already."""
        if request.lookup:
            return await prove(request.key, find, send)
        try:
            return await send(request.key)
        except Refusal as refusal:
            found = await find() if refusal.final else None
            if found is None:
                raise
            return found

    async def _capture(self, request: Capture, key: str) -> Outcome:
        params = {"amount_to_capture": request.amount, "metadata": {"capture_key": request.key}}
        path = f"payment_intents/{quote(request.payment_intent, safe='')}/capture"
        intent = await self._calls.post("payment_intents.capture", path, params, key)
        return _captured_outcome(request, intent) or Unknown(f"the intent is {intent['status']}", stale=True)

    async def _captured(self, request: Capture) -> Outcome | None:
        path = f"payment_intents/{quote(request.payment_intent, safe='')}"
        return _captured_outcome(request, await self._calls.get("payment_intents.retrieve", path, {}))

    async def _refund(self, request: Refund, key: str) -> Outcome:
        params = {
            "payment_intent": request.payment_intent,
            "amount": request.amount,
            "metadata": {"order": request.order, "key": request.key, "refund": request.refund},
        }
        return _refund_outcome(await self._calls.post("refunds.create", "refunds", params, key))

    async def _refunded(self, request: Refund) -> Outcome | None:
        refunds = listing(self._calls, "refunds.list", "refunds", {"payment_intent": request.payment_intent})
        refund = await with_key(refunds, request.key)
        return None if refund is None else _refund_outcome(refund)

    async def _transfer(self, request: Transfer, key: str) -> Outcome:
        params = {
            "amount": request.amount,
            "currency": request.currency,
            "destination": request.destination,
            "source_transaction": request.charge,
            "transfer_group": request.order,
            "metadata": {
                "order": request.order,
                "key": request.key,
                "consignment": request.consignment,
                "party": request.party,
            },
        }
        transfer = await self._calls.post("transfers.create", "transfers", params, key)
        return Done(transfer["id"], charge=request.charge)

    async def _moved(self, request: Transfer) -> Outcome | None:
        params = {"transfer_group": request.order, "destination": request.destination}
        transfer = await with_key(listing(self._calls, "transfers.list", "transfers", params), request.key)
        return None if transfer is None else Done(transfer["id"], charge=request.charge)

    async def _reverse(self, request: Reverse, key: str) -> Outcome:
        params = {
            "amount": request.amount,
            "metadata": {"order": request.order, "key": request.key, "refund": request.refund},
        }
        path = f"transfers/{quote(request.transfer, safe='')}/reversals"
        return Done((await self._calls.post("reversals.create", path, params, key))["id"])

    async def _taken_back(self, request: Reverse) -> Outcome | None:
        path = f"transfers/{quote(request.transfer, safe='')}/reversals"
        reversal = await with_key(listing(self._calls, "reversals.list", path, {}), request.key)
        return None if reversal is None else Done(reversal["id"])


def _captured_outcome(request: Capture, intent: Json) -> Outcome | None:
    """None while the intent still waits for its capture."""
    id_, charge = intent["id"], id_of(intent.get("latest_charge"))
    match intent["status"]:
        case "succeeded" if intent.get("amount_received") == request.amount:
            return Done(charge, id_, charge)
        case "succeeded":
            received = intent.get("amount_received")
            return Declined("charge_already_captured", f"captured {received}, not {request.amount}", id_)
        case "canceled":
            return cancelled_outcome(intent)
        case "requires_capture":
            return None
        case status:
            return Unknown(f"the intent is {status}", stale=True)


def _refund_outcome(refund: Json) -> Outcome:
    if refund["status"] in ("failed", "canceled"):
        return Declined(refund.get("failure_reason") or "refund_failed", f"the refund is {refund['status']}")
    return Done(refund["id"], id_of(refund.get("payment_intent")), id_of(refund.get("charge")))
