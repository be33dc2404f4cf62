"""What Stripe's refusals mean to Dray: one table from HTTP statuses and codes to outcomes.

Sources: https://docs.stripe.com/api/errors, https://docs.stripe.com/api/idempotent_requests,
https://docs.stripe.com/rate-limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.payments import Declined, Outcome, Throttled, Unknown

THROTTLED_MS = 1_000
MISCONFIGURED_MS = 30_000
"""How long to wait when Stripe does not accept Dray's credentials: an operator must act, no order should die of it."""


@dataclass(eq=False)
class Refusal(Exception):
    """A call that did not succeed, in words that do not need the SDK.

    status:   HTTP; 0 when no answer came.
    kind:     Stripe's `type`: card_error, invalid_request_error, idempotency_error, api_error, ...
    replayed: the answer is the stored one of an earlier request with the same idempotency key.
    payment_intent: the intent that a card error speaks of.
    """

    status: int
    kind: str = ""
    code: str = ""
    decline_code: str = ""
    message: str = ""
    replayed: bool = False
    retry_after_ms: int = 0
    payment_intent: str = ""

    @property
    def reused(self) -> bool:
        """The idempotency key belongs to a request with other parameters; this one had no effect."""
        return self.kind == "idempotency_error" and self.status in (400, 422)

    @property
    def spent(self) -> bool:
        """The idempotency key can never tell the truth any more: it replays a fault, or belongs to another request."""
        return self.reused or (self.replayed and self.status >= 500)

    @property
    def misconfigured(self) -> bool:
        """Dray's credentials were not accepted. A 403 with a code is about one object, not about the key."""
        return self.status == 401 or (self.status == 403 and not self.code)

    @property
    def final(self) -> bool:
        """Stripe understood and said no."""
        return self.status in (400, 402, 403, 404) and not self.reused and not self.misconfigured


def outcome_of(refusal: Refusal) -> Outcome:
    """What a refusal says about the request that met it."""
    detail = f"{refusal.status} {refusal.code or refusal.kind}: {refusal.message}"
    if refusal.status in (409, 429):
        return Throttled(refusal.retry_after_ms or THROTTLED_MS)
    if refusal.misconfigured:
        return Throttled(MISCONFIGURED_MS)
    if refusal.final:
        code = refusal.decline_code or refusal.code or refusal.kind or "invalid_request_error"
        return Declined(code, refusal.message, refusal.payment_intent)
    return Unknown(detail, stale=refusal.spent)
