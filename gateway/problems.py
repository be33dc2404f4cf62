"""Problems (RFC 9457): the one table from stable codes to HTTP statuses. Statuses appear nowhere else for failures.

Deciders refuse with a code; whatever they can say is listed here, and a test compares the lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import orjson

PROBLEM_TYPE = "application/problem+json"

PROBLEMS: dict[str, tuple[int, str]] = {
    # The request itself
    "malformed": (400, "The request cannot be read"),
    "bad_signature": (400, "The webhook's signature does not verify"),
    "unauthenticated": (401, "A valid API key is needed"),
    "forbidden": (403, "This key may not do that"),
    "not_found": (404, "There is no such thing"),
    "method_not_allowed": (405, "The resource does not know this method"),
    "cursor_expired": (410, "What came after this cursor is not kept any more"),
    "stale": (412, "The resource has changed"),
    "too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body has the wrong content type"),
    "invalid": (422, "The request has invalid fields"),
    "idempotency_key_reused": (422, "The idempotency key was used with another request"),
    "rate_limited": (429, "Too many requests with this key"),
    "too_many_streams": (429, "Too many streams at a time"),
    "overloaded": (429, "The system is full"),
    "internal_error": (500, "Something broke"),
    "command_failed": (500, "The command could not be carried out"),
    "unavailable": (503, "Not available at the moment"),
    "outcome_unknown": (503, "No answer in time; send the same request again"),
    # Orders at the door
    "unknown_product": (422, "There is no such product"),
    "not_adopted": (422, "The retailer does not sell this product"),
    "wrong_currency": (422, "The product is sold in another currency"),
    "amount_too_large": (422, "The order's sum is more than one payment can be"),
    # What machines refuse because of the command itself, in whatever state
    "not_parked": (404, "There is no such parked command"),
    "invalid_adoption": (422, "The adoption is not valid"),
    "invalid_key": (422, "The key is not valid"),
    "invalid_lines": (422, "The lines are not valid"),
    "invalid_offer": (422, "The offer is not valid"),
    "invalid_outcome": (422, "The outcome is not valid"),
    "invalid_party": (422, "The party is not valid"),
    "invalid_product": (422, "The product is not valid"),
    "invalid_quantity": (422, "The quantity is not possible"),
    "invalid_refund": (422, "The refund is not valid"),
    "invalid_return": (422, "The return is not valid"),
    "invalid_split": (422, "The split is not valid"),
    "invalid_supplier": (422, "The supplier is not valid"),
    "nothing_to_refund": (422, "There is nothing to refund"),
    "refund_exceeds_remaining": (422, "More than what was captured and not yet refunded"),
    "dispute_exceeds_remaining": (422, "More than what remains to be disputed"),
    "restock_exceeds_sold": (422, "More than what was sold"),
    "unknown_offer": (422, "There is no such offer"),
    "unknown_supplier": (422, "There is no such supplier"),
    # What machines refuse because of their state
    "currency_fixed": (409, "The product's currency cannot change any more"),
    "erased": (409, "The customer's data were erased"),
    "evidence_too_late": (409, "The deadline for evidence has passed"),
    "key_exists": (409, "There is such a key already"),
    "order_exists": (409, "There is such an order already"),
    "partial_not_allowed": (409, "The order is to be accepted as a whole"),
    "sku_taken": (409, "The SKU belongs to another supplier"),
    "too_many_disputes": (409, "The order has as many disputes as it may"),
    "too_many_keys": (409, "There are as many keys as there may be"),
    "too_many_messages": (409, "The order has as many messages as it may"),
    "too_many_offers": (409, "The product has as many offers as it may"),
    "too_many_refunds": (409, "The order has as many refunds as it may"),
    "too_many_returns": (409, "The order has as many returns as it may"),
    "too_much_evidence": (409, "The dispute has as much evidence as it may"),
    "parking_full": (503, "There are as many parked commands as there may be"),
    "unknown_command": (500, "The command does not belong here"),
}


class FieldError(NamedTuple):
    """What is wrong with one field; `field` is a path such as `lines.0.quantity`."""

    field: str
    message: str


class Problem(Exception):
    """Ends a request with a refusal. `code` is a key of PROBLEMS."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.allow = allow

    @property
    def status(self) -> int:
        return status_of(self.code)

    def body(self) -> bytes:
        """The `application/problem+json` document."""
        return orjson.dumps(self.document())

    def document(self) -> dict[str, object]:
        status, title = PROBLEMS.get(self.code, CONFLICT)
        document: dict[str, object] = {"type": "about:blank", "title": title, "status": status, "code": self.code}
        if self.detail:
            document["detail"] = self.detail
        if self.errors:
            document["errors"] = [error._asdict() for error in self.errors]
        return document

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that this refusal carries besides the content type."""
        headers: list[tuple[bytes, bytes]] = []
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="dray"'))
        if self.retry_after_s is not None:
            headers.append((b"retry-after", str(self.retry_after_s).encode()))
        if self.allow:
            headers.append((b"allow", self.allow.encode()))
        return headers


CONFLICT = (409, "The state does not allow this")
"""What a code outside the table means: a machine said no because of its state. The machines' refusals of that sort
are named after their tables (`consignment_dispatched`), so listing each here would only repeat those."""


def status_of(code: str) -> int:
    return PROBLEMS.get(code, CONFLICT)[0]
