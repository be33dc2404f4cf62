"""What a retailer sells: each line of an order resolved to the terms that the order freezes.

The client names products and never routes: the retailer's adoption says whose offer it sells, the product's offer says
which SKU, at what price and split.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from actors.runtime.envelope import Overloaded, Unanswered
from gateway.cache import ViewCache
from gateway.demand import OFTEN, Demand
from gateway.problems import FieldError, Problem
from gateway.schemas.orders import LineRequest
from models.adoption import adoption_id
from models.decision import Address
from models.order.messages import LineTerms
from models.product import AMOUNT_MAX
from models.record import changed, dataclass

Views = dict[Address, dict[str, Any] | None]
Wanted = tuple[str, str, str]
"""What a line asks for: retailer, currency, product."""

LINES_KEPT_MAX = 32
"""Of one product: quantities and prices."""


@dataclass(frozen=True)
class Terms:
    """All that an order freezes of the catalogue (see `models.order.messages.PlaceOrder`)."""

    lines: tuple[LineTerms, ...]
    accounts: dict[str, str]
    fees_bps: dict[str, int]


class Offered(NamedTuple):
    """What one product comes to for one retailer, worked out from `views`, of which the oldest was read at `at`.

    line: as an order freezes it, at the price that the adoption or the offer names.
    lines: the same, by the quantities and prices (None: that one) that were ordered lately.
    """

    at: float
    line: LineTerms
    accounts: dict[str, str]
    fees_bps: dict[str, int]
    views: Views
    lines: dict[tuple[int, int | None], LineTerms]

    def ordered(self, line: LineRequest) -> LineTerms:
        """As this line's order freezes it. A thing is mostly ordered in ones and twos: made once, it serves many."""
        quantity, unit_amount = wanted = line.quantity, line.unit_amount
        found = self.lines.get(wanted)
        if found is None:
            if len(self.lines) >= LINES_KEPT_MAX:
                self.lines.clear()
            if unit_amount is None:
                unit_amount = self.line.unit_amount
            found = self.lines[wanted] = changed(self.line, quantity=quantity, unit_amount=unit_amount)
        return found


class Catalogue:
    """Resolves lines. What a product came to holds no longer than the views it was worked out from: a line of a known
    product costs a look-up and a copy. What is ordered again and again (`Demand`) is read anew before it is outdated,
    all of it at once, so that nobody waits for it; where the views have not changed, nothing is worked out anew."""

    def __init__(self, views: ViewCache, offers_max: int) -> None:
        self._views = views
        self._offers_max = offers_max
        self._offered: dict[Wanted, Offered] = {}
        self._forgotten = 0
        self._demand = Demand[Wanted](2 * views.age_s_max, offers_max)
        self._refreshing: asyncio.Task[None] | None = None

    async def resolve(self, retailer: str, currency: str, lines: Sequence[LineRequest], began: float) -> Terms:
        """The terms of `lines`, which are not all `known`. Raises Problem (`unknown_product`, `not_adopted`,
        `wrong_currency`, `amount_too_large`).

        Two rounds of reading at most, each one batch: adoptions and products, then the parties they name where those
        are not known yet. What would be refused is read again first (`began`: when the request did).
        """
        products = list(dict.fromkeys([line.product for line in lines]))
        try:
            # All that has lived for half its time, lest each of five views in its turn makes an offer outdated.
            offers = await self._resolved(retailer, currency, products, self._views.middle)
        except _Refused:
            try:
                offers = await self._resolved(retailer, currency, products, began)
            except _Refused as refused:
                raise refused.problem(lines) from None
        return _terms([offers[line.product] for line in lines], lines)

    def known(self, retailer: str, currency: str, lines: Sequence[LineRequest]) -> Terms | None:
        """The terms of `lines` without reading anything, None where something has to be read. Raises Problem
        (`amount_too_large`)."""
        if self._forgotten != self._views.forgotten:
            self._forgotten = self._views.forgotten
            self._offered.clear()
        oldest = self._views.oldest
        aging = oldest + self._views.age_s_max / 4
        offers: list[Offered] = []
        for line in lines:
            wanted = (retailer, currency, line.product)
            offered = self._offered.get(wanted)
            if offered is None:
                continue
            self._demand.asked(wanted)
            if offered.at >= oldest:
                offers.append(offered)
                if offered.at < aging:
                    self._refresh_soon(wanted)
        return _terms(offers, lines) if len(offers) == len(lines) else None

    def _refresh_soon(self, aging: Wanted) -> None:
        """What is ordered this late in its life is read anew, and together with it all that is in demand."""
        self._demand.asked(aging, OFTEN)
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        """Read anew what is ordered again and again. What fails is no matter: whoever orders it will be told."""
        middle = self._views.middle
        aging: dict[tuple[str, str], list[str]] = {}
        for wanted in self._demand.often(self._views.clock()):
            offered = self._offered.get(wanted)
            if offered is None or offered.at < middle:
                retailer, currency, product = wanted
                aging.setdefault((retailer, currency), []).append(product)
        for (retailer, currency), products in aging.items():
            try:
                await self._resolved(retailer, currency, products, middle)
            except _Refused as refused:
                for product in refused.products:
                    self._demand.forget((retailer, currency, product))
            except (Problem, Overloaded, Unanswered):
                pass

    async def _resolved(
        self, retailer: str, currency: str, products: Sequence[str], since: float
    ) -> dict[str, Offered]:
        """What these products come to. Raises _Refused."""
        forgotten = self._views.forgotten
        before = {product: self._offered.get((retailer, currency, product)) for product in products}
        wanted = {Address("retailer", retailer): None}
        for product, offered in before.items():
            wanted |= dict.fromkeys(offered.views if offered else _sources(retailer, product))
        views = await self._views.views(wanted, since)
        offers: dict[str, Offered] = {}
        for product, offered in before.items():
            if offered is not None and _same(offered.views, views):
                offers[product] = offered._replace(at=self._views.read_at(offered.views))
        anew = [product for product in before if product not in offers]
        if anew:
            offers |= await self._worked_out(retailer, currency, anew, views, since)
        if self._views.forgotten == forgotten:
            if len(self._offered) + len(offers) > self._offers_max:
                self._offered.clear()
            self._offered.update(((retailer, currency, product), offered) for product, offered in offers.items())
        return offers

    async def _worked_out(
        self, retailer: str, currency: str, products: Sequence[str], views: Views, since: float
    ) -> dict[str, Offered]:
        """What these products come to, of which `views` has all but the parties. Raises _Refused."""
        terms = {product: _line_terms(views, retailer, currency, product) for product in products}
        refused = {product: reason for product, reason in terms.items() if isinstance(reason, str)}
        if refused:
            raise _Refused(refused)
        found = [line for line in terms.values() if isinstance(line, LineTerms)]
        parties = dict.fromkeys(Address("supplier", line.supplier) for line in found)
        parties |= dict.fromkeys(Address("brand", line.brand) for line in found)
        views = views | await self._views.views(parties, since)
        return {line.product: self._offer(views, retailer, line) for line in found}

    def _offer(self, views: Views, retailer: str, line: LineTerms) -> Offered:
        """Add the parties' accounts and the supplier's cancellation fee. A party that nobody has described has
        neither: its share becomes a payable."""
        parties = (Address("retailer", retailer), Address("supplier", line.supplier), Address("brand", line.brand))
        accounts: dict[str, str] = {}
        fees: dict[str, int] = {}
        for address in parties:
            view = views[address]
            if view is None:
                continue
            if view["stripe_account"]:
                accounts[str(address)] = view["stripe_account"]
            if address.kind == "supplier" and view["cancellation_policy"]["fee_bps"]:
                fees[address.id] = view["cancellation_policy"]["fee_bps"]
        own = {address: views[address] for address in (*_sources(retailer, line.product), *parties)}
        return Offered(self._views.read_at(own), line, accounts, fees, own, {})


