"""Stripe's webhooks: whether one is genuine, and what it is about, as it is now.

Events arrive late, twice, and out of order, so they are hints: whoever gets one fetches the object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from actors.adapters.stripe_errors import Refusal
from actors.adapters.stripe_payments import StripeCalls, check_credentials, default_pace, verify_signature

TOLERANCE_S = 300
"""How old a signature may be (https://docs.stripe.com/webhooks/signatures#replay-attacks)."""
FETCHES_IN_FLIGHT_MAX = 16
FETCH_TIMEOUT_S = 10.0

_PATHS = {
    "charge": "charges",
    "dispute": "disputes",
    "payment_intent": "payment_intents",
    "refund": "refunds",
    "transfer": "transfers",
}


class StripeEvents:
    """Verifies webhooks with `secret` and fetches objects from the server that `StripePayments` talks to.

    bad_signature: makes the exception to raise for a webhook that is not genuine; the gateway has its own.

    Raises ValueError without a secret, and for a key and an address that must not meet (see `check_credentials`).
    """

    def __init__(self, api_key: str, address: str, secret: str, bad_signature: Callable[[str], Exception]) -> None:
        check_credentials(api_key, address)
        if not secret:
            raise ValueError("STRIPE_WEBHOOK_SECRET is not set: without it anybody could send webhooks")
        self._secret = secret
        self._bad_signature = bad_signature
        pace = default_pace(api_key, address)
        self._calls = StripeCalls(api_key, address, pace, FETCHES_IN_FLIGHT_MAX, FETCH_TIMEOUT_S)

    def verified(self, payload: bytes, signature: str) -> Mapping[str, Any]:
        """The event. Raises what `bad_signature` makes unless `signature` (the header) fits the bytes as sent."""
        try:
            verify_signature(payload, signature, self._secret, TOLERANCE_S)
            event = orjson.loads(payload)
        except ValueError as error:
            raise self._bad_signature(str(error)) from None
        if not isinstance(event, dict):
            raise self._bad_signature("the payload is not an event")
        return event

    async def fetched(self, kind: str, object_id: str) -> Mapping[str, Any] | None:
        """The object as it is now, or None if there is none. Raises ConnectionError when Stripe cannot be asked."""
        path = _PATHS[kind]
        try:
            return await self._calls.get(f"{path}.retrieve", f"{path}/{quote(object_id, safe='')}", {})
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise ConnectionError(f"{kind} {object_id}: {refusal.status} {refusal.code} {refusal.message}") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._calls.close()
