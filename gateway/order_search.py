"""What a caller wants to see of the orders, as a query of the read side.

Nothing in it reaches beyond what the caller may see: a retailer's own orders, a supplier's own part. What a supplier is
not shown (e-mail addresses, payments, other suppliers' lines) it cannot search by either.
"""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import orjson

from actors.order import KIND as ORDER
from actors.runtime.codec import decode_snapshot
from actors.runtime.reading import AllOf, Kept, OrderQuery, OrderReader, Place, ReadModelUnavailable
from gateway.auth import Principal
from gateway.context import Gateway
from gateway.endpoint import Parameter
from gateway.personal_data import WORDS, email_digest
from gateway.problems import FieldError, Problem
from gateway.views import View
from models.decision import Millis
from models.identity import NAME, is_order_id, order_of
from models.order.tables import HEADLINES
from models.order.view import view
from models.projection import own_product_term, product_term, stripe_term, supplier_term, word_term

LIMIT_DEFAULT = 20
LIMIT_MAX = 200
Q_CHARS_MAX = 200
WORDS_MAX = 5
RETAILERS_MAX = 1_000
CURSOR = re.compile(r"[A-Za-z0-9_-]{1,120}\Z")

PAGE = (
    Parameter(
        "limit",
        "query",
        "How many on a page.",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    ),
    Parameter("cursor", "query", "The `next_cursor` of the page before.", {"type": "string"}),
)
"""What every list is asked with."""

T = TypeVar("T")

NO_ORDER: AllOf = (frozenset({"nothing"}),)
"""Terms that no order has."""


async def order_query(gateway: Gateway, principal: Principal, fields: Mapping[str, str], limit: int) -> OrderQuery:
    """The query that these fields of a query string make, for `limit` orders. Raises Problem."""
    supplier = principal.name if principal.role == "supplier" else ""
    if supplier and fields.get("email"):
        raise invalid("email", "Suppliers are not shown e-mail addresses.")
    status = fields.get("status", "")
    if status and status not in HEADLINES:
        raise invalid("status", f"One of {', '.join(HEADLINES)}.")
    search = _Search(gateway, principal, await _retailers(gateway, principal, fields))
    every: list[frozenset[str]] = []
    for field in ("supplier", "product"):
        if name := fields.get(field, ""):
            if not NAME.match(name):
                raise invalid(field, "This can be nobody's id.")
            every.append(search.supplier(name) if field == "supplier" else search.product(name))
    text = fields.get("q", "").strip()
    if len(text) > Q_CHARS_MAX:
        raise invalid("q", f"At most {Q_CHARS_MAX} characters.")
    id_ = text if is_order_id(text) else order_of(text) or ""
    by_email = "@" in text and not id_
    emails = [email for email in (fields.get("email", "").strip(), text if by_email else "") if email]
    either: tuple[AllOf, ...] = ((),) if id_ or by_email or not text else search.text(text)
    if by_email and supplier:
        either = (NO_ORDER,)
    return OrderQuery(
        limit=limit,
        after=place_of(fields.get("cursor", "")),
        id=id_,
        retailer=principal.name if principal.role == "retailer" else fields.get("retailer", ""),
        asked=supplier,
        status=status,
        created_from=_time(fields, "created_after"),
        created_to=_time(fields, "created_before"),
        emails=search.emails(emails),
        any_of=tuple((*every, *some) for some in either),
    )


