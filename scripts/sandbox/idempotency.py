"""Idempotency keys as Stripe has them (https://docs.stripe.com/api/idempotent_requests).

The first outcome of a key is kept for 24 hours of sandbox time, success or failure, 500s too, and replayed. The same
key with other parameters or on another endpoint is a 400 `idempotency_error`; while the first request is still running
it is a 409. A request that failed validation, or was turned away by a rate limit, never began and keeps nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from scripts.sandbox.errors import StripeError
from scripts.sandbox.records import Record

KEPT_S = 86_400
KEY_MAX_CHARACTERS = 255


class Saved(NamedTuple):
    """The kept outcome of one key. A success keeps the immutable `record` it answered, which is rendered again, and
    not the body, because bodies are ten times the size; an error keeps its `body`.
    `endpoint` is a name in the table of endpoints, `digest` covers the path and the parameters."""

    created: int
    endpoint: str
    digest: str
    status: int
    request_id: str
    record: Record | None
    body: str | None


def digest(path: str, params: dict[str, Any]) -> str:
    """A fingerprint of path and parameters that does not depend on the parameters' order."""
    canonical = orjson.dumps((path, params), option=orjson.OPT_SORT_KEYS)
    return b64encode(blake2b(canonical, digest_size=12).digest()).decode()


class Keys:
    """All keys of the last 24 hours, oldest first, and those of requests that are running."""

    def __init__(self) -> None:
        self._saved: dict[str, Saved] = {}
        self._running: set[str] = set()

    def __len__(self) -> int:
        return len(self._saved)

    def begin(self, key: str, endpoint: str, fingerprint: str, now: int) -> Saved | None:
        """Return the outcome to replay, or mark the key as running and return None; then call `end`.

        Raises StripeError: 400 for other parameters or another endpoint, 409 while the first request runs.
        """
        if len(key) > KEY_MAX_CHARACTERS:
            message = f"Idempotency keys may be at most {KEY_MAX_CHARACTERS} characters long"
            raise StripeError(400, message, type="idempotency_error", saved=False)
        saved = self._saved.get(key)
        if saved is not None and saved.created > now - KEPT_S:
            return _checked(saved, key, endpoint, fingerprint)
        if key in self._running:
            raise StripeError(
                409,
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                code="idempotency_key_in_use",
                saved=False,
                headers=((b"stripe-should-retry", b"true"),),
            )
        self._running.add(key)
        return None

    def end(self, key: str) -> None:
        """The request that `begin` let through is over."""
        self._running.discard(key)

    def save(self, key: str, saved: Saved) -> None:
        """Keep an outcome, and drop those that are older than 24 hours."""
        self._saved.pop(key, None)
        self._saved[key] = saved
        horizon = saved.created - KEPT_S
        expired = []
        for old, outcome in self._saved.items():
            if outcome.created > horizon:
                break
            expired.append(old)
        for old in expired:
            del self._saved[old]

    def items(self) -> Iterator[tuple[str, Saved]]:
        """Every kept outcome, oldest first."""
        return iter(list(self._saved.items()))


def _checked(saved: Saved, key: str, endpoint: str, fingerprint: str) -> Saved:
    if saved.endpoint != endpoint:
        first, second = (name.partition(" ")[2].replace("{}", ":id") for name in (saved.endpoint, endpoint))
        raise StripeError(
            400,
            f"Keys for idempotent requests can only be used for the same endpoint they were first used for ('{second}' "
            f"vs '{first}'). Try using a key other than '{key}' if you meant to execute a different request.",
            type="idempotency_error",
            saved=False,
        )
    if saved.digest != fingerprint:
        raise StripeError(
            400,
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request.",
            type="idempotency_error",
            saved=False,
        )
    return saved
