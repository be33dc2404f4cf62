"""What the steps over Stripe's objects share: single calls, listings, and proving what became of an idempotency key.

Every object carries the order and the idempotency key as metadata, and lives in the order's transfer group. So when a
key cannot tell any more (a replayed 500, a key older than 24 h) the object can be looked for, and only when there is
none is the request sent anew, under the next *generation* of the same key: `key`, `key~1`, `key~2`. Everybody who
retries walks the same generations, and Stripe lets each of them take effect once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

from actors.adapters.stripe_errors import Refusal
from models.payments import Declined, Outcome, Unknown

Json = dict[str, Any]
Find = Callable[[], Awaitable[Outcome | None]]
SendWithKey = Callable[[str], Awaitable[Outcome]]

GENERATIONS_MAX = 6
PAGE_OBJECTS = 100
PAGES_MAX = 100
"""Of a listing by order: 10,000 objects, more than an order can have (1,000 lines, 3 parties each)."""


class Calls(Protocol):
    """One call to Stripe; `endpoint` names its kind, for pacing. Raises Refusal."""

    async def post(self, endpoint: str, path: str, params: Mapping[str, Any], key: str) -> Json: ...

    async def get(self, endpoint: str, path: str, params: Mapping[str, Any]) -> Json: ...


async def prove(key: str, find: Find, send: SendWithKey) -> Outcome:
    """Find the effect; where there is provably none, send under the first generation of the key that can tell."""
    for generation in range(GENERATIONS_MAX):
        found = await find()
        if found is not None:
            return found
        try:
            return await send(generation_of(key, generation))
        except Refusal as refusal:
            if not refusal.spent:
                raise
    return Unknown(f"{GENERATIONS_MAX} generations of {key} were answered with a fault", stale=True)


def generation_of(key: str, generation: int) -> str:
    """The key itself, and the keys that may follow it, the same for everybody who retries."""
    return key if generation == 0 else f"{key}~{generation}"


async def listing(
    calls: Calls, endpoint: str, path: str, params: Mapping[str, Any], pages_max: int = PAGES_MAX
) -> AsyncIterator[Json]:
    """Every object of a listing, newest first, page by page up to `pages_max`."""
    page_params = {**params, "limit": PAGE_OBJECTS}
    for _ in range(pages_max):
        page = await calls.get(endpoint, path, page_params)
        for item in page["data"]:
            yield item
        if not page["has_more"]:
            return
        page_params["starting_after"] = page["data"][-1]["id"]


async def with_key(objects: AsyncIterator[Json], key: str) -> Json | None:
    """The object that a request with this idempotency key made."""
    async for item in objects:
        if item["metadata"].get("key") == key:
            return item
    return None


def id_of(reference: Any) -> str:
    """The id of a field that Stripe may have expanded into the object."""
    if isinstance(reference, dict):
        return str(reference["id"])
    return reference or ""


def cancelled_outcome(intent: Json) -> Declined:
    """Why a cancelled intent can neither hold nor be captured."""
    expired = intent.get("cancellation_reason") == "automatic"
    code = "charge_expired_for_capture" if expired else "payment_intent_canceled"
    return Declined(code, "the intent is cancelled", intent["id"])
