"""Stripe's error objects, and the exceptions that carry them out of a handler.

The shapes follow https://docs.stripe.com/api/errors, so that the real SDK raises its own classes: 400 and 404
InvalidRequestError or IdempotencyError, 401 AuthenticationError, 402 CardError, 403 PermissionError, 429
RateLimitError, everything else APIError.
"""

from __future__ import annotations

from typing import Any

INVALID_REQUEST = "invalid_request_error"


class StripeError(Exception):
    """A request that ends in an error object.

    `saved` tells whether the outcome is kept under the request's idempotency key: Stripe keeps what began executing,
    and forgets what failed validation before that. `effective` tells whether the request's changes stand in spite of
    the error, as a declined attempt leaves a failed charge behind.
    """

    def __init__(
        self, status: int, message: str, *, type: str = INVALID_REQUEST, saved: bool = True, effective: bool = False,
        headers: tuple[tuple[bytes, bytes], ...] = (), **fields: Any,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.saved = saved
        self.effective = effective
        self.headers = headers
        self.fields: dict[str, Any] = {"message": message, "type": type}
        self.fields.update((name, value) for name, value in fields.items() if value is not None)

    def body(self, request_id: str) -> dict[str, Any]:
        """The response body. Fields that are callables (an object to be rendered as it is after the request's
        changes were applied) are called now."""
        error = {name: value() if callable(value) else value for name, value in self.fields.items()}
        code = error.get("code")
        if code:
            error["doc_url"] = f"https://docs.stripe.com/error-codes#{code.replace('_', '-')}"
        error["request_log_url"] = f"https://dashboard.stripe.com/test/logs/{request_id}"
        return {"error": error}


def invalid(message: str, *, param: str | None = None, code: str | None = None, **fields: Any) -> StripeError:
    """400, found while executing: the answer is saved under the idempotency key."""
    return StripeError(400, message, param=param, code=code, **fields)


def refused(message: str, *, param: str | None = None, code: str | None = None) -> StripeError:
    """400, found by validation before anything ran: nothing is saved, the key stays free."""
    return StripeError(400, message, param=param, code=code, saved=False)


def missing(noun: str, id: str, *, param: str = "id", status: int = 404) -> StripeError:
    """An object that does not exist: 404 when the path names it, 400 when a parameter does."""
    return StripeError(status, f"No such {noun}: '{id}'", code="resource_missing", param=param)


def rate_limited(reason: str, message: str, code: str = "rate_limit") -> StripeError:
    """429. `reason` goes into the `Stripe-Rate-Limited-Reason` header; a lock timeout has none."""
    headers = ((b"stripe-rate-limited-reason", reason.encode()),) if reason else ()
    return StripeError(429, message, code=code, saved=False, headers=headers)


def server_error() -> StripeError:
    """500: Stripe saves it under the key and replays it, and tells the client that retrying is pointless."""
    return StripeError(
        500, "An unknown error occurred", type="api_error", headers=((b"stripe-should-retry", b"false"),)
    )
