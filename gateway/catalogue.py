"""What a retailer sells: each line of an order resolved to the terms that the order freezes.

The client names products and never routes: the retailer's adoption says whose offer it sells, the product's offer says
which SKU, at what price and split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.cache import ViewCache
from gateway.problems import FieldError, Problem
from gateway.schemas.orders import LineRequest
from models.adoption import adoption_id
from models.decision import Address
from models.order.messages import LineTerms
from models.product import AMOUNT_MAX

Views = dict[Address, dict[str, Any] | None]


@dataclass(frozen=True)
class Terms:
    """All that an order freezes of the catalogue (see `models.order.messages.PlaceOrder`)."""

    lines: tuple[LineTerms, ...]
    accounts: dict[str, str]
    fees_bps: dict[str, int]


async def resolve(cache: ViewCache, retailer: str, currency: str, lines: Sequence[LineRequest], began: float) -> Terms:
    """The terms of `lines`. Raises Problem (`unknown_product`, `not_adopted`, `wrong_currency`, `amount_too_large`).

    Two rounds of reading at most, each one batch: adoptions and products, then the parties they name; none at all
    while the cache is warm. What would be refused is read again first (`began`: when the request did).
    """
    try:
        return await _resolve(cache, retailer, currency, lines, 0.0)
    except Problem as problem:
        if problem.code in ("unavailable", "amount_too_large"):
            raise
    return await _resolve(cache, retailer, currency, lines, began)


async def _resolve(cache: ViewCache, retailer: str, currency: str, lines: Sequence[LineRequest], since: float) -> Terms:
    wanted = [Address("retailer", retailer)]
    for line in lines:
        wanted += (Address("adoption", adoption_id(retailer, line.product)), Address("product", line.product))
    views = await cache.views(wanted, since)
    errors: list[FieldError] = []
    terms: list[LineTerms] = []
    code = ""
    for index, line in enumerate(lines):
        found = _line_terms(views, retailer, currency, line)
        if isinstance(found, LineTerms):
            terms.append(found)
        else:
            code = code or found
            errors.append(FieldError(f"lines.{index}.product", _REASONS[found]))
    if errors:
        raise Problem(code, errors=errors[:20])
    amount = sum(line.quantity * line.unit_amount for line in terms)
    if amount > AMOUNT_MAX:
        raise Problem("amount_too_large", f"The lines add up to {amount}; one payment is at most {AMOUNT_MAX}.")
    return await _with_parties(cache, retailer, views, terms, since)


_REASONS = {
    "unknown_product": "There is no such product.",
    "not_adopted": "This retailer has not adopted the product.",
    "wrong_currency": "The product is sold in another currency.",
}


def _line_terms(views: Views, retailer: str, currency: str, line: LineRequest) -> LineTerms | str:
    """The line's terms, or the code of the reason why there are none."""
    product = views[Address("product", line.product)]
    if product is None:
        return "unknown_product"
    adoption = views[Address("adoption", adoption_id(retailer, line.product))]
    if adoption is None:
        return "not_adopted"
    supplier = adoption["supplier"]
    offer = product["offers"].get(supplier)
    if offer is None:
        return "not_adopted"
    if product["currency"] != currency:
        return "wrong_currency"
    unit_amount = line.unit_amount
    if unit_amount is None:
        unit_amount = adoption["unit_amount"]
        if unit_amount is None:
            unit_amount = offer["unit_amount"]
    split = offer["split"]
    return LineTerms(
        product=line.product,
        sku=offer["sku"],
        quantity=line.quantity,
        unit_amount=unit_amount,
        supplier=supplier,
        brand=product["brand"],
        split=(split["brand"], split["supplier"], split["retailer"]),
    )


async def _with_parties(cache: ViewCache, retailer: str, views: Views, terms: list[LineTerms], since: float) -> Terms:
    """Add the parties' accounts and the suppliers' cancellation fees. A party that nobody has described has neither:
    its share becomes a payable."""
    suppliers = dict.fromkeys(line.supplier for line in terms)
    brands = dict.fromkeys(line.brand for line in terms)
    addresses = [Address("supplier", name) for name in suppliers] + [Address("brand", name) for name in brands]
    parties = await cache.views(addresses, since)
    parties[Address("retailer", retailer)] = views[Address("retailer", retailer)]
    accounts: dict[str, str] = {}
    fees: dict[str, int] = {}
    for address, view in parties.items():
        if view is None:
            continue
        if view["stripe_account"]:
            accounts[str(address)] = view["stripe_account"]
        if address.kind == "supplier" and view["cancellation_policy"]["fee_bps"]:
            fees[address.id] = view["cancellation_policy"]["fee_bps"]
    return Terms(tuple(terms), accounts, fees)