def _sources(retailer: str, product: str) -> tuple[Address, Address]:
    """Who says how a retailer sells a product, the parties apart."""
    return Address("adoption", adoption_id(retailer, product)), Address("product", product)


def _same(before: Views, now: Views) -> bool:
    """True if what was read before has not changed (see `ViewCache`)."""
    return all(now[address] is view for address, view in before.items())


def _terms(offers: Sequence[Offered], lines: Sequence[LineRequest]) -> Terms:
    """What an order of these offers freezes: the client's quantities, and its prices where it names them. Raises
    Problem (`amount_too_large`)."""
    accounts: dict[str, str] = {}
    fees: dict[str, int] = {}
    terms: list[LineTerms] = []
    amount = 0
    for offered, line in zip(offers, lines, strict=True):
        ordered = offered.ordered(line)
        terms.append(ordered)
        amount += ordered.quantity * ordered.unit_amount
        accounts |= offered.accounts
        fees |= offered.fees_bps
    if amount > AMOUNT_MAX:
        raise Problem("amount_too_large", f"The lines add up to {amount}; one payment is at most {AMOUNT_MAX}.")
    return Terms(tuple(terms), accounts, fees)


class _Refused(Exception):
    """Products that cannot be sold, each with the code of the reason."""

    def __init__(self, products: dict[str, str]) -> None:
        super().__init__(products)
        self.products = products

    def problem(self, lines: Sequence[LineRequest]) -> Problem:
        """It, in terms of the request's lines."""
        reasons = {index: self.products.get(line.product) for index, line in enumerate(lines)}
        errors = [FieldError(f"lines.{index}.product", _REASONS[code]) for index, code in reasons.items() if code]
        return Problem(next(code for code in reasons.values() if code), errors=errors[:20])


_REASONS = {
    "unknown_product": "There is no such product.",
    "not_adopted": "This retailer has not adopted the product.",
    "wrong_currency": "The product is sold in another currency.",
}


def _line_terms(views: Views, retailer: str, currency: str, name: str) -> LineTerms | str:
    """The terms of one of the product, or the code of the reason why there are none."""
    product = views[Address("product", name)]
    if product is None:
        return "unknown_product"
    adoption = views[Address("adoption", adoption_id(retailer, name))]
    if adoption is None:
        return "not_adopted"
    supplier = adoption["supplier"]
    offer = product["offers"].get(supplier)
    if offer is None:
        return "not_adopted"
    if product["currency"] != currency:
        return "wrong_currency"
    unit_amount = adoption["unit_amount"]
    if unit_amount is None:
        unit_amount = offer["unit_amount"]
    split = offer["split"]
    return LineTerms(
        product=name,
        sku=offer["sku"],
        quantity=1,
        unit_amount=unit_amount,
        supplier=supplier,
        brand=product["brand"],
        split=(split["brand"], split["supplier"], split["retailer"]),
    )