class _Search:
    """Turns what the caller looks for into terms."""

    def __init__(self, gateway: Gateway, principal: Principal, retailers: Sequence[str]) -> None:
        self._digest = gateway.sealer
        self._own = principal.name if principal.role == "supplier" else ""
        self._retailers = retailers

    def supplier(self, name: str) -> frozenset[str]:
        """A supplier is not to learn who else delivers."""
        return frozenset({supplier_term(name)}) if self._own in ("", name) else NO_ORDER[0]

    def product(self, product: str) -> frozenset[str]:
        return frozenset({own_product_term(self._own, product) if self._own else product_term(product)})

    def emails(self, emails: Sequence[str]) -> frozenset[str]:
        """Digests of the one address that was asked for; of two different ones, those that both have: none."""
        found = [
            {email_digest(self._digest, retailer, email) for retailer in self._retailers} or {"nobody"}
            for email in emails
        ]
        return frozenset(set.intersection(*found) or {"nobody"}) if found else frozenset()

    def text(self, text: str) -> tuple[AllOf, ...]:
        """A product, one of Stripe's ids, or whole words of the customer's name, all of them."""
        ways: list[AllOf] = []
        if NAME.match(text):
            ways.append((self.product(text),))
            if not self._own:
                ways.append((frozenset({stripe_term(text)}),))
        words = list(dict.fromkeys(word.lower() for word in WORDS.findall(text)))
        if words and self._retailers and len(words) <= WORDS_MAX:
            ways += [tuple(self._word(retailer, word) for word in words) for retailer in self._retailers]
        return tuple(ways) or (NO_ORDER,)

    def _word(self, retailer: str, word: str) -> frozenset[str]:
        return frozenset({word_term(self._digest.keyed_digest("name-word", f"{retailer}\0{word}"))})


async def _retailers(gateway: Gateway, principal: Principal, fields: Mapping[str, str]) -> Sequence[str]:
    """Under whose keyed hashes personal data are to be looked for."""
    if principal.role == "retailer":
        return [principal.name]
    if not fields.get("email") and not fields.get("q"):
        return []
    if fields.get("retailer"):
        return [fields["retailer"]]
    found = await blocking(reader_of(gateway).retailers)
    if len(found) > RETAILERS_MAX:
        raise invalid("retailer", f"Say whose customer: there are more than {RETAILERS_MAX} retailers.")
    return found


def reader_of(gateway: Gateway) -> OrderReader:
    """The read side. Raises Problem where there is none."""
    reader = gateway.services.orders
    if reader is None:
        raise Problem("unavailable", "This system runs without its read side.", retry_after_s=60)
    return reader


async def blocking(ask: Callable[..., T], *arguments: object) -> T:
    """The read side's answer, without holding up anybody else. Raises Problem."""
    try:
        return await asyncio.to_thread(ask, *arguments)
    except ReadModelUnavailable:
        raise Problem("unavailable", "The read side is not available at the moment.", retry_after_s=1) from None


def view_of(kept: Kept, *, brief: bool = False) -> View:
    """The order as its actor would have shown it when the row was written; see `models.order.view.view` for `brief`."""
    shown: View | None = view(decode_snapshot(ORDER, kept.snapshot)[0], brief=brief)
    assert shown is not None, "only placed orders have rows"
    return shown


def limit_of(fields: Mapping[str, str]) -> int:
    """How many the caller wants on a page. Raises Problem."""
    text = fields.get("limit", str(LIMIT_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LIMIT_MAX):
        raise invalid("limit", f"A number from 1 to {LIMIT_MAX}.")
    return int(text)


def cursor_of(place: Place) -> str:
    """The opaque text that continues after `place`."""
    return urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(cursor: str) -> Place | None:
    """What `cursor_of` made of it; None for no cursor at all. Raises Problem."""
    if not cursor:
        return None
    try:
        place = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))) if CURSOR.match(cursor) else None
    except ValueError:
        place = None
    match place:
        case [int(at), str(id_)] if 0 <= at < 2**62 and is_order_id(id_):
            return (at, id_)
    raise invalid("cursor", "This is no cursor of ours.")


def _time(fields: Mapping[str, str], field: str) -> Millis | None:
    text = fields.get(field, "")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(field, "A time as RFC 3339 has it, such as 2026-11-22T21:00:00Z, or a date.") from None
    if at.tzinfo is None:
        if len(text) > len("2026-11-22"):
            raise invalid(field, "A time needs its offset, such as Z.")
        at = at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)


def invalid(field: str, message: str) -> Problem:
    """A refusal for one field of the query string."""
    return Problem("invalid", errors=[FieldError(field, message)])
