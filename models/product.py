"""The machine of one product: what it is called, whose brand it is, and who offers it at what price and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from models import catalogue
from models.decision import NOTHING, Accepted, Command, Decision, Event, Rejected
from models.identity import NAME
from models.record import changed, dataclass

AMOUNT_MAX = 99_999_999
"""The most that one unit may cost, in minor units: Stripe's own limit for a charge (https://docs.stripe.com/api/
payment_intents/create, `amount`: up to eight digits)."""
BPS_WHOLE = 10_000
TITLE_CHARACTERS_MAX = 500
OFFERS_MAX = 1_000

# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Who gets what of a captured amount, in basis points; the platform keeps the rest of 10,000."""

    brand: int = 0
    supplier: int = 0
    retailer: int = 0

    @property
    def platform(self) -> int:
        return BPS_WHOLE - self.brand - self.supplier - self.retailer


@catalogue.command("product.put")
@dataclass(frozen=True)
class PutProduct(Command):
    """Make the product exactly this; its offers stay. The same again changes nothing."""

    product: str = ""
    title: str = ""
    brand: str = ""
    currency: str = ""


@catalogue.command("product.offer")
@dataclass(frozen=True)
class PutOffer(Command):
    """Make `supplier`'s offer exactly this. The SKU must have been claimed for the supplier before (`ClaimSku`)."""

    product: str = ""
    supplier: str = ""
    sku: str = ""
    unit_amount: int = 0
    split: Split = field(default_factory=Split)


@catalogue.event("product.put/1")
@dataclass(frozen=True)
class ProductPut(Event):
    product: str
    title: str
    brand: str
    currency: str


@catalogue.event("product.offered/1")
@dataclass(frozen=True)
class ProductOffered(Event):
    supplier: str
    sku: str
    unit_amount: int
    split: Split


# --- state -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    sku: str
    unit_amount: int
    split: Split


@dataclass(frozen=True)
class Product:
    """`offers` by supplier."""

    product: str = ""
    title: str = ""
    brand: str = ""
    currency: str = ""
    offers: dict[str, Offer] = field(default_factory=dict)

    @property
    def phase(self) -> str:
        """Where the product stands in `TRANSITIONS`."""
        if not self.product:
            return "unknown"
        return "offered" if self.offers else "described"


INITIAL = Product()

# --- transitions -----------------------------------------------------------------------------------------------------

TRANSITIONS: Mapping[tuple[str, type[Event]], str] = {
    ("unknown", ProductPut): "described",
    ("described", ProductPut): "described",
    ("described", ProductOffered): "offered",
    ("offered", ProductPut): "offered",
    ("offered", ProductOffered): "offered",
}

# --- decide ----------------------------------------------------------------------------------------------------------


def decide(state: Product, command: Command) -> Decision:
    """What the product says to a command. Rejects with `invalid_product`, `invalid_offer`, `currency_fixed`,
    `too_many_offers` or `not_found`."""
    decider = _DECIDERS.get(type(command))
    if decider is None:
        return Rejected("unknown_command", f"a product does not know {type(command).__name__}")
    return decider(state, command)


def _put(state: Product, command: PutProduct) -> Decision:
    wrong = _wrong_product(command)
    if wrong:
        return Rejected("invalid_product", wrong)
    if state.offers and command.currency != state.currency:
        return Rejected("currency_fixed", f"there are offers in {state.currency}")
    content = (command.product, command.title, command.brand, command.currency)
    if content == (state.product, state.title, state.brand, state.currency):
        return NOTHING
    return Accepted(events=(ProductPut(command.at, *content),))


def _wrong_product(command: PutProduct) -> str:
    """The field that cannot be and why, or nothing."""
    if not command.product:
        return "product must not be empty"
    if not 1 <= len(command.title) <= TITLE_CHARACTERS_MAX:
        return f"title must have from 1 to {TITLE_CHARACTERS_MAX} characters"
    if not NAME.match(command.brand):
        return "brand must be an id"
    if not (len(command.currency) == 3 and command.currency.isascii() and command.currency.islower()):
        return "currency must be a lower-case ISO 4217 code"
    return ""


def _offer(state: Product, command: PutOffer) -> Decision:
    if state.phase == "unknown":
        return Rejected("not_found", f"no product {command.product}")
    wrong = _wrong_offer(command)
    if wrong:
        return Rejected("invalid_offer", wrong)
    offer = Offer(command.sku, command.unit_amount, command.split)
    known = state.offers.get(command.supplier)
    if known == offer:
        return NOTHING
    if known is None and len(state.offers) >= OFFERS_MAX:
        return Rejected("too_many_offers", f"a product has at most {OFFERS_MAX} offers")
    offered = ProductOffered(command.at, command.supplier, command.sku, command.unit_amount, command.split)
    return Accepted(events=(offered,))


def _wrong_offer(command: PutOffer) -> str:
    """The field that cannot be and why, or nothing."""
    split = command.split
    if not NAME.match(command.supplier):
        return "supplier must be an id"
    if not NAME.match(command.sku):
        return "sku must be an id"
    if not 0 <= command.unit_amount <= AMOUNT_MAX:
        return f"unit_amount must be from 0 to {AMOUNT_MAX}"
    if min(split.brand, split.supplier, split.retailer) < 0:
        return "split must not be negative"
    if split.platform < 0:
        return "split must not exceed 10000 basis points"
    return ""


_DECIDERS: Mapping[type[Command], Callable[[Product, Any], Decision]] = {PutProduct: _put, PutOffer: _offer}
COMMANDS = frozenset(_DECIDERS)

# --- evolve ----------------------------------------------------------------------------------------------------------


def evolve(state: Product, event: Event) -> Product:
    """Fold one event. Raises AssertionError on a step that the table does not have: a broken record."""
    assert (state.phase, type(event)) in TRANSITIONS, f"{event} on a product that is {state.phase}"
    if isinstance(event, ProductPut):
        return changed(state, product=event.product, title=event.title, brand=event.brand, currency=event.currency)
    assert isinstance(event, ProductOffered)
    offer = Offer(event.sku, event.unit_amount, event.split)
    return changed(state, offers={**state.offers, event.supplier: offer})


# --- view ------------------------------------------------------------------------------------------------------------


def view(state: Product) -> dict[str, Any] | None:
    """The product as the API shows it; None until it has been put."""
    if not state.product:
        return None
    return {
        "id": state.product,
        "title": state.title,
        "brand": state.brand,
        "currency": state.currency,
        "offers": {
            supplier: {
                "sku": offer.sku,
                "unit_amount": offer.unit_amount,
                "split": {
                    "brand": offer.split.brand,
                    "supplier": offer.split.supplier,
                    "retailer": offer.split.retailer,
                },
            }
            for supplier, offer in state.offers.items()
        },
    }
